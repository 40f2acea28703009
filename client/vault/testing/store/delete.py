"""What holds for deletions: gone at once, no error when it was gone already, once."""

import pytest

from vault.errors import ConflictError, InvalidArgumentError, VaultError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE, MAX_BATCH_ITEMS
from vault.store.specs import DeleteSpec, MetadataSpec
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    assert_failed_with,
    fetch,
    listed,
    payload,
    put,
    raises_refusal,
    remove,
    replace,
    stat,
    upload_spec,
)


class DeleteConformance(StoreHarness):
    """`Store.delete_many`."""

    @pytest.mark.parametrize("size", [0, 1000, BLOCK_SIZE + 1])
    @pytest.mark.parametrize("by_name", [False, True], ids=["id", "name"])
    async def test_a_deleted_object_is_gone(self, subject: AsyncStore, unit: str, size: int, *, by_name: bool) -> None:
        info = await put(subject, unit, payload(size), upload_spec(name="name"))
        revision = await remove(subject, unit, "name" if by_name else info.data_id)
        assert revision > info.revision
        assert subject.revision >= revision
        assert await subject.exists_many(unit, [info.data_id, "name"]) == [0, 0]
        assert await subject.stat_many(unit, [info.data_id, "name"]) == [None, None]
        assert await subject.load(unit, info.data_id) is None
        assert await listed(subject, unit) == await listed(subject, unit, prefix="") == []
        assert unit not in await subject.list_units()

    async def test_what_is_not_there_is_deleted_at_revision_0(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data")
        await remove(subject, unit, info.data_id)
        async with self.unchanged(subject, unit):
            specs = [DeleteSpec(info.data_id), DeleteSpec(5), DeleteSpec("name"), DeleteSpec(5, if_generation=3)]
            assert await subject.delete_many(unit, specs) == [0, 0, 0, 0]

    async def test_each_item_has_its_own_outcome_in_order(self, subject: AsyncStore, unit: str) -> None:
        one, two, three = [await put(subject, unit, b"data", upload_spec(name=name)) for name in "abc"]
        outcomes = await subject.delete_many(
            unit,
            [
                DeleteSpec(one.data_id),
                DeleteSpec(two.data_id, if_generation=two.generation + 1),
                DeleteSpec("no such name"),
                DeleteSpec("c", if_generation=three.generation),
                DeleteSpec(one.data_id),
            ],
        )
        revisions = [outcome for outcome in outcomes if not isinstance(outcome, VaultError)]
        assert revisions[0] > three.revision
        assert revisions[2] > revisions[0]
        assert [revisions[1], revisions[3]] == [0, 0]
        assert_failed_with(outcomes[1], ConflictError, "GENERATION_MISMATCH", str(two.generation))
        assert [info.data_id for info in await listed(subject, unit)] == [two.data_id]

    async def test_if_generation_protects_what_was_written_since(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first")
        second = await replace(subject, unit, first.data_id, b"second")
        for generation in (0, first.generation, second.generation + 1):
            async with self.unchanged(subject, unit):
                with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)) as caught:
                    await remove(subject, unit, DeleteSpec(first.data_id, if_generation=generation))
            assert caught.value.context["generation"] == second.generation
        assert await remove(subject, unit, DeleteSpec(first.data_id, if_generation=second.generation)) > 0
        assert await stat(subject, unit, first.data_id) is None

    async def test_id_and_name_are_free_again(self, subject: AsyncStore, unit: str) -> None:
        spec = upload_spec(name="name")
        first = await put(subject, unit, payload(BLOCK_SIZE, 1), spec)
        deleted = await remove(subject, unit, spec.data_id)
        again = await put(subject, unit, payload(BLOCK_SIZE, 2), upload_spec(data_id=spec.data_id, name="name"))
        assert again.generation > deleted > first.generation
        assert await fetch(subject, unit, "name") == payload(BLOCK_SIZE, 2)
        self.assert_raw(unit, spec.data_id, payload(BLOCK_SIZE, 2))

    async def test_a_retried_deletion_is_done_once_and_answers_the_same(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data")
        spec = DeleteSpec(info.data_id, if_generation=info.generation)
        revision = await remove(subject, unit, spec)
        assert await remove(subject, unit, spec) == revision
        await put(subject, unit, b"a new one", upload_spec(data_id=info.data_id))
        assert await remove(subject, unit, spec) == revision
        assert await fetch(subject, unit, info.data_id) == b"a new one"

    async def test_an_empty_batch_is_no_error(self, subject: AsyncStore, unit: str) -> None:
        assert await subject.delete_many(unit, []) == []

    async def test_hundreds_go_in_one_batch(self, subject: AsyncStore, unit: str) -> None:
        infos = [await put(subject, unit, b"data") for _ in range(3)]
        specs = [DeleteSpec(info.data_id) for info in infos] + [DeleteSpec(number) for number in range(1, 500)]
        outcomes = await subject.delete_many(unit, specs)
        assert [outcome != 0 for outcome in outcomes] == [True] * 3 + [False] * 499

    async def test_a_batch_has_a_limit(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data")
        async with self.unchanged(subject, unit):
            with raises_refusal(
                InvalidArgumentError, "BATCH_TOO_LARGE", str(MAX_BATCH_ITEMS + 1), str(MAX_BATCH_ITEMS)
            ):
                await subject.delete_many(unit, [DeleteSpec(info.data_id)] * (MAX_BATCH_ITEMS + 1))

    async def test_if_revision_keeps_what_has_changed_in_anything(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"data", upload_spec(name="name"))
        tagged = await subject.set_metadata(unit, MetadataSpec("name", tags={"a": "1"}))
        async with self.unchanged(subject, unit):
            for revision in (0, first.revision, tagged.revision + 1):
                with raises_refusal(ConflictError, "REVISION_MISMATCH", str(tagged.revision)):
                    await remove(subject, unit, DeleteSpec("name", if_revision=revision))
            assert await remove(subject, unit, DeleteSpec("nothing", if_revision=5)) == 0
        spec = DeleteSpec("name", if_generation=first.generation, if_revision=tagged.revision)
        gone = await remove(subject, unit, spec)
        assert gone > tagged.revision
        assert await remove(subject, unit, spec) == gone
        assert await stat(subject, unit, "name") is None
