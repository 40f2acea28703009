"""Faces: a sync store behind the async contract, and the other way round.

They let one suite drive every store. A face does nothing of its own: each call is the same call of the store
behind it, so what is exercised is that store and nothing else.
"""

import asyncio
import threading
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from copy import copy
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from vault.store.contract import (
    AsyncBlockReader,
    AsyncBlockWriter,
    AsyncStore,
    AsyncWatch,
    BlockReader,
    BlockWriter,
    Store,
    Watch,
)
from vault.store.specs import PutSpec, UpdateSpec, UploadSpec
from vault.store.threaded import ThreadedStore
from vault.store.values import Block, Change, Key, NotModified, ObjectInfo, Progress

P = ParamSpec("P")
T = TypeVar("T")


class AsyncFace(ThreadedStore):
    """A sync Store as an AsyncStore that closes it.

    Tasks that run at once are threads that run at once, so a suite that drives it also shows whether the store
    can be shared by threads.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.local_feed = store.local_feed  # type: ignore[misc]  # a face has the flags of what is behind it

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        return AsyncWatchFace(await asyncio.to_thread(self._store.watch, units, since=since))

    async def changes(self, since: int) -> tuple[int, list[Change]]:
        return await asyncio.to_thread(self._store.changes, since)

    async def close(self) -> None:
        await asyncio.to_thread(self._store.close)

    def release(self) -> None:
        """Gives its threads back, when no call is made any more."""
        self._pool.shutdown()


class AsyncWatchFace(AsyncWatch):
    """An AsyncWatch whose two ways to iterate are those of the sync one: a thread waits while somebody does."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __aiter__(self) -> AsyncIterator[Change | Progress]:
        return _from_threads(self._watch)

    def groups(self) -> AsyncIterator[Sequence[Change | Progress]]:
        return _from_threads(self._watch.groups())

    async def close(self) -> None:
        await asyncio.to_thread(self._watch.close)


async def _from_threads(items: Iterable[Any]) -> AsyncIterator[Any]:
    iterator: Iterator[Any] = iter(items)
    while (item := await asyncio.to_thread(next, iterator, None)) is not None:
        yield item


def _on_loop(method: Callable[Concatenate[AsyncStore, P], Coroutine[Any, Any, T]]) -> Callable[..., T]:
    """A method of the contract, called of the AsyncStore on the face's loop."""

    def call(self: "SyncFace", /, *args: P.args, **options: P.kwargs) -> T:
        returned: T = self._run(getattr(self._store, method.__name__)(*args, **options))
        return returned

    return call


class SyncFace(Store):
    """A Store whose calls are those of an AsyncStore, made on an event loop of its own in a thread.

    Arguments:
        open_store: Called on that loop; what it gives is closed with the face.
    """

    def __init__(self, open_store: Callable[[], AsyncStore | Awaitable[AsyncStore]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sync-face", daemon=True)
        self._thread.start()
        self._closed = False
        self._store = self._run(_opened(open_store))
        self.local_feed = self._store.local_feed  # type: ignore[misc]  # as for AsyncFace

    @property
    def revision(self) -> int:
        return self._store.revision

    @property
    def time(self) -> datetime:
        return self._store.time

    def for_principal(self, principal: str) -> Self:
        view = copy(self)
        view._store = self._store.for_principal(principal)  # noqa: SLF001  # of this class
        view._closed = True  # noqa: SLF001  # the loop is this one's
        return view

    capabilities = _on_loop(AsyncStore.capabilities)
    exists_many = _on_loop(AsyncStore.exists_many)
    stat_many = _on_loop(AsyncStore.stat_many)
    list_page = _on_loop(AsyncStore.list_page)
    list_units = _on_loop(AsyncStore.list_units)
    unit_info = _on_loop(AsyncStore.unit_info)
    unit_page = _on_loop(AsyncStore.unit_page)
    set_unit_limits = _on_loop(AsyncStore.set_unit_limits)
    principal_info = _on_loop(AsyncStore.principal_info)
    principal_page = _on_loop(AsyncStore.principal_page)
    set_principal_limits = _on_loop(AsyncStore.set_principal_limits)
    read = _on_loop(AsyncStore.read)
    load_many = _on_loop(AsyncStore.load_many)
    write_status = _on_loop(AsyncStore.write_status)
    abort_write = _on_loop(AsyncStore.abort_write)
    upload_many = _on_loop(AsyncStore.upload_many)
    update_many = _on_loop(AsyncStore.update_many)
    delete_many = _on_loop(AsyncStore.delete_many)
    set_metadata = _on_loop(AsyncStore.set_metadata)
    put_many = _on_loop(AsyncStore.put_many)
    set_metadata_many = _on_loop(AsyncStore.set_metadata_many)
    copy_many = _on_loop(AsyncStore.copy_many)
    acquire_lease = _on_loop(AsyncStore.acquire_lease)
    release_lease = _on_loop(AsyncStore.release_lease)
    changes = _on_loop(AsyncStore.changes)

    def load(self, unit: str, key: Key, **options: Any) -> BlockReader | NotModified | None:
        found = self._run(self._store.load(unit, key, **options))
        return ReaderFace(found, self._run) if isinstance(found, AsyncBlockReader) else found

    def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> BlockWriter:
        return WriterFace(self._run(self._store.upload(unit, spec, resumable=resumable)), self._run)

    def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> BlockWriter:
        return WriterFace(self._run(self._store.update(unit, spec, resumable=resumable)), self._run)

    def put(self, unit: str, spec: PutSpec | UpdateSpec, *, resumable: bool = False) -> BlockWriter:
        return WriterFace(self._run(self._store.put(unit, spec, resumable=resumable)), self._run)

    def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> Watch:
        return WatchFace(self._run(self._store.watch(units, since=since)), self._run)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._run(self._store.close())
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()


class ReaderFace(BlockReader):
    """A BlockReader over an async one."""

    def __init__(self, reader: AsyncBlockReader, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._reader = reader
        self._run = run
        self.info = reader.info

    def __iter__(self) -> Iterator[Block]:
        return _from_loop(self._reader, self._run)

    def every(self, stride: int) -> bool:
        return self._reader.every(stride)

    def map(self) -> memoryview | None:
        mapped: memoryview | None = self._run(self._reader.map())
        return mapped

    def close(self) -> None:
        self._run(self._reader.close())


class WriterFace(BlockWriter):
    """A BlockWriter over an async one."""

    def __init__(self, writer: AsyncBlockWriter, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._writer = writer
        self._run = run

    @property
    def persisted_size(self) -> int:
        return self._writer.persisted_size

    def write(self, block: Block) -> None:
        self._run(self._writer.write(block))

    def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        info: ObjectInfo = self._run(self._writer.commit(size, checksum))
        return info

    def abort(self) -> None:
        self._run(self._writer.abort())

    def suspend(self) -> None:
        self._run(self._writer.suspend())


class WatchFace(Watch):
    """A Watch over an async one."""

    def __init__(self, watch: AsyncWatch, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._watch = watch
        self._run = run

    def __iter__(self) -> Iterator[Change | Progress]:
        return _from_loop(self._watch, self._run)

    def groups(self) -> Iterator[Sequence[Change | Progress]]:
        return _from_loop(self._watch.groups(), self._run)

    def close(self) -> None:
        self._run(self._watch.close())


def _from_loop(items: AsyncIterable[Any], run: Callable[[Coroutine[Any, Any, Any]], Any]) -> Iterator[Any]:
    iterator: AsyncIterator[Any] = aiter(items)
    while (item := run(_next(iterator))) is not None:
        yield item


async def _next(iterator: AsyncIterator[Any]) -> Any:
    return await anext(iterator, None)


async def _opened(open_store: Callable[[], AsyncStore | Awaitable[AsyncStore]]) -> AsyncStore:
    opened = open_store()
    return opened if isinstance(opened, AsyncStore) else await opened
