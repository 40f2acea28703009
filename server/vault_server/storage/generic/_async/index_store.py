"""The Store of an engine that is an index, blobs and a signal: it commits, collects and resumes by `generic`."""

from collections.abc import Callable
from typing import Literal

from vault._runtime.sync_async import AsyncAffinity
from vault.errors import ClosedError

from vault_server.storage.clock import StoreClock, wall_clock
from vault_server.storage.decision.plan import Plan
from vault_server.storage.generic._async.collection import AsyncCollection
from vault_server.storage.generic._async.commits import AsyncCommits
from vault_server.storage.generic._async.protocols import AsyncBlobStore, AsyncCommitSignal, AsyncWritableIndex
from vault_server.storage.generic._async.suspended import AsyncSuspended
from vault_server.storage.generic._async.writer import AsyncStagingStore
from vault_server.storage.options import StoreOptions


class AsyncIndexStore(AsyncStagingStore):
    """In a forked child every call raises ClosedError. An asynchronous one is its first event loop's."""

    blobs: AsyncBlobStore
    commits: AsyncCommits
    suspended: AsyncSuspended

    def __init__(
        self,
        index: AsyncWritableIndex,
        blobs: AsyncBlobStore,
        signal: AsyncCommitSignal,
        options: StoreOptions,
        *,
        durability: Literal["none", "relaxed", "full"],
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        super().__init__(options)
        self.index = index
        self.blobs = blobs
        self.signal = signal
        self._clock = StoreClock(clock)
        self.collection = AsyncCollection(index, blobs, clock)
        self.commits = AsyncCommits(index, blobs, signal, self.collection, options.retained, self._clock, self._applied)
        self.suspended = AsyncSuspended(float(options.resume_window), blobs.stage)
        self.durability = durability
        self._revision = 0
        self._closed = False
        self._affinity = AsyncAffinity("the store")

    @property
    def clock(self) -> StoreClock:
        return self._clock

    @property
    def revision(self) -> int:
        self.require_open()
        return self._revision

    def require_open(self) -> None:
        self._affinity.require()
        if self._closed:
            raise ClosedError("the store is closed")

    async def end(self) -> None:
        self._affinity.require_closable()
        self._closed = True
        self.signal.notify()
        await self.suspended.close()

    def _applied(self, plan: Plan) -> None:
        self._revision = max(self._revision, plan.revision)
