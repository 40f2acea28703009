"""The async face: the same store, cancellation that leaves nothing half done, watchers that cost nothing."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from vault.errors import ClosedError, ConflictError, RevisionCompactedError, VaultError
from vault.store.contract import AsyncBlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, LoadItem, MetadataSpec, UpdateSpec, UploadSpec
from vault.store.values import Block, Change, LoadedObject, ObjectInfo, Progress, checksum
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore, StoreOptions

from tests.storage.objects import (
    INLINE,
    LARGE,
    SMALL,
    UNIT,
    blob_of,
    blocks_of,
    read,
    small,
    staged_files,
    succeeded,
    upload,
)
from tests.waiting import assert_soon


@pytest.fixture
async def async_store(store: EmbeddedStore) -> AsyncIterator[AsyncEmbeddedStore]:
    """Over `store`, through which the test can look at the same objects."""
    async with AsyncEmbeddedStore(store) as opened:
        yield opened


async def put(store: AsyncEmbeddedStore, data: bytes, data_id: int, *, name: str | None = None) -> ObjectInfo:
    async with await store.upload(UNIT, UploadSpec(data_id, name)) as writer:
        for block in blocks_of(data):
            await writer.write(block)
        assert writer.persisted_size == len(data)
        return await writer.commit(len(data), checksum(data))


async def get(store: AsyncEmbeddedStore, data_id: int) -> bytes:
    reader = await store.load(UNIT, data_id)
    assert isinstance(reader, AsyncBlockReader)
    async with reader:
        pieces = []
        async for block in reader:
            block.verify(reader.info)
            pieces.append(bytes(block.data))
    return b"".join(pieces)


@pytest.mark.parametrize("size", [0, 1, INLINE, INLINE + 1, BLOCK_SIZE, len(LARGE)])
async def test_what_is_written_is_read(async_store: AsyncEmbeddedStore, store: EmbeddedStore, size: int) -> None:
    info = await put(async_store, LARGE[:size], 7)
    assert info.size == size
    assert await get(async_store, 7) == read(store, 7) == LARGE[:size]


@pytest.mark.parametrize("cached", ["all", "the first block", "nothing"])
async def test_a_file_is_read_whatever_of_it_the_system_has_in_memory(
    async_store: AsyncEmbeddedStore, directory: Path, cached: str
) -> None:
    await put(async_store, LARGE, 5)
    with blob_of(directory, 5).open("rb") as file:
        begin = {"all": len(LARGE), "the first block": BLOCK_SIZE, "nothing": 0}[cached]
        os.posix_fadvise(file.fileno(), begin, len(LARGE) - begin, os.POSIX_FADV_DONTNEED)
        assert await get(async_store, 5) == LARGE


async def test_both_faces_do_the_same(async_store: AsyncEmbeddedStore, store: EmbeddedStore) -> None:
    (info,) = map(succeeded, await async_store.upload_many(UNIT, [small(data_id=1, name="n")]))
    large = await put(async_store, LARGE, 2)
    assert await async_store.exists_many(UNIT, ["n", 9]) == store.exists_many(UNIT, ["n", 9])
    assert await async_store.stat_many(UNIT, [1]) == [info]
    assert await async_store.list_page(UNIT, prefix="") == store.list_page(UNIT, prefix="")
    assert await async_store.list_units() == [UNIT]
    assert await async_store.capabilities() == store.capabilities()
    assert await async_store.load_many(UNIT, [LoadItem(1)]) == [LoadedObject(info, SMALL)]
    assert await async_store.changes(0) == store.changes(0)
    assert async_store.revision == store.revision
    reader = await async_store.load(UNIT, 2)
    assert isinstance(reader, AsyncBlockReader)
    async with reader:
        assert bytes(await reader.map() or b"") == LARGE
    with pytest.raises(ConflictError):
        await async_store.update(UNIT, UpdateSpec(2, large.generation + 1))
    assert (await async_store.set_metadata(UNIT, MetadataSpec(1, name="m"))).name == "m"
    (revision,) = await async_store.delete_many(UNIT, [DeleteSpec("m")])
    assert revision == store.revision
    assert (await async_store.check(deep=True)).ok


async def test_an_upload_that_is_cancelled_leaves_nothing(
    async_store: AsyncEmbeddedStore, store: EmbeddedStore
) -> None:
    written = asyncio.Event()

    async def endless() -> None:
        async with await async_store.upload(UNIT, UploadSpec(7)) as writer:
            piece = LARGE[:BLOCK_SIZE]
            for offset in range(0, 1 << 40, BLOCK_SIZE):
                await writer.write(Block(offset, piece, checksum(piece)))
                written.set()

    for delay in (0, 0.001, 0.01):
        task = asyncio.create_task(endless())
        await written.wait()
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        written.clear()
    await asyncio.to_thread(assert_soon, lambda: not staged_files(store.directory))
    assert await async_store.exists_many(UNIT, [7]) == [0]


async def test_a_commit_that_was_begun_finishes(async_store: AsyncEmbeddedStore, store: EmbeddedStore) -> None:
    for data_id, data in ((1, SMALL), (2, LARGE)):
        writer = await async_store.upload(UNIT, UploadSpec(data_id))
        for block in blocks_of(data):
            await writer.write(block)
        task = asyncio.create_task(writer.commit(len(data)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await writer.abort()
    await async_store.close()
    assert read(store, 1) == SMALL
    assert read(store, 2) == LARGE


async def test_a_cancelled_load_leaves_no_file_open(async_store: AsyncEmbeddedStore, store: EmbeddedStore) -> None:
    upload(store, LARGE, data_id=1)
    for _ in range(20):
        task = asyncio.create_task(async_store.load(UNIT, 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    reader = await async_store.load(UNIT, 1)
    assert isinstance(reader, AsyncBlockReader)
    async for _ in reader:
        break
    await reader.close()


async def test_many_tasks_share_commits(async_store: AsyncEmbeddedStore, store: EmbeddedStore) -> None:
    outcomes = await asyncio.gather(
        *(async_store.upload_many(UNIT, [small(data_id=number + 1)]) for number in range(500))
    )
    assert sorted(succeeded(outcome).revision for (outcome,) in outcomes) == list(range(1, 501))
    assert store.changes(0)[0] == 500


def threads_but_for_lookups() -> int:
    """Those of the process without the store's own few, of which a slow lookup takes one."""
    return sum(not each.name.startswith("vault-storage") for each in threading.enumerate())


async def test_five_hundred_watchers_see_every_change_in_order(
    async_store: AsyncEmbeddedStore, store: EmbeddedStore
) -> None:
    threads = threads_but_for_lookups()
    ready: set[int] = set()
    all_ready = asyncio.Event()

    async def follow(number: int) -> list[int]:
        revisions: list[int] = []
        async with await async_store.watch() as watch:
            async for event in watch:
                if isinstance(event, Change):
                    revisions.append(event.revision)
                    if len(revisions) == 20:
                        break
                else:
                    ready.add(number)
                    if len(ready) == 500:
                        all_ready.set()
        return revisions

    followers = [asyncio.create_task(follow(number)) for number in range(500)]
    await asyncio.wait_for(all_ready.wait(), 60)
    assert threads_but_for_lookups() <= threads + 2  # for all of them: the notifier and the signal
    for _ in range(20):
        await async_store.upload_many(UNIT, [small()])
    assert await asyncio.gather(*followers) == [list(range(1, 21))] * 500


async def test_a_watch_far_behind_catches_up(async_store: AsyncEmbeddedStore, store: EmbeddedStore) -> None:
    for _ in range(6):
        store.upload_many(UNIT, [small() for _ in range(1000)])
    revisions: list[int] = []
    async with await async_store.watch([UNIT], since=0) as watch:
        events = aiter(watch)
        assert await anext(events) == Progress(0)
        while len(revisions) < 6000:
            event = await anext(events)
            assert isinstance(event, Change)
            revisions.append(event.revision)
        assert await anext(events) == Progress(6000)
    assert revisions == list(range(1, 6001))


async def test_closing_a_watch_ends_it(async_store: AsyncEmbeddedStore) -> None:
    watch = await async_store.watch()

    async def follow() -> int:
        return len([event async for event in watch])

    follower = asyncio.create_task(follow())
    await asyncio.sleep(0.1)
    await watch.close()
    await watch.close()
    assert await asyncio.wait_for(follower, 1) == 1


async def test_a_watch_that_cannot_begin_says_why(async_store: AsyncEmbeddedStore) -> None:
    with pytest.raises(RevisionCompactedError):
        await anext(aiter(await async_store.watch(since=7)))


async def test_a_directory_of_its_own_is_closed_with_it(directory: Path) -> None:
    store = AsyncEmbeddedStore(directory, StoreOptions(allowed_units=(UNIT,)))
    await put(store, LARGE, 1)
    events = aiter(await store.watch())
    await anext(events)
    await store.close()
    await store.close()
    with pytest.raises(ClosedError):
        await anext(events)
    with pytest.raises(ClosedError):
        await store.exists_many(UNIT, [1])
    with pytest.raises(ClosedError):
        await store.upload_many(UNIT, [small()])
    with EmbeddedStore(directory) as again:
        assert read(again, 1) == LARGE


async def test_a_store_that_was_given_stays_open(store: EmbeddedStore) -> None:
    async with AsyncEmbeddedStore(store) as opened:
        await opened.upload_many(UNIT, [small(data_id=1)])
    assert read(store, 1) == SMALL


async def test_a_bad_block_aborts_the_write(async_store: AsyncEmbeddedStore, store: EmbeddedStore) -> None:
    first, second, _ = blocks_of(LARGE)
    writer = await async_store.upload(UNIT, UploadSpec(7))
    await writer.write(first)
    with pytest.raises(VaultError):
        await writer.write(Block(second.offset, second.data, second.checksum ^ 1))
    assert staged_files(store.directory) == []
    with pytest.raises(ClosedError):
        await writer.commit(0)
