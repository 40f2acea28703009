"""The directory of an open store: held open, and distinguished from another that is put in its place.

Who renames, copies over or removes the directory of an open store leaves it with files that nobody finds under the
directory's name any more: what it acknowledged from then on would be lost. So it is asked, before a write and again
before it is acknowledged, whether the name still leads to the directory that was opened, and to the register and log
in it that SQLite has open. And objects' files, the turn, the reserve and the scrub's lock are made and removed relative
to what was opened. Not so what is staged, after a look: no object is in there.

Every open store shares an flock on the directory itself, of which there is no file that could be lost; a rebuild of its
register has it alone. It belongs to what `open` returned, which a fork shares: the directory counts as open until the
parent and all its children have closed it, whichever of them still use the store.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vault.errors import ClosedError, StorageError

from vault_server.storage.files.access import GROUP, PRIVATE, access_of, widen
from vault_server.storage.os_errors import storage_error, storing

REGISTER: Final = "register.db"
TURN: Final = f"{REGISTER}-turn"
CHANGED: Final = "DIRECTORY_CHANGED"
_LOG: Final = (f"{REGISTER}-wal", f"{REGISTER}-shm")

_COARSEST: Final = 2.5
"""Seconds that a file system's clock may stand still: two changes within them may leave a directory the same time."""

_COARSE: Final = 10_000_000
_FINE: Final = 0.1
"""Seconds, where times have digits below 10 ms: a system's clock that gives them stands still for one tick, 10 ms at
most. Without it every commit of a store's first seconds would look at four files, twice: 30 µs."""

_PATIENCE: Final = 5.0
"""Seconds to wait for the lock: openers come and go, and a rebuild takes longer than anybody should hang."""

Identity = tuple[int, int]


class StoreDirectory:
    """One store's directory, from `acquire` to `release`. Safe to share between threads.

    Attributes:
        root: Its path.
        access: The modes of what is made in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.access = PRIVATE
        self._path = os.fspath(root)
        self._descriptor: int | None = None
        self._known: dict[str, Identity] = {}
        self._unchanged: tuple[int, int, int] | None = None

    @property
    def descriptor(self) -> int:
        """Of the directory. Raises ClosedError before `acquire` and after `release`."""
        if self._descriptor is None:
            raise ClosedError(f"the store {self._path!r} is closed")
        return self._descriptor

    def acquire(self) -> None:
        """Opens it, and shares it with other stores.

        Raises:
            StorageError: REGISTER_BUSY, its register is being rebuilt.
        """
        refusal = "the register of {!r} is being rebuilt by another process: try again when that is done"
        self._descriptor = _lock(self.root, fcntl.LOCK_SH, refusal)

    def release(self) -> None:
        """Closes it. Harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def open(self, name: str, flags: int) -> int:
        """A file in it, which is made where it is not there."""
        try:
            return self.access.open(name, flags, dir_fd=self.descriptor)
        except FileNotFoundError:  # the directory is removed
            self.require_same()
            raise

    def exists(self, name: str) -> bool:
        """Whether there is something of that name; a link counts, wherever it leads."""
        try:
            os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def has(self, name: str, descriptor: int) -> bool:
        """Whether the open file still is the one of that name."""
        there = os.fstat(descriptor)
        return there.st_nlink > 0 or (there.st_dev, there.st_ino) == self._identity(name)

    def settle_access(self) -> None:
        """Finds out how files are made here: as the register is, so that every process does it alike."""
        self.access = access_of(self.root / REGISTER) or access_of(self.root / TURN) or PRIVATE

    def give_to_group(self, paths: Iterable[Path]) -> None:
        """Gives the directory's group access to these paths in it, and to what will be made.

        The register comes last, so that what was interrupted is done again.
        """
        group = os.fstat(self.descriptor).st_gid
        self.root.chmod(stat.S_IMODE(os.fstat(self.descriptor).st_mode) | GROUP.folder)
        for path in sorted(paths, key=lambda path: path.name == REGISTER):
            widen(path, group)
        self.access = GROUP

    def opened(self) -> None:
        """SQLite has opened the register: what is there now is what has to stay there.

        Raises:
            StorageError: DIRECTORY_CHANGED.
        """
        self.require_same()
        for name in (REGISTER, *_LOG):
            if name not in self._known and (there := self._identity(name)) is not None:
                self._known[name] = there

    def closing(self) -> None:
        """SQLite is about to close its last connection, and then removes the log."""
        for name in _LOG:
            self._known.pop(name, None)

    def require_same(self) -> None:
        """Raises unless the directory's name still leads to what this store has open.

        Raises:
            StorageError: DIRECTORY_CHANGED; of another reason where that cannot be found out.
        """
        try:
            found = os.stat(self._path)  # noqa: PTH116  # each commit does it, and a Path takes twice as long
            # Whatever is made, renamed or removed in a directory changes its time.
            if (found.st_dev, found.st_ino, found.st_ctime_ns) != self._unchanged:
                self._look(found)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise storage_error(error, f"look at the directory {self._path!r}") from error
            raise self._changed("it is not there any more") from error

    def _look(self, found: os.stat_result) -> None:
        began = time.time_ns()
        if not os.path.samestat(found, os.fstat(self.descriptor)):
            raise self._changed("another directory is in its place")
        for name, known in list(self._known.items()):
            there = self._identity(name)
            if there != known and self._known.get(name) == known:
                raise self._changed(f"{name} in it was {'removed or renamed' if there is None else 'replaced'}")
        if began - found.st_ctime_ns > (_FINE if found.st_ctime_ns % _COARSE else _COARSEST) * 1e9:
            self._unchanged = (found.st_dev, found.st_ino, found.st_ctime_ns)

    def _identity(self, name: str) -> Identity | None:
        try:
            there = os.stat(name, dir_fd=self.descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise storage_error(error, f"look at {name} in {self._path!r}") from error
        return there.st_dev, there.st_ino

    def _changed(self, how: str) -> StorageError:
        return StorageError(
            f"the directory {self._path!r} changed under the store that is open on it: {how}. Nothing is acknowledged "
            "or read while that is so; put back what was there, or close the store and open it again",
            reason=CHANGED,
        )


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Has the directory for the block, with every opener kept out.

    Raises:
        StorageError: REGISTER_BUSY, somebody has the store open.
    """
    refusal = (
        "the store in {!r} is open in this or another process: a damaged register is rebuilt when nobody uses it; "
        "stop servers and programs on it first"
    )
    descriptor = _lock(root, fcntl.LOCK_EX, refusal)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(root: Path, operation: int, refusal: str) -> int:
    """The directory, open and locked."""
    with storing(f"open and lock the directory {str(root)!r}"):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        deadline = time.monotonic() + _PATIENCE
        try:
            while True:
                try:
                    fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
                    return descriptor
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StorageError(refusal.format(str(root)), reason="REGISTER_BUSY") from None
                time.sleep(0.02)
        except BaseException:
            os.close(descriptor)
            raise
