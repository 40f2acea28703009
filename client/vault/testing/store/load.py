"""What holds for loads: whole blocks of one generation, with the checksums that were kept."""

import pytest

from vault.errors import ConflictError, CorruptionError, InvalidArgumentError
from vault.store.contract import AsyncBlockReader, AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import LoadItem
from vault.store.values import Block, LoadedObject, NotModified, checksum
from vault.testing.cases import each
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    SIZES,
    assert_failed_with,
    blocks_of,
    drain,
    every_size,
    fetch,
    payload,
    put,
    raises_refusal,
    reading,
    remove,
    replace,
    stat,
    upload_spec,
)

RANGES: list[tuple[int, int | None]] = [
    (0, None),
    (0, 1),
    (0, BLOCK_SIZE),
    (0, BLOCK_SIZE + 1),
    (1, BLOCK_SIZE - 1),
    (1, BLOCK_SIZE),
    (BLOCK_SIZE - 1, 1),
    (BLOCK_SIZE - 1, 2),
    (BLOCK_SIZE, None),
    (BLOCK_SIZE, 1),
    (BLOCK_SIZE + 1, BLOCK_SIZE),
    (2 * BLOCK_SIZE + 5, None),
    (2 * BLOCK_SIZE + 10, 1),
    (2 * BLOCK_SIZE + 11, None),
    (5, 10 * BLOCK_SIZE),
    (0, 2**62),
    (0, 0),
    (5, 0),
    (BLOCK_SIZE, 0),
]


class LoadConformance(StoreHarness):
    """`Store.load` and the reader it gives."""

    @every_size
    async def test_blocks_are_whole_in_order_and_carry_the_writers_checksums(
        self, subject: AsyncStore, unit: str, size: int
    ) -> None:
        data = payload(size)
        info = await put(subject, unit, data)
        async with await reading(subject, unit, info.data_id) as reader:
            assert reader.info == info
            found = [Block(block.offset, bytes(block.data), block.checksum) async for block in reader]
        assert found == blocks_of(data)

    @pytest.mark.parametrize(("offset", "length"), RANGES)
    async def test_a_range_is_answered_by_the_blocks_that_cover_it(
        self, subject: AsyncStore, unit: str, offset: int, length: int | None
    ) -> None:
        data = payload(2 * BLOCK_SIZE + 11)
        info = await put(subject, unit, data)
        end = len(data) if length is None else min(len(data), offset + length)
        wanted = [
            block
            for block in blocks_of(data)
            if offset < end and block.offset < end and offset < block.offset + len(block.data)
        ]
        reader = await subject.load(unit, info.data_id, offset=offset, length=length)
        assert isinstance(reader, AsyncBlockReader)
        async with reader:
            assert reader.info == info
            found = [Block(block.offset, bytes(block.data), block.checksum) async for block in reader]
        assert found == wanted

    @each("stride", [1, 2, 3, 5])
    async def test_a_reader_gives_each_block_of_a_stride_or_all_of_them(
        self, subject: AsyncStore, unit: str, stride: int
    ) -> None:
        data = payload(4 * BLOCK_SIZE + 11)
        info = await put(subject, unit, data)
        reader = await subject.load(unit, info.data_id, offset=BLOCK_SIZE + 5)
        assert isinstance(reader, AsyncBlockReader)
        async with reader:
            step = stride if reader.every(stride) else 1
            found = [Block(block.offset, bytes(block.data), block.checksum) async for block in reader]
        assert found == blocks_of(data)[1::step]

    @each("size", [0, 1, 1000, BLOCK_SIZE])
    async def test_a_range_may_start_at_the_very_end(self, subject: AsyncStore, unit: str, size: int) -> None:
        info = await put(subject, unit, payload(size))
        reader = await subject.load(unit, info.data_id, offset=size)
        assert isinstance(reader, AsyncBlockReader)
        assert await drain(reader) == b""

    @each("size", [0, 1, 1000, BLOCK_SIZE])
    @each("length", [None, 0, 1])
    async def test_a_range_that_starts_past_the_end_is_refused(
        self, subject: AsyncStore, unit: str, size: int, length: int | None
    ) -> None:
        info = await put(subject, unit, payload(size))
        with raises_refusal(InvalidArgumentError, "BAD_RANGE", str(size + 1), str(size)):
            await subject.load(unit, info.data_id, offset=size + 1, length=length)

    async def test_an_object_that_is_not_there_is_none(self, subject: AsyncStore, unit: str) -> None:
        assert await subject.load(unit, 5) is None
        assert await subject.load(unit, "name") is None
        assert await subject.load(unit, 5, offset=100, length=5) is None
        assert await subject.load(unit, 5, if_generation=3) is None
        assert await subject.load(unit, 5, if_generation_not_match=3) is None

    async def test_a_name_leads_to_its_object(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data", upload_spec(name="name"))
        reader = await reading(subject, unit, "name")
        assert reader.info == info
        assert await drain(reader) == b"data"

    # Preconditions

    async def test_if_generation_is_met_by_that_generation_only(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first")
        second = await replace(subject, unit, first.data_id, b"second")
        reader = await subject.load(unit, first.data_id, if_generation=second.generation)
        assert isinstance(reader, AsyncBlockReader)
        assert await drain(reader) == b"second"
        for generation in (0, first.generation, second.generation + 1):
            with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)):
                await subject.load(unit, first.data_id, if_generation=generation)

    async def test_if_generation_not_match_spares_the_bytes_that_are_held(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first", upload_spec(name="name"))
        held = first.generation
        for key in (first.data_id, "name"):
            assert await subject.load(unit, key, if_generation_not_match=held) == NotModified(held)
        second = await replace(subject, unit, first.data_id, b"second")
        for generation in (0, held, second.generation + 1):
            reader = await subject.load(unit, first.data_id, if_generation_not_match=generation)
            assert isinstance(reader, AsyncBlockReader)
            assert await drain(reader) == b"second"

    # One generation

    @pytest.mark.parametrize("size", [1000, BLOCK_SIZE, 12 * BLOCK_SIZE + 1])
    async def test_a_reader_finishes_the_generation_it_began_while_it_is_replaced(
        self, subject: AsyncStore, unit: str, size: int
    ) -> None:
        old, new = payload(size, 1), payload(size, 2)
        info = await put(subject, unit, old)
        async with await reading(subject, unit, info.data_id) as reader:
            blocks = aiter(reader)
            found = bytearray((await anext(blocks)).data)
            await replace(subject, unit, info.data_id, new)
            assert await fetch(subject, unit, info.data_id) == new
            async for block in blocks:
                block.verify(reader.info)
                found += block.data
        assert found == old
        assert reader.info == info

    @pytest.mark.parametrize("size", [1000, BLOCK_SIZE, 12 * BLOCK_SIZE + 1])
    async def test_a_reader_finishes_an_object_that_is_deleted(self, subject: AsyncStore, unit: str, size: int) -> None:
        data = payload(size)
        info = await put(subject, unit, data)
        async with await reading(subject, unit, info.data_id) as reader:
            blocks = aiter(reader)
            found = bytearray((await anext(blocks)).data)
            await remove(subject, unit, info.data_id)
            assert await stat(subject, unit, info.data_id) is None
            async for block in blocks:
                found += block.data
        assert found == data

    async def test_a_reader_that_was_not_begun_reads_the_generation_it_was_made_for(
        self, subject: AsyncStore, unit: str
    ) -> None:
        old = payload(3 * BLOCK_SIZE, 1)
        info = await put(subject, unit, old)
        reader = await reading(subject, unit, info.data_id)
        await replace(subject, unit, info.data_id, payload(BLOCK_SIZE, 2))
        await replace(subject, unit, info.data_id, payload(2 * BLOCK_SIZE, 3))
        assert await drain(reader) == old

    async def test_readers_of_one_object_do_not_disturb_each_other(self, subject: AsyncStore, unit: str) -> None:
        data = payload(3 * BLOCK_SIZE)
        info = await put(subject, unit, data)
        first = await reading(subject, unit, info.data_id)
        second = await reading(subject, unit, info.data_id)
        async with first, second:
            pairs = zip([block async for block in first], [block async for block in second], strict=True)
            assert all(bytes(one.data) == bytes(other.data) for one, other in pairs)

    # Closing

    async def test_a_reader_may_be_closed_before_its_end_and_twice(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, payload(12 * BLOCK_SIZE))
        for taken in range(3):
            reader = await reading(subject, unit, info.data_id)
            blocks = aiter(reader)
            for _ in range(taken):
                await anext(blocks)
            await reader.close()
            await reader.close()
        assert await fetch(subject, unit, info.data_id) == payload(12 * BLOCK_SIZE)

    @every_size
    async def test_a_map_holds_the_whole_object_or_is_not_there(
        self, subject: AsyncStore, unit: str, size: int
    ) -> None:
        info = await put(subject, unit, payload(size))
        async with await reading(subject, unit, info.data_id) as reader:
            mapped = await reader.map()
            if mapped is not None:
                assert mapped.readonly
                assert bytes(mapped) == payload(size)
                mapped.release()
            else:
                assert b"".join([bytes(block.data) async for block in reader]) == payload(size)

    # Corruption

    @pytest.mark.parametrize("size", [size for size in SIZES.values() if size], ids=[n for n, s in SIZES.items() if s])
    async def test_a_byte_that_changed_in_the_storage_is_noticed(
        self, subject: AsyncStore, unit: str, size: int
    ) -> None:
        if not self.corruptible:
            pytest.skip("this store cannot be corrupted from outside")
        data = payload(size)
        info = await put(subject, unit, data)
        self.corrupt(unit, info.data_id, size - 1)
        with raises_refusal(CorruptionError, "STORED_CHECKSUM_MISMATCH", unit, str(info.data_id)) as caught:
            await drain(await reading(subject, unit, info.data_id))
        last = (size - 1) // BLOCK_SIZE
        context = caught.value.context
        assert (context["unit"], context["data_id"], context["block"]) == (unit, info.data_id, last)

    async def test_a_batch_does_not_hide_that_a_byte_changed(self, subject: AsyncStore, unit: str) -> None:
        if not self.corruptible:
            pytest.skip("this store cannot be corrupted from outside")
        data = payload(1000)
        damaged, sound = await put(subject, unit, data), await put(subject, unit, data)
        self.corrupt(unit, damaged.data_id, 500)
        first, second = await subject.load_many(unit, [LoadItem(damaged.data_id), LoadItem(sound.data_id)])
        if isinstance(first, LoadedObject):
            assert first.data is not None
            assert checksum(first.data) != first.info.checksum, "the kept checksum is handed over, not a new one"
        else:
            assert_failed_with(first, CorruptionError, "STORED_CHECKSUM_MISMATCH", unit, str(damaged.data_id))
        assert second == LoadedObject(sound, data)
