"""What holds for units with limits: what has no room is refused, or what was stored longest ago goes for it."""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from vault.errors import AlreadyExistsError, ConflictError, NotFoundError, StorageFullError, VaultError
from vault.store.contract import AsyncBlockReader, AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, MetadataSpec, UpdateSpec
from vault.store.usage import UnitLimits
from vault.store.values import Change, ChangeKind
from vault.testing.store.feed import PATIENCE
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    listed,
    payload,
    put,
    raises_refusal,
    remove,
    replace,
    small_update,
    small_upload,
    upload_spec,
)


def reasons(outcomes: Sequence[Any]) -> list[str]:
    """The outcomes of a batch: "" for an object."""
    return [outcome.reason if isinstance(outcome, VaultError) else "" for outcome in outcomes]


class LimitConformance(StoreHarness):
    """`UnitLimits`, as every write finds them."""

    async def _held(self, store: AsyncStore, unit: str) -> list[int]:
        """The ids of the objects that the unit holds, in the order in which they were stored; counted, too."""
        infos = sorted(await listed(store, unit), key=lambda info: info.generation)
        counted = await store.unit_info(unit)
        assert (counted.objects, counted.bytes) == (len(infos), sum(info.size for info in infos))
        return [info.data_id for info in infos]

    async def _fill(self, store: AsyncStore, unit: str, ids: range, data: bytes = b"1234") -> None:
        items = [small_upload(data, upload_spec(data_id=data_id, name=f"n{data_id}")) for data_id in ids]
        assert set(reasons(await store.upload_many(unit, items))) == {""}

    # Refusing

    async def test_what_goes_over_a_limit_is_refused_and_changes_nothing(self, subject: AsyncStore, unit: str) -> None:
        await self._fill(subject, unit, range(1, 4))
        for limits, size in (
            (UnitLimits(max_objects=3), 0),
            (UnitLimits(max_bytes=15), 4),
            (UnitLimits(max_objects=3, max_bytes=100), 4),
            (UnitLimits(max_objects=100, max_bytes=12), 1),
            (UnitLimits(max_objects=0), 1),
            (UnitLimits(max_bytes=0), 1),
            (UnitLimits(max_objects=1, max_bytes=1), 1),
        ):
            await subject.set_unit_limits(unit, limits)
            async with self.unchanged(subject, unit):
                with raises_refusal(StorageFullError, "QUOTA", unit, "limit") as caught:
                    await put(subject, unit, payload(size), upload_spec(name="new"))
                assert caught.value.context["limit"] in (limits.max_objects, limits.max_bytes)
                outcomes = await subject.upload_many(unit, [small_upload(payload(size)), small_upload(payload(size))])
                assert reasons(outcomes) == ["QUOTA", "QUOTA"]

    async def test_the_items_of_a_batch_take_what_room_there_is_one_after_the_other(
        self, subject: AsyncStore, unit: str
    ) -> None:
        await subject.set_unit_limits(unit, UnitLimits(max_objects=4, max_bytes=10))
        sizes = [4, 7, 4, 3, 2, 0, 0]
        outcomes = await subject.upload_many(
            unit, [small_upload(payload(size), upload_spec(data_id=number)) for number, size in enumerate(sizes, 1)]
        )
        assert reasons(outcomes) == ["", "QUOTA", "", "QUOTA", "", "", "QUOTA"]
        assert await self._held(subject, unit) == [1, 3, 5, 6]
        assert await remove(subject, unit, 3)
        assert reasons(await subject.upload_many(unit, [small_upload(payload(5)), small_upload(payload(4))])) == [
            "QUOTA",
            "",
        ]

    async def test_new_bytes_in_the_place_of_others_count_by_the_difference(
        self, subject: AsyncStore, unit: str
    ) -> None:
        await self._fill(subject, unit, range(1, 3))
        await subject.set_unit_limits(unit, UnitLimits(max_objects=2, max_bytes=10))
        await replace(subject, unit, 1, payload(6))
        with raises_refusal(StorageFullError, "QUOTA", "10"):
            await replace(subject, unit, 2, payload(5))
        outcomes = await subject.update_many(
            unit,
            [
                small_update(UpdateSpec(2), payload(5)),
                small_update(UpdateSpec(1), payload(1)),
                small_update(UpdateSpec(2), payload(9)),
                small_update(UpdateSpec(2), payload(10)),
            ],
        )
        assert reasons(outcomes) == ["QUOTA", "", "", "QUOTA"]
        assert (await subject.unit_info(unit)).bytes == 10

    async def test_a_limit_below_what_is_there_refuses_what_adds_to_it_and_nothing_else(
        self, subject: AsyncStore, unit: str
    ) -> None:
        await self._fill(subject, unit, range(1, 4))
        for limits in (UnitLimits(max_objects=1, max_bytes=1), UnitLimits(max_objects=0, max_bytes=0)):
            assert (await subject.set_unit_limits(unit, limits)).objects == 3
            with raises_refusal(StorageFullError, "QUOTA"):
                await replace(subject, unit, 1, b"12345")
            with raises_refusal(StorageFullError, "QUOTA"):
                await put(subject, unit, b"")
            assert await subject.exists_many(unit, [1, 2, 3]) != [0, 0, 0]
        await subject.set_metadata(unit, MetadataSpec(1, tags={"a": "b"}))
        await replace(subject, unit, 1, b"123")
        await replace(subject, unit, 1, b"321")
        assert await remove(subject, unit, 2)
        assert await self._held(subject, unit) == [3, 1]

    async def test_a_write_that_was_applied_is_answered_the_same_when_the_unit_is_full(
        self, subject: AsyncStore, unit: str
    ) -> None:
        await subject.set_unit_limits(unit, UnitLimits(max_objects=1, max_bytes=4))
        item = small_upload(b"1234")
        first = list(await subject.upload_many(unit, [item]))
        assert reasons(first) == [""]
        assert list(await subject.upload_many(unit, [item])) == first
        assert await put(subject, unit, b"1234", item.spec) == first[0]

    async def test_other_refusals_come_before_that_for_room(self, subject: AsyncStore, unit: str) -> None:
        await self._fill(subject, unit, range(1, 3))
        await subject.set_unit_limits(unit, UnitLimits(max_objects=2, max_bytes=8))
        with raises_refusal(AlreadyExistsError, "NAME_TAKEN"):
            await put(subject, unit, b"data", upload_spec(name="n1"))
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            await replace(subject, unit, UpdateSpec(1, if_generation=10**9), payload(100))
        with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND"):
            await replace(subject, unit, 3, payload(100))

    @pytest.mark.parametrize("when_full", ["refuse", "evict"])
    async def test_a_stream_that_is_too_much_is_refused(
        self, subject: AsyncStore, unit: str, when_full: Literal["refuse", "evict"]
    ) -> None:
        await put(subject, unit, payload(BLOCK_SIZE), upload_spec(data_id=1))
        await subject.set_unit_limits(unit, UnitLimits(max_bytes=3 * BLOCK_SIZE, when_full=when_full))
        async with self.unchanged(subject, unit):
            with raises_refusal(StorageFullError, "QUOTA", unit):
                await put(subject, unit, payload(3 * BLOCK_SIZE + 17))
            with raises_refusal(StorageFullError, "QUOTA", unit):
                await replace(subject, unit, 1, payload(3 * BLOCK_SIZE + 17))
        assert (await replace(subject, unit, 1, payload(3 * BLOCK_SIZE))).size == 3 * BLOCK_SIZE

    async def test_of_writers_at_once_no_more_get_in_than_there_is_room_for(
        self, subject: AsyncStore, unit: str
    ) -> None:
        await subject.set_unit_limits(unit, UnitLimits(max_objects=5, max_bytes=100))
        calls = [subject.upload_many(unit, [small_upload(payload(10)) for _ in range(3)]) for _ in range(6)]
        outcomes = [reason for batch in await asyncio.gather(*calls) for reason in reasons(batch)]
        assert sorted(outcomes) == [""] * 5 + ["QUOTA"] * 13
        assert len(await self._held(subject, unit)) == 5

    # Evicting

    async def test_what_was_stored_longest_ago_goes_first(self, subject: AsyncStore, unit: str) -> None:
        await self._fill(subject, unit, range(1, 6))
        await subject.set_unit_limits(unit, UnitLimits(max_objects=5, when_full="evict"))
        await subject.set_metadata(unit, MetadataSpec(1, tags={"young": "no"}))  # that stores nothing
        await replace(subject, unit, 2, b"new")
        for data_id in (6, 7):
            await put(subject, unit, b"data", upload_spec(data_id=data_id, name=f"n{data_id}"))
        assert await self._held(subject, unit) == [4, 5, 2, 6, 7]
        assert await subject.stat_many(unit, [1, "n1", 3, "n3"]) == [None] * 4

    async def test_as_much_goes_as_has_to(self, subject: AsyncStore, unit: str) -> None:
        await subject.set_unit_limits(unit, UnitLimits(max_bytes=20, when_full="evict"))
        await self._fill(subject, unit, range(1, 6))
        await put(subject, unit, b"", upload_spec(data_id=6))
        assert await self._held(subject, unit) == [1, 2, 3, 4, 5, 6]
        await put(subject, unit, payload(5), upload_spec(data_id=7))
        assert await self._held(subject, unit) == [3, 4, 5, 6, 7]
        await put(subject, unit, payload(20), upload_spec(data_id=8))
        assert await self._held(subject, unit) == [8]

    async def test_the_object_that_gets_new_bytes_is_not_evicted_for_them(self, subject: AsyncStore, unit: str) -> None:
        await self._fill(subject, unit, range(1, 5))
        await subject.set_unit_limits(unit, UnitLimits(max_bytes=16, when_full="evict"))
        await replace(subject, unit, 1, payload(9))
        assert await self._held(subject, unit) == [4, 1]
        await replace(subject, unit, 1, payload(16))
        assert await self._held(subject, unit) == [1]

    async def test_an_object_that_is_larger_than_the_limit_is_refused_and_evicts_nothing(
        self, subject: AsyncStore, unit: str
    ) -> None:
        await self._fill(subject, unit, range(1, 4))
        for limits in (
            UnitLimits(max_bytes=12, when_full="evict"),
            UnitLimits(max_objects=0, when_full="evict"),
            UnitLimits(max_bytes=0, when_full="evict"),
        ):
            await subject.set_unit_limits(unit, limits)
            async with self.unchanged(subject, unit):
                outcomes = await subject.upload_many(unit, [small_upload(payload(13))])
                assert reasons(outcomes) == ["QUOTA"]
                with raises_refusal(StorageFullError, "QUOTA"):
                    await replace(subject, unit, 2, payload(13))

    async def test_what_is_refused_evicts_nothing(self, subject: AsyncStore, unit: str) -> None:
        await self._fill(subject, unit, range(1, 4))
        await subject.set_unit_limits(unit, UnitLimits(max_objects=3, max_bytes=12, when_full="evict"))
        async with self.unchanged(subject, unit):
            item = small_upload(payload(12), upload_spec(name="n3"))
            assert reasons(await subject.upload_many(unit, [item])) == ["NAME_TAKEN"]
            update = small_update(UpdateSpec(3, if_generation=10**9), payload(12))
            assert reasons(await subject.update_many(unit, [update])) == ["GENERATION_MISMATCH"]
            assert await subject.delete_many(unit, [DeleteSpec(77)]) == [0]

    async def test_a_batch_beyond_the_limit_leaves_its_last_ones(self, subject: AsyncStore, unit: str) -> None:
        await self._fill(subject, unit, range(1, 4))
        await subject.set_unit_limits(unit, UnitLimits(max_objects=3, when_full="evict"))
        await self._fill(subject, unit, range(4, 14))
        assert await self._held(subject, unit) == [11, 12, 13]
        changes = [small_update(UpdateSpec(11), b"x"), small_update(UpdateSpec(13), b"y")]
        assert reasons(await subject.update_many(unit, changes)) == ["", ""]
        await put(subject, unit, b"", upload_spec(data_id=14))
        assert await self._held(subject, unit) == [11, 13, 14]

    async def test_an_evicted_object_frees_its_name_and_its_id(self, subject: AsyncStore, unit: str) -> None:
        await self._fill(subject, unit, range(1, 3))
        await subject.set_unit_limits(unit, UnitLimits(max_objects=2, when_full="evict"))
        items = [
            small_upload(b"new", upload_spec(data_id=3)),  # evicts 1
            small_upload(b"new", upload_spec(data_id=1, name="n1")),  # evicts 2
            small_upload(b"new", upload_spec(data_id=4, name="n2")),  # evicts 3
        ]
        assert reasons(await subject.upload_many(unit, items)) == ["", "", ""]
        assert await self._held(subject, unit) == [1, 4]

    async def test_a_lower_limit_evicts_at_the_next_write_and_any_number(self, subject: AsyncStore, unit: str) -> None:
        for first in (1, 1001, 2001):
            await self._fill(subject, unit, range(first, first + 1000))
        await subject.set_metadata(unit, MetadataSpec(1, name="first"))
        await subject.set_unit_limits(unit, UnitLimits(max_objects=400, when_full="evict"))
        assert (await subject.unit_info(unit)).objects == 3000
        await put(subject, unit, b"data", upload_spec(data_id=3001))
        assert await self._held(subject, unit) == list(range(2602, 3002))

    async def test_an_eviction_is_told_as_a_deletion(self, subject: AsyncStore, unit: str) -> None:
        await self._fill(subject, unit, range(1, 3))
        await subject.set_unit_limits(unit, UnitLimits(max_objects=2, when_full="evict"))
        async with await subject.watch([unit]) as watch:
            events = aiter(watch)
            await asyncio.wait_for(anext(events), PATIENCE)
            info = await put(subject, unit, b"data", upload_spec(data_id=3))
            told: list[Change] = []
            while len(told) < 2:
                event = await asyncio.wait_for(anext(events), PATIENCE)
                if isinstance(event, Change):
                    told.append(event)
        assert [(change.data_id, change.kind) for change in told] == [(1, ChangeKind.DELETED), (3, ChangeKind.UPLOADED)]
        assert told[1].revision == info.revision == told[0].revision + 1

    async def test_evicted_bytes_are_retained_as_those_of_a_deletion(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, payload(1000), upload_spec(data_id=1))
        await subject.set_unit_limits(unit, UnitLimits(max_objects=1, when_full="evict"))
        await put(subject, unit, b"data", upload_spec(data_id=2))
        assert await subject.load(unit, 1) is None
        found = await subject.load(unit, 1, generation=first.generation)
        if found is None:
            assert not self.retains
            return
        assert isinstance(found, AsyncBlockReader)
        async with found:
            assert b"".join([bytes(block.data) async for block in found]) == payload(1000)
