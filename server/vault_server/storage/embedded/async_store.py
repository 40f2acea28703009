"""EmbeddedStore for asyncio: `generic`'s AsyncEngineStore over its parts, in threads."""

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, TypeVar, cast

from vault._runtime.blocking import on_thread_or_here
from vault._runtime.fork import renew_after_fork
from vault._runtime.sync_async import AsyncAffinity, AsyncReturned
from vault.errors import ClosedError
from vault.store.contract import AsyncBlockWriter, BlockWriter
from vault.store.limits import EXACT_BELOW, MAX_READ_BYTES
from vault.store.progress import ProgressCallback
from vault.store.values import Key, ObjectRanges

from vault_server.storage.clock import StoreClock
from vault_server.storage.decision.writes import ContentWrite
from vault_server.storage.embedded.async_engine import AsyncEmbeddedEngine, FeedSignal
from vault_server.storage.embedded.async_writer import AsyncFileWriter
from vault_server.storage.embedded.store import EmbeddedStore
from vault_server.storage.embedded.threads import Threads
from vault_server.storage.engine.file_writer import FileWriter
from vault_server.storage.generic._async.store import AsyncEngineStore
from vault_server.storage.generic._async.writer import AsyncAnsweredWriter
from vault_server.storage.generic._sync.writer import AnsweredWriter
from vault_server.storage.maintenance import CheckReport, ScrubStatus
from vault_server.storage.maintenance.scrub import PASS_INTERVAL, SCRUB_RATE
from vault_server.storage.options import DEFAULT_OPTIONS, StoreOptions

T = TypeVar("T")


class AsyncEmbeddedStore(AsyncEngineStore):
    """EmbeddedStore for the tasks of one event loop.

    Opening blocks, as EmbeddedStore's does: for milliseconds, unless a directory is adopted.

    A call that is cancelled leaves nothing half done: an upload whose `write` is cancelled is aborted, and
    a commit that was begun finishes, and may have taken effect.

    Args:
        store: A directory, opened here and closed by `close`; or an open EmbeddedStore, which stays open.
        options: EmbeddedStore's, for a directory.
    """

    local_feed: ClassVar[bool] = True

    signal: FeedSignal

    def __init__(
        self,
        store: str | os.PathLike[str] | EmbeddedStore,
        options: StoreOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._owned = not isinstance(store, EmbeddedStore)
        self._store = store if isinstance(store, EmbeddedStore) else EmbeddedStore(store, options)
        super().__init__(self._store.options)
        self.principal = self._store.principal
        self._closed = self._ended = False
        self._affinity = AsyncAffinity("the store")
        self._threads = Threads(self._affinity)
        parts = AsyncEmbeddedEngine(self._store, self._threads)
        self.index = self.blobs = self.commits = self.suspended = self.leases = parts
        self.signal = FeedSignal(self._store)
        renew_after_fork(self)

    def renew(self) -> None:
        """In a forked child: threads of its own. Called for you."""
        self._affinity.renew()
        self._threads.renew()
        self.signal = FeedSignal(self._store)

    @property
    def clock(self) -> StoreClock:
        return self._store.clock  # which is another in a forked child

    @property
    def revision(self) -> int:
        self.require_open()
        return self._store.revision

    def require_open(self) -> None:
        if self._closed:
            raise ClosedError("the store is closed")
        self._affinity.require()
        self._store.require_open()

    async def finish(self, work: AsyncReturned[T]) -> T:
        return await self._threads.finish(work)

    async def read(
        self,
        unit: str,
        key: Key,
        ranges: Sequence[tuple[int, int | None]],
        *,
        if_generation: int | None = None,
        generation: int | None = None,
        exact_below: int = EXACT_BELOW,
        max_bytes: int = MAX_READ_BYTES,
    ) -> ObjectRanges | None:
        """All of it on one thread: otherwise opening a file is a hop, closing it one, and a block from the disk one."""
        self.require_open()
        reading = partial(self._store.read, unit, key, ranges, if_generation=if_generation, generation=generation)
        return await self._threads.call(partial(reading, exact_below=exact_below, max_bytes=max_bytes))

    async def begin(self, write: ContentWrite, *, resumable: bool) -> AsyncBlockWriter:
        beginning = self._threads.call(lambda: self._store.begin(write, resumable=resumable))
        try:
            writer = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            beginning.add_done_callback(self._suspend)
            raise
        return (
            AsyncFileWriter(writer, self._threads)
            if isinstance(writer, FileWriter)
            else AsyncAnsweredWriter(cast("AnsweredWriter", writer).info)
        )

    async def check(
        self, *, deep: bool = False, repair: bool = False, progress: ProgressCallback | None = None
    ) -> CheckReport:
        """EmbeddedStore.check, on a thread, which `progress` is called from."""
        self.require_open()
        return await self._threads.call(lambda: self._store.check(deep=deep, repair=repair, progress=progress))

    async def start_scrub(self, rate: float = SCRUB_RATE, *, interval: float = PASS_INTERVAL) -> None:
        """EmbeddedStore.start_scrub: it has a thread of its own."""
        self.require_open()
        await self._threads.call(lambda: self._store.start_scrub(rate, interval=interval))

    async def scrub_status(self) -> ScrubStatus:
        """EmbeddedStore.scrub_status, on a thread."""
        self.require_open()
        return await self._threads.call(self._store.scrub_status)

    async def end(self) -> None:
        self._affinity.require_closable()
        self._closed = True
        if not self._ended:
            self.signal.notify()
            await self._threads.idle()
            await on_thread_or_here(self._close)
            self._ended = True

    def _close(self) -> None:
        self.signal.close()
        if self._owned:
            self._store.close()
        self._threads.close()

    def _suspend(self, beginning: "asyncio.Future[BlockWriter]") -> None:
        """Gives back what a cancelled call began."""
        if not beginning.cancelled() and beginning.exception() is None:
            self._threads.send(beginning.result().suspend)
