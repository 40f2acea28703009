"""Bytes of which the size is known, gathered part by part in the memory that they stay in."""

import ctypes
import io
import mmap
import sys
from typing import Any, Final

from vault._runtime.libc import c_function

_HUGE_PAGES_FROM: Final = 8 << 20
"""Bytes: from here on the system is asked for pages of 2 MiB. A fresh buffer of 256 MiB is then filled with 640 page
faults rather than 65,800, which is a quarter of what a download into memory takes."""

_HEADER: Final = sys.getsizeof(b"") - 1
"""Of a bytes object, before its bytes."""


def gathered_bytes(size: int) -> "io.BytesIO | _LargeBytes":
    """Takes `size` bytes by `write`, and gives them away by `getvalue`, without a copy of them all."""
    madvise = c_function("madvise") if size >= _HUGE_PAGES_FROM and hasattr(mmap, "MADV_HUGEPAGE") else None
    if madvise is None or sys.implementation.name != "cpython":
        return io.BytesIO()  # gives its bytes away without a copy
    try:
        return _LargeBytes(size, madvise)
    except MemoryError:  # where the size is not true, less may do
        return io.BytesIO()


class _LargeBytes:
    """A bytes object that is filled while nobody else has it, as C code may."""

    def __init__(self, size: int, madvise: Any) -> None:
        new = ctypes.pythonapi.PyBytes_FromStringAndSize
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_char_p, ctypes.c_ssize_t)
        self._bytes: bytes = new(None, size)
        start = id(self._bytes) + _HEADER
        aligned = start + -start % mmap.PAGESIZE
        madvise(ctypes.c_void_p(aligned), ctypes.c_size_t(start + size - aligned), mmap.MADV_HUGEPAGE)
        self._room = memoryview((ctypes.c_char * size).from_address(start)).cast("B")
        self._size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Adds them; no more than there is room for."""
        end = self._size + len(data)
        self._room[self._size : end] = data
        self._size = end

    def getvalue(self) -> bytes:
        """What was written, when that is all."""
        if self._size != len(self._bytes):
            raise ValueError(f"{self._size} of {len(self._bytes)} bytes were written")
        self._room.release()
        return self._bytes
