"""SQLite connections of one store in one process: leased, reused, and never carried over a fork.

A connection that is open while the process forks is a trap even when the child opens its own: SQLite
keeps its POSIX locks per inode in a table that the child inherits, believes it holds locks which it
does not, and the parent's last close may then delete the write-ahead log under the child
(https://sqlite.org/howtocorrupt.html, 2.6). So a fork waits for leases to end (they last
milliseconds), closes every connection, and both sides open new ones.

A lease is a C lock, held by `with lock` around what uses the connection: an exception that comes at any moment
(KeyboardInterrupt) ends it, and nothing that counts leases can be left wrong.
"""

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, Final, Literal, TypeVar

from vault._runtime.fsync import FULL
from vault.errors import ClosedError, StorageError, VaultError

from vault_server.storage.clock import StoreClock
from vault_server.storage.files.directory import CHANGED, REGISTER, TURN, StoreDirectory
from vault_server.storage.files.revision_note import note_revision
from vault_server.storage.index.wal_index import WalIndex
from vault_server.storage.os_errors import damaged, is_busy, register_error

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.05
"""How long reads go on, at most, in a directory that another one has taken the place of. Looking takes 2 µs."""

BUSY_SECONDS: Final = 300.0
"""How long to wait for other processes before an operation fails. Adoption of a large directory holds
the register for as long as reading it takes."""

_IDLE_READERS: Final = 8
_CHECKPOINT_PAGES: Final = 1000
"""A commit takes a tenth less than with 4000, as the log that it goes over again and again stays in the processor's
cache; a batch of a thousand objects takes as long. 500 is no better."""
_WAL_BYTES: Final = 64 << 20

_PAUSED_SECONDS: Final = 0.001  # between two looks whether a fork, which takes milliseconds, is over

GIVEN: Final = "given"
"""The function of a RegisterConnection."""

_UNFIT: Final = (TypeError, ValueError, AttributeError, OverflowError)
"""What comes of a value of a kind that its column does not have."""

Synchronous = Literal["FULL", "NORMAL"]
T = TypeVar("T")


class RegisterConnection(sqlite3.Connection):
    """A connection that has a row as the arguments of a function: as columns it would take twice as long, since Python
    names and describes each column whenever a statement is run.

    The function has to be C all through: what an interrupt raises in one of Python's own, SQLite throws away. An
    exception keeps, in C, what it is initialised with.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._given = Exception()
        self.create_function(GIVEN, -1, self._given.__init__)  # type: ignore[misc]  # of this very instance

    def only(self, statement: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """What the function is called with by a statement that has one row at most, which is nothing but that call;
        None where there is no row.

        Raises:
            sqlite3.Error: Of SQLITE_ERROR also where a text is none.
        """
        if self.execute(statement, values).fetchone() is None:
            return None
        given: tuple[Any, ...] = self._given.args
        self._given.args = ()
        return given


class _Slot:
    """A place for one connection; whoever holds the lock uses it."""

    __slots__ = ("connection", "lasting", "lock")

    def __init__(self, *, lasting: bool) -> None:
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.lasting = lasting


class Connections:
    """Runs queries and transactions on connections to the register. Safe to share between threads.

    Reading, writing and the feed have connections of their own: the writer's page cache stays warm because nobody else
    writes through it, and `PRAGMA data_version` compares only with itself on one connection.
    """

    def __init__(self, directory: StoreDirectory, *, synchronous: Synchronous, clock: StoreClock | None = None) -> None:
        self._clock = clock or StoreClock()
        self.path = directory.root / REGISTER
        self._directory = directory
        self._synchronous = synchronous
        self._writing = _Slot(lasting=True)
        self._feeding = _Slot(lasting=True)
        self._reading = [_Slot(lasting=True)]
        self._log = WalIndex(self.path)
        self._look_at = 0.0
        self._turn: int | None = None
        self._paused = False
        self._closed = False
        self._damage: str | None = None

    def write(self, transact: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `transact`, a write transaction, on a connection and in a turn that nobody else has, in this process or
        another.

        The turn is taken by flock, before SQLite's own lock. SQLite waits by asking again and again; flock
        wakes the next one at once. And it keeps commits and checkpoints of several processes apart, which
        SQLite before 3.51.3 needs: https://sqlite.org/wal.html#walresetbug

        The connection comes first, so that no fork happens while the lock's file is open.
        """
        return self._use(self._writing, partial(self._in_turn, transact))

    def _in_turn(self, transact: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        turn = _take_turn(self._directory)
        try:
            self._directory.require_same()
            self._turn = turn
            return transact(connection)
        except BaseException as error:
            self._drop_failed(self._writing, error)  # within the turn: closing it may be a checkpoint
            raise
        finally:
            self._turn = None
            _end_turn(turn)

    def acknowledge(self) -> None:
        """Raises when what was committed is not where the directory's name leads to, inside `write`.

        Not when that cannot be found out: it was so when `write` began, and what is stored must not be refused.

        Raises:
            StorageError: DIRECTORY_CHANGED.
        """
        try:
            self._directory.require_same()
        except StorageError as error:
            if error.reason == CHANGED:
                raise
            _log.warning("could not find out whether the directory of the store is the same as before: %s", error)

    def note(self, revision: int) -> None:
        """Notes beside the register what was committed, inside `write`; see `revision_note`."""
        if self._turn is not None and self._synchronous == "FULL":
            note_revision(self._turn, revision)

    def read(self, query: Callable[..., T], *args: Any, alone: bool = False) -> T:
        """Runs `query`, of a connection and `args`, in a read transaction: all of it sees one state of the register.

        `query` may run more than once.

        Args:
            alone: It is one statement, which sees one state by itself.
        """
        began = time.monotonic()
        while True:
            # Two threads may come upon the same one: then one waits for the other's query.
            for slot in self._reading:
                if not slot.lock.locked():
                    break
            else:
                slot = _Slot(lasting=len(self._reading) < _IDLE_READERS)
                self._reading.append(slot)
            try:
                return self._use(slot, query, args) if alone else self._use(slot, _in_transaction, (query, args))
            except sqlite3.Error as error:
                if not is_busy(error) or time.monotonic() > began + BUSY_SECONDS:
                    raise register_error(error, f"read the register {str(self.path)!r}", self.path) from error
            except UnicodeDecodeError as error:  # SQLite quotes a text of the schema that is none
                raise damaged(self.path, f"cannot be read: {error}") from error
            time.sleep(0.01)

    def follow(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `look` on the connection of the feed, which nobody else uses."""
        return self._use(self._feeding, look)

    def commit_mark(self) -> bytes | None:
        """What differs after every commit of any process, for the price of a look; None where it cannot be known, or
        it is time to look at the directory."""
        return self._log.header() if time.monotonic() < self._look_at else None

    def _use(self, slot: _Slot, function: Callable[..., T], args: tuple[Any, ...] = ()) -> T:
        """
        Raises:
            ClosedError: The store is closed.
            StorageError: DIRECTORY_CHANGED, told within LOOK_SECONDS.
        """
        if (now := time.monotonic()) >= self._look_at:
            self._directory.require_same()
            self._look_at = now + LOOK_SECONDS
        while True:
            with slot.lock:
                if not self._paused or self._closed:
                    try:
                        return function(slot.connection or self._connection(slot), *args)
                    except BaseException as error:
                        self._drop_failed(slot, error)
                        if isinstance(error, _UNFIT) and not isinstance(error, VaultError):
                            self._refuse_damaged(error)
                        raise
                    finally:
                        if not slot.lasting:
                            self._drop(slot)
            time.sleep(_PAUSED_SECONDS)

    def _refuse_damaged(self, error: Exception) -> None:
        """Raises REGISTER_DAMAGED when a value that its column cannot have may be why a query failed. That is looked
        for once: it takes as long as reading the register."""
        if self._damage is None:
            with closing(self.connect()) as connection:
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found == "ok":
                return
            self._damage = found
        raise damaged(self.path, f"cannot be read: {self._damage}") from error

    def pause(self) -> None:
        """Waits for the leases to end, closes every connection, and lets nobody lease one until `resume`."""
        self._paused = True
        self._drop_all()

    def resume(self) -> None:
        """Ends a pause."""
        self._paused = False

    def close(self) -> None:
        """Waits for the leases to end and closes every connection. Later leases raise ClosedError."""
        self._closed = True
        self._drop_all()

    def _connection(self, slot: _Slot) -> sqlite3.Connection:
        """Opens the slot's connection, of which the lock is held."""
        if self._closed:
            raise ClosedError("the store is closed")
        connection = slot.connection = self.connect()
        try:
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()  # opens the log, too
            self._directory.opened()
            self._log.open()
        except BaseException:
            self._drop(slot)
            raise
        return connection

    def connect(self) -> RegisterConnection:
        """A new connection that belongs to the caller."""
        connection = RegisterConnection(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
            connection.execute("PRAGMA temp_store=MEMORY")
            if FULL is not None:
                connection.execute("PRAGMA fullfsync=ON")
                connection.execute("PRAGMA checkpoint_fullfsync=ON")
            connection.create_function("store_time", 2, self._clock.seen)
            connection.execute("PRAGMA cell_size_check=ON")  # a damaged page is an error before it is made sense of
        except BaseException:
            connection.close()
            raise
        return connection

    def _slots(self) -> Iterator[_Slot]:
        yield self._writing
        yield self._feeding
        yield from self._reading

    def _drop_all(self) -> None:
        for slot in self._slots():
            with slot.lock:
                self._drop(slot)

    def _drop_failed(self, slot: _Slot, error: BaseException) -> None:
        """Does not use a connection again that failed, or whose query was interrupted: a statement of it may go on
        reading what the register was then."""
        in_transaction = slot.connection is not None and slot.connection.in_transaction
        if in_transaction or isinstance(error, sqlite3.Error) or not isinstance(error, Exception):
            self._drop(slot)

    def _drop(self, slot: _Slot) -> None:
        """Closes the slot's connection, of which the lock is held."""
        connection, slot.connection = slot.connection, None
        if connection is not None:
            last = all(each.connection is None for each in self._slots())
            if last:
                self._directory.closing()
            connection.close()
            if last:
                self._log.close()


def _take_turn(directory: StoreDirectory) -> int:
    """Waits for the turn to write; its file, locked."""
    while True:
        turn = directory.open(TURN, os.O_RDWR)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if directory.has(TURN, turn):
                return turn
        except BaseException:
            os.close(turn)
            raise
        os.close(turn)  # removed before it was locked: others lock the one that was made since


def _end_turn(turn: int) -> None:
    try:
        os.close(turn)
    except OSError as error:  # closed all the same (close(2)), and what was committed in the turn is
        _log.warning("an error on closing the file of the turn to write: %s", error)


def _in_transaction(connection: sqlite3.Connection, query: Callable[..., T], args: tuple[Any, ...]) -> T:
    connection.execute("BEGIN")
    try:
        return query(connection, *args)
    finally:
        if connection.in_transaction:  # an I/O error has ended it already
            connection.execute("COMMIT")
