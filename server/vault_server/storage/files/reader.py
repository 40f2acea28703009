"""An object's file, open: its blocks, and a mapping of it."""

import mmap
import os
import threading
from collections.abc import Callable

from vault._runtime.fork import fork_count, is_inherited
from vault.errors import ClosedError
from vault.store.limits import BLOCK_SIZE

from vault_server.storage.os_errors import storing


class BlobFile:
    """Holds the open file, so that no later write disturbs it. One that is dropped is closed.

    `close` is safe from another thread: it waits for a read that is under way.

    Args:
        about: What it is of, for errors.
    """

    def __init__(self, descriptor: int, about: str) -> None:
        self._descriptor = descriptor
        self._about = about
        self._mutex = threading.Lock()
        self._fleeting = False
        self._forks = fork_count()

    @property
    def is_inherited(self) -> bool:
        """Whether this is a forked child, and it the parent's."""
        return is_inherited(self._forks)

    def block(self, index: int, size: int, *, ahead: bool = False) -> bytes:  # noqa: ARG002  # the system reads ahead
        """One block; fewer bytes than `size` only at the file's end."""
        offset = index * BLOCK_SIZE
        with self._mutex, storing(f"read {self._about}"):
            descriptor = self._open()
            passing = self._fleeting and not _is_cached(descriptor, offset)
            data = read_at(descriptor, size, offset)
            if passing:
                os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)
        return data

    def cached(self, index: int, size: int) -> memoryview | None:
        """One block, where the system has all of it in memory; None where reading it might wait for the disk, or where
        the system does not say."""
        data = bytearray(size)
        with self._mutex:
            if not _read_cached(self._open(), data, index * BLOCK_SIZE):
                return None
        return memoryview(data).toreadonly()

    def map(self, verify: Callable[[memoryview], None]) -> memoryview:
        """The file, mapped read-only, once `verify` has not raised for it. The mapping outlives the file's removal, as
        long as the view is held."""
        with self._mutex, storing(f"map {self._about}"):
            descriptor = self._open()
            length = os.fstat(descriptor).st_size
            view = memoryview(mmap.mmap(descriptor, length, access=mmap.ACCESS_READ) if length else b"")
        verify(view)
        return view

    def leave_no_trace(self) -> None:
        """From here on, what is read of the file leaves the system's page cache again, unless it was there before.

        For reading everything once: it must not drive out what programs read again and again.
        """
        with self._mutex:
            if hasattr(os, "posix_fadvise"):
                self._fleeting = True
                os.posix_fadvise(self._open(), 0, 0, os.POSIX_FADV_RANDOM)  # no reading ahead

    def close(self) -> None:
        """Harmless when repeated. In a forked child it closes the child's own copy of the descriptor."""
        if self.is_inherited:  # a thread that is not here may have held the mutex
            self._close()
        else:
            with self._mutex:
                self._close()

    def __del__(self) -> None:
        self._close()

    def _open(self) -> int:
        if self._descriptor < 0:
            raise ClosedError("the reader is closed")
        return self._descriptor

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _is_cached(descriptor: int, offset: int) -> bool:
    """Whether the system has the byte at `offset` in memory; False where it does not say."""
    return _read_cached(descriptor, bytearray(1), offset)


def _read_cached(descriptor: int, buffer: bytearray, offset: int) -> bool:
    """Fills the buffer, if the system has all of it in memory; otherwise what it holds is undefined."""
    try:
        return os.preadv(descriptor, [buffer], offset, os.RWF_NOWAIT) == len(buffer)
    except (OSError, AttributeError):  # it would have to be read; or the file system, or the system, cannot tell
        return False


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """`length` bytes at `offset`; fewer only at the file's end."""
    data = os.pread(descriptor, length, offset)
    while data and len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data
