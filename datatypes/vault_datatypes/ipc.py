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

_CONTINUES: Final = 0xFFFFFFFF
_DICTIONARY, _BATCH = 2, 3  # kinds of messages


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

    Raises:
        ArrowException: It is none, or damaged.
    """
    with pa.ipc.open_stream(pa.BufferReader(pa.py_buffer(data[_start(data) :]))) as reader:
        table = reader.read_all()
    table.validate(full=True)
    return table


def ipc_size(data: memoryview) -> int:
    """Bytes that the buffers of all batches come to.

    Raises:
        DecodeError: It is damaged.
    """
    at, total = _start(data), 0
    try:
        while at + 4 <= len(data):
            (length,) = struct.unpack_from("<I", data, at)
            at += 4
            if length == _CONTINUES:
                (length,) = struct.unpack_from("<I", data, at)
                at += 4
            if not length:
                break
            message = _Table.root(data[at : at + length])
            at += length
            body = data[at:]
            total += _batch_size(message, body)
            taken = message.number(3, "<q")
            if not 0 <= taken <= len(body):
                raise DecodeError("damaged Arrow data: it ends within a batch")
            at += taken
    except (struct.error, IndexError, ValueError) as error:
        raise DecodeError(f"damaged Arrow data: {error}") from error
    return total


def _start(data: memoryview) -> int:
    return 8 if bytes(data[: len(MAGIC)]) == MAGIC else 0


def _batch_size(message: "_Table", body: memoryview) -> int:
    kind = message.number(1, "<B")
    if kind not in (_DICTIONARY, _BATCH):
        return 0
    batch = message.table(2)
    if kind == _DICTIONARY and batch is not None:
        batch = batch.table(1)
    if batch is None:
        return 0
    compressed = batch.table(3) is not None
    total = 0
    for offset, length in batch.pairs(2):
        if offset < 0 or length < 0 or offset + length > len(body):
            raise DecodeError("damaged Arrow data: a buffer lies outside of its batch")
        if compressed and length:
            (unpacked,) = struct.unpack_from("<q", body, offset)
            total += length if unpacked == -1 else unpacked
            if unpacked < -1:
                raise DecodeError("damaged Arrow data: a buffer of negative size")
        else:
            total += length
    return total


class _Table:
    """A table of FlatBuffers."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - struct.unpack_from("<i", data, at)[0]
        if self._fields < 0 or at < 0:
            raise DecodeError("damaged Arrow data: a table outside of its message")

    @classmethod
    def root(cls, data: memoryview) -> "_Table":
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def number(self, field: int, form: str) -> int:
        """The field's number; 0 where there is none."""
        at = self._field(field)
        return int(struct.unpack_from(form, self._data, at)[0]) if at else 0

    def table(self, field: int) -> "_Table | None":
        at = self._field(field)
        return _Table(self._data, at + struct.unpack_from("<I", self._data, at)[0]) if at else None

    def pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """The field's vector of structures of two numbers of 64 bits."""
        at = self._field(field)
        if not at:
            return
        at += struct.unpack_from("<I", self._data, at)[0]
        (count,) = struct.unpack_from("<I", self._data, at)
        yield from struct.iter_unpack("<qq", self._data[at + 4 : at + 4 + 16 * count])

    def _field(self, field: int) -> int:
        (size,) = struct.unpack_from("<H", self._data, self._fields)
        if 4 + 2 * field >= size:
            return 0
        (offset,) = struct.unpack_from("<H", self._data, self._fields + 4 + 2 * field)
        return self._at + offset if offset else 0
