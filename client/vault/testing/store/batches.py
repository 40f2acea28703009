"""What holds for batches: order kept, each item's outcome its own, large ones left to streams."""

from collections.abc import Sequence
from typing import Any

import pytest

from vault.errors import (
    AlreadyExistsError,
    ChecksumError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    VaultError,
)
from vault.store.columns import Columns, LoadedObjects, LoadItems, ObjectInfos
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE, MAX_BATCH_ITEMS
from vault.store.specs import LoadItem, SmallUpdate, SmallUpload, UpdateSpec
from vault.store.values import LoadedObject, NotModified, ObjectInfo, checksum
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    assert_failed_with,
    fetch,
    listed,
    payload,
    put,
    raises_refusal,
    replace,
    small_update,
    small_upload,
    stat,
    upload_spec,
)


def infos_of(outcomes: Sequence[ObjectInfo | VaultError]) -> list[ObjectInfo]:
    """The outcomes, all of which must be successes."""
    infos = [outcome for outcome in outcomes if isinstance(outcome, ObjectInfo)]
    assert len(infos) == len(outcomes), outcomes
    return infos


class BatchConformance(StoreHarness):
    """`load_many`, `upload_many`, `update_many`; `delete_many` is with the deletions."""

    # Loading

    async def test_each_item_wanted_has_its_own_outcome_in_order(self, subject: AsyncStore, unit: str) -> None:
        small = await put(subject, unit, b"small", upload_spec(name="small"))
        empty = await put(subject, unit, b"")
        held = await put(subject, unit, b"held")
        large = await put(subject, unit, payload(BLOCK_SIZE + 1))
        outcomes = await subject.load_many(
            unit,
            [
                LoadItem(large.data_id),
                LoadItem("small"),
                LoadItem(5),
                LoadItem(held.data_id, if_generation_not_match=held.generation),
                LoadItem("nothing", if_generation_not_match=3),
                LoadItem(empty.data_id),
                LoadItem(held.data_id, if_generation_not_match=held.generation - 1),
                LoadItem(small.data_id),
            ],
        )
        assert outcomes == [
            LoadedObject(large, None),
            LoadedObject(small, b"small"),
            None,
            NotModified(held.generation),
            None,
            LoadedObject(empty, b""),
            LoadedObject(held, b"held"),
            LoadedObject(small, b"small"),
        ]
        assert await subject.load_many(unit, []) == []

    async def test_hundreds_of_small_objects_come_in_one_batch(self, subject: AsyncStore, unit: str) -> None:
        items = [small_upload(payload(1000, number)) for number in range(300)]
        infos = infos_of(await subject.upload_many(unit, items))
        assert [info.data_id for info in infos] == [item.spec.data_id for item in items]
        outcomes = await subject.load_many(unit, [LoadItem(info.data_id) for info in infos])
        assert outcomes == [LoadedObject(info, item.data) for info, item in zip(infos, items, strict=True)]

    async def test_what_does_not_fit_a_reply_comes_as_its_info(self, subject: AsyncStore, unit: str) -> None:
        items = [small_upload(payload(BLOCK_SIZE, number)) for number in range(8)]
        infos = infos_of(await subject.upload_many(unit, items))
        outcomes = await subject.load_many(unit, [LoadItem(info.data_id) for info in infos])
        for outcome, info, item in zip(outcomes, infos, items, strict=True):
            assert outcome in (LoadedObject(info, item.data), LoadedObject(info, None))
            assert await fetch(subject, unit, info.data_id) == item.data

    async def test_a_batch_is_a_sequence_and_as_good_as_its_columns(self, subject: AsyncStore, unit: str) -> None:
        specs = [upload_spec(name="first", tags={"a": "1"}), upload_spec(), upload_spec(datatype="Document")]
        written = await subject.upload_many(unit, [small_upload(b"some bytes", spec) for spec in [*specs, specs[1]]])
        ids = [spec.data_id for spec in specs]
        found = await subject.stat_many(unit, ["first", "nobody", *ids])
        loaded = await subject.load_many(unit, LoadItems.of([LoadItem("first"), LoadItem("nobody"), LoadItem(ids[1])]))
        columns: Sequence[Columns[Any]] = [ObjectInfos.of(written), ObjectInfos.of(found), LoadedObjects.of(loaded)]
        for sequence, as_columns in zip([written, found, loaded], columns, strict=True):
            items = list(sequence)
            assert sequence == items
            assert as_columns == items
            assert len(sequence) == len(as_columns) == len(items)
            assert [sequence[at] for at in range(-len(items), len(items))] == items + items
            assert sequence[1:] == items[1:]
            assert list(reversed(sequence)) == items[::-1]
            assert items[-1] in sequence
            with pytest.raises(IndexError):
                sequence[len(items)]
        infos, of_found, of_loaded = ObjectInfos.of(written), ObjectInfos.of(found), LoadedObjects.of(loaded)
        assert infos[3] == infos[1]  # a write that was sent again
        assert list(infos.data_ids)[:3] == ids
        assert of_found.others == {1: None}
        assert list(of_found.data_ids) == [ids[0], 0, *ids]
        assert list(of_found.generations) == [infos.generations[0], 0, *infos.generations[:3]]
        assert list(of_found.tags) == [{"a": "1"}, {}, {"a": "1"}, {}, {}]
        assert of_loaded.others == {1: None}
        assert list(of_loaded.data) == [b"some bytes", None, b"some bytes"]
        assert await subject.stat_many(unit, []) == []

    # Uploading

    @pytest.mark.parametrize("size", [0, 1, 1000, 65536, BLOCK_SIZE - 1, BLOCK_SIZE])
    async def test_a_small_upload_is_an_upload(self, subject: AsyncStore, unit: str, size: int) -> None:
        spec = upload_spec(name="name", tags={"a": "1"}, datatype="Document")
        (info,) = infos_of(await subject.upload_many(unit, [small_upload(payload(size), spec)]))
        assert (info.size, info.checksum, info.name, dict(info.tags)) == (
            size,
            checksum(payload(size)),
            "name",
            {"a": "1"},
        )
        assert info.generation == info.revision > 0
        assert await stat(subject, unit, spec.data_id) == info
        assert await fetch(subject, unit, "name") == payload(size)
        self.assert_raw(unit, spec.data_id, payload(size))

    async def test_uploads_succeed_and_fail_one_by_one(self, subject: AsyncStore, unit: str) -> None:
        taken = await put(subject, unit, b"taken", upload_spec(name="taken"))
        good, twin = upload_spec(name="good"), upload_spec(name="twin")
        outcomes = await subject.upload_many(
            unit,
            [
                small_upload(b"no", upload_spec(data_id=taken.data_id)),
                small_upload(b"good", good),
                small_upload(b"no", upload_spec(name="taken")),
                SmallUpload(upload_spec(), b"no", checksum(b"no") ^ 1),
                small_upload(payload(BLOCK_SIZE + 1)),
                small_upload(b"twin", twin),
                small_upload(b"no", upload_spec(name="twin")),
                small_upload(b"no", upload_spec(data_id=twin.data_id)),
                small_upload(b"no", upload_spec(data_id=0)),
                small_upload(b"no", upload_spec(name="")),
            ],
        )
        assert_failed_with(outcomes[0], AlreadyExistsError, "OBJECT_EXISTS", str(taken.data_id))
        assert_failed_with(outcomes[2], AlreadyExistsError, "NAME_TAKEN", "taken")
        assert_failed_with(outcomes[3], ChecksumError, "CHECKSUM_MISMATCH", "checksum")
        assert_failed_with(outcomes[4], InvalidArgumentError, "BAD_SIZE", str(BLOCK_SIZE + 1))
        assert_failed_with(outcomes[6], AlreadyExistsError, "NAME_TAKEN", "twin")
        assert_failed_with(outcomes[7], AlreadyExistsError, "OBJECT_EXISTS", str(twin.data_id))
        assert_failed_with(outcomes[8], InvalidArgumentError, "BAD_ID", "0")
        assert_failed_with(outcomes[9], InvalidArgumentError, "BAD_NAME", "''")
        infos = infos_of([outcome for outcome in outcomes if isinstance(outcome, ObjectInfo)])
        assert [info.data_id for info in infos] == [good.data_id, twin.data_id]
        everything = sorted([taken, *infos], key=lambda info: info.data_id)
        assert await listed(subject, unit) == everything
        assert await fetch(subject, unit, "good") == b"good"
        assert await fetch(subject, unit, "twin") == b"twin"

    async def test_a_retried_batch_of_uploads_is_done_once(self, subject: AsyncStore, unit: str) -> None:
        items = [small_upload(payload(1000, number)) for number in range(5)]
        first = infos_of(await subject.upload_many(unit, items[:3]))
        again = infos_of(await subject.upload_many(unit, items))
        assert again[:3] == first
        assert sorted(again, key=lambda info: info.data_id) == await listed(subject, unit)

    async def test_a_stream_and_a_batch_know_each_others_requests(self, subject: AsyncStore, unit: str) -> None:
        one, two = upload_spec(), upload_spec()
        streamed = await put(subject, unit, b"data", one)
        (batched,) = infos_of(await subject.upload_many(unit, [small_upload(b"data", two)]))
        assert await subject.upload_many(unit, [small_upload(b"data", one)]) == [streamed]
        assert await put(subject, unit, b"data", two) == batched

    # Updating

    @pytest.mark.parametrize("size", [0, 1, 1000, 65536, BLOCK_SIZE - 1, BLOCK_SIZE])
    async def test_a_small_update_is_an_update(self, subject: AsyncStore, unit: str, size: int) -> None:
        for old_size in (0, 1000, 2 * BLOCK_SIZE):
            first = await put(subject, unit, payload(old_size, 1), upload_spec(tags={"a": "1"}, datatype="old"))
            item = small_update(UpdateSpec(first.data_id, if_generation=first.generation), payload(size, 2))
            (info,) = infos_of(await subject.update_many(unit, [item]))
            assert info.generation == info.revision > first.generation
            assert (info.size, info.checksum) == (size, checksum(payload(size, 2)))
            assert (info.created_at, dict(info.tags), info.datatype) == (first.created_at, {"a": "1"}, "old")
            assert await stat(subject, unit, first.data_id) == info
            assert await fetch(subject, unit, first.data_id) == payload(size, 2)
            self.assert_raw(unit, first.data_id, payload(size, 2))

    async def test_updates_succeed_and_fail_one_by_one(self, subject: AsyncStore, unit: str) -> None:
        one = await put(subject, unit, b"one", upload_spec(name="one"))
        two = await put(subject, unit, b"two")
        outcomes = await subject.update_many(
            unit,
            [
                small_update(UpdateSpec("one"), b"new one"),
                small_update(UpdateSpec(two.data_id, if_generation=two.generation + 1), b"no"),
                small_update(UpdateSpec(5), b"no"),
                SmallUpdate(UpdateSpec(two.data_id), b"no", checksum(b"no") ^ 1),
                small_update(UpdateSpec(two.data_id), payload(BLOCK_SIZE + 1)),
                small_update(UpdateSpec(one.data_id, if_generation=one.generation), b"no"),
                small_update(UpdateSpec(-1), b"no"),
            ],
        )
        assert_failed_with(outcomes[1], ConflictError, "GENERATION_MISMATCH", str(two.generation))
        assert_failed_with(outcomes[2], NotFoundError, "OBJECT_NOT_FOUND", "5", unit)
        assert_failed_with(outcomes[3], ChecksumError, "CHECKSUM_MISMATCH", "checksum")
        assert_failed_with(outcomes[4], InvalidArgumentError, "BAD_SIZE", str(BLOCK_SIZE + 1))
        assert_failed_with(outcomes[5], ConflictError, "GENERATION_MISMATCH")
        assert_failed_with(outcomes[6], InvalidArgumentError, "BAD_ID", "-1")
        assert await stat(subject, unit, "one") == outcomes[0]
        assert await fetch(subject, unit, "one") == b"new one"
        assert await stat(subject, unit, two.data_id) == two

    async def test_a_retried_batch_of_updates_is_done_once(self, subject: AsyncStore, unit: str) -> None:
        infos = infos_of(await subject.upload_many(unit, [small_upload(b"old") for _ in range(3)]))
        items = [small_update(UpdateSpec(info.data_id, if_generation=info.generation), b"new") for info in infos]
        updated = infos_of(await subject.update_many(unit, items))
        await replace(subject, unit, infos[0].data_id, b"newer")
        assert await subject.update_many(unit, items) == updated
        assert await fetch(subject, unit, infos[0].data_id) == b"newer"

    async def test_many_blocks_of_updates_take_one_call(self, subject: AsyncStore, unit: str) -> None:
        infos = infos_of(await subject.upload_many(unit, [small_upload(b"old") for _ in range(6)]))
        items = [small_update(UpdateSpec(info.data_id), payload(BLOCK_SIZE, info.data_id % 7)) for info in infos]
        updated = infos_of(await subject.update_many(unit, items))
        assert [info.size for info in updated] == [BLOCK_SIZE] * 6
        for item, info in zip(items, updated, strict=True):
            assert await fetch(subject, unit, info.data_id) == item.data

    # Limits

    async def test_a_batch_has_a_limit(self, subject: AsyncStore, unit: str) -> None:
        too_many = MAX_BATCH_ITEMS + 1
        words = (str(too_many), str(MAX_BATCH_ITEMS))
        async with self.unchanged(subject, unit):
            with raises_refusal(InvalidArgumentError, "BATCH_TOO_LARGE", *words):
                await subject.exists_many(unit, [5] * too_many)
            with raises_refusal(InvalidArgumentError, "BATCH_TOO_LARGE", *words):
                await subject.stat_many(unit, [5] * too_many)
            with raises_refusal(InvalidArgumentError, "BATCH_TOO_LARGE", *words):
                await subject.load_many(unit, [LoadItem(5)] * too_many)
            with raises_refusal(InvalidArgumentError, "BATCH_TOO_LARGE", *words):
                await subject.upload_many(unit, [small_upload(b"x")] * too_many)
            with raises_refusal(InvalidArgumentError, "BATCH_TOO_LARGE", *words):
                await subject.update_many(unit, [small_update(UpdateSpec(5), b"x")] * too_many)

    async def test_a_batch_up_to_the_limit_is_taken(self, subject: AsyncStore, unit: str) -> None:
        assert await subject.exists_many(unit, list(range(1, MAX_BATCH_ITEMS + 1))) == [0] * MAX_BATCH_ITEMS
        assert await subject.load_many(unit, [LoadItem(5)] * MAX_BATCH_ITEMS) == [None] * MAX_BATCH_ITEMS
