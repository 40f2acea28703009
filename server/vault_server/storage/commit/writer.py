"""The one thread that writes: many callers' jobs in one transaction, answered when it is durable.

A durable COMMIT costs milliseconds however much is in it, so whatever has queued up while one
transaction was being committed goes into the next (group commit). Each job runs in a savepoint, so
that one that fails takes nobody with it.
"""

import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from vault._runtime.sync_async import Background
from vault.errors import ClosedError, StorageError, VaultError

from vault_server.storage.commit.collection import Sweeper
from vault_server.storage.commit.outcome import Outcome
from vault_server.storage.commit.transaction import Transaction
from vault_server.storage.failpoints import reached
from vault_server.storage.files.blobs import Blobs
from vault_server.storage.files.reserve import Reserve
from vault_server.storage.files.staging import StagedFile, Staging
from vault_server.storage.index.connections import BUSY_SECONDS, Connections
from vault_server.storage.os_errors import is_busy, is_readonly, register_error, room_helps, storage_error

_log = logging.getLogger(__name__)

MAX_JOBS: Final = 1000
"""Jobs in one transaction, unless one batch alone has more: nobody waits for too many others."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """One write. `staged` is discarded after it, unless the write placed it. `frees`: it is to work on a full disk."""

    run: Callable[[Transaction], Any]
    staged: StagedFile | None = None
    frees: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    jobs: Sequence[Job]
    answer: Callable[[list[Any]], None]

    @property
    def frees(self) -> bool:
        return all(job.frees for job in self.jobs)


class Writer:
    """Runs jobs in group commits. `submit` is safe from any thread; the thread starts with the first job."""

    def __init__(
        self,
        connections: Connections,
        blobs: Blobs,
        staging: Staging,
        *,
        committed: Callable[[], None],
        feed_history: int,
        retention: float,
    ) -> None:
        self._connections = connections
        self._blobs = blobs
        self._staging = staging
        self._committed = committed
        self._feed_history = feed_history
        self._retention = retention
        self._sweeper = Sweeper(staging)
        self._reserve = Reserve(blobs.directory)
        self._background = Background(self._run, "vault-writer")
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()  # None: just look up
        self._next_entry: _Entry | None = None  # taken out, and too much for the last transaction
        self._closed = False

    def submit(self, run: Callable[[Transaction], T], *, staged: StagedFile | None = None) -> "Future[T]":
        """Queues one job; its future has the result, or the error, once the outcome is durable.

        Raises:
            ClosedError: The store is closed.
            UnavailableError: OVERLOADED, the system has no thread left for the writer. Nothing was queued.
        """
        future: Outcome[T] = Outcome()

        def answer(outcomes: list[Any]) -> None:
            if isinstance(outcomes[0], BaseException):
                future.set_exception(outcomes[0])
            else:
                future.set_result(outcomes[0])

        self._enqueue(_Entry([Job(run, staged)], answer))
        return future

    def submit_many(self, jobs: Sequence[Job]) -> "Future[list[Any]]":
        """Queues jobs for one transaction; the future has each one's result or VaultError, in order. Raises as
        `submit` does."""
        future: Outcome[list[Any]] = Outcome()

        def answer(outcomes: list[Any]) -> None:
            unexpected = [o for o in outcomes if isinstance(o, BaseException) and not isinstance(o, VaultError)]
            if unexpected:
                future.set_exception(unexpected[0])
            else:
                future.set_result(outcomes)

        self._enqueue(_Entry(jobs, answer))
        return future

    def take_over(self, files: Sequence[str]) -> None:
        """Removes files that a dead process may have named without committing. Before the first job only."""
        self._sweeper.take_over(files)
        self.start()

    def expect(self, seconds: float | None, *, trash: bool) -> None:
        """What an opener found: whether files are to be removed, and when a retained generation expires.

        Before the first job only.
        """
        self._sweeper.expect(seconds, trash=trash)

    def start(self) -> None:
        """Starts the thread before there is a job. Harmless when repeated. Raises as `submit` does."""
        self._background.start()

    def make_room(self) -> bool:
        """Gives up every retained generation, because the disk is full; whether there was any."""
        if self._background.is_current():  # it would wait for itself
            return False
        try:
            return self.submit(self._sweeper.make_room).result()
        except VaultError:  # whoever asks has an error of its own to raise
            return False

    def close(self) -> None:
        """Finishes what was submitted and ends the thread."""
        with self._lock:
            self._closed = True
        self._queue.put(None)
        self._background.stop()

    def _enqueue(self, entry: _Entry) -> None:
        try:
            if not self._closed:
                self.start()  # first: nothing is queued that nobody would come for
            with self._lock:
                if self._closed:
                    raise ClosedError("the store is closed")
                self._queue.put(entry)
        except VaultError:
            _discard([entry], keeping=True)
            raise

    def _run(self) -> None:
        while True:
            entries = self._next()
            if entries or self._sweeper.wanted:
                self._transact(entries)
            elif self._closed:
                return  # what is retained is collected by whoever opens the store next
            elif self._sweeper.is_due:
                self._transact(entries)

    def _next(self) -> list[_Entry]:
        """The entries for the next transaction; none: time for housekeeping, or the end."""
        entries: list[_Entry] = []
        jobs = 0
        try:
            if self._next_entry is None and not self._closed:
                wait = self._sweeper.wait
                self._next_entry = self._queue.get(timeout=None if wait is None else min(wait, threading.TIMEOUT_MAX))
            while True:
                if self._next_entry is None:
                    self._next_entry = self._queue.get_nowait()
                elif not entries or jobs + len(self._next_entry.jobs) <= MAX_JOBS:
                    entries.append(self._next_entry)
                    jobs += len(self._next_entry.jobs)
                    self._next_entry = None
                else:
                    return entries
        except queue.Empty:
            return entries

    def _transact(self, entries: list[_Entry]) -> None:
        try:
            outcomes = self._commit([entry.jobs for entry in entries], first=True)
        except Exception as error:  # noqa: BLE001  # whatever it is belongs to the callers; the thread must go on
            told = self._told(error)
            again = None
            if isinstance(told, StorageError) and room_helps(told):
                again = self._commit_with_room(entries)
                freeing = [entry for entry in entries if entry.frees]
                if again is None and freeing and self._reserve.release():
                    if others := [entry for entry in entries if not entry.frees]:
                        self._refuse(others, told)
                    entries = freeing
                    again = self._commit_with_room(entries)
            if again is None:
                self._refuse(entries, told)
                return
            outcomes = again
        _discard(entries)
        reached("before the answer")
        for entry, outcome in zip(entries, outcomes, strict=True):
            entry.answer(outcome)
        reached("answered")

    def _commit_with_room(self, entries: list[_Entry]) -> list[list[Any]] | None:
        """As `_commit`, after one that failed because the disk was full; None when it is of no use."""
        try:
            self._commit([[Job(self._sweeper.make_room)]], first=False)
            return self._commit([entry.jobs for entry in entries], first=False)
        except Exception as error:  # noqa: BLE001  # the callers are told why it failed in the first place
            _log.warning("there is no room on the disk, after all: %s", error)
            return None

    def _commit(self, batch: Sequence[Sequence[Job]], *, first: bool) -> list[list[Any]]:
        """Runs the jobs in one transaction; the outcomes of each sequence of them, once they are durable.

        Args:
            first: Not after one that failed because the disk was full. Then it retains nothing, and leaves the
                files alone that the one before has named: its own jobs name them anew.
        """
        transaction: Transaction | None = None
        try:
            with self._connections.writing() as connection:
                if not first:
                    _checkpoint(connection)
                _begin(connection)
                try:
                    reached("transaction begun")
                    transaction = Transaction(
                        connection,
                        self._blobs,
                        self._staging,
                        feed_history=self._feed_history,
                        retention=self._retention if first else 0,
                        gives_up_when_full=first,
                    )
                    if first:
                        self._sweeper.sweep(transaction, collecting=not self._closed)
                    else:
                        self._sweeper.rest()
                    outcomes = [[_attempt(transaction, job) for job in jobs] for jobs in batch]
                    transaction.finish()
                    reached("before COMMIT")
                    connection.execute("COMMIT")
                    reached("committed")
                    if transaction.revision != transaction.begun_at:  # otherwise this COMMIT has synced nothing
                        self._connections.note(transaction.revision)
                    reached("revision noted")
                    self._connections.acknowledge()
                except BaseException:
                    _roll_back(connection)
                    raise
                self._reserve.hold()
        except BaseException:
            self._sweeper.failed(transaction)
            raise
        self._sweeper.committed(transaction)
        if transaction.revision != transaction.begun_at:
            self._committed()
        return outcomes

    def _told(self, error: Exception) -> Exception:
        told = error
        if isinstance(error, sqlite3.Error):
            told = register_error(error, "commit to the register", self._connections.path)
        elif isinstance(error, OSError):
            told = storage_error(error, "commit to the register")
            try:
                self._connections.acknowledge()
            except StorageError as changed:  # which is why something was not there
                told = changed
        if told is not error:
            told.__cause__ = error
        return told

    def _refuse(self, entries: list[_Entry], told: Exception) -> None:
        if not entries:
            _log.warning("removing files that no object has any more is left for later: %s", told)
        _discard(entries)
        for entry in entries:
            entry.answer([told] * len(entry.jobs))


def _checkpoint(connection: sqlite3.Connection) -> None:
    """Lets the write-ahead log begin anew in the room that it has, if nobody reads in it right now."""
    with contextlib.suppress(sqlite3.Error):  # a register that cannot grow, or whatever else the next statement tells
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _begin(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(0.01)


def _attempt(transaction: Transaction, job: Job) -> Any:
    """The job's result, or what it raised. Raises what has ended the transaction for everybody."""
    try:
        return transaction.attempt(job.run)
    except Exception as error:  # an outcome like any other, for the caller that it belongs to
        if not transaction.connection.in_transaction or is_readonly(error) or transaction.must_give_up(error):
            raise
        if isinstance(error, sqlite3.Error | OSError):
            told = storage_error(error, "write")
            told.__cause__ = error
            return told
        return error


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            _log.warning("a rollback failed; closing the connection rolls back too: %s", error)


def _discard(entries: list[_Entry], *, keeping: bool = False) -> None:
    """Removes staged files that were not placed; with `keeping` not those of writes that can go on later."""
    for entry in entries:
        for job in entry.jobs:
            if job.staged is not None:
                try:
                    if keeping:
                        job.staged.release()
                    else:
                        job.staged.discard()
                except OSError as error:
                    _log.warning("could not remove the staged file %s: %s", job.staged.path, error)
