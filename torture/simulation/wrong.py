"""Protocols that are wrong on purpose, each in one way that somebody might write: the simulation is to find each."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from vault.errors import UnavailableError
from vault.store.values import Change, Key, ObjectInfo
from vault_server.storage.decision.decide import decide
from vault_server.storage.decision.plan import Facts, Found, Outcome, Plan, Retention
from vault_server.storage.decision.rows import Row
from vault_server.storage.decision.stored import Claimed, Stored
from vault_server.storage.decision.writes import Asked, Content, Write, asked
from vault_server.storage.generic._async.commits import AsyncCommits
from vault_server.storage.generic._async.index_store import AsyncIndexStore
from vault_server.storage.memory.tables import MemoryTables

from torture.simulation.world import ClockLock, Node, SimulatedBlobs, SimulatedIndex, SimulatedSignal, World


class _AcknowledgesFirst(AsyncCommits):
    """Answers, and applies after it: what if that fails?"""

    async def _decided(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        facts = await self._index.facts(asked(writes))
        plan = decide(facts, writes, self._clock.wall(), self._retention)
        try:
            return await super()._decided(writes)
        except UnavailableError:
            return plan.outcomes


class _PlacesAfterwards(AsyncCommits):
    """Commits, and gives the blobs their names after it."""

    async def _place(self, plan: Plan) -> dict[Content, Any]:
        for new in plan.contents:
            if new.content.data is None and new.content.file is None:
                new.content.file = f"{new.unit}/{new.data_id}.{new.number}.later"
        return {}


class _TakesUnknownForRefused(AsyncCommits):
    """Removes what it has placed when the connection is lost at the commit, which may have been done."""

    async def _decided(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        try:
            return await super()._decided(writes)
        except UnavailableError:
            files = [content.file for write in writes if (content := getattr(write, "content", None)) and content.file]
            await self._blobs.remove(files)
            raise


class _NoLock(ClockLock):
    """Lets everybody decide at once: revisions are given twice."""

    async def __aenter__(self) -> None:
        await self._node.step()

    async def __aexit__(self, *_: object) -> None:
        """Nothing was taken."""


class _ForgetsRequests(SimulatedIndex):
    """Does not know which requests were applied."""

    async def facts(self, asked: Asked) -> Facts:
        return dataclasses.replace(await super().facts(asked), answers={})


class _ReadsTheRevisionLater(SimulatedIndex):
    """Reads changes, and in another moment the revision up to which they are said to be complete."""

    async def changes(
        self, since: int, limit: int | None = None, units: Sequence[str] = ()
    ) -> tuple[int, Sequence[Change]]:
        _, changes = await super().changes(since, limit, units)
        return await self.revision(), changes


class _FactsOfBefore(SimulatedIndex):
    """Takes the lock and sees what was there before it, as one statement of PostgreSQL would that does both."""

    def __init__(self, node: Node, retention: Retention) -> None:
        super().__init__(node, retention)
        self.lock = _LateLock(node, self)
        self.before: Callable[[Asked], Facts] | None = None

    async def facts(self, asked: Asked) -> Facts:
        seen, self.before = self.before, None
        facts = await super().facts(asked)
        if seen is not None:
            old = seen(asked)
            facts = dataclasses.replace(facts, rows=old.rows, answers=old.answers)
        return facts


class _LateLock(ClockLock):
    def __init__(self, node: Node, index: _FactsOfBefore) -> None:
        super().__init__(node)
        self._index = index

    async def __aenter__(self) -> None:
        tables = self._node.world.tables
        rows, names, requests = dict(tables._objects), dict(tables._names), dict(tables._requests)
        await super().__aenter__()
        retention = self._index._retention

        def seen(asked: Asked) -> Facts:
            now = tables._objects, tables._names, tables._requests
            tables._objects, tables._names, tables._requests = rows, names, requests
            try:
                return tables.facts(asked, retention)
            finally:
                tables._objects, tables._names, tables._requests = now

        self._index.before = seen


class _ShowsExpired(SimulatedIndex):
    """Finds what has expired for as long as it is not deleted."""

    async def find(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        await self.node.step()
        tables = self.node.world.tables
        with _at(tables, lambda: 0):
            return tables.find(unit, keys)


class _ExpiresTooSoon(SimulatedIndex):
    """Deletes what is about to expire."""

    async def next_expiry(self) -> int | None:
        moment = await super().next_expiry()
        return None if moment is None else moment - 100_000

    async def expired(self, limit: int) -> list[Row]:
        await self.node.step()
        tables = self.node.world.tables
        with _at(tables, lambda: self.node.world.clock() + 100_000):
            return tables.expired(limit)


class _WritesToExpired(SimulatedIndex):
    """Takes what has expired for what never does, when it is written to."""

    async def facts(self, asked: Asked) -> Facts:
        facts = await super().facts(asked)
        rows = {key: Found(found.row._replace(expires_at=None), found.file) for key, found in facts.rows.items()}
        return dataclasses.replace(facts, rows=rows)


@contextlib.contextmanager
def _at(tables: MemoryTables, now: Callable[[], int]) -> Iterator[None]:
    """Has the tables take another time for the store's."""
    right, clock = tables.now, tables._clock
    tables.now, tables._clock = now, 0
    try:
        yield
    finally:
        tables.now, tables._clock = right, clock


class _CollectsTooSoon(SimulatedIndex):
    """Collects what somebody may still ask for."""

    async def claim(self, now: int, most: int) -> Claimed:
        return await super().claim(now + 10**9, most)


class _RemovesFirst(SimulatedBlobs):
    """Removes a generation's blob at once, while the index still has it."""

    async def open(self, found: Stored) -> Any:
        await self.remove([other for other in self.node.world.blobs if other != found.content.file][:1])
        return await super().open(found)


def _with(
    index: type[SimulatedIndex] = SimulatedIndex,
    commits: type[AsyncCommits] = AsyncCommits,
    blobs: type[SimulatedBlobs] = SimulatedBlobs,
    lock: type[ClockLock] | None = None,
) -> Callable[[World, Node], AsyncIndexStore]:
    def make(world: World, node: Node) -> AsyncIndexStore:
        retention = world.options.retained
        own = index(node, retention)
        if lock is not None:
            own.lock = lock(node)
        store = AsyncIndexStore(
            own, blobs(node), SimulatedSignal(node), world.options, durability="full", clock=world.clock
        )
        store.commits = commits(
            own, store.blobs, store.signal, store.collection, retention, store.clock, store._applied
        )
        return store

    return make


WRONG: Final[Mapping[str, Callable[[World, Node], AsyncIndexStore]]] = {
    "acknowledged before it is applied": _with(commits=_AcknowledgesFirst),
    "a revision is used twice": _with(lock=_NoLock),
    "a retry is not recognised": _with(index=_ForgetsRequests),
    "a feed with a hole": _with(index=_ReadsTheRevisionLater),
    "facts of before the lock": _with(index=_FactsOfBefore),
    "bytes are placed after the commit": _with(commits=_PlacesAfterwards),
    "an unknown outcome is taken for a refusal": _with(commits=_TakesUnknownForRefused),
    "collected before its time": _with(index=_CollectsTooSoon),
    "a blob is removed that a generation has": _with(blobs=_RemovesFirst),
    "what has expired is shown": _with(index=_ShowsExpired),
    "what expires goes before its time": _with(index=_ExpiresTooSoon),
    "what has expired is written to": _with(index=_WritesToExpired),
}
