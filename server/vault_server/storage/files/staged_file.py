"""One file of bytes that are on their way: written, made durable, renamed to its final name or removed.

Where a unit's folder is on another file system, no file could be renamed into it from `.staging`: the bytes are staged
in `.staging` within that folder, and a symbolic link in the place where they would be says so.
"""

import contextlib
import errno
import io
import os
import secrets
import shutil
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vault._runtime.fsync import sync
from vault._runtime.sync_async import Affinity
from vault._runtime.sync_file_range import Writeback

from vault_server.storage.failpoints import reached
from vault_server.storage.files.access import Access
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.os_errors import no_room

STAGING: Final = ".staging"


class StagedFile:
    """Bytes of one generation that is not committed. Used by one thread at a time."""

    def __init__(
        self,
        name: Path,
        path: Path,
        file: io.FileIO,
        new_name: Callable[[], Path],
        access: Access,
        make_room: Callable[[], bool],
    ) -> None:
        self.path = path
        self._name = name
        self._home = path.parent if path != name else None
        self._file = file
        self._new_name = new_name
        self._access = access
        self._make_room = make_room
        self._affinity = Affinity("the staged file")
        self._exists = True
        self._writeback = Writeback()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Appends all of `data`."""
        view = memoryview(data).cast("B")
        while view:
            try:
                written = self._file.write(view)
            except OSError as error:
                if not (no_room(error) and self._make_room()):
                    raise
            else:
                view = view[written:]
        reached("bytes staged")

    def hasten(self) -> None:
        """Lets the disk begin with what was written, once that is enough to be worth it."""
        self._writeback.reached(self._file.fileno(), self._file.tell())

    def note(self, checksums: "array[int]") -> None:
        """These are the checksums of all blocks that were written: for one that can be resumed."""

    def abandon(self) -> None:
        """In a forked child: the file is the parent's."""

    def finish(self, *, durable: bool) -> None:
        """Ends writing; with `durable`, the bytes are on the disk when this returns."""
        try:
            reached("before the fsync of a staged file")
            if os.fstat(self._file.fileno()).st_nlink == 0 and not self.path.exists():
                self._restore()
            if durable:
                sync(self._file.fileno())
            reached("staged file durable")
        finally:
            self._file.close()

    def _restore(self) -> None:
        """Gives the bytes a name again: somebody has emptied the folder, and the open file still has them."""
        name = self._new_name()
        path = staged_at(name, self._home, self._access)
        with os.fdopen(self._access.create(path, os.O_RDWR), "wb") as copy:
            self._file.seek(0)
            shutil.copyfileobj(self._file, copy, 1 << 20)
            copy.flush()
            os.dup2(copy.fileno(), self._file.fileno(), inheritable=False)
        self._name, self.path = name, path

    def rename(self, directory: StoreDirectory, file: str) -> None:
        """Moves the file to its final name, over whatever is there. Once more, when the commit is tried once more."""
        os.rename(self.path, file, dst_dir_fd=directory.descriptor)
        if self._exists and self._name != self.path:
            self._name.unlink(missing_ok=True)
        self.path = directory.root / file
        self._exists = False

    def discard(self) -> None:
        """Removes the file, unless it was renamed. Harmless when repeated, and in a forked child."""
        self._file.close()
        if self._exists and not self._affinity.is_inherited:
            self._exists = False
            self.path.unlink(missing_ok=True)  # somebody may have emptied the folder by hand
            if self._home is not None:
                self._name.unlink(missing_ok=True)

    def release(self) -> None:
        """Lets go of it, and leaves it to whoever goes on with the write, where that can be."""
        self.discard()


def home_of(folder: Path, staging: Path) -> Path | None:
    """Where files that get their names in a unit's folder are staged; None: in `staging`, as it can be reached from
    there by a rename."""
    target = folder if folder.exists() else folder.parent
    try:
        if target.stat().st_dev == staging.stat().st_dev:
            # Of a mount of the same file system only a rename tells, also one of nothing.
            (staging / "nothing").rename(target / "nothing")
    except OSError as error:
        return folder / STAGING if error.errno == errno.EXDEV else None
    return folder / STAGING


def staged_at(name: Path, home: Path | None, access: Access) -> Path:
    """The file that bytes are staged in under this name: it is of that name, or linked to from there."""
    if home is None:
        return name
    for folder in (home.parent, home):
        access.make_folder(folder, exist_ok=True)
    path = home / secrets.token_hex(8)
    name.symlink_to(path)
    return path


def remove_staged(name: Path) -> None:
    """Removes staged bytes. Raises FileNotFoundError."""
    if name.is_symlink():
        path = name.readlink()
        if path.parent.name == STAGING:
            path.unlink(missing_ok=True)
    name.unlink()


def remove_folder(folder: Path) -> None:
    """Removes a folder in `.staging`, as far as it can be, with the bytes that links in it lead to."""
    with contextlib.suppress(OSError):
        for name in folder.iterdir():
            if name.is_symlink():
                remove_staged(name)
    shutil.rmtree(folder, ignore_errors=True)
