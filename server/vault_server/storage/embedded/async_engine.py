"""An embedded store's parts for tasks, as `generic` takes them: the sync ones, in `threads`."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from vault._runtime.sync_async import Background
from vault.errors import VaultError
from vault.store.listing import Listing
from vault.store.specs import LoadItem, SmallWrite
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits
from vault.store.values import Change, Key, LoadResult, ObjectInfo, WriteStatus

from vault_server.storage.decision.listing import Listed, Span
from vault_server.storage.decision.plan import Facts, Outcome
from vault_server.storage.decision.stored import Purged, Stored
from vault_server.storage.decision.writes import Asked, Content, RequestKey, Write
from vault_server.storage.embedded.store import EmbeddedStore
from vault_server.storage.embedded.threads import Threads
from vault_server.storage.files.reader import BlobFile
from vault_server.storage.generic._async.signal import AsyncSignal

_SMALL_BATCH: Final = 64
_SMALL_BYTES: Final = 256 << 10


class AsyncEmbeddedEngine:
    """Index, blobs, what commits, what is kept of writes, and leases."""

    def __init__(self, store: EmbeddedStore, threads: Threads) -> None:
        self._store = store
        self._threads = threads

    async def identity(self) -> str:
        return self._store.engine.index.store_id

    async def facts(self, asked: Asked) -> Facts:
        return await self._threads.call(self._store.index.facts, asked)

    async def generations(self, unit: str, keys: Sequence[Key]) -> list[int]:
        return await self._threads.look_up(len(keys), self._store.index.generations, unit, keys)

    async def find(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        return await self._threads.look_up(len(keys), self._store.index.find, unit, keys)

    async def load_small(self, unit: str, items: Sequence[LoadItem], room: int) -> Sequence[LoadResult | Stored]:
        return await self._threads.look_up(len(items), self._store.index.load_small, unit, items, room)

    async def stored(self, unit: str, key: Key) -> Stored | None:
        return await self._threads.look_up(1, self._store.index.stored, unit, key)

    async def retained(self, unit: str, data_id: int, generation: int) -> Stored | None:
        return await self._threads.look_up(1, self._store.index.retained, unit, data_id, generation)

    async def page(self, listing: Listing, span: Span, limit: int) -> Listed:
        return await self._threads.call(self._store.index.page, listing, span, limit)

    async def units(self) -> list[str]:
        return await self._threads.call(self._store.index.units)

    async def unit_infos(self, units: Sequence[str]) -> list[UnitInfo]:
        return await self._threads.look_up(len(units), self._store.index.unit_infos, units)

    async def unit_page(self, prefix: str, after: str | None, limit: int) -> tuple[list[UnitInfo], str | None]:
        return await self._threads.call(self._store.index.unit_page, prefix, after, limit)

    async def principal_infos(self, principals: Sequence[str]) -> list[PrincipalInfo]:
        return await self._threads.look_up(len(principals), self._store.index.principal_infos, principals)

    async def principal_page(
        self, prefix: str, after: str | None, limit: int
    ) -> tuple[list[PrincipalInfo], str | None]:
        return await self._threads.call(self._store.index.principal_page, prefix, after, limit)

    async def changes(
        self, since: int, limit: int | None = None, units: Sequence[str] = ()
    ) -> tuple[int, Sequence[Change]]:
        feed = self._store.engine.feed
        if limit is None:
            return feed.changes(since)
        if feed.holds(since):
            return feed.page(since, units)
        return await self._threads.call(feed.page, since, units)

    async def revision(self) -> int:
        return self._store.engine.feed.refresh()

    async def contents(self, unit: str, items: Sequence[SmallWrite]) -> list[Content | VaultError]:
        if self._is_small(items):
            return self._store.blobs.contents(unit, items)
        return await self._threads.call(self._store.blobs.contents, unit, items)

    async def copy(self, unit: str, found: Stored) -> Content | None:
        if found.content.file is None:
            return self._store.blobs.copy(unit, found)
        return await self._threads.call(self._store.blobs.copy, unit, found)

    async def read(self, found: Sequence[Stored]) -> list[bytes | VaultError | None]:
        return await self._threads.call(self._store.blobs.read, found)

    async def open(self, found: Stored) -> "AsyncBlobFile | None":
        opening = self._threads.call(self._store.engine.contents.open, found)
        blob = await asyncio.shield(opening)  # one that nobody waits for any more is closed when it is dropped
        return None if blob is None else AsyncBlobFile(blob, self._threads)

    async def commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        return await asyncio.wrap_future(self._store.engine.writer.write_many(writes))

    async def collect(self) -> None:
        """The writer's thread does, by itself."""

    async def expire(self) -> None:
        """Likewise."""

    async def set_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        return await self._threads.call(self._store.engine.writer.set_limits, unit, limits)

    async def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        return await self._threads.call(self._store.engine.writer.set_principal_limits, principal, limits)

    async def purge(self, unit: str | None) -> Purged:
        return await self._threads.call(self._store.engine.writer.purge, unit)

    async def status(self, unit: str, key: RequestKey) -> WriteStatus:
        return await self._threads.call(self._store.suspended.status, unit, key)

    async def abort(self, unit: str, key: RequestKey) -> None:
        await self._threads.call(self._store.suspended.abort, unit, key)

    async def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        taking = self._threads.call(self._store.leases.acquire_lease, unit, name, holder, seconds)
        try:
            return await asyncio.shield(taking)
        finally:
            await asyncio.wait([taking])  # also when it is cancelled: a release comes after it, then

    async def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        await self._threads.call(self._store.leases.release_lease, unit, name, holder)

    def _is_small(self, items: Sequence[SmallWrite]) -> bool:
        """Whether preparing the items takes no disk and next to no time."""
        if len(items) > _SMALL_BATCH:
            return False
        sizes = [len(item.data) for item in items if isinstance(item.data, bytes | bytearray | memoryview)]
        return sum(sizes) <= _SMALL_BYTES and max(sizes, default=0) <= self._store.options.inline_limit


class AsyncBlobFile:
    """Blocks that are in the system's memory are read at once: 75 µs each, less than a hop to a thread and back. From
    the first one on that is not, reads one block ahead, so that the disk and whoever takes the blocks work at the same
    time."""

    def __init__(self, blob: BlobFile, threads: Threads) -> None:
        self._blob = blob
        self._threads = threads
        self._ahead: dict[int, asyncio.Future[bytes]] = {}
        self._cold = False

    async def block(self, index: int, size: int, *, ahead: bool) -> bytes | memoryview:
        if not self._cold:
            cached = self._blob.cached(index, size)
            if cached is not None:
                await asyncio.sleep(0)  # others' turn: who takes the blocks may never wait
                return cached
            self._cold = True
        reading = self._ahead.pop(index, None) or self._threads.call(self._blob.block, index, size)
        data = (await reading)[:size]  # what was read ahead may be more, where the file has grown
        if ahead:
            following = self._threads.call(self._blob.block, index + 1, size)
            following.add_done_callback(_fetched)
            self._ahead = {index + 1: following}
        return data

    async def map(self, verify: Callable[[memoryview], None]) -> memoryview:
        return await self._threads.call(self._blob.map, verify)

    async def close(self) -> None:
        if self._blob.is_inherited:
            self._blob.close()
        else:
            self._threads.send(self._blob.close)  # it waits for the block that is being read ahead


class FeedSignal(AsyncSignal):
    """Notifies one event loop when the feed has moved, from a thread that lives while somebody waits."""

    def __init__(self, store: EmbeddedStore) -> None:
        super().__init__()
        self._store = store
        self._background: Background | None = None
        self._waits = 0
        self._closed = False

    async def wait(self, notifications: int, timeout: float) -> object:
        self._waits += 1
        try:
            if self._background is None or not self._background.is_alive():
                loop = asyncio.get_running_loop()
                self._background = Background(lambda: self._run(loop), "vault-notifier")
                self._background.start()
            return await super().wait(notifications, timeout)
        finally:
            self._waits -= 1

    def close(self) -> None:
        """Ends the thread."""
        self._closed = True
        self._store.engine.feed.notify()
        if self._background is not None:
            self._background.stop()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        feed = self._store.engine.feed
        seen, revision = -1, -1
        while self._waits and not self._closed:
            notifications, now = feed.notifications, revision
            # What goes wrong here goes wrong for the watchers too, who have somebody to raise it to.
            with contextlib.suppress(VaultError):
                now = feed.refresh()
            if notifications != seen or now != revision:
                with contextlib.suppress(RuntimeError):  # a loop that closed with a watch open
                    loop.call_soon_threadsafe(self.notify)
            seen, revision = notifications, now
            feed.wait(notifications)


def _fetched(reading: "asyncio.Future[bytes]") -> Any:
    """Keeps asyncio from calling it a mistake that nobody asks for it any more."""
    return reading.cancelled() or reading.exception()
