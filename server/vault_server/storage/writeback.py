"""Lets the disk begin with a large file while the rest of it still comes, so that little is left for its fsync."""

import ctypes
from typing import Any, Final

WRITEBACK_BYTES: Final = 8 << 20
"""How much is written before the disk is told to begin with it: few calls, and none of them waits for long."""

_SYNC_FILE_RANGE_WRITE: Final = 2


def begin_writeback(descriptor: int, offset: int, length: int) -> None:
    """Has the system write these bytes of a file to the disk from now on, where it can be told to.

    Says nothing of what has become durable, or of errors: the fsync that has to follow does.
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


def _find_sync_file_range() -> Any:
    try:
        found = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (AttributeError, OSError, TypeError):  # not Linux
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return found


_sync_file_range = _find_sync_file_range()
