"""Files on the local disk, as transfers use them: one that is read, one that appears whole. These block.

Errors are OSError, as Python says them: they are about the caller's own files, not about the store.
"""

import contextlib
import errno
import io
import os
import secrets
import stat
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeGuard

from vault.errors import ConflictError, InvalidArgumentError
from vault.rules import BLOCK_SIZE
from vault.writeback import Writeback

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


class SourceFile:
    """A file that is read from its start to its end, and has to stay as it is meanwhile."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._file: io.FileIO | None = None

    def open(self) -> int | None:
        """Returns its size; None where only reading tells: a pipe, a device."""
        self._file = io.FileIO(self._path)
        self._before = os.fstat(self._file.fileno())
        return self._before.st_size if stat.S_ISREG(self._before.st_mode) else None

    def read(self) -> bytes:
        """The next block, or what there is of it; empty at the end."""
        assert self._file is not None  # noqa: S101  # `open` comes first
        return read_some(self._file)

    def check_unchanged(self) -> None:
        """Raises ConflictError when the file was written since it was opened: what was read may be of two states."""
        assert self._file is not None  # noqa: S101  # `open` comes first
        before, after = self._before, os.fstat(self._file.fileno())
        if stat.S_ISREG(before.st_mode) and (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ConflictError(
                f"{os.fspath(self._path)} was written while it was read: nothing was stored", reason="FILE_CHANGED"
            )

    def close(self) -> None:
        """Harmless when it is not open."""
        if self._file is not None:
            self._file.close()


class PartFile:
    """A file that takes its place in one step, when it is whole; until then it is beside it, under another name."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        # Names have at most 255 bytes, of which one character may take four.
        self._part = self._path.with_name(f"{self._path.name[:50]}.vault-part-{secrets.token_hex(8)}")
        self._file: io.FileIO | None = None
        self._writeback = Writeback()

    @staticmethod
    def check(path: str | os.PathLike[str]) -> None:
        """Raises IsADirectoryError where a directory is in the way."""
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))

    def open(self) -> None:
        try:
            self._file = io.FileIO(self._part, "x")
        except OSError as error:  # about the file that was asked for: of the other name nobody has heard
            raise OSError(error.errno, error.strerror, os.fspath(self._path)) from error

    def write(self, data: bytes | memoryview) -> None:
        assert self._file is not None  # noqa: S101  # `open` comes first
        write_all(self._file, data)
        self._writeback.reached(self._file.fileno(), self._file.tell())

    def finish(self) -> None:
        """Replaces the file of that name. Its bytes are on the disk before its name is, so that a crash of the
        machine leaves the old file or the new one, too."""
        assert self._file is not None  # noqa: S101  # `open` comes first
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        self._file = None

    def discard(self) -> None:
        """Leaves nothing behind. Harmless after `finish`, and when it was not opened."""
        if self._file is not None:
            self._file.close()
            self._file = None
            with contextlib.suppress(FileNotFoundError):  # somebody tidied up
                self._part.unlink()


def read_some(file: Any) -> bytes:
    """At most a block out of a binary file object; empty at its end.

    Raises:
        InvalidArgumentError: BAD_FILE, it does not give bytes.
        BlockingIOError: It is not blocking, and has nothing now.
    """
    data: Any = file.read(BLOCK_SIZE)
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
