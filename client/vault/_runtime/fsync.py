"""fsync, on every system as far as the disk itself."""

import contextlib
import fcntl
import os
from typing import Final

FULL: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)
"""macOS's: its fsync leaves the bytes in the disk's own cache, which a power loss empties."""


def sync(descriptor: int) -> None:
    """Makes a file's bytes, or the names in a folder, durable."""
    if FULL is not None:
        with contextlib.suppress(OSError):  # a file system that does not know it
            fcntl.fcntl(descriptor, FULL)
            return
    os.fsync(descriptor)
