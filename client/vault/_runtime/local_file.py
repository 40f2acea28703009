"""Files on the local disk that are sent, and the reading and writing of file objects. These block.

Errors are OSError, as Python says them: they are about the caller's own files, not about the store.
"""

import errno
import io
import os
import select
import stat
from typing import Any, BinaryIO, Final, TypeGuard

from vault._runtime.sync_async import Event
from vault.errors import ConflictError, InvalidArgumentError

LOOK_SECONDS: Final = 0.05
"""How often what waits for a pipe's other end looks whether it still should."""

_OWN_FILES: Final = (io.FileIO, io.BufferedWriter, io.BufferedRandom, io.BytesIO)

PathOrFile = str | os.PathLike[str] | BinaryIO


def is_path(place: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether this names a file, rather than being one.

    Raises:
        InvalidArgumentError: BAD_FILE, it is neither.
    """
    if isinstance(place, str | os.PathLike):
        return True
    if hasattr(place, "read") or hasattr(place, "write"):
        return False
    raise InvalidArgumentError(
        f"a file is a path or a binary file object, not {type(place).__name__}", reason="BAD_FILE"
    )


def absolute(path: str | os.PathLike[str]) -> str:
    """The path as it is meant now, wherever the process goes later; with what it has of `..`, links and slashes.

    Raises:
        InvalidArgumentError: BAD_FILE, no file can have this path.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise InvalidArgumentError(f"no file has the path {text!r}: it holds a NUL", reason="BAD_FILE")
    return os.path.join(os.getcwd(), text) if text else text  # noqa: PTH109, PTH118  # Path takes a last slash away


class SourceFile:
    """A file that is read from its start to its end, and has to stay as it is meanwhile.

    A named pipe is read from when somebody writes to it until nobody does; waiting for that ends with `give_up`.
    """

    def __init__(self, path: str, size: int) -> None:
        """
        Args:
            path: Of the file.
            size: Bytes to read at a time.
        """
        self._path = path
        self._size = size
        self._file: io.FileIO | None = None
        self._over = Event()
        self._taken = 0

    def open(self) -> int | None:
        """Returns its size; None where only reading tells: a pipe, a device."""
        self._file = io.FileIO(self._path, opener=_open_at_once)
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)
        self._before = os.fstat(self._file.fileno())
        return self._before.st_size if stat.S_ISREG(self._before.st_mode) else None

    def read(self) -> bytes:
        """The next `size` bytes, or what there is of them; empty at the end."""
        assert self._file is not None  # noqa: S101  # `open` comes first
        while True:
            data = self._file.read(self._size)
            self._taken += len(data or b"")
            if self._taken > self._before.st_size:
                self.check_unchanged()  # one that grows would be read for ever
            if data or (data is not None and not stat.S_ISFIFO(self._before.st_mode)):
                return data
            events = self._poll.poll(LOOK_SECONDS * 1000)
            if data is not None and any(event & select.POLLHUP for _, event in events):
                return b""  # not before there was a writer
            if self._over.is_set():
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED), self._path)

    def check_unchanged(self) -> None:
        """Raises ConflictError when the file was written since it was opened: what was read may be of two states."""
        assert self._file is not None  # noqa: S101  # `open` comes first
        before, after = self._before, os.fstat(self._file.fileno())
        if stat.S_ISREG(before.st_mode) and (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ConflictError(
                f"{self._path!r} was written while it was read: nothing was stored", reason="FILE_CHANGED"
            )

    def give_up(self) -> None:
        """Ends what waits in another thread."""
        self._over.set()

    def close(self) -> None:
        """Harmless when it is not open."""
        if self._file is not None:
            self._file.close()


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def read_some(file: Any, size: int) -> bytes:
    """At most `size` bytes out of a binary file object; empty at its end.

    Raises:
        InvalidArgumentError: BAD_FILE, it does not give bytes.
        BlockingIOError: It is not blocking, and has nothing now.
    """
    data: Any = file.read(size)
    if data is None:
        raise BlockingIOError(errno.EAGAIN, "the file to upload is not blocking, and has nothing to read now")
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidArgumentError(
            f"the file to upload gives {type(data).__name__}, not bytes: open it in binary mode", reason="BAD_FILE"
        )
    return bytes(data)


def write_all(file: Any, data: bytes | memoryview) -> None:
    """Writes all of `data` into a binary file object, which may take less at a time; as bytes, where it is not one of
    Python's own files, which take any bytes-like object.

    Raises:
        BlockingIOError: It is not blocking, and takes nothing now.
    """
    left: bytes | memoryview = data if isinstance(file, _OWN_FILES) else bytes(data)
    while left:
        taken = file.write(left)
        if taken is None:
            if isinstance(file, io.RawIOBase):
                raise BlockingIOError(errno.EAGAIN, "the file to download to is not blocking, and takes nothing now")
            return  # as many objects with a `write` do that take everything
        left = memoryview(left)[taken:]
