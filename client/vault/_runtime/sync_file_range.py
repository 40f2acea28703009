"""Having the system write a file to the disk while more of it comes."""

import ctypes
import functools
from typing import Any, Final

from vault._runtime.libc import c_function

STEP: Final = 8 << 20
"""Bytes after which it is asked again."""

_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE, of linux/fs.h


class Writeback:
    """Of one file that grows at its end, and is synced when it is whole.

    Makes nothing durable, and hides no error: the fsync at the end does the one and tells the other, but has less to
    wait for. Does nothing where the system has no sync_file_range
    (https://man7.org/linux/man-pages/man2/sync_file_range.2.html), or the file system refuses it.
    """

    def __init__(self) -> None:
        self._begun = 0

    def reached(self, descriptor: int, size: int) -> None:
        """The file has so many bytes now. Has the system begin to write what is new of them, every STEP bytes."""
        if size - self._begun >= STEP:
            if (call := _sync_file_range()) is not None:
                call(descriptor, self._begun, size - self._begun, _WRITE)
            self._begun = size


@functools.cache
def _sync_file_range() -> Any:
    if (call := c_function("sync_file_range")) is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call
