"""What holds for loads of one generation: its bytes and no others, for as long as the store retains them."""

import pytest

from vault.errors import ConflictError, InvalidArgumentError
from vault.store.contract import AsyncBlockReader, AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import MetadataSpec
from vault.store.values import NotModified, ObjectInfo
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import every_size, payload, put, raises_refusal, remove, replace, stat, upload_spec


async def load_generation(store: AsyncStore, info: ObjectInfo, *, offset: int = 0) -> tuple[ObjectInfo, bytes] | None:
    """What the store has of just this generation, verified; None when there is nothing."""
    found = await store.load(info.unit, info.data_id, offset=offset, generation=info.generation)
    if found is None:
        return None
    assert isinstance(found, AsyncBlockReader)
    async with found:
        pieces = []
        async for block in found:
            block.verify(found.info)
            pieces.append(bytes(block.data))
    return found.info, b"".join(pieces)


class GenerationConformance(StoreHarness):
    """`Store.load` with a `generation`. `retains` says whether the store keeps those that were."""

    @every_size
    async def test_the_present_generation_may_be_asked_for(self, subject: AsyncStore, unit: str, size: int) -> None:
        info = await put(subject, unit, payload(size), upload_spec(name="name"))
        assert await load_generation(subject, info) == (info, payload(size))
        by_name = await subject.load(unit, "name", generation=info.generation)
        assert isinstance(by_name, AsyncBlockReader)
        async with by_name:
            assert by_name.info == info

    async def test_a_generation_that_never_was_is_a_conflict(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data", upload_spec(name="name"))
        for generation in (0, info.generation - 1, info.generation + 1):
            for key in (info.data_id, "name"):
                with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(info.generation)):
                    await subject.load(unit, key, generation=generation)

    async def test_a_generation_of_an_object_that_never_was_is_none(self, subject: AsyncStore, unit: str) -> None:
        assert await subject.load(unit, 5, generation=3) is None
        assert await subject.load(unit, "name", generation=3) is None

    @every_size
    async def test_a_replaced_generation_is_whole_or_gone(self, subject: AsyncStore, unit: str, size: int) -> None:
        first = await put(subject, unit, payload(size, 1))
        second = await replace(subject, unit, first.data_id, payload(size, 2))
        third = await replace(subject, unit, first.data_id, payload(2 * size, 3))
        if self.retains:
            assert await load_generation(subject, first) == (first, payload(size, 1))
            assert await load_generation(subject, second) == (second, payload(size, 2))
        else:
            for gone in (first, second):
                with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(third.generation)):
                    await load_generation(subject, gone)
        assert await load_generation(subject, third) == (third, payload(2 * size, 3))

    @every_size
    async def test_a_deleted_generation_is_whole_or_gone(self, subject: AsyncStore, unit: str, size: int) -> None:
        info = await put(subject, unit, payload(size), upload_spec(name="name", tags={"k": "v"}))
        await remove(subject, unit, info.data_id)
        assert await load_generation(subject, info) == ((info, payload(size)) if self.retains else None)
        assert await subject.load(unit, info.data_id, generation=info.generation + 1) is None
        assert await subject.load(unit, info.data_id) is None
        assert await stat(subject, unit, info.data_id) is None

    async def test_an_id_that_is_used_anew_has_its_old_generations_still(self, subject: AsyncStore, unit: str) -> None:
        old, new = payload(2 * BLOCK_SIZE + 1, 1), payload(BLOCK_SIZE + 1, 2)
        first = await put(subject, unit, old, upload_spec(data_id=5))
        await remove(subject, unit, 5)
        second = await put(subject, unit, new, upload_spec(data_id=5))
        if self.retains:
            assert await load_generation(subject, first) == (first, old)
        else:
            with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)):
                await load_generation(subject, first)
        assert await load_generation(subject, second) == (second, new)

    async def test_a_name_leads_to_the_object_that_bears_it_now(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first", upload_spec(name="name"))
        await remove(subject, unit, first.data_id)
        assert await subject.load(unit, "name", generation=first.generation) is None
        second = await put(subject, unit, b"second", upload_spec(name="name"))
        with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)):
            await subject.load(unit, "name", generation=first.generation)

    async def test_metadata_that_changed_since_leaves_the_generation_what_it_was(
        self, subject: AsyncStore, unit: str
    ) -> None:
        data = payload(1000, 1)
        first = await put(subject, unit, data, upload_spec(name="old"))
        renamed = await subject.set_metadata(unit, MetadataSpec(first.data_id, name="new"))
        assert await load_generation(subject, first) == (renamed, data)
        await replace(subject, unit, first.data_id, b"replaced")
        await subject.set_metadata(unit, MetadataSpec(first.data_id, name="newest"))
        if self.retains:
            assert await load_generation(subject, first) == (renamed, data)

    async def test_a_range_of_a_generation_is_of_its_own_size(self, subject: AsyncStore, unit: str) -> None:
        data = payload(3 * BLOCK_SIZE + 7)
        first = await put(subject, unit, data)
        await replace(subject, unit, first.data_id, b"short")
        if not self.retains:
            pytest.skip("this store retains nothing")
        assert await load_generation(subject, first, offset=2 * BLOCK_SIZE) == (first, data[2 * BLOCK_SIZE :])
        with raises_refusal(InvalidArgumentError, "BAD_RANGE", str(len(data))):
            await load_generation(subject, first, offset=len(data) + 1)

    async def test_preconditions_are_about_the_generation_asked_for(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"first")
        if self.retains:
            await replace(subject, unit, info.data_id, b"second")
        held = info.generation
        found = await subject.load(unit, info.data_id, generation=held, if_generation_not_match=held)
        assert found == NotModified(held)
        with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(held)):
            await subject.load(unit, info.data_id, generation=held, if_generation=held + 1)
        reader = await subject.load(unit, info.data_id, generation=held, if_generation=held)
        assert isinstance(reader, AsyncBlockReader)
        async with reader:
            assert [bytes(block.data) async for block in reader] == [b"first"]
