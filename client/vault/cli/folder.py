"""A local folder as names of objects: the files below it, and where an object's file is below it. These block."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import xxhash

from vault._escaping import holds_hidden
from vault._runtime.local_file import SourceFile, absolute
from vault._runtime.target_file import PartFile
from vault.cli.tally import Tally
from vault.errors import InvalidArgumentError
from vault.store.limits import BLOCK_SIZE

MAX_FILE_NAME: Final = 255
"""Bytes of one part of a path, as most file systems have it."""

_READ: Final = 1 << 20


def walk(folder: str, without: Path | None, tally: Tally) -> Iterator[tuple[str, str]]:
    """The path below the folder, and the whole path, of each file; in each folder files first, all in order of names.

    Links are followed to files, not to folders, so that no loop is gone into. What cannot be read is a failure of the
    tally; links to folders, pipes, sockets and devices are skipped.

    Args:
        without: A folder that is left out, the vault's own.
    """
    folder = folder.rstrip("/")
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            with os.scandir(folder + "/" + below) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            tally.failed(_named(error, folder + "/" + below))
            continue
        folders = []
        for entry in found:
            try:
                kind = _kind(entry)
                if kind == "folder" and without is not None and without.samefile(entry.path):
                    kind = "the vault itself"
            except OSError as error:
                tally.failed(_named(error, entry.path))
                continue
            if kind == "file":
                yield below + entry.name, entry.path
            elif kind == "folder":
                folders.append(f"{below}{entry.name}/")
            else:
                tally.skipped(f"{entry.path}: {kind}")
        pending += reversed(folders)


def read_small(path: str) -> bytes | None:
    """All bytes of a file of at most one block, of one state; None: it has more, or is a pipe or a device.

    Raises:
        ConflictError: It was written meanwhile.
        OSError: It cannot be read.
    """
    found = os.stat(path)  # noqa: PTH116  # many of them
    if not stat.S_ISREG(found.st_mode) or found.st_size > BLOCK_SIZE:
        return None  # and is not opened: whoever writes into a pipe would see it closed
    file = SourceFile(path, BLOCK_SIZE + 1)
    try:
        file.open()
        data = b"".join(iter(file.read, b""))  # more than its size says, of files that the system makes up
        file.check_unchanged()
        return data if len(data) <= BLOCK_SIZE else None
    finally:
        file.close()


def holds(path: str, size: int, checksum: int) -> bool:
    """Whether a file holds these bytes."""
    digest = xxhash.xxh3_64()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # many of them
        if os.fstat(file.fileno()).st_size != size:
            return False
        while data := file.read(_READ):
            digest.update(data)
    return digest.intdigest() == checksum


class Target:
    """A folder that objects are written below, and never outside of it: no link in it is followed."""

    def __init__(self, folder: str, *, make: bool) -> None:
        """
        Args:
            folder: Links are followed to it.
            make: Make it when it is not there.

        Raises:
            OSError: It is no folder, or cannot be made.
        """
        self._folder = os.path.realpath(absolute(folder))
        if make:
            os.makedirs(self._folder, exist_ok=True)  # noqa: PTH103  # a text, as all of them here
        self._safe = {self._folder}
        self._written: set[tuple[int, int]] = set()

    def equals(self, name: str, size: int, checksum: int) -> bool:
        """Whether the file of a name is there and holds these bytes. Raises as `place`."""
        path = self.place(name)
        try:
            equal = holds(path, size, checksum)
        except FileNotFoundError:
            return False
        if equal:
            self._note(path)
        return equal

    def write(self, name: str, fill: Callable[[PartFile], object]) -> None:
        """Makes or replaces the file of a name, in one step, once `fill` has written all of it. Raises as `place`."""
        path = self.place(name)
        self._make_folders(path)
        file = PartFile(path, path)
        try:
            file.open()
            fill(file)
            file.finish()
        finally:
            file.discard()
        self._note(path)

    def place(self, name: str) -> str:
        """The path of a name's file, which may be there or not.

        Raises:
            InvalidArgumentError: No file below the folder can have this name.
            OSError: It would be reached through a link, or there is a folder, a link or a device, or another name's.
        """
        parts = name.split("/")
        for part in parts:
            if part in ("", ".", "..") or len(os.fsencode(part)) > MAX_FILE_NAME or holds_hidden(part):
                raise InvalidArgumentError(
                    f"no file below a folder has the name {name!r}: get that object by itself", reason="BAD_NAME"
                )
        path = f"{self._folder}/{name}"
        below = self._folder
        for part in parts[:-1]:
            below += f"/{part}"
            if below not in self._safe:
                self._look(below, path, stat.S_ISDIR)
        self._look(path, path, stat.S_ISREG)
        return path

    def _look(self, path: str, whole: str, is_right: Callable[[int], bool]) -> None:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        what = "it" if path == whole else path  # which the error names anyway
        if stat.S_ISLNK(found.st_mode):
            raise OSError(errno.ELOOP, f"{what} is a link, which is not followed", whole)
        if not is_right(found.st_mode):
            number = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.ENOTDIR
            raise OSError(number, f"{what} is there and is not a {'file' if path == whole else 'folder'}", whole)
        if found.st_nlink == 1 and (found.st_dev, found.st_ino) in self._written:
            raise OSError(errno.EEXIST, "another object's file has this name, as this file system sees it", whole)

    def _make_folders(self, path: str) -> None:
        below = self._folder
        for part in path[len(self._folder) + 1 :].split("/")[:-1]:
            below += f"/{part}"
            if below not in self._safe:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(below)  # noqa: PTH102  # many of them
                self._look(below, path, stat.S_ISDIR)
                self._safe.add(below)

    def _note(self, path: str) -> None:
        found = os.lstat(path)
        self._written.add((found.st_dev, found.st_ino))


def _kind(entry: "os.DirEntry[str]") -> str:
    if entry.is_file():
        return "file"
    if entry.is_dir():
        return "a link to a folder" if entry.is_symlink() else "folder"
    mode = entry.stat().st_mode  # of a link to nothing it raises
    names = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return names.get(stat.S_IFMT(mode), "a device")


def _named(error: OSError, path: str) -> OSError:
    return OSError(error.errno, error.strerror, path)
