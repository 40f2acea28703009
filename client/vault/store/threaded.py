"""Any Store as an AsyncStore: its calls run in worker threads."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from copy import copy
from datetime import datetime
from functools import partial
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from vault._runtime.blocking import on_thread, on_thread_or_here
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
from vault.store.values import Block, Change, NotModified, ObjectInfo, Progress

P = ParamSpec("P")
T = TypeVar("T")
FaceT = TypeVar("FaceT")

_THREADS: Final = 16


def _in_thread(
    method: Callable[Concatenate[Store, P], T],
) -> Callable[Concatenate["ThreadedStore", P], Coroutine[Any, Any, T]]:
    """A method of the contract, called of the Store in a thread."""

    async def call(self: "ThreadedStore", /, *args: P.args, **options: P.kwargs) -> T:
        return await _run(self._pool, getattr(self._store, method.__name__), *args, **options)

    return call


def _begun(
    method: Callable[Concatenate[Store, P], T], face: Callable[[T, ThreadPoolExecutor], FaceT]
) -> Callable[Concatenate["ThreadedStore", P], Coroutine[Any, Any, FaceT]]:
    """As `_in_thread`, for what must be given back: when the caller is cancelled meanwhile, nobody else would."""

    async def call(self: "ThreadedStore", /, *args: P.args, **options: P.kwargs) -> FaceT:
        begun: list[T] = []
        begin = partial(getattr(self._store, method.__name__), *args, **options)
        try:
            await _run(self._pool, lambda: begun.append(begin()))
        except asyncio.CancelledError:
            for each in begun:
                if isinstance(each, BlockWriter):
                    self._pool.submit(each.suspend)  # which aborts what is not resumable
                elif isinstance(each, BlockReader):
                    self._pool.submit(each.close)
            raise
        return face(begun[0], self._pool)

    return call


def _as_reader(
    found: BlockReader | NotModified | None, pool: ThreadPoolExecutor
) -> AsyncBlockReader | NotModified | None:
    return _ThreadedReader(found, pool) if isinstance(found, BlockReader) else found


def _as_writer(writer: BlockWriter, pool: ThreadPoolExecutor) -> AsyncBlockWriter:
    return _ThreadedWriter(writer, pool)


class ThreadedStore(AsyncStore):
    """An AsyncStore over a Store that blocks.

    Calls share a pool of threads. A watch has a thread of its own, since its iteration blocks for as long
    as nothing happens. A cancelled call runs to its end in its thread before the cancellation goes on, so
    that nothing is used by two threads at once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="vault-store")
        self._is_view = False

    @property
    def revision(self) -> int:
        return self._store.revision

    @property
    def time(self) -> datetime:
        return self._store.time

    def for_principal(self, principal: str) -> Self:
        view = copy(self)
        view._store = self._store.for_principal(principal)  # noqa: SLF001  # of this class
        view._is_view = True  # noqa: SLF001
        return view

    capabilities = _in_thread(Store.capabilities)
    exists_many = _in_thread(Store.exists_many)
    stat_many = _in_thread(Store.stat_many)
    list_page = _in_thread(Store.list_page)
    list_units = _in_thread(Store.list_units)
    unit_info = _in_thread(Store.unit_info)
    unit_page = _in_thread(Store.unit_page)
    set_unit_limits = _in_thread(Store.set_unit_limits)
    principal_info = _in_thread(Store.principal_info)
    principal_page = _in_thread(Store.principal_page)
    set_principal_limits = _in_thread(Store.set_principal_limits)
    read = _in_thread(Store.read)
    load = _begun(Store.load, _as_reader)
    load_many = _in_thread(Store.load_many)
    upload = _begun(Store.upload, _as_writer)
    update = _begun(Store.update, _as_writer)
    put = _begun(Store.put, _as_writer)
    write_status = _in_thread(Store.write_status)
    abort_write = _in_thread(Store.abort_write)
    upload_many = _in_thread(Store.upload_many)
    update_many = _in_thread(Store.update_many)
    delete_many = _in_thread(Store.delete_many)
    set_metadata = _in_thread(Store.set_metadata)
    put_many = _in_thread(Store.put_many)
    set_metadata_many = _in_thread(Store.set_metadata_many)
    copy_many = _in_thread(Store.copy_many)
    acquire_lease = _in_thread(Store.acquire_lease)
    release_lease = _in_thread(Store.release_lease)

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        return _ThreadedWatch(await _run(self._pool, self._store.watch, units, since=since))

    async def close(self) -> None:
        """Gives the threads back. The Store belongs to whoever made it, and stays open."""
        if not self._is_view:
            await on_thread_or_here(self._pool.shutdown)


class _ThreadedReader(AsyncBlockReader):
    def __init__(self, reader: BlockReader, pool: ThreadPoolExecutor) -> None:
        self.info = reader.info
        self._reader = reader
        self._pool = pool

    async def __aiter__(self) -> AsyncIterator[Block]:
        blocks = iter(self._reader)
        while isinstance(block := await _run(self._pool, next, blocks, None), Block):
            yield block

    def every(self, stride: int) -> bool:
        return self._reader.every(stride)

    async def map(self) -> memoryview | None:
        return await _run(self._pool, self._reader.map)

    async def close(self) -> None:
        await _run(self._pool, self._reader.close)


class _ThreadedWriter(AsyncBlockWriter):
    def __init__(self, writer: BlockWriter, pool: ThreadPoolExecutor) -> None:
        self._writer = writer
        self._pool = pool

    @property
    def persisted_size(self) -> int:
        return self._writer.persisted_size

    async def write(self, block: Block) -> None:
        await _run(self._pool, self._writer.write, block)

    async def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        return await _run(self._pool, self._writer.commit, size, checksum)

    async def abort(self) -> None:
        await _run(self._pool, self._writer.abort)

    async def suspend(self) -> None:
        await _run(self._pool, self._writer.suspend)


class _ThreadedWatch(AsyncWatch):
    """One thread reads, at the pace of the task that iterates. Iterate over it once."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="vault-watch")

    async def __aiter__(self) -> AsyncIterator[Change | Progress]:
        async with aclosing(self.groups()) as groups:
            async for events in groups:
                for event in events:
                    yield event

    async def groups(self) -> AsyncGenerator[Sequence[Change | Progress], None]:
        groups = self._watch.groups()
        # Not `_run`: a cancelled `next` may have nothing to return for hours. `close` wakes and joins it.
        while (events := await on_thread(self._pool, next, groups, None)) is not None:
            yield events

    async def close(self) -> None:
        self._watch.close()
        await on_thread_or_here(self._pool.shutdown)


async def _run(pool: ThreadPoolExecutor, call: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
    """The call's result, from a thread of the pool. A cancellation waits until the thread is done with it."""
    future = on_thread(pool, partial(call, *args, **options))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
