"""Any Store as an AsyncStore: its calls run in worker threads."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import Final, ParamSpec, TypeVar

from vault._runtime.blocking import on_thread, on_thread_or_here
from vault.errors import VaultError
from vault.store.contract import (
    AsyncBlockReader,
    AsyncBlockWriter,
    AsyncStore,
    AsyncWatch,
    BlockReader,
    BlockWriter,
    LoadResult,
    Store,
    Watch,
)
from vault.store.values import (
    Block,
    Capabilities,
    Change,
    DeleteSpec,
    Key,
    LoadItem,
    MetadataSpec,
    NotModified,
    ObjectInfo,
    Page,
    Progress,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
)

P = ParamSpec("P")
T = TypeVar("T")

_THREADS: Final = 16


class ThreadedStore(AsyncStore):
    """An AsyncStore over a Store that blocks.

    Calls share a pool of threads. A watch has a thread of its own, since its iteration blocks for as long
    as nothing happens. A cancelled call runs to its end in its thread before the cancellation goes on, so
    that nothing is used by two threads at once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="vault-store")

    @property
    def revision(self) -> int:
        return self._store.revision

    async def capabilities(self) -> Capabilities:
        return await _run(self._pool, self._store.capabilities)

    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        return await _run(self._pool, self._store.exists_many, unit, keys)

    async def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        return await _run(self._pool, self._store.stat_many, unit, keys)

    async def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page:
        return await _run(
            self._pool,
            self._store.list_page,
            unit,
            prefix=prefix,
            tags=tags,
            page_size=page_size,
            page_token=page_token,
        )

    async def list_units(self) -> list[str]:
        return await _run(self._pool, self._store.list_units)

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
        def open_reader() -> BlockReader | NotModified | None:
            return self._store.load(
                unit,
                key,
                offset=offset,
                length=length,
                if_generation=if_generation,
                if_generation_not_match=if_generation_not_match,
                generation=generation,
            )

        found = await self._begin(open_reader)
        return _ThreadedReader(found, self._pool) if isinstance(found, BlockReader) else found

    async def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        return await _run(self._pool, self._store.load_many, unit, items)

    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return _ThreadedWriter(await self._begin(self._store.upload, unit, spec, resumable=resumable), self._pool)

    async def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        return _ThreadedWriter(await self._begin(self._store.update, unit, spec, resumable=resumable), self._pool)

    async def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        return await _run(self._pool, self._store.write_status, unit, request_id)

    async def abort_write(self, unit: str, request_id: bytes) -> None:
        await _run(self._pool, self._store.abort_write, unit, request_id)

    async def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        return await _run(self._pool, self._store.upload_many, unit, items)

    async def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        return await _run(self._pool, self._store.update_many, unit, items)

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        return await _run(self._pool, self._store.delete_many, unit, items)

    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        return await _run(self._pool, self._store.set_metadata, unit, spec)

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        return _ThreadedWatch(await _run(self._pool, self._store.watch, units, since=since))

    async def close(self) -> None:
        """Gives the threads back. The Store belongs to whoever made it, and stays open."""
        await on_thread_or_here(self._pool.shutdown)

    async def _begin(self, call: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        """As `_run`, for what must be given back: when the caller is cancelled meanwhile, nobody else would."""
        begun: list[T] = []
        try:
            await _run(self._pool, lambda: begun.append(call(*args, **options)))
            return begun[0]
        except asyncio.CancelledError:
            for each in begun:
                if isinstance(each, BlockWriter):
                    self._pool.submit(each.suspend)  # which aborts what is not resumable
                elif isinstance(each, BlockReader):
                    self._pool.submit(each.close)
            raise


class _ThreadedReader(AsyncBlockReader):
    def __init__(self, reader: BlockReader, pool: ThreadPoolExecutor) -> None:
        self.info = reader.info
        self._reader = reader
        self._pool = pool

    async def __aiter__(self) -> AsyncIterator[Block]:
        blocks = iter(self._reader)
        while isinstance(block := await _run(self._pool, next, blocks, None), Block):
            yield block

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
