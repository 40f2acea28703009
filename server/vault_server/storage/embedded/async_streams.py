"""The async reader, writer and watch of embedded storage."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from vault._runtime.sync_async import AsyncAffinity
from vault.errors import ClosedError
from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncWatch
from vault.store.limits import WATCH_HEARTBEAT
from vault.store.values import Block, Change, ObjectInfo, Progress

from vault_server.storage.engine.writes import StagedWriter
from vault_server.storage.feed.feed import Feed
from vault_server.storage.feed.notifier import Notifier
from vault_server.storage.feed.watch import Position
from vault_server.storage.files.reader import StoredReader

T = TypeVar("T")


class Threads(Protocol):
    """Where blocking calls go, and what must finish though its caller is cancelled."""

    def call(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Runs the function on a thread."""

    def send(self, function: Callable[[], Any]) -> None:
        """Runs the function on a thread, and nobody waits for it."""

    def finish(self, work: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
        """Runs the coroutine to its end, also when who awaits the result is cancelled."""


class AsyncStoredReader(AsyncBlockReader):
    """Blocks that are in the system's memory are read at once: 75 µs each, less than a hop to a thread and back. From
    the first one on that is not, reads one block ahead, so that the disk and whoever takes the blocks work at the same
    time."""

    def __init__(self, reader: StoredReader, threads: Threads) -> None:
        self.info = reader.info
        self._reader = reader
        self._threads = threads
        self._affinity = AsyncAffinity.here(f"the reader of object {reader.info.data_id}")

    async def __aiter__(self) -> AsyncIterator[Block]:
        if self._reader.in_memory:
            for ready in self._reader:
                yield ready
            return
        while (cached := self._reader.next_cached()) is not None:
            yield cached
            del cached
            await asyncio.sleep(0)  # others' turn: who takes the blocks may never wait
        ahead = self._threads.call(self._reader.next_block)
        try:
            while (block := await ahead) is not None:
                ahead = self._threads.call(self._reader.next_block)
                yield block
                self._affinity.require()  # what is read ahead is its own event loop's
        finally:
            # Nobody will ask for it any more; asking here keeps asyncio from calling that a mistake.
            if not ahead.cancel() and not ahead.cancelled():
                ahead.exception()

    async def map(self) -> memoryview | None:
        self._affinity.require()
        return await self._threads.call(self._reader.map)

    async def close(self) -> None:
        if self._reader.in_memory or self._affinity.is_inherited:
            self._reader.close()
        else:
            self._threads.send(self._reader.close)  # it waits for the block that is being read ahead


class AsyncStagingWriter(AsyncBlockWriter):
    """A cancelled `write` aborts, unless the write is resumable: then whoever has the writer decides. A `commit`
    that was begun finishes, whoever is cancelled."""

    def __init__(self, writer: StagedWriter, threads: Threads) -> None:
        self._writer = writer
        self._threads = threads
        self._affinity = AsyncAffinity.here("the write")
        self._committing = False

    @property
    def persisted_size(self) -> int:
        return self._writer.persisted_size

    async def write(self, block: Block) -> None:
        self._affinity.require()
        if self._writer.stays_in_memory(block):
            self._writer.write(block)
            return
        try:
            await self._threads.call(self._writer.write, block)
        except asyncio.CancelledError:
            if not self._writer.resumable:
                self._threads.send(self._writer.abort)  # it waits for the block that is being written
            raise

    async def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        self._affinity.require()
        self._committing = True
        return await self._threads.finish(self._commit(size, checksum))

    async def abort(self) -> None:
        if self._committing or self._affinity.is_inherited:
            return
        if self._writer.in_memory:
            self._writer.abort()
        else:
            await self._end(self._writer.abort)

    async def suspend(self) -> None:
        if not self._committing and not self._affinity.is_inherited:
            await self._end(self._writer.suspend)

    async def _end(self, how: Callable[[], None]) -> None:
        # To its end: gRPC cancels a handler a second time while the first cancellation unwinds it.
        await self._threads.finish(self._ended(how))

    async def _ended(self, how: Callable[[], None]) -> None:
        try:
            await self._threads.call(how)
        except ClosedError:  # the store was closed, and its threads are gone
            how()

    async def _commit(self, size: int, checksum: int | None) -> ObjectInfo:
        if self._writer.in_memory:
            future = self._writer.begin_commit(size, checksum)
        else:
            try:
                future = await self._threads.call(self._writer.begin_commit, size, checksum)
            except ClosedError:  # as above; nobody else gives the file back, since `abort` leaves commits alone
                self._writer.abort()
                raise
        return await asyncio.wrap_future(future)


class AsyncStoredWatch(AsyncWatch):
    """A position in the feed and an event; costs nothing while nothing happens."""

    def __init__(
        self, feed: Feed, notifier: Notifier, threads: Threads, units: Sequence[str], since: int | None
    ) -> None:
        self._feed = feed
        self._notifier = notifier
        self._threads = threads
        self._position = Position(feed, units, since)
        self._loop = asyncio.get_running_loop()
        self._affinity = AsyncAffinity.here("the watch")
        self._event = asyncio.Event()
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[Change | Progress]:
        async with contextlib.aclosing(self.groups()) as groups:
            async for events in groups:
                for event in events:
                    if self._closed:
                        return
                    yield event
                    self._affinity.require()

    async def groups(self) -> AsyncGenerator[Sequence[Change | Progress], None]:
        self._affinity.require()
        self._notifier.add(self._loop, self._event)
        try:
            while not self._closed:
                self._feed.require_open()
                self._event.clear()
                events = await self._next_events()
                if events and not self._closed:
                    yield events
                    self._affinity.require()
        finally:
            if not self._affinity.is_inherited:
                self._notifier.remove(self._loop, self._event)

    async def close(self) -> None:
        self._affinity.require_closable()
        self._closed = True
        if not self._affinity.is_inherited and not self._affinity.is_foreign:
            self._event.set()

    async def _next_events(self) -> list[Change | Progress]:
        if self._position.is_near:
            events = self._position.next_events(time.monotonic())
        else:
            events = await self._threads.call(self._position.next_events, time.monotonic())
        if not events:
            try:
                async with asyncio.timeout(WATCH_HEARTBEAT):
                    await self._event.wait()
            except TimeoutError:
                return []  # time for a Progress, which comes next
        return events
