"""Arrow's streams and files: written in pieces, and held against their bound before they are decoded.

A buffer of a compressed batch says itself how many bytes it comes to, and Arrow takes the memory before it
looks. Those sizes are read here. A file (Feather) is a stream between two magic words, and is read as one.
The formats are https://arrow.apache.org/docs/format/Columnar.html and FlatBuffers'.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import pyarrow as pa
from vault.errors import DecodeError

MAGIC: Final = b"ARROW1"

_HEADER, _BATCH_OF_DICTIONARY, _BUFFERS, _COMPRESSION = 2, 1, 2, 3  # numbers of fields


class _Sink:
    """The part of a file that Arrow writes to. Closing it leaves the object's stream open."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._stream.write(view)
        return view.nbytes

    def flush(self) -> None:
        """Nothing is kept back here."""


@contextmanager
def writing(stream: BinaryIO) -> Iterator[Any]:
    """An Arrow file that writes to the stream."""
    sink = pa.PythonFile(_Sink(stream), mode="w")
    yield sink
    sink.flush()


def read_table(data: memoryview) -> Any:
    """The Table of a stream or a file, without a copy, every value and offset of it validated.

    What Arrow reads of changed bytes may point anywhere; the next one to use it would end the process.
    """
    with pa.ipc.open_stream(pa.BufferReader(pa.py_buffer(data[_start(data) :]))) as reader:
        table = reader.read_all()
    table.validate(full=True)
    return table


def ipc_size(data: memoryview) -> int:
    """Bytes that the buffers of all batches come to; an error of Arrow's, or DecodeError, where it is damaged."""
    messages = pa.ipc.MessageReader.open_stream(pa.BufferReader(pa.py_buffer(data[_start(data) :])))
    try:
        return sum(_batch_size(message) for message in messages)
    except (struct.error, IndexError, ValueError) as error:
        raise DecodeError(f"damaged Arrow data: {error}") from error


def _start(data: memoryview) -> int:
    return 8 if bytes(data[: len(MAGIC)]) == MAGIC else 0


def _batch_size(message: Any) -> int:
    batch: _Table | None = _Table(memoryview(message.metadata)).table(_HEADER)
    if message.type == "dictionary" and batch is not None:
        batch = batch.table(_BATCH_OF_DICTIONARY)
    elif message.type != "record batch":
        return 0
    if batch is None:
        return 0
    body, total = memoryview(message.body), 0
    compressed = batch.table(_COMPRESSION) is not None
    for offset, length in batch.pairs(_BUFFERS):
        if offset < 0 or length < 0 or offset + length > len(body):
            raise DecodeError("damaged Arrow data: a buffer lies outside of its batch")
        unpacked = struct.unpack_from("<q", body, offset)[0] if compressed and length else -1
        if unpacked < -1:
            raise DecodeError("damaged Arrow data: a buffer of negative size")
        total += length if unpacked == -1 else unpacked
    return total


class _Table:
    """A table of FlatBuffers; by default the root of what Arrow has verified."""

    def __init__(self, data: memoryview, at: int = 0) -> None:
        self._data = data
        self._at = at + struct.unpack_from("<I", data, at)[0]

    def table(self, field: int) -> "_Table | None":
        at = self._field(field)
        return _Table(self._data, at) if at else None

    def pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """The field's vector of structures of two numbers of 64 bits."""
        at = self._field(field)
        if at:
            at += struct.unpack_from("<I", self._data, at)[0]
            (count,) = struct.unpack_from("<I", self._data, at)
            yield from struct.iter_unpack("<qq", self._data[at + 4 : at + 4 + 16 * count])

    def _field(self, field: int) -> int:
        """Where it is; 0 where there is none."""
        fields = self._at - struct.unpack_from("<i", self._data, self._at)[0]
        (size,) = struct.unpack_from("<H", self._data, fields)
        offset = struct.unpack_from("<H", self._data, fields + 4 + 2 * field)[0] if 4 + 2 * field < size else 0
        return self._at + offset if offset else 0
