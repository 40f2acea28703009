"""SQLite connections of one store in one process: leased, reused, and never carried over a fork.

A connection that is open while the process forks is a trap even when the child opens its own: SQLite
keeps its POSIX locks per inode in a table that the child inherits, believes it holds locks which it
does not, and the parent's last close may then delete the write-ahead log under the child
(https://sqlite.org/howtocorrupt.html, 2.6). So a fork waits for leases to end (they last
milliseconds), closes every connection, and both sides open new ones.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal, TypeVar

from vault.errors import ClosedError

from vault_server.storage.directory import REGISTER, TURN, StoreDirectory
from vault_server.storage.disk import FULL
from vault_server.storage.failures import damaged, is_busy, register_error
from vault_server.storage.register.watermark import note_revision

LOOK_SECONDS: Final = 0.05
"""How long reads go on, at most, in a directory that another one has taken the place of. Looking takes 2 µs."""

BUSY_SECONDS: Final = 300.0
"""How long to wait for other processes before an operation fails. Adoption of a large directory holds
the register for as long as reading it takes."""

_IDLE_READERS: Final = 8
_CHECKPOINT_PAGES: Final = 4000
_WAL_BYTES: Final = 64 << 20

Role = Literal["read", "write", "feed"]
Synchronous = Literal["FULL", "NORMAL"]
T = TypeVar("T")


class Connections:
    """Hands out connections to the register, by role. Safe to share between threads.

    Each role has its own: the writer's page cache stays warm because nobody else writes through it,
    and `PRAGMA data_version` compares only with itself on one connection.
    """

    def __init__(self, directory: StoreDirectory, *, synchronous: Synchronous) -> None:
        self.path = directory.root / REGISTER
        self._directory = directory
        self._synchronous = synchronous
        self._mutex = threading.Lock()
        self._condition = threading.Condition(self._mutex)
        self._idle: dict[Role, list[sqlite3.Connection]] = {"read": [], "write": [], "feed": []}
        self._leases = 0
        self._open = 0
        self._look_at = 0.0
        self._turn: int | None = None
        self._paused = False
        self._closed = False

    @contextmanager
    def lease(self, role: Role) -> Iterator[sqlite3.Connection]:
        """A connection for the block, in autocommit mode. One that failed is not used again."""
        connection = self.take(role)
        failed = False
        try:
            yield connection
        except sqlite3.Error:
            failed = True
            raise
        finally:
            self.give_back(role, connection, healthy=not failed)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A lease for one write transaction, which nobody else holds, in this process or another.

        The turn is taken by flock, before SQLite's own lock. SQLite waits by asking again and again; flock
        wakes the next one at once. And it keeps commits and checkpoints of several processes apart, which
        SQLite before 3.51.3 needs: https://sqlite.org/wal.html#walresetbug

        The lease comes first, so that no fork happens while the lock's file is open.
        """
        with self.lease("write") as connection:
            turn = _take_turn(self._directory)
            try:
                self._directory.require_same()
                self._turn = turn
                yield connection
            finally:
                self._turn = None
                os.close(turn)

    def acknowledge(self) -> None:
        """Raises unless what was committed is where the directory's name leads to, inside `writing`."""
        self._directory.require_same()

    def note(self, revision: int) -> None:
        """Notes beside the register what was committed, inside `writing`; see `watermark`."""
        if self._turn is not None and self._synchronous == "FULL":
            note_revision(self._turn, revision)

    def read(self, query: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> T:
        """Runs `query` in a read transaction: all of it sees one state of the register.

        `query` may run more than once.

        Args:
            alone: It is one statement, which sees one state by itself.
        """
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return self._query(query) if alone else self._query(partial(_in_transaction, query))
            except sqlite3.Error as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise register_error(error, f"read the register {str(self.path)!r}", self.path) from error
            except UnicodeDecodeError as error:  # SQLite quotes a text of the schema that is none
                raise damaged(self.path, f"cannot be read: {error}") from error
            time.sleep(0.01)

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection = self.take("read")
        failed = False
        try:
            return query(connection)
        except sqlite3.Error:
            failed = True
            raise
        finally:
            self.give_back("read", connection, healthy=not failed)

    def pause(self) -> None:
        """Waits for the leases to end, closes every connection, and lets nobody lease one until `resume`."""
        with self._condition:
            self._condition.wait_for(lambda: not self._paused)
            self._paused = True
            self._condition.wait_for(lambda: self._leases == 0)
            self._close_idle()

    def resume(self) -> None:
        """Ends a pause."""
        with self._condition:
            self._paused = False
            self._condition.notify_all()

    def close(self) -> None:
        """Waits for the leases to end and closes every connection. Later leases raise ClosedError."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._leases == 0)
            self._close_idle()

    def connect(self) -> sqlite3.Connection:
        """A new connection that belongs to the caller."""
        connection = sqlite3.connect(
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
            connection.execute("PRAGMA cell_size_check=ON")  # a damaged page is an error before it is made sense of
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def take(self, role: Role) -> sqlite3.Connection:
        """Begins a lease by hand, where the few microseconds of `lease` matter. `give_back` must follow.

        Raises:
            ClosedError: The store is closed.
            StorageError: DIRECTORY_CHANGED, told of a read within LOOK_SECONDS.
        """
        if role != "write" and (now := time.monotonic()) >= self._look_at:
            self._directory.require_same()
            self._look_at = now + LOOK_SECONDS
        with self._mutex:
            while self._paused and not self._closed:
                self._condition.wait()
            if self._closed:
                raise ClosedError("the store is closed")
            self._leases += 1
            idle = self._idle[role]
            if idle:
                return idle.pop()
        try:
            return self._connect()
        except BaseException:
            self._end_lease()
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = self.connect()
        with self._mutex:
            self._open += 1
        try:
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()  # opens the log, too
            self._directory.opened()
        except BaseException:
            self._close(connection)
            raise
        return connection

    def _close(self, connection: sqlite3.Connection) -> None:
        with self._mutex:
            self._closing()
        connection.close()

    def _closing(self) -> None:
        self._open -= 1
        if not self._open:
            self._directory.closing()

    def give_back(self, role: Role, connection: sqlite3.Connection, *, healthy: bool) -> None:
        """Ends a lease; with `healthy` False the connection is not used again."""
        if healthy and not connection.in_transaction:
            with self._mutex:
                idle = self._idle[role]
                if len(idle) < _IDLE_READERS and not self._closed and not self._paused:
                    idle.append(connection)
                    self._leases -= 1
                    return
        self._close(connection)
        self._end_lease()

    def _end_lease(self) -> None:
        with self._condition:
            self._leases -= 1
            self._condition.notify_all()

    def _close_idle(self) -> None:
        for idle in self._idle.values():
            while idle:
                self._closing()
                idle.pop().close()


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


def _in_transaction(query: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
    connection.execute("BEGIN")
    try:
        return query(connection)
    finally:
        if connection.in_transaction:  # an I/O error has ended it already
            connection.execute("COMMIT")
