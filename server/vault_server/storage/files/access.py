"""The modes of what a store makes in its directory: its owner's alone, or its group's too, whatever the umask."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Access:
    """Modes of new files and folders.

    `file` is also what SQLite gives to the register's log and shared memory: it copies the register's.
    """

    file: int
    folder: int

    def create(self, path: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
        """A new file, open. Raises FileExistsError."""
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, self.file, dir_fd=dir_fd)
        os.fchmod(descriptor, self.file)  # the umask may have taken some of it
        return descriptor

    def open(self, path: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
        """The file, which is made where it is not there. FileNotFoundError: a link leads nowhere."""
        while True:
            try:
                return os.open(path, flags | os.O_CLOEXEC, dir_fd=dir_fd)
            except FileNotFoundError:
                try:
                    return self.create(path, flags, dir_fd=dir_fd)
                except FileExistsError:  # made by another process right now, or a link
                    if stat.S_ISLNK(os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode):
                        raise FileNotFoundError(errno.ENOENT, "a link that leads nowhere", str(path)) from None

    def make_folder(self, path: str | Path, *, exist_ok: bool = False, dir_fd: int | None = None) -> None:
        """Makes a folder, in one that is there."""
        try:
            os.mkdir(path, self.folder & 0o777, dir_fd=dir_fd)
        except FileExistsError:
            if not exist_ok:
                raise
        else:
            os.chmod(path, self.folder, dir_fd=dir_fd)

    def make_register(self, path: Path) -> None:
        """Makes the register, empty, where it is not there. SQLite would leave its mode to the umask.

        Not by opening it: where this process has it open too, closing it here would end SQLite's locks.
        """
        try:
            os.mknod(path, stat.S_IFREG | self.file)
        except FileExistsError:
            return
        except (PermissionError, AttributeError, NotImplementedError):  # not Linux
            try:
                os.close(self.create(path, os.O_RDWR))
            except FileExistsError:
                return
        path.chmod(self.file)


PRIVATE: Final = Access(0o600, 0o700)
GROUP: Final = Access(0o660, 0o2770)
"""The set-group-ID bit gives what is made in a folder the folder's group. Reading alone is not to be had: SQLite's
readers write to the register's shared memory."""


def access_of(path: Path) -> Access | None:
    """What the mode of a file says; None when it is not there."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    return GROUP if mode & 0o060 == 0o060 else PRIVATE


def widen(path: Path, group: int) -> None:
    """Gives the group access to a file, or to a folder with everything in it."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return
    if stat.S_ISDIR(mode):
        for each in path.iterdir():
            widen(each, group)
    os.chown(path, -1, group)
    path.chmod(stat.S_IMODE(mode) | (GROUP.folder if stat.S_ISDIR(mode) else GROUP.file))
