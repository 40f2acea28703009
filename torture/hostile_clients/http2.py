"""HTTP/2 by hand, as far as a client needs it that does what no gRPC library would do."""

import itertools
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

DATA: Final = 0x0
HEADERS: Final = 0x1
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PING: Final = 0x6
GOAWAY: Final = 0x7
_ACK: Final = 0x1
END_STREAM: Final = 0x1
_END_HEADERS: Final = 0x4
_INITIAL_WINDOW_SIZE: Final = 0x4

SERVICE: Final = "/vault.v1.VaultService/"


class Connection:
    """A connection that sends what it is told to, and takes no more of a stream than `window` bytes.

    It answers pings and settings while it reads, so that the server takes it for alive.

    Args:
        source: The address that it comes from, of several that this machine has.
        token: That its calls show.
    """

    def __init__(self, address: str, *, window: int = 65535, source: str = "", token: str = "") -> None:
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            self.socket = socket.create_connection((host.strip("[]"), int(port)), 10, (source, 0) if source else None)
        self._token = token
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.frame(SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, window))
        self.calls: list[int] = []
        """Streams that were begun."""
        self.ended: set[int] = set()
        """Streams that the server has ended."""
        self.received: dict[int, int] = {}
        """Bytes of messages that came, by stream."""
        self.closed = False
        self._streams = itertools.count(1, 2)
        self._buffer = b""

    def frame(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        """Sends one frame."""
        head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
        self.socket.sendall(head + payload)

    def call(self, method: str, *messages: bytes, end: bool = False, content_type: str = "application/grpc") -> int:
        """Begins a call and sends messages; returns its stream. `method` begins with a slash, or is VaultService's."""
        stream = next(self._streams)
        self.calls.append(stream)
        path = method if method.startswith("/") else SERVICE + method
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "localhost",
            "te": "trailers",
            "content-type": content_type,
            **({"authorization": f"Bearer {self._token}"} if self._token else {}),
        }
        self.frame(HEADERS, _END_HEADERS, stream, b"".join(map(_literal, fields.keys(), fields.values())))
        for message in messages:
            self.send(stream, message)
        if end:
            self.frame(DATA, END_STREAM, stream)
        return stream

    def send(self, stream: int, message: bytes) -> None:
        """Sends a message, in frames of 16 KiB, whatever the server's window."""
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        for begin in range(0, len(framed), 16384):
            self.frame(DATA, 0, stream, framed[begin : begin + 16384])

    def read(self, seconds: float = 0.0) -> bool:
        """Reads what comes in so many seconds at most, until something came; False when the connection is closed."""
        if self.closed or not select.select([self.socket], [], [], seconds)[0]:
            return not self.closed
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            data = b""
        self.closed = not data
        self._buffer += data
        for kind, flags, stream, payload in self._frames():
            try:
                if kind == PING and not flags & _ACK:
                    self.frame(PING, _ACK, 0, payload)
                elif kind == SETTINGS and not flags & _ACK:
                    self.frame(SETTINGS, _ACK, 0)
            except OSError:
                self.closed = True
            if kind == DATA:
                self.received[stream] = self.received.get(stream, 0) + len(payload)
            if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
                self.ended.add(stream)
        return not self.closed

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        while len(self._buffer) >= 9:
            length = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < 9 + length:
                return
            head, payload = self._buffer[3:9], self._buffer[9 : 9 + length]
            self._buffer = self._buffer[9 + length :]
            yield head[0], head[1], int.from_bytes(head[2:], "big") & 0x7FFFFFFF, payload

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


@contextmanager
def silent(address: str, count: int, source: str = "") -> Iterator[list[socket.socket]]:
    """Connections over which nothing is ever sent."""
    host, _, port = address.rpartition(":")
    begin = (source, 0) if source else None
    sockets = [socket.create_connection((host, int(port)), 10, begin) for _ in range(count)]
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


def _literal(name: str, value: str) -> bytes:
    """A header field, literal and not indexed (RFC 7541, 6.2.2); no text of 127 bytes or more."""
    assert len(name) < 127, name
    assert len(value) < 127, value
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
