"""What holds for a store's life: who it is, and that it is closed when it is closed."""

import asyncio

import pytest

from vault.errors import ClosedError, UnavailableError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE, MAX_BATCH_ITEMS
from vault.store.specs import DeleteSpec, LoadItem, MetadataSpec, UpdateSpec
from vault.store.values import Progress
from vault.testing.store.feed import PATIENCE
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import blocks_of, payload, put, reading, small_update, small_upload, upload_spec


class ClosingConformance(StoreHarness):
    """`Store.capabilities` and `Store.close`."""

    async def test_a_store_says_who_it_is(self, subject: AsyncStore, unit: str) -> None:
        first = await subject.capabilities()
        await put(subject, unit, b"data")
        assert await subject.capabilities() == first
        assert first.store_id
        assert first.version
        assert (first.block_size, first.max_batch_items) == (BLOCK_SIZE, MAX_BATCH_ITEMS)
        assert first.max_message_size == 0 or first.max_message_size > BLOCK_SIZE

    async def test_closing_twice_is_harmless(self, subject: AsyncStore) -> None:
        await subject.close()
        await subject.close()
        with pytest.raises(ClosedError):
            await subject.list_units()

    async def test_leaving_the_with_block_closes(self, subject: AsyncStore, unit: str) -> None:
        async with subject as entered:
            assert entered is subject
            await put(subject, unit, b"data")
        with pytest.raises(ClosedError):
            await subject.exists_many(unit, [5])

    async def test_every_call_of_a_closed_store_is_refused(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data")
        await subject.close()
        key = info.data_id
        for call in (
            lambda: subject.capabilities(),
            lambda: subject.exists_many(unit, [key]),
            lambda: subject.stat_many(unit, [key]),
            lambda: subject.list_page(unit),
            lambda: subject.list_units(),
            lambda: subject.load(unit, key),
            lambda: subject.load_many(unit, [LoadItem(key)]),
            lambda: subject.upload(unit, upload_spec()),
            lambda: subject.update(unit, UpdateSpec(key)),
            lambda: subject.upload_many(unit, [small_upload(b"data")]),
            lambda: subject.update_many(unit, [small_update(UpdateSpec(key), b"data")]),
            lambda: subject.delete_many(unit, [DeleteSpec(key)]),
            lambda: subject.set_metadata(unit, MetadataSpec(key, tags={})),
            lambda: subject.watch([unit]),
        ):
            with pytest.raises(ClosedError):
                await call()
        if subject.local_feed:
            with pytest.raises(ClosedError):
                await subject.changes(info.revision)

    async def test_closing_ends_a_watch(self, subject: AsyncStore, unit: str) -> None:
        async with await subject.watch([unit]) as watch:
            events = aiter(watch)
            assert isinstance(await anext(events), Progress)

            async def wait() -> None:
                try:
                    async for _ in events:
                        pass
                except (ClosedError, UnavailableError):
                    return

            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0.05)
            await subject.close()
            await asyncio.wait_for(waiting, PATIENCE)

    @pytest.mark.parametrize("size", [0, 4, 2 * BLOCK_SIZE])
    async def test_a_write_that_is_open_when_its_store_closes_cannot_be_committed(
        self, subject: AsyncStore, unit: str, size: int
    ) -> None:
        writer = await subject.upload(unit, upload_spec())
        for block in blocks_of(payload(size)):
            await writer.write(block)
        await subject.close()
        with pytest.raises((ClosedError, UnavailableError)):
            await writer.commit(size)
        await writer.abort()

    async def test_a_reader_that_is_open_when_its_store_closes_can_be_closed(
        self, subject: AsyncStore, unit: str
    ) -> None:
        info = await put(subject, unit, b"data")
        reader = await reading(subject, unit, info.data_id)
        await subject.close()
        await reader.close()
        assert reader.info == info
