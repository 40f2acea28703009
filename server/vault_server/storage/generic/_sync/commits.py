# Generated from _async/commits.py by scripts/unasync: DO NOT CHANGE.
"""Group commit: whoever finds the lock free decides and applies what everybody has queued up, in one plan."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from vault._runtime.sync_async import Lock
from vault.errors import VaultError
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits

from vault_server.fair_queue import FairQueue
from vault_server.storage.clock import StoreClock
from vault_server.storage.decision.decide import decide
from vault_server.storage.decision.plan import Facts, Outcome, Plan, Retention
from vault_server.storage.decision.quota import MOST_EVICTED, evicted_first, learn, more_to_know, require_progress
from vault_server.storage.decision.stored import Purged
from vault_server.storage.decision.writes import Content, Write, asked, drop
from vault_server.storage.generic._sync.collection import Collection
from vault_server.storage.generic._sync.protocols import BlobStore, CommitSignal, WritableIndex

_SOON: Final = 0.25
"""Seconds until the next deletion of what expires, at least, so that many go with one."""

_log = logging.getLogger(__name__)

MOST_WRITES: Final = 1000
"""Writes in one group, unless one caller alone has more: nobody waits for too many others."""


@dataclass(slots=True, eq=False)
class _Entry:
    """One caller's writes, and what became of them."""

    writes: Sequence[Write]
    outcomes: Sequence[Outcome] | None = None
    error: Exception | None = None
    withdrawn: bool = False

    @property
    def principal(self) -> str:
        """Whose they are; the writes of one entry are one caller's."""
        return self.writes[0].principal if self.writes else ""

    @property
    def is_over(self) -> bool:
        return self.withdrawn or self.outcomes is not None or self.error is not None


class Commits:
    """Commits writes over an index and blobs.

    What is queued stays in the queue until it has an outcome: when the one who commits is interrupted or cancelled, the
    next one does it again, and what was applied is recognised by its request ids.

    Args:
        applied: Called with each plan that was applied.
    """

    def __init__(
        self,
        index: WritableIndex,
        blobs: BlobStore,
        signal: CommitSignal,
        collection: Collection,
        retention: Retention,
        clock: StoreClock,
        applied: Callable[[Plan], None],
    ) -> None:
        self._index = index
        self._blobs = blobs
        self._signal = signal
        self._collection = collection
        self._retention = retention
        self._clock = clock
        self._applied = applied
        self._queue: deque[_Entry] = deque()
        self._groups = 0
        self._served: dict[str, int] = {}  # by principal: the group in which it was last; of those that wait
        self._lock = Lock()

    def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        """See Committing."""
        outcomes = self._queued(_Entry(writes))
        try:
            self._remove_unused(writes, outcomes)
        except VaultError as error:  # the writes stand, or are refused, all the same
            _log.warning("what was staged for writes that were refused is left behind: %s", error)
        self.collect()
        return outcomes

    def collect(self) -> None:
        try:
            self.expire()
        except VaultError as error:
            _log.warning("what is to be deleted is left for later: %s", error)
        self._collection.collect()

    def expire(self) -> float | None:
        """See Committing: it comes after a commit, before a load, and with a watch."""
        moment = self._index.next_expiry()
        if moment is None:
            return None
        if moment <= self._clock.now():
            self._queued(_Entry([drop(row) for row in self._index.expired(MOST_EVICTED)]))
            moment = self._index.next_expiry()
        return None if moment is None else max((moment - self._clock.now()) / 1e6, _SOON)

    def set_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        """See Committing."""
        with self._index.lock:
            return self._index.set_limits(unit, limits)

    def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        """See Committing."""
        with self._index.lock:
            return self._index.set_principal_limits(principal, limits)

    def purge(self, unit: str | None) -> Purged:
        """See Committing."""
        return self._collection.purge(unit)

    def _remove_unused(self, writes: Sequence[Write], outcomes: Sequence[Outcome]) -> None:
        """Removes what was staged, or placed, for writes that have no use for it."""
        refused: list[str] = []
        for write, outcome in zip(writes, outcomes, strict=True):
            content = _content(write)
            if content is not None and content.file is None and content.staged is not None:
                content.staged.discard()
            elif content is not None and content.file is not None and isinstance(outcome, VaultError):
                refused.append(content.file)  # placed, and then not accepted after all
        if refused:
            self._blobs.remove(refused)

    def _queued(self, entry: _Entry) -> Sequence[Outcome]:
        self._queue.append(entry)
        try:
            while not entry.is_over:
                with self._lock:
                    if not entry.is_over:
                        self._commit(self._next())
        finally:
            if not entry.is_over:
                entry.withdrawn = True
        if entry.error is not None:
            raise entry.error
        assert entry.outcomes is not None  # noqa: S101  # it is over, and not withdrawn
        return entry.outcomes

    def _next(self) -> list[_Entry]:
        """The entries of the next group. Principals take turns, first those that were in a group longest ago."""
        while self._queue and self._queue[0].is_over:
            self._queue.popleft()
        queued = tuple(self._queue)  # other threads add to it meanwhile
        turns: FairQueue[_Entry] = FairQueue()
        for entry in sorted(queued, key=lambda entry: self._served.get(entry.principal, 0)):
            if not entry.is_over:
                turns.push(entry.principal, entry)
        group: list[_Entry] = []
        writes = 0
        while turns:
            entry = turns.pop()
            writes += len(entry.writes)
            if group and writes > MOST_WRITES:
                break
            group.append(entry)
        waiting = {entry.principal for entry in queued}
        self._groups += 1
        self._served = {principal: number for principal, number in self._served.items() if principal in waiting}
        self._served.update((entry.principal, self._groups) for entry in group)
        return group

    def _commit(self, group: list[_Entry]) -> None:
        try:
            one = len(group) == 1  # as it came: it may be columns
            writes = group[0].writes if one else [write for entry in group for write in entry.writes]
            outcomes = self._decided(writes)
        except Exception as error:  # noqa: BLE001  # whatever it is belongs to the callers
            for entry in group:
                entry.error = error
            return
        start = 0
        for entry in group:
            entry.outcomes = outcomes[start : start + len(entry.writes)]
            start += len(entry.writes)

    def _decided(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        with self._index.lock:
            while len(outcomes) < len(writes):
                plan, answers = self._plan(writes[len(outcomes) :] if outcomes else writes)
                self._apply(plan)
                if len(answers) == len(writes):
                    return answers
                outcomes += answers
        return outcomes

    def _plan(self, writes: Sequence[Write]) -> tuple[Plan, Sequence[Outcome]]:
        """What writes come to, with their blobs placed, or the first of them, where others have to wait. No outcomes:
        the plan makes room for them."""
        facts = self._facts(writes)
        expired: list[Write] = []
        if facts.has_limits:  # what has expired is not to take of their room
            expired = [drop(row) for row in self._index.expired(MOST_EVICTED)]
            facts = self._facts([*expired, *writes]) if expired else facts
        unplaced: dict[Content, VaultError] = {}

        def refused(write: Write) -> VaultError | None:
            content = _content(write)
            return None if content is None else unplaced.get(content)

        while True:
            accepted = [write for write in writes if refused(write) is None] if unplaced else writes
            plan = decide(facts, [*expired, *accepted] if expired else accepted, self._clock.wall(), self._retention)
            plan.outcomes = plan.outcomes[len(expired) :]
            if plan.undecided is not None:
                unit = plan.undecided.unit
                if most := more_to_know(facts, plan, len(writes)):
                    learn(facts, unit, self._index.oldest(unit, most))
                    continue
                if not plan.outcomes and plan.revision == plan.begun_at:  # no write comes before it
                    drops = evicted_first(facts, plan.undecided)
                    facts = self._facts(drops)
                    return require_progress(decide(facts, drops, self._clock.wall(), self._retention)), ()
            failed = self._place(plan)
            if not failed:
                whole = not unplaced and len(plan.outcomes) == len(writes)
                return plan, plan.outcomes if whole else plan.answers(writes, refused)
            unplaced.update(failed)

    def _facts(self, writes: Sequence[Write]) -> Facts:
        facts = self._index.facts(asked(writes))
        self._clock.raise_to(facts.clock)
        facts.clock = self._clock.now()
        return facts

    def _apply(self, plan: Plan) -> None:
        if plan.revision != plan.begun_at:
            self._index.apply(plan)
            self._applied(plan)
            self._collection.note(plan)
            self._signal.notify()

    def _place(self, plan: Plan) -> dict[Content, VaultError]:
        """Gives the plan's blobs their names; those that could not be given one."""
        failed: dict[Content, VaultError] = {}
        for number, unit, data_id, content in plan.contents:
            if content.data is None and content.file is None:
                try:
                    content.file = self._blobs.place(content.staged, unit, data_id, number)
                except VaultError as error:
                    failed[content] = error
        return failed


def _content(write: Write) -> Content | None:
    return getattr(write, "content", None)
