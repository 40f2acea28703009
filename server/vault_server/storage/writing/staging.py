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
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.writeback import Writeback

from vault_server.storage.failures import no_room, storing
from vault_server.storage.faultpoints import reached

_log = logging.getLogger(__name__)

STAGING: Final = ".staging"
WRITES: Final = "writes"
"""In STAGING: the writes that can be resumed."""

_INTENTS: Final = "intents"


class StagedFile:
    """Bytes of one generation that is not committed. Used by one thread at a time."""

    def __init__(self, path: Path, make_room: Callable[[], bool]) -> None:
        self.path = path
        self._make_room = make_room
        self._file = io.FileIO(path, "xb")
        self._process = os.getpid()
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

    def finish(self, *, durable: bool) -> None:
        """Ends writing; with `durable`, the bytes are on the disk when this returns."""
        try:
            reached("before the fsync of a staged file")
            if durable:
                os.fsync(self._file.fileno())
            reached("staged file durable")
        finally:
            self._file.close()

    def rename(self, target: Path) -> None:
        """Moves the file to its final name, over whatever is there. Once more, when the commit is tried once more."""
        self.path.rename(target)
        self.path = target
        self._exists = False

    def discard(self) -> None:
        """Removes the file, unless it was renamed. Harmless when repeated, and in a forked child."""
        self._file.close()
        if self._exists and os.getpid() == self._process:
            self._exists = False
            with contextlib.suppress(FileNotFoundError):  # somebody emptied the folder by hand
                self.path.unlink()

    def release(self) -> None:
        """Lets go of it, and leaves it to whoever goes on with the write, where that can be."""
        self.discard()


class Staging:
    """One open store's folder of staged files. Made with the first file; safe to share between threads.

    Args:
        make_room: Called when the disk is full; whether it removed something, so that trying again may help.
    """

    def __init__(self, root: Path, make_room: Callable[[], bool] = lambda: False) -> None:
        self._parent = root / STAGING
        self._make_room = make_room
        self._mutex = threading.Lock()
        self._folder: Path | None = None
        self._lock: int | None = None
        self._intents: int | None = None

    def create(self) -> StagedFile:
        """A new empty file."""
        with storing("stage an upload"):
            staged = StagedFile(self._own_folder() / secrets.token_hex(8), self._make_room)
        reached("staged file made")
        return staged

    def intend(self, files: Iterable[str]) -> None:
        """Notes final names before files get them. Only the writer's thread calls this.

        Not fsynced: after a power loss the note may be missing and an unreferenced file may stay,
        which wastes its space, and which `check` reports.
        """
        text = "".join(f"{file}\n" for file in files).encode()
        if not text:
            return
        if self._intents is None:
            path = self._own_folder() / _INTENTS
            self._intents = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        size = os.fstat(self._intents).st_size
        if os.write(self._intents, text) < len(text):
            os.ftruncate(self._intents, size)  # half a name would take the next one with it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

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
                    shutil.rmtree(self._folder, ignore_errors=True)
            except OSError as error:
                _log.warning("%s is left to the next opener: %s", self._folder, error)
            finally:
                self._let_go()

    def leave(self) -> None:
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
                self._parent.mkdir(exist_ok=True)
                while self._folder is None:
                    self._claim(self._parent / secrets.token_hex(8))
            return self._folder

    def _claim(self, folder: Path) -> None:
        folder.mkdir()
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # another store's opening took it for a leftover before it was locked
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            alive = folder.exists()
        except OSError:
            os.close(descriptor)
            raise
        if alive:
            self._folder, self._lock = folder, descriptor
        else:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Leftover:
    """The staging folder of a process that is gone, locked by this one until `remove` or `leave`."""

    folder: Path
    descriptor: int
    intents: list[str]

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.leave()

    def leave(self) -> None:
        """To the next opener."""
        os.close(self.descriptor)


def leftovers(root: Path) -> list[Leftover]:
    """What dead processes left in `.staging`; each must be removed, or left, by the caller."""
    found = []
    with contextlib.suppress(FileNotFoundError):  # nothing was ever staged, or a folder just went away
        for folder in sorted((root / STAGING).iterdir()):
            leftover = None if folder.name == WRITES else _take_over(folder)
            if leftover is not None:
                found.append(leftover)
    return found


def _take_over(folder: Path) -> Leftover | None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its owner lives
        os.close(descriptor)
        return None
    intents: list[str] = []
    with contextlib.suppress(OSError):  # killed before it placed anything, or the folder is just being removed
        # The last line may be torn: its rename has not happened then.
        intents = (folder / _INTENTS).read_text(errors="replace").split("\n")[:-1]
    return Leftover(folder, descriptor, intents)
