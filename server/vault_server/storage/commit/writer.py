"""The one thread that writes: many callers' writes in one transaction, answered when it is durable.

A durable COMMIT costs milliseconds however much is in it, so whatever has queued up while one
transaction was being committed goes into the next (group commit); see `committer`.
"""

import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from vault._runtime.sync_async import Background
from vault.errors import ClosedError, StorageError, VaultError
from vault.store.columns import Columns
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits

from vault_server.fair_queue import FairQueue
from vault_server.storage.clock import StoreClock
from vault_server.storage.commit.collection import Sweeper
from vault_server.storage.commit.committer import Committer, Item, PartlyCommittedError, Task
from vault_server.storage.commit.expiry import Expiry
from vault_server.storage.commit.outcome import Outcome
from vault_server.storage.commit.placement import Placement
from vault_server.storage.decision.plan import Retention
from vault_server.storage.decision.stored import Purged
from vault_server.storage.decision.writes import Batch, Delete, Write
from vault_server.storage.failpoints import reached
from vault_server.storage.files.blobs import Blobs
from vault_server.storage.files.reserve import Reserve
from vault_server.storage.files.staging import Staging
from vault_server.storage.index.connections import Connections
from vault_server.storage.index.principals import set_principal_limits
from vault_server.storage.index.units import set_limits
from vault_server.storage.os_errors import primary_code, register_error, room_helps, storage_error

_log = logging.getLogger(__name__)

_TRIES: Final = 10
"""Transactions by which no trash became less, after which it is left: others add to it, too."""

MAX_WRITES: Final = 1000
"""Writes in one transaction, unless one batch alone has more: nobody waits for too many others."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Entry:
    """Writes of one caller, or a task, which has a transaction of its own."""

    answer: Callable[[Sequence[Any]], None]
    items: Sequence[Item] = ()
    task: Task | None = None

    @property
    def frees(self) -> bool:
        """Whether it is to work on a full disk."""
        return self.task is None and all(isinstance(item, (Delete, VaultError)) for item in self.items)

    @property
    def outcomes(self) -> int:
        """How many it is answered."""
        return len(self.items) if self.task is None else 1

    @property
    def size(self) -> int:
        """How much of a transaction it takes."""
        return len(self.items) if self.task is None else MAX_WRITES + 1

    @property
    def principal(self) -> str:
        """Whose it is; the writes of one entry are one caller's."""
        for item in self.items:
            if not isinstance(item, VaultError):
                return item.principal
        return ""


class Writer:
    """Commits groups of writes. `write`, `write_many` and `submit` are safe from any thread; the thread starts with the
    first of them."""

    def __init__(
        self,
        connections: Connections,
        blobs: Blobs,
        staging: Staging,
        *,
        committed: Callable[[], None],
        retention: Retention,
        clock: StoreClock,
    ) -> None:
        self._connections = connections
        self._committed = committed
        self._sweeper = Sweeper(staging, blobs.root)
        self._reserve = Reserve(blobs.directory)
        self.expiry = Expiry(clock, self._wake)
        self._committer = Committer(
            connections, blobs, staging, self._sweeper, self._reserve, retention, clock, self.expiry
        )
        self._background = Background(self._run, "vault-writer")
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()  # None: just look up
        self._waiting: FairQueue[_Entry] = FairQueue()  # taken out of it, by principal
        self._next_entry: _Entry | None = None  # taken out, and too much for the last transaction
        self._closed = False

    def write(self, write: Write) -> "Future[Any]":
        """Queues one write; its future has the outcome, or the error, once that is durable. What is staged for it is
        discarded then, unless it has become the object's.

        Raises:
            ClosedError: The store is closed.
            UnavailableError: OVERLOADED, the system has no thread left for the writer. Nothing was queued.
        """
        future: Outcome[Any] = Outcome()
        self._enqueue(_Entry(lambda outcomes: _settle(future, outcomes[0]), [write]))
        return future

    def write_many(self, items: Sequence[Item]) -> "Future[Sequence[Any]]":
        """Queues writes for one transaction; the future has each one's outcome or VaultError, in order. Raises as
        `write` does."""
        future: Outcome[Sequence[Any]] = Outcome()

        def answer(outcomes: Sequence[Any]) -> None:
            some = (
                outcomes.others.values() if type(outcomes) is not list and isinstance(outcomes, Columns) else outcomes
            )
            for outcome in some:
                if isinstance(outcome, BaseException) and not isinstance(outcome, VaultError):
                    future.set_exception(outcome)
                    return
            future.set_result(outcomes)

        self._enqueue(_Entry(answer, items))
        return future

    def commit(self, writes: Sequence[Write]) -> Sequence[Any]:
        """The same, waited for; see `generic`'s Committing."""
        return self.write_many(writes).result()

    def collect(self) -> None:
        """The thread does, by itself."""

    def expire(self) -> None:
        """Likewise."""

    def set_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        """Sets a unit's limits, and waits for it."""
        return self.submit(partial(set_limits, unit=unit, limits=limits)).result()

    def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        """A principal's, likewise."""
        return self.submit(partial(set_principal_limits, principal=principal, limits=limits)).result()

    def purge(self, unit: str | None) -> Purged:
        """See `EngineStore.purge_retained`. Other writes get through meanwhile."""
        objects = size = 0
        while (some := self.submit(partial(self._sweeper.purge, unit=unit)).result()).objects:
            objects, size = objects + some.objects, size + some.bytes
        # What is trash now is removed by the transactions that follow, some files each.
        left, tries = self.submit(self._sweeper.trash_left).result(), _TRIES
        while left and tries:
            before, left = left, self.submit(self._sweeper.trash_left).result()
            tries = _TRIES if left < before else tries - 1
        if left:
            raise StorageError(f"{left} files that nothing needs any more cannot be removed; the log says why")
        return Purged(objects, size)

    def submit(self, job: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        """Queues a job that has a write transaction for itself; the future has its result once that is durable. What
        it raises undoes all of it. Raises as `write` does."""
        return self._submit(lambda connection, _: job(connection))

    def _submit(self, task: Callable[[sqlite3.Connection, Placement], T]) -> "Future[T]":
        future: Outcome[T] = Outcome()
        self._enqueue(_Entry(lambda outcomes: _settle(future, outcomes[0]), task=task))
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
            return self._submit(self._sweeper.make_room).result()
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
            _discard([entry], release=True)
            raise

    def _run(self) -> None:
        while True:
            entries = self._next()
            if entries or self._sweeper.wanted:
                self._transact(entries)
            elif self._closed:
                return  # what is retained is collected by whoever opens the store next
            elif self._sweeper.is_due or self._has_expired():
                self._transact(entries)

    def _next(self) -> list[_Entry]:
        """The entries for the next transaction; none: time for housekeeping, or the end."""
        if self._next_entry is None and not self._waiting and not self._closed:
            waits = [wait for wait in (self._sweeper.wait, self.expiry.wait) if wait is not None]
            with contextlib.suppress(queue.Empty):
                self._take_out(self._queue.get(timeout=min([*waits, threading.TIMEOUT_MAX]) if waits else None))
        while not self._queue.empty():  # nobody else takes anything out
            self._take_out(self._queue.get_nowait())
        entries: list[_Entry] = []
        size = 0
        while self._next_entry is not None or self._waiting:
            if self._next_entry is None:
                self._next_entry = self._waiting.pop()
            if entries and size + self._next_entry.size > MAX_WRITES:
                break
            entries.append(self._next_entry)
            size += self._next_entry.size
            self._next_entry = None
        return entries

    def _take_out(self, entry: _Entry | None) -> None:
        if entry is not None:
            self._waiting.push(entry.principal, entry)

    def _wake(self) -> None:
        self._queue.put(None)

    def _has_expired(self) -> bool:
        """Whether something is to be deleted for that, and the time for it has come."""
        if not self.expiry.is_due:
            return False
        try:
            return self._connections.read(self.expiry.look)
        except VaultError as error:
            _log.warning("deleting what has expired is left for later: %s", error)
            self.expiry.failed()
            return False

    def _transact(self, entries: list[_Entry]) -> None:
        try:
            outcomes = self._commit(entries, first=True)
        except Exception as error:  # noqa: BLE001  # whatever it is belongs to the callers; the thread must go on
            again = self._recover(entries, error)
            if again is None:
                return
            entries, outcomes = again
        _discard(entries)
        reached("before the answer")
        if len(entries) == 1:
            entries[0].answer(outcomes)
        else:
            for entry in entries:
                entry.answer(outcomes[: entry.outcomes])
                outcomes = outcomes[entry.outcomes :]
        reached("answered")

    def _recover(self, entries: list[_Entry], error: Exception) -> tuple[list[_Entry], Sequence[Any]] | None:
        """Does what can be done after a transaction that failed: entries that are not answered yet, and their outcomes;
        None when all are refused."""
        told = self._told(error)
        items = _items(entries)
        if _is_of_rows(error) and len(items) > 1:
            with self._sweeper.sparing():
                return entries, self._commit_apart(items)
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
            return None
        return entries, again

    def _commit_with_room(self, entries: list[_Entry]) -> Sequence[Any] | None:
        """As `_commit`, after one that failed because the disk was full; None when it is of no use."""
        try:
            self._commit([_Entry(_ignore, task=self._sweeper.make_room)], first=False)
            return self._commit(entries, first=False)
        except Exception as error:  # noqa: BLE001  # the callers are told why it failed in the first place
            _log.warning("there is no room on the disk, after all: %s", error)
            return None

    def _commit_apart(self, items: Sequence[Item]) -> Sequence[Any]:
        """The outcomes of a group that damaged rows were in the way of: committed in halves, so that in the end only
        those are refused that they are of."""
        try:
            return self._commit([_Entry(_ignore, items)], first=True)
        except Exception as error:  # noqa: BLE001  # as in `_transact`
            if len(items) == 1 or not _is_of_rows(error):
                return [self._told(error)] * len(items)
        half = len(items) // 2
        return [*self._commit_apart(items[:half]), *self._commit_apart(items[half:])]

    def _commit(self, entries: Sequence[_Entry], *, first: bool) -> Sequence[Any]:
        """The outcome of each write or task, once they are durable; see `Committer.commit`."""
        task = entries[0].task if entries else None
        work = _items(entries) if task is None else task
        try:
            outcomes, moved = self._committer.commit(work, first=first, collecting=not self._closed)
        except PartlyCommittedError as part:
            rest = sum(entry.outcomes for entry in entries) - len(part.outcomes)
            outcomes, moved = part.outcomes + [self._told(part.error)] * rest, True
        if moved:
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
            _log.warning("removing what has expired, or no object has any more, is left for later: %s", told)
        _discard(entries)
        for entry in entries:
            entry.answer([told] * entry.outcomes)


def _settle(future: Future[Any], outcome: Any) -> None:
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _items(entries: Sequence[_Entry]) -> Sequence[Item]:
    """What is in the entries; of one, as it came."""
    return entries[0].items if len(entries) == 1 else [item for entry in entries for item in entry.items]


def _ignore(_: Sequence[Any]) -> None:
    """Nobody waits for it."""


def _is_of_rows(error: Exception) -> bool:
    """Whether a transaction failed on rows that a sound register would not have, so that writes on others may not."""
    if isinstance(error, StorageError):
        return error.reason == "REGISTER_DAMAGED"
    codes = (0, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_CORRUPT)  # 0: Python's own, of a text that is none
    return isinstance(error, sqlite3.Error) and primary_code(error) in codes


def _discard(entries: list[_Entry], *, release: bool = False) -> None:
    """Removes staged files that were not placed; with `release` not those of writes that can go on later."""
    for entry in entries:
        items = entry.items
        contents = items.contents if type(items) is Batch else [getattr(item, "content", None) for item in items]
        for content in contents:
            if content is not None and (staged := content.staged) is not None:
                try:
                    if release:
                        staged.release()
                    else:
                        staged.discard()
                except OSError as error:
                    _log.warning("could not remove the staged file %s: %s", staged.path, error)
