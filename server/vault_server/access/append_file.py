"""A file that several processes append lines to, whole ones, and that is opened again when it was moved away."""

import contextlib
import errno
import fcntl
import logging
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Final

logger: Final = logging.getLogger(__name__)

_open_files: "Final[weakref.WeakSet[AppendFile]]" = weakref.WeakSet()


class AppendFile:
    """Made with permissions 0600, if it is not there; what is there keeps its own. May be used from any thread.

    A line is in the page cache when `append` returns, so that it survives the process, and not a power loss.

    Raises:
        OSError: It cannot be opened for writing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._lock = threading.Lock()
        self._file = self._opened()
        _open_files.add(self)

    def append(self, lines: bytes) -> None:
        """Appends all of it, or nothing.

        Raises:
            OSError: The disk is full, or whatever else there is.
        """
        with self._held() as file:
            written = os.write(file, lines)
            if written != len(lines):
                # Part of it fitted. Others wait for the lock, so it is at the end still.
                os.ftruncate(file, os.lseek(file, 0, os.SEEK_END) - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more fit the disk, as far as its file system can tell."""
        with self._lock:
            disk = os.fstatvfs(self._descriptor())
        return disk.f_blocks == 0 or disk.f_bavail * disk.f_frsize >= size

    def reopen(self) -> None:
        """Goes on in the file that has the name now: the other one was moved away. Where it cannot be opened it goes on
        in the one it has.

        Raises:
            OSError: It could not.
        """
        new = self._opened()
        with self._lock:
            old, self._file = self._file, new
        if old < 0:  # closed meanwhile
            self.close()
        else:
            os.close(old)

    def close(self) -> None:
        """Harmless when repeated. Nothing can be appended from now on."""
        _open_files.discard(self)
        with self._lock:
            old, self._file = self._file, -1
        if old >= 0:
            os.close(old)

    def _opened(self) -> int:
        # Not blocking: it may be a FIFO that nobody reads.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        return os.open(self.path, flags, 0o600)

    @contextlib.contextmanager
    def _held(self) -> Iterator[int]:
        """Its descriptor, while no other process appends."""
        with self._lock:
            file = self._descriptor()
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield file
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def _descriptor(self) -> int:
        if self._file < 0:
            raise OSError(errno.EBADF, "the file is closed", str(self.path))
        return self._file


def reopen_files() -> None:
    """Opens each of this process anew, under its name. What fails is logged, and goes on as it was."""
    outcomes: dict[str, OSError | None] = {}
    for file in list(_open_files):
        try:
            file.reopen()
        except OSError as error:
            outcomes[str(file.path)] = error
        else:
            outcomes[str(file.path)] = None
    for path, failed in outcomes.items():  # now: the log may be among them
        if failed is None:
            logger.info("a file was opened anew", extra={"file": path})
        else:
            extra = {"file": path, "detail": failed.strerror}
            logger.error("a file cannot be opened anew: the old one is kept", extra=extra)
