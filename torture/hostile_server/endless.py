"""Servers that never come to an end, end in nonsense, or send more than anybody asked for: bends beside the walk's."""

import itertools
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, Self

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from vault.v1 import vault_pb2 as pb
from vault.wire.error_table import DOMAIN, TABLE
from vault.wire.status import DETAILS_KEY

from torture.hostile_server.server import Bend

Make = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]


def of(methods: str | set[str], make: Make) -> Bend:
    """Does it to the replies of these methods."""
    chosen = {methods} if isinstance(methods, str) else methods

    def bend(method: str, replies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        return make(replies, context) if method in chosen else replies

    return bend


def repeated(replies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """The first reply, for ever."""
    first = next(replies)
    while context.is_active():
        yield first


def silent(_replies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Nothing, for ever."""
    while context.is_active():
        time.sleep(0.02)
    yield from ()


def falls_silent(replies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """The first reply, and nothing more."""
    yield next(replies)
    yield from silent(replies, context)


def ended(_replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    """An end, without any reply."""
    yield from ()


def cut_short(replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    """An end after the first reply."""
    yield next(replies)


def doubled(replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    """Every reply twice."""
    for reply in replies:
        yield reply
        yield reply


def alive(_replies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Signs of life, for ever."""
    while context.is_active():
        yield pb.UploadResponse(revision=1).SerializeToString()
        time.sleep(0.02)


def by_one(replies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """A byte more that is persisted, again and again."""
    yield next(replies)
    for size in itertools.count(1):
        if not context.is_active():
            return
        yield pb.UploadResponse(persisted_size=size).SerializeToString()
        time.sleep(0.02)


def persisted(*sizes: int) -> Make:
    """These sizes, one after the other, and then nothing."""

    def make(replies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for size in sizes:
            yield pb.UploadResponse(persisted_size=size).SerializeToString()
        yield from silent(replies, context)

    return make


def empty_pages(_replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
    """A page without objects that leads to another."""
    yield pb.ListResponse(next_page_token=f"{random.random()}").SerializeToString()


class SamePage:
    """A page that leads to another, which is the same."""

    def __init__(self) -> None:
        self._page: Any = None

    def __call__(self, replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        self._page = self._page or pb.ListResponse.FromString(next(replies))
        self._page.next_page_token = f"{random.random()}"
        yield self._page.SerializeToString()


class Flood:
    """One reply after the other, of a mebibyte each, as fast as they are taken.

    Attributes:
        sent: How many were taken, by gRPC at least.
    """

    def __init__(self, first: bool = True) -> None:
        self.sent = 0
        self._first = first

    def __call__(self, replies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        first = next(replies)
        yield first
        padding = b"\xfa\x7f" + _varint(1 << 20) + bytes(1 << 20)  # of a field that nobody knows
        while context.is_active():
            self.sent += 1
            yield first + padding


def status(code: grpc.StatusCode, details: bytes | None, text: str = "no") -> Make:
    """An error."""

    def make(_replies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        if details is not None:
            context.set_trailing_metadata(((DETAILS_KEY, details),))
        context.abort(code, text)
        yield from ()

    return make


def error_info(reason: str, metadata: dict[str, str], *more: Any) -> bytes:
    """A google.rpc.Status with an ErrorInfo of ours."""
    found = status_pb2.Status(code=13, message="no")
    for message in (error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata), *more):
        packed = AnyMessage()
        packed.Pack(message)
        found.details.append(packed)
    return found.SerializeToString()


def _retry(seconds: int) -> Any:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.seconds = seconds
    return retry


DETAILS: Final[dict[str, bytes | None]] = {
    "no details": None,
    "noise": random.Random(1).randbytes(300),
    "a number of 4,400 digits": error_info("OBJECT_NOT_FOUND", {"data_id": "9" * 4400}),
    "other numerals": error_info("OBJECT_NOT_FOUND", {"data_id": "٣", "size": "²"}),
    "names of arguments": error_info(
        "GENERATION_MISMATCH", {"message": "m", "reason": "r", "self": "s", "retry_after": "soon", "a b": "c"}
    ),
    "a delay of 30 years": error_info("UNAVAILABLE", {}, _retry(1_000_000_000)),
    "a delay below nothing": error_info("UNAVAILABLE", {}, _retry(-1_000_000_000)),
    "a reason of 3,000 characters": error_info("A" * 3000, {}),
    "a reason that is none": error_info("no reason\n\x1b[2J", {}),
} | {reason: error_info(reason, {"unit": "u"}) for reason in TABLE}


class Listener:
    """What listens at an address and is no gRPC server. It does one thing to each connection."""

    def __init__(self, treat: Callable[[socket.socket], None]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._treat = treat
        self._open: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self._treat(connection)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            connection.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _literal(name: str, value: str) -> bytes:
    """A header field, not indexed (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _hush(connection: socket.socket) -> None:
    while connection.recv(65536):
        continue


def _say(connection: socket.socket, raw: bytes) -> None:
    connection.sendall(raw)
    _hush(connection)


def _trickle(connection: socket.socket) -> None:
    connection.sendall(_frame(4, 0, 0))
    connection.sendall(_frame(1, 4, 1, _literal(":status", "200") + _literal("content-type", "application/grpc")))
    connection.sendall((5000).to_bytes(3, "big") + bytes((0, 0)) + (1).to_bytes(4, "big") + b"\0\0\0\x10\0")
    while True:
        connection.sendall(b"\x0a")
        time.sleep(0.05)


def _answer(connection: socket.socket, *fields: tuple[str, str]) -> None:
    connection.sendall(_frame(4, 0, 0) + _frame(4, 1, 0))
    block = _literal(":status", "200") + _literal("content-type", "application/grpc")
    block += b"".join(_literal(*field) for field in fields)
    connection.sendall(_frame(1, 5, 1, block))
    _hush(connection)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


LISTENERS: Final[dict[str, Callable[[socket.socket], None]]] = {
    "says nothing": _hush,
    "says nothing after its settings": lambda connection: _say(connection, _frame(4, 0, 0)),
    "sends a byte at a time": _trickle,
    "sends noise": lambda connection: connection.sendall(random.Random(2).randbytes(100_000)),
    "closes": lambda connection: connection.close(),
    "resets": _reset,
    "speaks HTTP/1": lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"),
    "sends a status that is none": lambda connection: _answer(connection, ("grpc-status", "99")),
    "sends a status that is no number": lambda connection: _answer(connection, ("grpc-status", "ok")),
    "sends no status": lambda connection: _answer(connection),
    "sends text that is no UTF-8": lambda connection: _answer(
        connection, ("grpc-status", "13"), ("grpc-message", "%FF%FE%")
    ),
    "resets the stream": lambda connection: _say(connection, _frame(4, 0, 0) + _frame(3, 0, 1, (8).to_bytes(4, "big"))),
}


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])
