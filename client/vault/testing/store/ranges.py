"""What holds for reads of ranges: the bytes of one generation, verified, each block of it read once."""

import random
from collections.abc import Sequence

import pytest

from vault.errors import ConflictError, CorruptionError, InvalidArgumentError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE, EXACT_BELOW, MAX_RANGES
from vault.store.specs import MetadataSpec
from vault.store.values import ObjectRanges
from vault.testing.cases import each
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    blocks_of,
    every_size,
    payload,
    put,
    raises_refusal,
    remove,
    replace,
    stat,
    upload_spec,
)

Range = tuple[int, int | None]

ALL_WHOLE = 0
NONE_WHOLE = 2 * BLOCK_SIZE


def cut(data: bytes, offset: int, length: int | None) -> bytes:
    """What a range is to hold."""
    start = max(len(data) + offset, 0) if offset < 0 else offset
    return data[start:] if length is None else data[start : start + length]


async def read_of(
    store: AsyncStore, unit: str, key: int | str, ranges: Sequence[Range], *, exact_below: int = EXACT_BELOW
) -> ObjectRanges:
    """Parts of an object that must be there."""
    found = await store.read(unit, key, ranges, exact_below=exact_below)
    assert found is not None
    return found


class RangeConformance(StoreHarness):
    """`Store.read`."""

    @every_size
    async def test_ranges_are_cut_out_of_the_object_in_the_order_asked_for(
        self, subject: AsyncStore, unit: str, size: int
    ) -> None:
        data = payload(size)
        info = await put(subject, unit, data, upload_spec(name="name"))
        ranges: list[Range] = [(size, None), (-1, None), (0, 0), (0, 100), (size // 2, 10), (-size - 5, 3), (-7, 100)]
        if size > 50:
            ranges += [(size - 50, 2**62), (10, 40), (20, 40), (10, 40)]
        for key in (info.data_id, "name"):
            found = await read_of(subject, unit, key, ranges)
            assert found.info == info
            assert found.parts == [cut(data, *each) for each in ranges]
            assert all(type(part) is bytes for part in found.parts)

    @pytest.mark.parametrize("exact_below", [ALL_WHOLE, 1, EXACT_BELOW, BLOCK_SIZE, NONE_WHOLE])
    async def test_any_ranges_agree_with_slices_however_they_are_moved(
        self, subject: AsyncStore, unit: str, exact_below: int
    ) -> None:
        data = payload(2 * BLOCK_SIZE + 300_001)
        info = await put(subject, unit, data)
        rng = random.Random()  # noqa: S311  # which ranges, and no secrets
        seed = rng.randrange(1 << 32)
        rng.seed(seed)
        for _ in range(8):
            ranges: list[Range] = [
                (
                    rng.choice([rng.randrange(len(data) + 1), -rng.randrange(1, 2 * len(data))]),
                    rng.choice([0, 1, 100, rng.randrange(BLOCK_SIZE // 2), BLOCK_SIZE]),
                )
                for _ in range(rng.choice([1, 2, 3]))
            ]
            found = await read_of(subject, unit, info.data_id, ranges, exact_below=exact_below)
            assert found.parts == [cut(data, *each) for each in ranges], (seed, ranges)

    async def test_blocks_of_which_enough_is_wanted_come_whole_with_the_writers_checksums(
        self, subject: AsyncStore, unit: str
    ) -> None:
        data = payload(2 * BLOCK_SIZE + 100)
        info = await put(subject, unit, data)
        blocks = blocks_of(data)
        asked: list[tuple[list[Range], list[int]]] = [
            ([(0, 10)], []),
            ([(0, EXACT_BELOW - 1)], []),
            ([(0, EXACT_BELOW)], [0]),
            ([(5, EXACT_BELOW // 2), (7, EXACT_BELOW // 2)], [0]),
            ([(BLOCK_SIZE - 5, BLOCK_SIZE)], [1]),
            ([(2 * BLOCK_SIZE, None)], [2]),
            ([(2 * BLOCK_SIZE, 99)], []),
            ([(0, None)], [0, 1, 2]),
        ]
        for ranges, whole in asked:
            found = await read_of(subject, unit, info.data_id, ranges)
            assert found.parts == [cut(data, *each) for each in ranges]
            assert [(each.offset, bytes(each.data), each.checksum) for each in found.blocks] == [
                (blocks[index].offset, blocks[index].data, blocks[index].checksum) for index in whole
            ]
        found = await read_of(subject, unit, info.data_id, [(BLOCK_SIZE + 5, 1)], exact_below=ALL_WHOLE)
        assert [each.offset for each in found.blocks] == [BLOCK_SIZE]

    async def test_an_object_that_is_not_there_is_none(self, subject: AsyncStore, unit: str) -> None:
        assert await subject.read(unit, 5, [(0, None)]) is None
        assert await subject.read(unit, "name", [(7, 3), (-1, None)]) is None
        assert await subject.read(unit, 5, [(0, 1)], if_generation=3) is None
        assert await subject.read(unit, 5, [(0, 1)], generation=3) is None

    @each("size", [0, 1, 1000, BLOCK_SIZE])
    @each("length", [None, 0, 1])
    async def test_a_range_that_begins_past_the_end_is_refused(
        self, subject: AsyncStore, unit: str, size: int, length: int | None
    ) -> None:
        info = await put(subject, unit, payload(size))
        with raises_refusal(InvalidArgumentError, "BAD_RANGE", str(size + 1), str(size)):
            await subject.read(unit, info.data_id, [(0, None), (size + 1, length)])

    async def test_more_than_an_answer_holds_is_refused(self, subject: AsyncStore, unit: str) -> None:
        data = payload(3 * BLOCK_SIZE)
        info = await put(subject, unit, data)
        everything: list[Range] = [(0, None)]
        with raises_refusal(InvalidArgumentError, "MESSAGE_TOO_LARGE", "streamed"):
            await subject.read(unit, info.data_id, everything, max_bytes=len(data) - 1)
        with raises_refusal(InvalidArgumentError, "MESSAGE_TOO_LARGE"):
            await subject.read(unit, info.data_id, [(1, 1), (BLOCK_SIZE, 1)], exact_below=0, max_bytes=BLOCK_SIZE)
        with raises_refusal(InvalidArgumentError, "MESSAGE_TOO_LARGE"):
            await subject.read(unit, info.data_id, everything * MAX_RANGES)
        found = await subject.read(unit, info.data_id, everything, max_bytes=len(data))
        assert found is not None
        assert found.parts == [data]

    @each(
        "ranges",
        [
            [],
            [(0, 1)] * (MAX_RANGES + 1),
            [(0, -1)],
            [(True, 1)],
            [(0, False)],
            [(0.5, 1)],
            [("0", 1)],
            [(0, 1, 2)],
            [[0, 1]],
            [(1 << 63, 1)],
            [(-(1 << 63), 1)],
        ],
    )
    async def test_what_can_be_no_ranges_is_refused(
        self, subject: AsyncStore, unit: str, ranges: list[tuple[int, int]]
    ) -> None:
        info = await put(subject, unit, b"data")
        with raises_refusal(InvalidArgumentError, "BAD_RANGE"):
            await subject.read(unit, info.data_id, ranges)

    async def test_as_many_ranges_as_may_be_are_answered(self, subject: AsyncStore, unit: str) -> None:
        data = payload(2 * BLOCK_SIZE)
        info = await put(subject, unit, data)
        ranges: list[Range] = [(number * 2 * BLOCK_SIZE // MAX_RANGES, 100) for number in range(MAX_RANGES)]
        found = await read_of(subject, unit, info.data_id, ranges, exact_below=NONE_WHOLE)
        assert found.parts == [cut(data, *each) for each in ranges]

    # One generation

    async def test_if_generation_is_met_by_that_generation_only(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first")
        second = await replace(subject, unit, first.data_id, b"second")
        found = await subject.read(unit, first.data_id, [(0, 3)], if_generation=second.generation)
        assert found is not None
        assert found.parts == [b"sec"]
        for generation in (0, first.generation, second.generation + 1):
            with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)):
                await subject.read(unit, first.data_id, [(0, 3)], if_generation=generation)

    @every_size
    async def test_a_generation_that_was_replaced_is_read_as_it_was_or_gone(
        self, subject: AsyncStore, unit: str, size: int
    ) -> None:
        data = payload(size, 1)
        first = await put(subject, unit, data)
        second = await replace(subject, unit, first.data_id, payload(size + 1, 2))
        ranges: list[Range] = [(0, 100), (-3, None)]
        if self.retains:
            found = await subject.read(unit, first.data_id, ranges, generation=first.generation)
            assert found is not None
            assert (found.info, found.parts) == (first, [cut(data, *each) for each in ranges])
        else:
            with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)):
                await subject.read(unit, first.data_id, ranges, generation=first.generation)
        await remove(subject, unit, first.data_id)
        gone = await subject.read(unit, first.data_id, ranges, generation=second.generation)
        assert (gone is not None) == self.retains
        assert await subject.read(unit, first.data_id, ranges) is None

    async def test_metadata_that_changed_is_shown(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data", upload_spec(name="old"))
        await subject.set_metadata(unit, MetadataSpec(info.data_id, name="new", tags={"k": "v"}))
        found = await read_of(subject, unit, "new", [(0, None)])
        assert found.info == await stat(subject, unit, info.data_id)

    # Corruption

    @pytest.mark.parametrize("exact_below", [ALL_WHOLE, NONE_WHOLE])
    @pytest.mark.parametrize("size", [1000, BLOCK_SIZE + 1000])
    async def test_a_byte_that_changed_anywhere_in_a_block_is_noticed_before_any_of_it_is_shown(
        self, subject: AsyncStore, unit: str, size: int, exact_below: int
    ) -> None:
        if not self.corruptible:
            pytest.skip("this store cannot be corrupted from outside")
        data = payload(size)
        info = await put(subject, unit, data)
        self.corrupt(unit, info.data_id, size - 1)
        last = (size - 1) // BLOCK_SIZE
        with raises_refusal(CorruptionError, "STORED_CHECKSUM_MISMATCH", unit, str(info.data_id)) as caught:
            await subject.read(unit, info.data_id, [(last * BLOCK_SIZE + 5, 10)], exact_below=exact_below)
        assert caught.value.context["block"] == last
        if last:
            found = await read_of(subject, unit, info.data_id, [(5, 10)], exact_below=exact_below)
            assert found.parts == [data[5:15]]
