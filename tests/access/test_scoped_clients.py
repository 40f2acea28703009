"""What principals that share a server can do beside each other, as raw calls, Stores and vaults show it."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest
from vault import ConnectionSettings, RemoteVault, TextWrapper, Vault
from vault._sync.remote.store import RemoteStore
from vault.errors import NotFoundError, PermissionDeniedError, UnknownUnitError, UnsupportedError
from vault.store import Change, Key, LoadItem, LoadResult, ObjectInfo, Store, WrapperStore
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, checksum
from vault.testing.store.objects import small_upload, upload_spec
from vault.v1 import vault_pb2
from vault_server import EmbeddedStore, Server, ServerSettings
from vault_server.access.settings import AccessSettings

from tests.access.identified import IdentityFile, bearer
from tests.server.raw_calls import start
from tests.waiting import assert_soon

pb: Any = vault_pb2
HOLDER = b"1" * 16
STRUCTURE = dict.fromkeys(("both", "shown", "theirs", "nowhere"), (TextWrapper, 0))
STARTS: dict[str, Callable[[], Any]] = {
    "Upload": lambda: start(7, "theirs"),
    "Put": lambda: pb.PutRequest(start={"unit": "theirs", "put": {"name": "x", "data_id": 7, "request_id": HOLDER}}),
    "Update": lambda: pb.UpdateRequest(
        start={"unit": "theirs", "spec": {"key": {"name": "secret-name"}, "request_id": HOLDER}}
    ),
}


class Shared:
    """A server of two principals: `ann` may all in `both` and read `shown`, `bob` all in all units but `nowhere`."""

    def __init__(self, store: EmbeddedStore, identities: IdentityFile, server: Server, channel: grpc.Channel) -> None:
        self.store = store
        self.identities = identities
        self.address = server.address
        self.channel = channel

    ann: str
    bob: str

    def client(self, token: str) -> RemoteStore:
        return RemoteStore(self.address, ConnectionSettings(token=token, timeout=10))

    def vault(self, token: str) -> RemoteVault:
        return RemoteVault(self.address, STRUCTURE, connection=ConnectionSettings(token=token, timeout=10))


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    identities = IdentityFile(tmp_path)
    ann = identities.add("ann", "both:*", "shown:read")
    bob = identities.add("bob", "both:*", "shown:*", "theirs:*")
    with (
        EmbeddedStore(tmp_path / "store") as store,
        Server(store, access=AccessSettings(tokens=str(identities.path))) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        shared = Shared(store, identities, server, channel)
        shared.ann, shared.bob = ann, bob
        with shared.vault(bob) as vault:
            vault.put("theirs", "secret-name", TextWrapper("secret"))
        yield shared


# -- What one call does


def held_back(first: Any, gate: threading.Event) -> Iterator[bytes]:
    """The start of a write, and then nothing until the gate opens."""
    yield first.SerializeToString()
    gate.wait(30)


@pytest.mark.parametrize("name", ["Upload", "Put", "Update"])
def test_a_stream_is_refused_at_its_start_before_any_byte_is_taken(shared: Shared, name: str) -> None:
    first = STARTS[name]()
    gate = threading.Event()
    begin: Any = shared.channel.stream_stream(f"/vault.v1.VaultService/{name}")
    call = begin(held_back(first, gate), metadata=bearer(shared.ann), timeout=30)
    with pytest.raises(grpc.RpcError) as refused:
        next(iter(call))
    gate.set()
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    staged = shared.store.directory / ".staging" / "writes"
    assert not staged.exists() or not list(staged.iterdir())


def test_one_request_id_of_two_principals_is_two_writes(shared: Shared) -> None:
    spec = upload_spec()
    data = b"x" * (2 * BLOCK_SIZE)
    with shared.client(shared.ann) as ann, shared.client(shared.bob) as bob:
        writer = ann.upload("both", spec, resumable=True)
        writer.write(Block(0, data[:BLOCK_SIZE], checksum(data[:BLOCK_SIZE])))
        assert_soon(lambda: ann.write_status("both", spec.request_id).persisted_size == BLOCK_SIZE)
        for call in (bob.write_status, bob.abort_write):
            with contextlib.suppress(NotFoundError):
                assert call("both", spec.request_id) is None
        with bob.upload("both", upload_spec(request_id=spec.request_id), resumable=True) as other:
            assert other.persisted_size == 0
            info = other.commit(0)
        writer.write(Block(BLOCK_SIZE, data[BLOCK_SIZE:], checksum(data[BLOCK_SIZE:])))
        mine = writer.commit(len(data), checksum(data))
        assert ann.write_status("both", spec.request_id).info == mine
        assert bob.write_status("both", spec.request_id).info == info
        assert mine.data_id != info.data_id
    assert shared.store.principal_info("ann").bytes >= len(data)


def test_a_block_does_not_join_the_write_of_another_principal(shared: Shared) -> None:
    first = start(7, "both")
    gate = threading.Event()
    join: Any = shared.channel.unary_unary(
        "/vault.v1.VaultService/WriteBlock",
        request_serializer=pb.WriteBlockRequest.SerializeToString,
        response_deserializer=pb.WriteBlockResponse.FromString,
    )
    begin: Any = shared.channel.stream_stream("/vault.v1.VaultService/Upload")
    call = begin(held_back(first, gate), metadata=bearer(shared.ann), timeout=30)
    next(call)
    about = pb.WriteBlockRequest(unit="both", request_id=first.start.spec.request_id)
    about.stream = join(about, metadata=bearer(shared.ann), timeout=10).stream
    for block in (None, {"data": b"bob's", "checksum": checksum(b"bob's")}):
        sent = pb.WriteBlockRequest(unit="both", request_id=about.request_id, stream=about.stream, block=block)
        with pytest.raises(grpc.RpcError) as refused:
            join(sent, metadata=bearer(shared.bob), timeout=10)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    gate.set()
    with pytest.raises(grpc.RpcError):
        list(call)
    assert shared.store.stat_many("both", [7]) == [None]


def test_a_lease_is_one_principals(shared: Shared) -> None:
    with shared.client(shared.ann) as ann, shared.client(shared.bob) as bob:
        assert ann.acquire_lease("both", "name", HOLDER, 30) == 0
        bob.release_lease("both", "name", HOLDER)
        assert bob.acquire_lease("both", "name", HOLDER, 30) > 0
        ann.release_lease("both", "name", HOLDER)
        assert bob.acquire_lease("both", "name", HOLDER, 30) == 0
        bob.release_lease("both", "name", HOLDER)


def test_a_server_over_a_server_cannot_ask_who_calls(shared: Shared, tmp_path: Path) -> None:
    identities = IdentityFile(tmp_path)
    with shared.client(shared.ann) as upstream:
        edge = Server(upstream, access=AccessSettings(tokens=str(identities.path)))
        with pytest.raises(UnsupportedError, match="RemoteStore does not: ask at the server that has the objects"):
            edge.start()
        edge.stop()


def test_of_the_units_that_a_server_allows_each_principal_sees_its_own(shared: Shared) -> None:
    settings = ServerSettings(allowed_units=("both", "theirs"))
    access = AccessSettings(tokens=str(shared.identities.path))
    with (
        Server(shared.store, settings=settings, access=access) as server,
        RemoteStore(server.address, ConnectionSettings(token=shared.ann, timeout=10)) as ann,
    ):
        assert ann.capabilities().allowed_units == ("both",)
        assert ann.exists_many("theirs", ["secret-name"]) == [0]
        with pytest.raises(UnknownUnitError) as refused:
            ann.exists_many("shown", ["name"])
        assert "theirs" not in str(refused.value)
        assert list(ann.unit_page().units) == []
        (info,) = ann.upload_many("both", [small_upload(b"x")])
        assert isinstance(info, ObjectInfo)
        assert [each.unit for each in ann.unit_page().units] == ann.list_units() == ["both"]
        with ann.watch(since=0) as watch:
            changes = (event for event in watch if isinstance(event, Change))
            assert next(changes).data_id == info.data_id, "what is in other units is passed over"


# -- What a vault sees


def test_a_forbidden_unit_is_an_empty_one_to_a_vault(shared: Shared) -> None:
    with shared.vault(shared.ann) as vault:
        for unit in ("theirs", "nowhere"):
            assert not vault.exists(unit, "secret-name")
            assert vault.load(unit, "secret-name") is None
            assert vault.stat(unit, "secret-name") is None
            assert list(vault.list(unit)) == []
            assert vault.get(unit, "secret-name", default=None) is None
            with pytest.raises(NotFoundError) as missing:
                vault.get(unit, "secret-nam")
            assert "secret-name" not in str(missing.value), "names that are like it are told to nobody else"
            with pytest.raises(PermissionDeniedError):
                vault.upload(unit, TextWrapper("x"))
        assert "theirs" not in vault.units()
    with shared.vault(shared.bob) as vault, pytest.raises(NotFoundError, match="names like it: 'secret-name'"):
        vault.get("theirs", "secret-nam")


def test_a_vault_over_several_units_serves_those_that_it_may(shared: Shared) -> None:
    """One may be watched, one only read, and one is not to be seen."""
    with shared.vault(shared.ann) as vault, shared.vault(shared.bob) as other:
        for unit in ("both", "shown"):
            other.put(unit, "doc", TextWrapper("1"))
        for step in range(2, 5):
            for unit in ("both", "shown"):
                assert vault.get(unit, "doc").data == str(step - 1)
            assert vault.load("theirs", "secret-name") is None
            for unit in ("both", "shown"):
                other.put(unit, "doc", TextWrapper(str(step)))
            assert_soon(lambda: vault.get("both", "doc").data == str(step))  # noqa: B023  # called in the loop
            assert_soon(lambda: vault.get("shown", "doc").data == str(step))  # noqa: B023  # likewise


class Counted(WrapperStore):
    """Counts what is asked about each unit."""

    local_feed: ClassVar[bool] = False

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.asked: Counter[str] = Counter()

    def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        self.asked[unit] += 1
        return self.inner.load_many(unit, items)

    def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        self.asked[unit] += 1
        return self.inner.stat_many(unit, keys)


def test_what_may_be_watched_is_served_from_the_cache_and_what_may_not_is_asked_for(shared: Shared) -> None:
    with (
        Counted(shared.client(shared.ann)) as store,
        Vault(store, STRUCTURE) as vault,
        shared.vault(shared.bob) as other,
    ):
        for unit in ("both", "shown"):
            other.put(unit, "doc", TextWrapper("1"))

        def asked() -> dict[str, int]:
            store.asked.clear()
            for unit in ("both", "shown"):
                assert vault.get(unit, "doc").data == "1"
            return dict(store.asked)

        assert_soon(lambda: asked() == {"shown": 1})
        shared.identities.grant("ann", "both:*", "shown:*")
        assert_soon(lambda: asked() == {})  # the watch ended with the grants, and the next one is of both
        shared.identities.grant("ann", "both:read", "shown:read")
        assert_soon(lambda: asked() == {"both": 1, "shown": 1})


def test_an_application_watches_what_it_may(shared: Shared) -> None:
    with shared.vault(shared.ann) as vault, shared.vault(shared.bob) as other:
        with pytest.raises(PermissionDeniedError):
            vault.watch(["both", "shown"])
        with vault.watch(["both", "theirs"]) as changes:
            other.put("theirs", "new", TextWrapper("1"))
            info = other.put("both", "new", TextWrapper("1"))
            assert next(iter(changes)).revision == info.revision
