"""Arrow's files over an object's stream, without a copy where the object is mapped."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa
from vault.datatype import ObjectStream


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


def reading(stream: ObjectStream) -> Any:
    """An Arrow file that reads the object: the mapped bytes themselves, or piece by piece."""
    view = stream.map()
    return pa.PythonFile(stream, mode="r") if view is None else pa.BufferReader(pa.py_buffer(view))
