"""EmbeddedStore for asyncio: blocking calls go to a few threads, commits are awaited without one."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar, Final, TypeVar, cast

from vault._runtime.blocking import on_thread, on_thread_or_here
from vault._runtime.fork import renew_after_fork
from vault._runtime.sync_async import AsyncAffinity
from vault.errors import ClosedError, UnavailableError, VaultError
from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncStore, AsyncWatch, BlockReader, LoadResult
from vault.store.progress import ProgressCallback
from vault.store.values import (
    Capabilities,
    Change,
    DeleteSpec,
    Key,
    LoadItem,
    MetadataSpec,
    NotModified,
    ObjectInfo,
    Page,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
)

from vault_server.storage.embedded.async_streams import AsyncStagingWriter, AsyncStoredReader, AsyncStoredWatch
from vault_server.storage.embedded.store import EmbeddedStore
from vault_server.storage.engine.reads import Reads, find_many, read_found
from vault_server.storage.engine.writes import StagedWriter
from vault_server.storage.feed.notifier import Notifier
from vault_server.storage.files.reader import StoredReader
from vault_server.storage.maintenance import CheckReport, ScrubStatus
from vault_server.storage.maintenance.scrub import PASS_INTERVAL, SCRUB_RATE
from vault_server.storage.options import DEFAULT_OPTIONS, StoreOptions

THREADS: Final = 8
"""Enough to keep a disk busy; more would wait for the GIL. Commits wait on none of them."""

_FEW_ROWS: Final = 32
_COLD: Final = 0.005  # seconds; a lookup in memory takes some 20 µs a row
_COLD_PAUSE: Final = 0.1

_SMALL_BATCH: Final = 64
_SMALL_BYTES: Final = 256 << 10

T = TypeVar("T")


class AsyncEmbeddedStore(AsyncStore):
    """EmbeddedStore for the tasks of one event loop.

    Opening blocks, as EmbeddedStore's does: for milliseconds, unless a directory is adopted.

    A call that is cancelled leaves nothing half done: an upload whose `write` is cancelled is aborted, and
    a commit that was begun finishes, and may have taken effect.

    Args:
        store: A directory, opened here and closed by `close`; or an open EmbeddedStore, which stays open.
        options: EmbeddedStore's, for a directory.
    """

    local_feed: ClassVar[bool] = True

    def __init__(
        self,
        store: str | os.PathLike[str] | EmbeddedStore,
        options: StoreOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._owned = not isinstance(store, EmbeddedStore)
        self._store = store if isinstance(store, EmbeddedStore) else EmbeddedStore(store, options)
        self._cold_until = 0.0
        self._closed = self._ended = False
        self._affinity = AsyncAffinity("the store")
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """In a forked child: threads of its own. Called for you."""
        self._affinity.renew()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="vault-storage")
        self._notifier: Notifier | None = None
        self._unfinished: set[asyncio.Future[Any]] = set()

    @property
    def revision(self) -> int:
        self._require_open()
        return self._store.revision

    async def capabilities(self) -> Capabilities:
        self._require_open()
        return self._store.capabilities()

    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        return await self._look(len(keys), self._store.exists_many, unit, keys)

    async def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        return await self._look(len(keys), self._store.stat_many, unit, keys)

    async def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page:
        return await self._ask(
            lambda: self._store.list_page(unit, prefix=prefix, tags=tags, page_size=page_size, page_token=page_token)
        )

    async def list_units(self) -> list[str]:
        return await self._ask(self._store.list_units)

    async def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        if_generation_not_match: int | None = None,
        generation: int | None = None,
    ) -> AsyncBlockReader | NotModified | None:
        opening = self._ask(
            lambda: Reads.load(
                self._store,
                unit,
                key,
                offset=offset,
                length=length,
                if_generation=if_generation,
                if_generation_not_match=if_generation_not_match,
                generation=generation,
            )
        )
        try:
            found = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_reader)
            raise
        return AsyncStoredReader(found, self) if isinstance(found, StoredReader) else cast("NotModified | None", found)

    async def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        outcomes = await self._look(len(items), find_many, self._store.engine, unit, items)
        if isinstance(outcomes, list) and any(isinstance(outcome, tuple) for outcome in outcomes):  # in a file
            return await self._ask(read_found, self._store.engine, outcomes)
        return cast("Sequence[LoadResult]", outcomes)

    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return await self._begin(lambda: self._store.writes.upload(unit, spec, resumable=resumable))

    async def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return await self._begin(lambda: self._store.writes.update(unit, spec, resumable=resumable))

    async def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        return await self._ask(self._store.write_status, unit, request_id)

    async def abort_write(self, unit: str, request_id: bytes) -> None:
        await self._ask(self._store.abort_write, unit, request_id)

    async def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        self._require_open()
        return await self.finish(
            self._write(self._store.writes.upload_many, unit, items, directly=self._is_small(items))
        )

    async def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        self._require_open()
        return await self.finish(
            self._write(self._store.writes.update_many, unit, items, directly=self._is_small(items))
        )

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        self._require_open()
        return await self.finish(self._write(self._store.writes.delete_many, unit, items, directly=True))

    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        self._require_open()
        return await self.finish(self._write(self._store.writes.set_metadata, unit, spec, directly=True))

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        self._require_open()
        watched = self._store.watched_units(units, since)
        feed = self._store.engine.feed
        if self._notifier is None:
            self._notifier = Notifier(feed)
        return AsyncStoredWatch(feed, self._notifier, self, watched, since)

    async def changes(self, since: int) -> tuple[int, list[Change]]:
        self._require_open()
        return self._store.changes(since)

    async def check(
        self, *, deep: bool = False, repair: bool = False, progress: ProgressCallback | None = None
    ) -> CheckReport:
        """EmbeddedStore.check, on a thread, which `progress` is called from."""
        return await self._ask(lambda: self._store.check(deep=deep, repair=repair, progress=progress))

    async def start_scrub(self, rate: float = SCRUB_RATE, *, interval: float = PASS_INTERVAL) -> None:
        """EmbeddedStore.start_scrub: it has a thread of its own."""
        await self._ask(lambda: self._store.start_scrub(rate, interval=interval))

    async def scrub_status(self) -> ScrubStatus:
        """EmbeddedStore.scrub_status, on a thread."""
        return await self._ask(self._store.scrub_status)

    async def close(self) -> None:
        self._affinity.require_closable()
        self._closed = True
        if self._ended:
            return
        if self._affinity.is_foreign:  # its own event loop is closed, and what was not finished there never will be
            self._unfinished.clear()
        while self._unfinished:
            await asyncio.wait(set(self._unfinished))
        await on_thread_or_here(self._close)
        self._ended = True

    async def _look(self, rows: int, function: Callable[..., T], *args: Any) -> T:
        """Looks so many rows up in the register: a few here and now, which takes less than half of what it takes to
        wake a thread. On a thread, for a while, after a lookup that had to wait for the disk."""
        self._require_open()
        began = time.monotonic()
        if rows > _FEW_ROWS or began < self._cold_until:
            return await self._ask(function, *args)
        found = function(*args)
        if time.monotonic() - began > _COLD:
            self._cold_until = began + _COLD_PAUSE
        return found

    def _ask(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        self._require_own_loop()
        return self.call(function, *args)

    def call(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """See `async_streams.Threads`; so for the next two."""
        # Not only while open: what `close` waits for goes on until the pool is shut down.
        return on_thread(self._pool, function, *args)

    def send(self, function: Callable[[], Any]) -> None:
        try:
            on_thread(self._pool, function)
        except (ClosedError, UnavailableError):  # nothing is under way to wait for; or there is no thread to do it
            function()

    def finish(self, work: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
        task = asyncio.get_running_loop().create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return asyncio.shield(task)

    async def _begin(self, begin: Callable[[], StagedWriter]) -> AsyncBlockWriter:
        beginning = self._ask(begin)
        try:
            return AsyncStagingWriter(await asyncio.shield(beginning), self)
        except asyncio.CancelledError:
            beginning.add_done_callback(self._suspend)
            raise

    def _suspend(self, beginning: "asyncio.Future[StagedWriter]") -> None:
        """Gives back what a cancelled call began."""
        if not beginning.cancelled() and beginning.exception() is None:
            self.send(beginning.result().suspend)

    async def _write(self, begin: Callable[..., "Future[T]"], *args: Any, directly: bool) -> T:
        future = begin(*args) if directly else await self.call(begin, *args)
        return await asyncio.wrap_future(future)

    def _is_small(self, items: Sequence[SmallUpload] | Sequence[SmallUpdate]) -> bool:
        """Whether preparing the items takes no disk and next to no time."""
        if len(items) > _SMALL_BATCH:
            return False
        sizes = [len(item.data) for item in items if isinstance(item.data, bytes | bytearray | memoryview)]
        return sum(sizes) <= _SMALL_BYTES and max(sizes, default=0) <= self._store.engine.settings.inline_limit

    def _finished(self, task: "asyncio.Future[Any]") -> None:
        self._unfinished.discard(task)
        if not task.cancelled():
            task.exception()  # fetched: who awaited it may be cancelled, and nobody else will ask

    def _close(self) -> None:
        if self._notifier is not None:
            self._notifier.close()
        if self._owned:
            self._store.close()
        self._pool.shutdown()

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("the store is closed")
        self._require_own_loop()

    def _require_own_loop(self) -> None:
        self._affinity.require()


def _close_reader(opening: "asyncio.Future[BlockReader | NotModified | None]") -> None:
    with contextlib.suppress(VaultError, asyncio.CancelledError):  # then there is nothing to close
        reader = opening.result()
        if isinstance(reader, StoredReader):
            reader.close()
