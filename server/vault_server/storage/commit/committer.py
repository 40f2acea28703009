"""One write transaction, from its beginning to where it is durable: facts, decision, files, plan."""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from vault.errors import VaultError

from vault_server.storage.clock import StoreClock
from vault_server.storage.commit.collection import Sweeper
from vault_server.storage.commit.expiry import Expiry
from vault_server.storage.commit.placement import Placement
from vault_server.storage.decision.decide import decide
from vault_server.storage.decision.plan import Facts, Plan, Retention
from vault_server.storage.decision.quota import evicted_first, learn, more_to_know, require_progress
from vault_server.storage.decision.writes import Batch, PlacingWrite, Write
from vault_server.storage.failpoints import reached
from vault_server.storage.files.blobs import Blobs
from vault_server.storage.files.reserve import Reserve
from vault_server.storage.files.staging import Staging
from vault_server.storage.index.apply import apply
from vault_server.storage.index.connections import BUSY_SECONDS, Connections
from vault_server.storage.index.facts import facts
from vault_server.storage.index.units import oldest
from vault_server.storage.os_errors import is_busy

_log = logging.getLogger(__name__)

Item = Write | VaultError
"""A write, or the error of one that could not be prepared, which is its outcome."""

Task = Callable[[sqlite3.Connection, Placement], Any]


class PartlyCommittedError(Exception):
    """The first of the writes were committed, with these outcomes, and then it failed."""

    def __init__(self, outcomes: list[Any], error: Exception) -> None:
        super().__init__(outcomes, error)
        self.outcomes = outcomes
        self.error = error


class Committer:
    """Commits writes, or a task, in one transaction. Of the writer's thread alone."""

    def __init__(
        self,
        connections: Connections,
        blobs: Blobs,
        staging: Staging,
        sweeper: Sweeper,
        reserve: Reserve,
        retention: Retention,
        clock: StoreClock,
        expiry: Expiry,
    ) -> None:
        self._clock = clock
        self._expiry = expiry
        self._connections = connections
        self._blobs = blobs
        self._staging = staging
        self._sweeper = sweeper
        self._reserve = reserve
        self._retention = retention

    def commit(self, work: Sequence[Item] | Task, *, first: bool, collecting: bool) -> tuple[Sequence[Any], bool]:
        """The outcome of each write, or of the task, once they are durable; and whether the store's revision moved.

        Args:
            first: Not after one that failed because the disk was full. Then it retains nothing, and leaves the
                files alone that the one before has named: its own writes have them.
            collecting: Also look for generations that have expired.
        """
        outcomes: list[Any] = []
        moved = False
        while True:
            rest = work if callable(work) or not outcomes else work[len(outcomes) :]
            try:
                answers, more = self._transact(rest, first=first, collecting=collecting)
            except Exception as error:
                if outcomes:
                    raise PartlyCommittedError(outcomes, error) from error
                raise
            moved = moved or more
            if not callable(work) and len(answers) == len(work):
                return answers, moved  # as it is: it may be columns
            outcomes += answers
            if callable(work) or len(outcomes) == len(work):
                return outcomes, moved

    def _transact(self, work: Sequence[Item] | Task, *, first: bool, collecting: bool) -> tuple[Sequence[Any], bool]:
        """One transaction: as `commit`, of the first of the writes where others have to wait; no outcomes: it made room
        for them."""
        retention = self._retention if first else replace(self._retention, grace=0)
        placement = Placement(self._blobs, self._staging)

        def transact(connection: sqlite3.Connection) -> tuple[Sequence[Any], Plan | None, bool]:
            if not first:
                _checkpoint(connection)
            _begin(connection)
            try:
                reached("transaction begun")
                if first:
                    self._sweeper.sweep(connection, placement, collecting=collecting)
                else:
                    self._sweeper.skip()
                return self._finish(connection, *self._work(connection, placement, work, retention, full_ends_it=first))
            except BaseException:
                _roll_back(connection)
                raise

        try:
            outcomes, plan, moved = self._connections.write(transact)
        except BaseException:
            self._sweeper.failed(placement)
            self._expiry.failed()
            raise
        self._expiry.committed(None if plan is None else plan.expires)
        self._sweeper.committed(placement, plan, retention.grace / 1e6)
        return outcomes, moved

    def _work(
        self,
        connection: sqlite3.Connection,
        placement: Placement,
        work: Sequence[Item] | Task,
        retention: Retention,
        *,
        full_ends_it: bool,
    ) -> tuple[Sequence[Any], Plan | None, int, int]:
        """Does it: the outcomes, the plan of the writes, and the store's revision before and after."""
        if callable(work):
            begun_at = _revision(connection)
            done = work(connection, placement)
            placement.settle(None)
            return [done], None, begun_at, _revision(connection)
        outcomes, plan = self._decide(connection, placement, work, retention, full_ends_it=full_ends_it)
        placement.settle(plan)
        apply(connection, plan)
        return outcomes, plan, plan.begun_at, plan.revision

    def _finish(
        self,
        connection: sqlite3.Connection,
        outcomes: Sequence[Any],
        plan: Plan | None,
        begun_at: int,
        revision: int,
    ) -> tuple[Sequence[Any], Plan | None, bool]:
        reached("before COMMIT")
        connection.execute("COMMIT")
        reached("committed")
        if revision != begun_at:  # otherwise this COMMIT has synced nothing
            self._connections.note(revision)
        reached("revision noted")
        self._connections.acknowledge()
        self._reserve.hold()
        return outcomes, plan, revision != begun_at

    def _decide(
        self,
        connection: sqlite3.Connection,
        placement: Placement,
        items: Sequence[Item],
        retention: Retention,
        *,
        full_ends_it: bool,
    ) -> tuple[Sequence[Any], Plan]:
        """Decides the writes, and names the files of those that are accepted. A write whose file cannot be named is
        refused, and the others are decided without it; see `_transact`."""
        is_batch = type(items) is Batch
        writes: Sequence[Any] = items if is_batch else [item for item in items if not isinstance(item, VaultError)]
        known, expired = self._facts(connection, writes, retention)
        wall = self._clock.wall()
        refused: dict[int, VaultError] = {}
        while True:
            accepted = [write for write in writes if id(write) not in refused] if refused else writes
            plan = decide(known, [*expired, *accepted] if expired else accepted, wall, retention)
            if expired:
                plan.outcomes = plan.outcomes[len(expired) :]
            if plan.undecided is not None:
                unit = plan.undecided.unit
                if most := more_to_know(known, plan, len(writes)):
                    learn(known, unit, oldest(connection, unit, most))
                    continue
                if not plan.outcomes and plan.revision == plan.begun_at:  # no write comes before it
                    drops = evicted_first(known, plan.undecided)
                    known = facts(connection, drops, retention)
                    return [], require_progress(decide(known, drops, wall, retention))
            failed = placement.place(plan.contents, full_ends_it=full_ends_it)
            if not failed:
                break
            errors = {id(new.content): error for new, error in failed}
            if is_batch and not refused:
                items = writes = list(items)  # from here on each of them is told by its id
            for write in writes:
                if isinstance(write, PlacingWrite) and id(write.content) in errors:
                    refused[id(write)] = errors[id(write.content)]
        if not refused and len(plan.outcomes) == len(items):
            return plan.outcomes, plan
        return plan.answers(items, lambda item: item if isinstance(item, VaultError) else refused.get(id(item))), plan

    def _facts(
        self, connection: sqlite3.Connection, writes: Sequence[Write], retention: Retention
    ) -> tuple[Facts, list[Write]]:
        """What has to be known, and what is to be deleted with the writes, before them, since it has expired: when that
        is due, and when it takes room that is limited."""
        known = facts(connection, writes, retention)
        known.clock = self._clock.raise_to(known.clock)
        if not (self._expiry.is_due or known.has_limits):
            return known, []
        expired = self._expiry.take(connection)
        if expired:
            known = facts(connection, [*expired, *writes], retention)
            known.clock = self._clock.now()
        return known, expired


def _revision(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT revision FROM meta").fetchone()[0])


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


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            _log.warning("a rollback failed; closing the connection rolls back too: %s", error)
