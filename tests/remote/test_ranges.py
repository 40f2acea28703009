"""Parts of objects over the wire: what is moved for them, older servers, and servers that lie."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from vault import ConnectionSettings, Vault
from vault._sync.remote.store import RemoteStore
from vault.errors import ConflictError, CorruptionError, InvalidArgumentError, NotFoundError, ProtocolError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import SmallUpdate, UpdateSpec
from vault.store.values import ObjectInfo, checksum
from vault.v1 import vault_pb2 as pb
from vault.wrappers import BytesWrapper
from vault_server import EmbeddedStore, Server, ServerSettings

from tests.files.objects import put, some_bytes
from torture.hostile_server.endless import of, status
from torture.hostile_server.server import HostileServer

DATA = some_bytes(10_000_000)
RANGES: list[tuple[int, int | None]] = [(5, 10), (BLOCK_SIZE - 5, BLOCK_SIZE), (-7, None), (3, 0), (-(10**8), 2)]


class Counted:
    """Counts calls by method, and bytes of messages that were answered."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.size = 0

    def __call__(self, method: str, replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        self.calls[method] += 1
        for raw in replies:
            self.size += len(raw)
            yield raw


@pytest.fixture
def info(store: EmbeddedStore) -> ObjectInfo:
    return put(store, DATA, "data")


@pytest.fixture
def between(store: EmbeddedStore) -> Iterator[HostileServer]:
    """In front of a server over the store, honest unless told otherwise."""
    with Server(store) as server, HostileServer(server.address) as between:
        yield between


@pytest.fixture
def remote(between: HostileServer) -> Iterator[RemoteStore]:
    with RemoteStore(between.address, ConnectionSettings(timeout=20)) as opened:
        yield opened


@pytest.fixture
def vault(remote: RemoteStore) -> Iterator[Vault]:
    with Vault(remote, {"files": (BytesWrapper, 0)}, cache=False) as opened:
        yield opened


def parts(*ranges: tuple[int, int | None]) -> list[bytes]:
    found = []
    for offset, length in ranges:
        start = max(len(DATA) + offset, 0) if offset < 0 else offset
        found.append(DATA[start:] if length is None else DATA[start : start + length])
    return found


def test_a_few_bytes_take_one_call_and_little_more_than_themselves(
    vault: Vault, between: HostileServer, info: ObjectInfo
) -> None:
    twenty = [(number * 400_000 + 17, 100) for number in range(20)]
    reads: list[tuple[Callable[[], Any], Any, int]] = [
        (lambda: vault.read("files", "data", offset=5_000_000, length=100), DATA[5_000_000:5_000_100], 1024),
        (lambda: vault.read("files", "data", offset=-8), DATA[-8:], 1024),
        (lambda: vault.read_ranges("files", "data", twenty), parts(*twenty), 4096),
    ]
    for read, right, most in reads:
        counted = between.bend = Counted()
        assert read() == right
        assert counted.calls == {"Read": 1}
        assert counted.size < most


def test_whole_blocks_are_moved_for_who_verifies_end_to_end(
    vault: Vault, between: HostileServer, info: ObjectInfo
) -> None:
    counted = between.bend = Counted()
    assert (
        vault.read("files", "data", offset=BLOCK_SIZE + 5, length=10, verify="end_to_end")
        == parts((BLOCK_SIZE + 5, 10))[0]
    )
    assert counted.calls == {"Read": 1}
    assert BLOCK_SIZE < counted.size < BLOCK_SIZE + 1024
    with vault.open("files", "data", verify="end_to_end") as reader:
        counted = between.bend = Counted()
        assert reader.read_at(7, 1) == DATA[7:8]
        assert counted.size > BLOCK_SIZE
    with pytest.raises(InvalidArgumentError, match="end_to_end"):
        vault.read("files", "data", verify="never")  # type: ignore[arg-type]


@pytest.mark.parametrize("most", [4 << 20, 2 << 20], ids=["4MiB", "2MiB"])
def test_what_is_more_than_a_reply_holds_is_streamed(store: EmbeddedStore, info: ObjectInfo, most: int) -> None:
    with (
        Server(store, settings=ServerSettings(max_message_size=most)) as server,
        Vault(f"grpc://{server.address}", {"files": (BytesWrapper, 0)}, cache=False) as vault,
    ):
        assert vault.read("files", "data") == DATA
        assert vault.read("files", "data", offset=7, length=5_000_000) == DATA[7:5_000_007]
        many: list[tuple[int, int | None]] = [(number * 100_000, 90_000) for number in range(100)]
        assert vault.read_ranges("files", "data", many) == parts(*many)
        assert vault.read_ranges("files", "data", [(0, None), *RANGES]) == parts((0, None), *RANGES)
        more: list[tuple[int, int | None]] = [(number * 3, 5) for number in range(2500)]
        assert vault.read_ranges("files", "data", more) == parts(*more), "more than one call takes"
        assert vault.read_ranges("files", "data", []) == []
        with pytest.raises(NotFoundError):
            vault.read_ranges("files", "none", [])


def test_an_older_server_is_asked_for_streams_instead(
    vault: Vault, remote: RemoteStore, between: HostileServer, info: ObjectInfo
) -> None:
    between.bend = of("Read", status(grpc.StatusCode.UNIMPLEMENTED, None, "Method not found!"))
    assert vault.read("files", "data", offset=-8) == DATA[-8:]
    assert vault.read_ranges("files", "data", RANGES) == parts(*RANGES)
    assert vault.read("files", "data") == DATA
    found = remote.read("files", "data", RANGES)
    assert found is not None
    assert (found.info, found.parts) == (info, parts(*RANGES))
    assert remote.read("files", 5, [(0, 1)]) is None
    with pytest.raises(ConflictError):
        remote.read("files", "data", [(0, 1)], if_generation=info.generation + 1)
    with vault.open("files", "data") as reader:
        assert reader.read(100) == DATA[:100]
        assert reader.read_at(-100) == DATA[-100:]


def test_what_is_not_there_is_said_with_names_that_are_like_it(vault: Vault, info: ObjectInfo) -> None:
    with pytest.raises(NotFoundError, match="'dat'"):
        vault.read("files", "dat")
    with pytest.raises(NotFoundError):
        vault.read_ranges("files", 77, [(0, 1)])


def _bending(change: Callable[[Any], object]) -> Any:
    def bend(method: str, replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for raw in replies:
            if method != "Read":
                yield raw
                continue
            reply = pb.ReadResponse.FromString(raw)
            change(reply)
            yield reply.SerializeToString()

    return bend


def _other(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


LIES: dict[str, tuple[Callable[[Any], object], type[Exception]]] = {
    "another offset of a part": (lambda reply: setattr(reply.parts[0], "offset", 6), ProtocolError),
    "a shorter part": (lambda reply: setattr(reply.parts[0], "data", reply.parts[0].data[:-1]), ProtocolError),
    "a longer part": (lambda reply: setattr(reply.parts[0], "data", reply.parts[0].data + b"x"), ProtocolError),
    "other bytes of a part": (
        lambda reply: setattr(reply.parts[0], "data", _other(reply.parts[0].data)),
        CorruptionError,
    ),
    "another checksum of a part": (lambda reply: setattr(reply.parts[0], "checksum", 1), CorruptionError),
    "a part too few": (lambda reply: reply.parts.pop(), ProtocolError),
    "a part too many": (lambda reply: reply.parts.append(reply.parts[0]), ProtocolError),
    "parts in another order": (lambda reply: reply.parts.reverse(), ProtocolError),
    "no block": (lambda reply: reply.ClearField("blocks"), ProtocolError),
    "another block": (lambda reply: setattr(reply.blocks[0], "offset", 0), ProtocolError),
    "a shorter block": (lambda reply: setattr(reply.blocks[0], "data", reply.blocks[0].data[1:]), ProtocolError),
    "other bytes of a block": (
        lambda reply: setattr(reply.blocks[0], "data", _other(reply.blocks[0].data)),
        CorruptionError,
    ),
    "another object": (lambda reply: setattr(reply.info, "data_id", 7), ProtocolError),
    "another unit": (lambda reply: setattr(reply.info, "unit", "other"), ProtocolError),
    "another generation": (
        lambda reply: reply.info.MergeFrom(pb.ObjectInfo(generation=77, revision=77)),
        ProtocolError,
    ),
    "another size": (lambda reply: setattr(reply.info, "size", len(DATA) - 1), ProtocolError),
    "a size that its ranges are past": (lambda reply: setattr(reply.info, "size", 3), ProtocolError),
    "no object": (lambda reply: reply.ClearField("info"), ProtocolError),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_reply_that_cannot_be_right_is_refused(
    remote: RemoteStore, between: HostileServer, info: ObjectInfo, lie: str
) -> None:
    change, kind = LIES[lie]
    between.bend = _bending(change)
    with pytest.raises(kind):
        remote.read("files", info.data_id, RANGES, generation=info.generation)


def test_parts_of_a_reader_are_of_one_generation(vault: Vault, store: EmbeddedStore, info: ObjectInfo) -> None:
    with vault.open("files", "data") as reader:
        new = b"replaced"
        store.update_many("files", [SmallUpdate(UpdateSpec(info.data_id), new, checksum(new))])
        assert reader.read_at(5, 10) == DATA[5:15]
        assert reader.read(3) == DATA[:3]
    assert vault.read("files", "data", offset=5, length=10) == new[5:]
