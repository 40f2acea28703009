"""Uploads on their way: files under `.staging/` that no register row points at yet.

Every open store has a folder of its own there and holds an flock on it while it lives, so that a
later opener can tell the leftovers of the dead from the work of the living. The folder also holds
`intents`: the final names that the running transaction gives to files. A process killed between the
rename and the COMMIT leaves a file that nothing references, and its name in `intents`.

Writes that can be resumed have folders of their own under `.staging/writes/`; see `journal` and `resumption`.
"""

import contextlib
import errno
import fcntl
import io
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault_server.storage.failpoints import reached
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.files.staged_file import STAGING, StagedFile, home_of, remove_folder, staged_at
from vault_server.storage.os_errors import storing

_log = logging.getLogger(__name__)

WRITES: Final = "writes"
"""In STAGING: the writes that can be resumed."""

_INTENTS: Final = "intents"

_NO_LINK: Final = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENOSYS)
"""Another file system, or mount; a file with as many names as it can have; one of another user, or a file system
without hard links."""


class Staging:
    """One open store's folder of staged files. Made with the first file, and anew when somebody has removed it; safe
    to share between threads.

    Args:
        make_room: Called when the disk is full; whether it removed something, so that trying again may help.
    """

    def __init__(self, directory: StoreDirectory, make_room: Callable[[], bool] = lambda: False) -> None:
        self._directory = directory
        self._root = os.fspath(directory.root)
        self._parent = directory.root / STAGING
        self._homes: dict[str, tuple[tuple[Path, int, int], Path | None]] = {}
        self._make_room = make_room
        self._mutex = threading.Lock()
        self._folder: Path | None = None
        self._lock: int | None = None
        self._intents: int | None = None

    def create(self, folder: str) -> StagedFile:
        """A new empty file, to be given a name in that folder of the store's directory."""
        with storing("stage an upload"):
            self._directory.require_same()  # or it would be made in the directory that took its place
            try:
                staged = self._create(folder)
            except FileNotFoundError:
                self._look_for_folder()
                staged = self._create(folder)
        reached("staged file made")
        return staged

    def link(self, file: str, folder: str) -> StagedFile | None:
        """A blob's bytes under one more name, to be given one in that folder; None where there can be no link.

        Raises:
            FileNotFoundError: There is no such blob.
        """
        staged = gone = None
        with storing("stage a copy"):
            self._directory.require_same()
            try:
                staged = self._link(file, folder)
            except FileNotFoundError as error:
                if (self._directory.root / file).exists():
                    self._look_for_folder()
                    staged = self._link(file, folder)
                else:
                    gone = error
        if gone is not None:
            raise gone
        reached("link staged")
        return staged

    def _link(self, file: str, folder: str) -> StagedFile | None:
        name = self._own_folder() / secrets.token_hex(8)
        home = self._home(folder)
        path = name if home is None else staged_at(name, home, self._directory.access)
        try:
            os.link(file, path, src_dir_fd=self._directory.descriptor)
            link = io.FileIO(path, "rb")
        except OSError as error:
            if home is not None:
                name.unlink(missing_ok=True)
            if error.errno in _NO_LINK:
                return None
            raise
        link.close()  # its bytes are all there
        return StagedFile(name, path, link, self._new_name, self._directory.access, self._make_room)

    def _create(self, folder: str) -> StagedFile:
        access = self._directory.access
        name = self._own_folder() / secrets.token_hex(8)
        path = staged_at(name, self._home(folder), access)
        file = io.FileIO(access.create(path, os.O_RDWR), "rb+")
        return StagedFile(name, path, file, self._new_name, access, self._make_room)

    def _home(self, folder: str) -> Path | None:
        """See `home_of`; kept until another folder is there, as what is mounted over one is."""
        own = self._own_folder()
        try:
            there = os.stat(f"{self._root}/{folder}")  # noqa: PTH116  # as in StoreDirectory
        except OSError:
            seen = (own, 0, 0)
        else:
            seen = (own, there.st_dev, there.st_ino)
        known = self._homes.get(folder)
        if known is None or known[0] != seen:
            known = self._homes[folder] = (seen, home_of(self._directory.root / folder, own))
        return known[1]

    def _new_name(self) -> Path:
        self._look_for_folder()
        return self._own_folder() / secrets.token_hex(8)

    def intend(self, files: Iterable[str]) -> None:
        """Notes final names before files get them. Only the writer's thread calls this.

        Not fsynced: after a power loss the note may be missing and an unreferenced file may stay,
        which wastes its space, and which `check` reports.
        """
        text = "".join(f"{file}\n" for file in files).encode()
        if not text:
            return
        self._open_intents()
        assert self._intents is not None  # noqa: S101  # it is open
        size = os.fstat(self._intents).st_size
        if os.write(self._intents, text) < len(text):
            os.ftruncate(self._intents, size)  # half a name would take the next one with it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _open_intents(self) -> None:
        """Makes the list where there is none, and anew where somebody has removed it, with what was in it."""
        pending = b""
        if self._intents is not None:
            there = os.fstat(self._intents)
            if there.st_nlink:
                return
            pending = os.pread(self._intents, there.st_size, 0)
            os.close(self._intents)
            self._intents = None
        self._look_for_folder()
        path = self._own_folder() / _INTENTS
        self._intents = self._directory.access.open(path, os.O_RDWR | os.O_APPEND)
        os.write(self._intents, pending)

    def forget_intents(self) -> None:
        """Every noted name is referenced, or its file removed."""
        if self._intents is not None:
            os.ftruncate(self._intents, 0)
            reached("intents forgotten")

    def close(self) -> None:
        """Removes the folder with everything in it, unless it holds intents that the next opener must see to."""
        with self._mutex:
            try:
                pending = self._intents is not None and os.fstat(self._intents).st_size > 0
                if self._folder is not None and not pending:
                    remove_folder(self._folder)
            except OSError as error:
                _log.warning("%s is left to the next opener: %s", self._folder, error)
            finally:
                self._let_go()

    def abandon(self) -> None:
        """Forgets the folder without touching it: it belongs to the process that this one was forked from."""
        self._let_go()

    def _let_go(self) -> None:
        for descriptor in (self._intents, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._folder = self._lock = self._intents = None

    def _own_folder(self) -> Path:
        with self._mutex:
            if self._folder is None:
                self._directory.require_same()
            while self._folder is None:
                folder = self._parent / secrets.token_hex(8)
                self._directory.access.make_folder(self._parent, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # somebody removes them right now
                    self._directory.access.make_folder(folder)
                    # None: another store's opening took it for a leftover before it was locked.
                    self._lock = _locked(folder, fcntl.LOCK_EX)
                    self._folder = None if self._lock is None else folder
            return self._folder

    def _look_for_folder(self) -> None:
        """Forgets the folder when somebody has removed it, so that another is made."""
        with self._mutex:
            self._directory.require_same()
            if self._folder is not None and not self._folder.exists():
                if self._lock is not None:
                    os.close(self._lock)
                self._folder = self._lock = None


@dataclass(frozen=True, slots=True)
class Leftover:
    """The staging folder of a process that is gone, locked by this one until `remove` or `release`."""

    folder: Path
    descriptor: int
    intents: list[str]

    def remove(self) -> None:
        remove_folder(self.folder)
        self.release()

    def release(self) -> None:
        """To the next opener."""
        os.close(self.descriptor)


def leftovers(root: Path) -> list[Leftover]:
    """What dead processes left in `.staging`; each must be removed, or released, by the caller."""
    found = []
    with contextlib.suppress(FileNotFoundError):  # nothing was ever staged, or a folder just went away
        for folder in sorted((root / STAGING).iterdir()):
            descriptor = None if folder.name == WRITES else _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if descriptor is not None:
                intents: list[str] = []
                with contextlib.suppress(OSError):  # killed before it placed anything
                    # The last line may be torn: its rename has not happened then.
                    intents = (folder / _INTENTS).read_text(errors="replace").split("\n")[:-1]
                found.append(Leftover(folder, descriptor, intents))
    return found


def _locked(folder: Path, operation: int) -> int | None:
    """The folder, open and locked; None when it is not there, or, where that is not waited for, its owner lives."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, operation)
        if folder.exists():
            return descriptor
    except OSError:
        if not operation & fcntl.LOCK_NB:
            os.close(descriptor)
            raise
    os.close(descriptor)
    return None
