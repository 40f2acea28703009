"""Peers that take and do not give: each holds what it can of a server for as long as it is let."""

import contextlib
import secrets
import threading
from collections.abc import Callable
from typing import Final, Self

from vault.store.limits import BLOCK_SIZE
from vault.store.specs import SmallUpload, UploadSpec
from vault.store.values import checksum
from vault.testing.store.objects import blocks_of, payload
from vault.v1 import vault_pb2 as pb
from vault_server import EmbeddedStore

from torture.hostile_clients.http2 import RST_STREAM, Connection, silent

LARGE: Final = 7
"""The id of an object of some blocks, in unit "u", that attackers begin to load."""

_EXISTS: Final = pb.ExistsRequest(unit="u", keys=[pb.Key(data_id=LARGE)]).SerializeToString()
_CANCEL: Final = b"\0\0\0\x08"
_REFLECTION: Final = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
_LIST_SERVICES: Final = b"\x3a\x00"


class Peers:
    """Connections of attackers, kept alive by a thread that reads what comes.

    Args:
        source: The address that they come from.
        token: That their calls show.
    """

    def __init__(self, address: str, source: str = "", token: str = "") -> None:
        self.address = address
        self.source = source
        self.token = token
        self.connections: list[Connection] = []
        self.stack = contextlib.ExitStack()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="attackers", daemon=True)
        self._thread.start()

    def connect(self, window: int = 65535) -> Connection:
        connection = Connection(self.address, window=window, source=self.source, token=self.token)
        self.connections.append(connection)
        return connection

    def calls(
        self, count: int, method: str, *messages: bytes, window: int = 65535, end: bool = False, each: int = 100
    ) -> list[tuple[Connection, int]]:
        """So many calls, `each` on one connection."""
        begun = []
        for number in range(count):
            if number % each == 0:
                connection = self.connect(window)
            begun.append((connection, connection.call(method, *messages, end=end)))
        return begun

    def alive(self) -> list[Connection]:
        return [connection for connection in self.connections if not connection.closed]

    def _read(self) -> None:
        while not self._over.wait(0.02):
            for connection in list(self.connections):
                with contextlib.suppress(OSError, ValueError):  # closed meanwhile
                    connection.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()
        for connection in self.connections:
            connection.close()
        self.stack.close()


def upload_start(data_id: int | None = None) -> bytes:
    """The first message of an upload."""
    spec = pb.UploadSpec(data_id=data_id or secrets.randbelow(1 << 60) + 1, request_id=secrets.token_bytes(16))
    return pb.UploadRequest(start=pb.UploadRequest.Start(unit="u", spec=spec, resumable=True)).SerializeToString()


def upload_block(size: int = 65_000) -> bytes:
    """Its second one: as much as may be sent at once; it waits in memory, or in a file."""
    data = bytes(size)
    return pb.UploadRequest(block=pb.Block(data=data, checksum=checksum(data))).SerializeToString()


def load_large() -> bytes:
    return pb.LoadRequest(unit="u", key=pb.Key(data_id=LARGE)).SerializeToString()


def load_many(count: int) -> bytes:
    """A batch that asks for the same objects again and again; of ids from 1,000 on there are as many as one stores."""
    items = [pb.LoadManyRequest.Item(key=pb.Key(data_id=1000 + number % 100)) for number in range(count)]
    return pb.LoadManyRequest(unit="u", items=items).SerializeToString()


def silent_connections(peers: Peers, count: int) -> None:
    peers.stack.enter_context(silent(peers.address, count, peers.source))


def silent_batches(peers: Peers, count: int) -> None:
    peers.calls(count, "LoadMany")


def silent_uploads(peers: Peers, count: int) -> None:
    peers.calls(count, "Upload")


def begun_uploads(peers: Peers, count: int) -> None:
    for _ in range(count):
        peers.calls(1, "Upload", upload_start(), upload_block())


def unread_loads(peers: Peers, count: int) -> None:
    peers.calls(count, "Load", load_large(), window=0, end=True)


def unread_batches(peers: Peers, count: int) -> None:
    peers.calls(count, "LoadMany", load_many(100), window=0, end=True)


def unread_watches(peers: Peers, count: int) -> None:
    peers.calls(count, "Watch", pb.WatchRequest(since_revision=0).SerializeToString(), window=0, end=True)


def unread_health(peers: Peers, count: int) -> None:
    peers.calls(count, "/grpc.health.v1.Health/Watch", b"", window=0, end=True)


def unread_reflection(peers: Peers, count: int) -> None:
    peers.calls(count, _REFLECTION, _LIST_SERVICES, window=0)


def rapid_resets(peers: Peers, count: int) -> None:
    """Connections on which calls are begun and taken back at once, over and over."""
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError), Connection(peers.address, source=peers.source, token=peers.token) as one:
                for _ in range(count):
                    stream = one.call("Exists", _EXISTS, end=True)
                    one.frame(RST_STREAM, 0, stream, _CANCEL)
                    one.read()
                    if one.closed or over.is_set():
                        break

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        peers.stack.callback(each.join)
    peers.stack.callback(over.set)


Attack = Callable[[Peers, int], None]

ATTACKS: Final[dict[str, Attack]] = {
    "silent connections": silent_connections,
    "calls without a message": silent_batches,
    "uploads without a message": silent_uploads,
    "uploads that stop after a block": begun_uploads,
    "downloads that nobody reads": unread_loads,
    "batches that nobody reads": unread_batches,
    "watches that nobody reads": unread_watches,
    "health watches that nobody reads": unread_health,
    "reflection that nobody reads": unread_reflection,
}
"""What holds something, and does nothing more."""

FLOODS: Final[dict[str, Attack]] = {"rapid resets": rapid_resets}
"""What goes on until the peers end."""

OBJECT = payload(24 * BLOCK_SIZE)


def fill(store: EmbeddedStore) -> None:
    """What the attacks ask for: a large object, and 100 of 40 KB."""
    small = payload(40_000)
    store.upload_many("u", [SmallUpload(UploadSpec(1000 + n), small, checksum(small)) for n in range(100)])
    with store.upload("u", UploadSpec(LARGE)) as writer:
        for block in blocks_of(OBJECT):
            writer.write(block)
        writer.commit(len(OBJECT), checksum(OBJECT))
