"""The parts of one open store, put together, taken apart, and made anew in a forked child."""

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from vault.errors import ClosedError, InvalidArgumentError, StorageFullError, VaultError

from vault_server.storage.clock import StoreClock, wall_clock
from vault_server.storage.commit.writer import Writer
from vault_server.storage.engine.adoption import adopt
from vault_server.storage.engine.contents import Contents
from vault_server.storage.engine.register import Register
from vault_server.storage.feed.feed import Feed
from vault_server.storage.files.access import GROUP, PRIVATE, Access
from vault_server.storage.files.blobs import Blobs, is_blob, own_paths, sync_folder
from vault_server.storage.files.directory import REGISTER, StoreDirectory
from vault_server.storage.files.filesystem import require_local
from vault_server.storage.files.leases import Leases
from vault_server.storage.files.reserve import Reserve
from vault_server.storage.files.staging import Staging, leftovers
from vault_server.storage.index.connections import Connections
from vault_server.storage.index.expiring import next_expiry
from vault_server.storage.index.objects import has_trash
from vault_server.storage.index.opening import open_register
from vault_server.storage.index.retirement import next_look
from vault_server.storage.options import StoreOptions
from vault_server.storage.os_errors import storing
from vault_server.storage.uploads.resumption import Resumption

_log = logging.getLogger(__name__)


class Background(Protocol):
    """What works on the store by itself until it is stopped."""

    def stop(self) -> None:
        """Ends it, while the store still works."""

    def abandon(self) -> None:
        """Gives up what is the parent's, in a forked child."""


class Engine:
    """Connections, writer, feed, blobs and staging of one open store in one process."""

    def __init__(self, directory: StoreDirectory, settings: StoreOptions, clock: StoreClock | None = None) -> None:
        self.clock = clock or StoreClock()
        self.directory = directory
        self.settings = settings
        self.connections = Connections(
            self.directory, synchronous="FULL" if settings.durable else "NORMAL", clock=self.clock
        )
        self.blobs = Blobs(self.directory, durable=settings.durable)
        self.resumption = Resumption(
            self.directory, settings.resume_window, self._give_up_retired, durable=settings.durable
        )
        self.staging = Staging(self.directory, self.resumption.make_room)
        self.feed = Feed(self.directory, self.connections, self._expect)
        self.index = Register(self.connections, self.feed)
        self.leases = Leases(self.directory)
        self.contents = Contents(self.blobs, self.staging, settings)
        self.writer = Writer(
            self.connections,
            self.blobs,
            self.staging,
            committed=self.feed.notify,
            retention=settings.retained,
            clock=self.clock,
        )
        self.background: list[Background] = []
        self._closing = threading.Lock()
        self._ended = False
        self.closed = False

    def require_open(self) -> None:
        """Raises ClosedError when the store is closed."""
        if self.closed:
            raise ClosedError(f"the store {str(self.directory.root)!r} is closed")

    def prepare(self) -> None:
        """Makes or checks the directory and its register.

        On a full disk with the room that is kept for deletes: who wants to delete has to open the store first.
        """
        root = self.directory.root
        require_local(root, allowed=self.settings.allow_network_filesystem)
        with storing(f"make the directory {str(root)!r}"):
            _make_directory(root, GROUP if self.settings.group_access else PRIVATE)
        self.directory.acquire()
        self.directory.settle_access()
        if self.settings.group_access and self.directory.access is not GROUP:
            with storing(f"give the group access to {str(root)!r}, which its owner can"):
                self.directory.give_to_group(own_paths(root))
        try:
            self._prepare(root)
        except StorageFullError:
            if not Reserve(self.directory).release():
                raise
            self._prepare(root)

    def _prepare(self, root: Path) -> None:
        self.index.store_id = open_register(
            self.directory, self.connections, lambda connection: adopt(connection, root)
        )
        now = wall_clock()
        seconds, trash = self.connections.read(lambda reading: (next_look(reading, now=now), has_trash(reading)))
        self.writer.expect(seconds, trash=trash)
        with storing(f"look at {str(root)!r}"):
            _warn_of_other_users(root)
        with storing("clear away what a dead process left"):
            left = leftovers(root)
            # After a power loss a list may hold anything.
            intents = [file for leftover in left for file in leftover.intents if is_blob(file)]
            try:
                if intents:
                    self.writer.take_over(intents)
            except BaseException:
                for leftover in left:
                    leftover.release()
                raise
            for leftover in left:
                leftover.remove()
        if trash or seconds is not None:
            self.writer.start()  # also when nobody writes, what earlier processes retired goes when it is time
        self.resumption.watch()
        self._expect(self.connections.read(next_expiry, alone=True))

    def _expect(self, moment: int | None) -> None:
        """Something in the register expires then, whoever put it there."""
        if moment is not None and not self.closed:
            self.writer.expiry.expect(moment)
            with contextlib.suppress(VaultError):  # without a thread for it nobody deletes what nobody sees
                self.writer.start()

    def _give_up_retired(self) -> bool:
        return self.writer.make_room()

    def close(self) -> None:
        """Finishes what was submitted and gives everything back. Harmless when repeated; after one that was
        interrupted, it does the rest."""
        with self._closing:
            if self._ended:
                return
            for each in self.background:
                each.stop()
            self.closed = True
            self.feed.close()
            self.writer.close()
            self.resumption.close()
            self.connections.close()
            self.staging.close()
            self.directory.release()
            self._ended = True

    def pause(self) -> None:
        """Has nothing open that must not cross a fork, until `resume`."""
        self.connections.pause()
        self.leases.pause()

    def resume(self) -> None:
        """Ends a pause."""
        self.leases.resume()
        self.connections.resume()

    def renewed(self) -> "Engine":
        """In a forked child, whose connections are closed: the same store with nothing of the parent's.

        Writes and watches that the parent began are the parent's: in the child they are closed.
        """
        for each in self.background:
            each.abandon()
        self.background.clear()
        self.staging.abandon()
        self.resumption.abandon()
        self.feed.abandon()
        engine = Engine(self.directory, self.settings, StoreClock(since=self.clock.latest))
        engine.index.store_id = self.index.store_id
        if self.closed:
            engine.close()
        self.closed = self._ended = True
        return engine


def _warn_of_other_users(root: Path) -> None:
    """Warns where every user can read the store: those made before files were private stay so, as it may be meant."""
    mode = (root / REGISTER).stat().st_mode & 0o777
    if mode & 0o006 and root.stat().st_mode & 0o001:
        _log.warning(
            "every user of this machine can read the store %s (%s has mode %03o): chmod -R o-rwx ends that, "
            "-R go-rwx also its group's access",
            root,
            REGISTER,
            mode,
        )


def _make_directory(root: Path, access: Access) -> None:
    if root.exists() and not root.is_dir():
        raise InvalidArgumentError(f"{str(root)!r} is a file; a store is a directory", reason="BAD_LOCATION")
    missing = []
    folder = root
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    if missing and not folder.is_dir():
        raise InvalidArgumentError(f"{str(root)!r} cannot be made: {str(folder)!r} is a file", reason="BAD_LOCATION")
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process makes the same store
            if folder == root:
                access.make_folder(folder)
            else:
                folder.mkdir()
        sync_folder(folder.parent)


class ForkAware(Protocol):
    """What holds an engine, and takes a new one in a forked child."""

    engine: Engine

    def take_engine(self, engine: Engine) -> None: ...


def follow_forks(owner: ForkAware) -> None:
    """Keeps `owner`, while it lives, working in this process and its children."""
    _owners.add(owner)


# Only the thread that forks lives on in the child, so what other threads have locked stays locked there
# for ever; that goes for SQLite's locks too, see connections.py.
_owners: "weakref.WeakSet[ForkAware]" = weakref.WeakSet()
_forking = threading.RLock()
_paused: list[Engine] = []


def _whole(step: Callable[[], None]) -> Callable[[], None]:
    """A step of a fork, done again when an exception that came from outside (KeyboardInterrupt) cut it short: a fork
    goes on whatever its hooks raise."""

    def hook() -> None:
        try:
            step()
        except BaseException:
            step()
            raise

    return hook


@_whole
def _before_fork() -> None:
    _forking.acquire()
    for owner in list(_owners):
        if not owner.engine.closed:
            _paused.append(owner.engine)
            owner.engine.pause()


@_whole
def _after_fork_in_parent() -> None:
    for engine in _paused:
        engine.resume()
    _end_fork()


def _end_fork() -> None:
    _paused.clear()
    with contextlib.suppress(RuntimeError):  # not this thread's any more: twice where taking it was interrupted
        while True:
            _forking.release()


def _after_fork_in_child() -> None:
    _end_fork()
    for owner in list(_owners):
        owner.take_engine(owner.engine.renewed())


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
