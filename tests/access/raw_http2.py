"""Requests of HTTP/2 written byte by byte, as no client library lets one write them."""

import contextlib
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Final

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _CONTINUATION = 0, 1, 3, 4, 6, 7, 9
_ACK = _END_STREAM = 1
_END_HEADERS: Final = 4
_LARGEST: Final = 16_384

Header = tuple[bytes, bytes]


def call(address: str, headers: Sequence[Header], message: bytes = b"", *, timeout: float = 20) -> bytes:
    """All that the server sends on one stream: header blocks, as HPACK has them, and data, up to its end.

    Ends also when the stream or the connection is closed by the server.
    """
    host, _, port = address.rpartition(":")
    with contextlib.closing(socket.create_connection((host, int(port)), timeout)) as connection:
        framed = b"\0" + struct.pack("!I", len(message)) + message
        connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + _header_frames(headers))
        connection.sendall(_frame(_DATA, _END_STREAM, 1, framed))
        return b"".join(_replies(connection))


def grpc_headers(path: bytes, *more: Header, method: bytes = b"POST") -> list[Header]:
    """Those of a call, and more."""
    return [
        (b":method", method),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        *more,
    ]


def _replies(connection: socket.socket) -> Iterable[bytes]:
    file = connection.makefile("rb")
    while head := file.read(9):
        size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
        payload = file.read(size)
        if kind == _SETTINGS and not flags & _ACK:
            connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            connection.sendall(_frame(_PING, _ACK, 0, payload))
        elif kind in (_HEADERS, _DATA, _CONTINUATION) and stream == 1:
            yield payload
            if kind != _CONTINUATION and flags & _END_STREAM:
                return
        elif kind == _GOAWAY or (kind == _RST_STREAM and stream == 1):
            return


def _header_frames(headers: Sequence[Header]) -> bytes:
    """Literals without an index and without Huffman's code: what is given is what is sent."""
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)
    pieces = [block[at : at + _LARGEST] for at in range(0, len(block), _LARGEST)]
    frames = []
    for index, piece in enumerate(pieces):
        flags = _END_HEADERS if index == len(pieces) - 1 else 0
        frames.append(_frame(_CONTINUATION if index else _HEADERS, flags, 1, piece))
    return b"".join(frames)


def _text(value: bytes) -> bytes:
    """HPACK's string: its length in 7 bits and more, and itself."""
    size = len(value)
    if size < 127:
        return bytes([size]) + value
    size -= 127
    length = bytearray([127])
    while size >= 128:
        length.append(size % 128 + 128)
        size //= 128
    length.append(size)
    return bytes(length) + value


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload
