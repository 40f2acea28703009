"""What holds for updates: new bytes under the old id, and of two writers one wins."""

import pytest

from vault.errors import ChecksumError, ConflictError, InvalidArgumentError, NotFoundError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import MetadataSpec, UpdateSpec, new_request_id
from vault.store.values import Block, checksum
from vault.testing.cases import each
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    WAYS,
    blocks_of,
    every_size,
    fetch,
    listed,
    payload,
    put,
    put_by,
    raises_refusal,
    remove,
    replace,
    send,
    stat,
    upload_spec,
)


class UpdateConformance(StoreHarness):
    """`Store.update` and the writer it gives."""

    @every_size
    async def test_an_update_comes_back_as_it_went_in(self, subject: AsyncStore, unit: str, size: int) -> None:
        for old_size in (0, 1000, 2 * BLOCK_SIZE + 5):
            first = await put(subject, unit, payload(old_size, 1))
            info = await replace(subject, unit, first.data_id, payload(size, 2))
            assert (info.size, info.checksum) == (size, checksum(payload(size, 2)))
            assert await fetch(subject, unit, first.data_id) == payload(size, 2)
            assert await stat(subject, unit, first.data_id) == info
            self.assert_raw(unit, first.data_id, payload(size, 2))

    async def test_only_bytes_and_what_follows_from_them_change(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec(name="name", tags={"a": "1"}, datatype="Document")
        first = await put(subject, unit, b"first", spec)
        second = await replace(subject, unit, first.data_id, b"second!")
        assert second.generation == second.revision > first.revision
        assert second.updated_at >= first.updated_at
        same = [
            (info.unit, info.data_id, info.name, dict(info.tags), info.datatype, info.created_at)
            for info in (first, second)
        ]
        assert same[0] == same[1]

    async def test_every_update_is_a_generation_of_its_own(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"same bytes")
        updates = [await replace(subject, unit, info.data_id, b"same bytes") for _ in range(4)]
        generations = [info.generation, *(update.generation for update in updates)]
        assert generations == sorted(set(generations))

    async def test_an_object_is_updated_by_its_name(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first", upload_spec(name="name"))
        info = await replace(subject, unit, "name", b"second")
        assert (info.data_id, info.name) == (first.data_id, "name")
        assert await fetch(subject, unit, first.data_id) == b"second"

    @pytest.mark.parametrize(("datatype", "kept"), [(None, "old"), ("new", "new"), ("", "")])
    async def test_the_datatype_is_kept_unless_another_is_given(
        self, subject: AsyncStore, unit: str, datatype: str | None, kept: str
    ) -> None:
        first = await put(subject, unit, b"first", upload_spec(datatype="old"))
        info = await replace(subject, unit, UpdateSpec(first.data_id, datatype=datatype), b"second")
        assert info.datatype == kept
        assert await stat(subject, unit, first.data_id) == info

    @each("key", [5, "name"])
    @each("if_generation", [None, 0, 3])
    async def test_what_is_not_there_cannot_be_updated(
        self, subject: AsyncStore, unit: str, key: int | str, if_generation: int | None
    ) -> None:
        async with self.unchanged(subject, unit):
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", str(key), unit) as caught:
                await replace(subject, unit, UpdateSpec(key, if_generation=if_generation), b"data")
        assert caught.value.context["unit"] == unit

    # Preconditions

    async def test_if_generation_lets_the_right_writer_through(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first")
        second = await replace(subject, unit, UpdateSpec(first.data_id, if_generation=first.generation), b"second")
        assert await fetch(subject, unit, first.data_id) == b"second"
        for generation in (0, first.generation, second.generation + 1):
            spec = UpdateSpec(first.data_id, if_generation=generation)
            async with self.unchanged(subject, unit):
                with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)) as caught:
                    await replace(subject, unit, spec, b"too late")
            assert caught.value.context["unit"] == unit
            assert caught.value.context["generation"] == second.generation
        assert await fetch(subject, unit, first.data_id) == b"second"

    async def test_of_two_writers_of_one_generation_the_first_to_commit_wins(
        self, subject: AsyncStore, unit: str
    ) -> None:
        info = await put(subject, unit, b"old")
        first = await subject.update(unit, UpdateSpec(info.data_id, if_generation=info.generation))
        second = await subject.update(unit, UpdateSpec(info.data_id, if_generation=info.generation))
        await second.write(blocks_of(b"second")[0])
        await send(first, b"first")
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            async with second:
                await second.commit(6)
        assert await fetch(subject, unit, info.data_id) == b"first"

    async def test_without_a_precondition_the_last_to_commit_wins(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"old")
        first = await subject.update(unit, UpdateSpec(info.data_id))
        await first.write(blocks_of(b"first")[0])
        await replace(subject, unit, info.data_id, b"second")
        async with first:
            await first.commit(5)
        assert await fetch(subject, unit, info.data_id) == b"first"

    async def test_an_object_deleted_meanwhile_cannot_be_updated(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"old")
        writer = await subject.update(unit, UpdateSpec(info.data_id))
        await writer.write(blocks_of(b"data")[0])
        await remove(subject, unit, info.data_id)
        with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND"):
            async with writer:
                await writer.commit(4)
        assert await stat(subject, unit, info.data_id) is None
        self.assert_raw(unit, info.data_id, None)

    # What fails changes nothing

    async def test_the_old_bytes_stay_until_the_commit(self, subject: AsyncStore, unit: str) -> None:
        old, new = payload(BLOCK_SIZE + 5, 1), payload(2 * BLOCK_SIZE, 2)
        info = await put(subject, unit, old)
        async with await subject.update(unit, UpdateSpec(info.data_id)) as writer:
            for block in blocks_of(new):
                await writer.write(block)
                assert await fetch(subject, unit, info.data_id) == old
        assert await fetch(subject, unit, info.data_id) == old, "there was no commit"
        assert await stat(subject, unit, info.data_id) == info
        self.assert_raw(unit, info.data_id, old)

    @pytest.mark.parametrize(
        ("blocks", "size", "total", "kind", "reason"),
        [
            ([Block(0, b"data", 1)], 4, None, ChecksumError, "CHECKSUM_MISMATCH"),
            ([Block(0, b"data", checksum(b"data"))], 4, 1, ChecksumError, "CHECKSUM_MISMATCH"),
            ([Block(0, b"data", checksum(b"data"))], 5, None, InvalidArgumentError, "BAD_SIZE"),
            ([Block(BLOCK_SIZE, b"data", checksum(b"data"))], 4, None, InvalidArgumentError, "BAD_OFFSET"),
            ([Block(0, b"", checksum(b""))], 0, None, InvalidArgumentError, "BAD_SIZE"),
            ([], 1, None, InvalidArgumentError, "BAD_SIZE"),
        ],
        ids=["block_checksum", "total_checksum", "total_size", "offset", "empty_block", "no_block"],
    )
    async def test_a_refused_update_leaves_the_old_object(
        self,
        subject: AsyncStore,
        unit: str,
        blocks: list[Block],
        size: int,
        total: int | None,
        kind: type[ChecksumError | InvalidArgumentError],
        reason: str,
    ) -> None:
        info = await put(subject, unit, b"old")
        async with self.unchanged(subject, unit):
            with raises_refusal(kind, reason):
                async with await subject.update(unit, UpdateSpec(info.data_id)) as writer:
                    for block in blocks:
                        await writer.write(block)
                    await writer.commit(size, total)
        assert await fetch(subject, unit, info.data_id) == b"old"
        self.assert_raw(unit, info.data_id, b"old")

    # Retries

    @pytest.mark.parametrize("size", [0, 1000, BLOCK_SIZE + 1])
    async def test_a_retried_update_is_done_once_and_answers_the_same(
        self, subject: AsyncStore, unit: str, size: int
    ) -> None:
        first = await put(subject, unit, b"first")
        spec = UpdateSpec(first.data_id, if_generation=first.generation, request_id=new_request_id())
        second = await replace(subject, unit, spec, payload(size))
        async with self.unchanged(subject, unit):
            assert await replace(subject, unit, spec, payload(size)) == second

    async def test_a_retried_update_does_not_undo_what_came_after(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first")
        spec = UpdateSpec(first.data_id)
        second = await replace(subject, unit, spec, b"second")
        await replace(subject, unit, first.data_id, b"third")
        assert await replace(subject, unit, spec, b"second") == second
        assert await fetch(subject, unit, first.data_id) == b"third"
        await remove(subject, unit, first.data_id)
        assert await replace(subject, unit, spec, b"second") == second
        assert await listed(subject, unit) == []

    async def test_a_retry_that_overtakes_its_first_try_is_done_once(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first")
        spec = UpdateSpec(first.data_id, if_generation=first.generation)
        slow = await subject.update(unit, spec)
        await slow.write(blocks_of(b"second")[0])
        fast = await replace(subject, unit, spec, b"second")
        async with slow:
            assert await slow.commit(6) == fast
        assert await stat(subject, unit, first.data_id) == fast

    # With tags, and at a revision

    @pytest.mark.parametrize("way", WAYS)
    async def test_an_update_with_tags_replaces_them_with_the_bytes(
        self, subject: AsyncStore, unit: str, way: str
    ) -> None:
        first = await put(subject, unit, b"first", upload_spec(name="name", tags={"a": "1"}, datatype="d"))
        for tags, expected in (({"b": "2"}, {"b": "2"}), (None, {"b": "2"}), ({}, {})):
            spec = UpdateSpec("name", tags=tags, request_id=new_request_id())
            info = await put_by(subject, unit, way, spec, b"second")
            assert (info.data_id, dict(info.tags), info.datatype) == (first.data_id, expected, "d")
            assert await stat(subject, unit, "name") == info
            assert await put_by(subject, unit, way, spec, b"second") == info
        assert await listed(subject, unit, tags={"a": "1"}) == []

    @pytest.mark.parametrize("way", WAYS)
    async def test_an_update_at_a_revision_loses_nobodys_tags(self, subject: AsyncStore, unit: str, way: str) -> None:
        first = await put(subject, unit, b"first", upload_spec(name="name"))
        tagged = await subject.set_metadata(unit, MetadataSpec("name", tags={"a": "1"}))
        async with self.unchanged(subject, unit):
            for revision in (0, first.revision, tagged.revision + 1):
                with raises_refusal(ConflictError, "REVISION_MISMATCH", str(tagged.revision)) as caught:
                    await put_by(subject, unit, way, UpdateSpec("name", if_revision=revision, tags={}), b"no")
                assert caught.value.context["revision"] == tagged.revision
        info = await put_by(subject, unit, way, UpdateSpec("name", if_revision=tagged.revision), b"second")
        assert (dict(info.tags), info.revision > tagged.revision) == ({"a": "1"}, True)
