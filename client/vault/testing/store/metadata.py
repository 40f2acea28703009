"""What holds for names and tags: they change without the bytes, and a name leads to one object."""

import math
from datetime import timedelta

from vault.errors import AlreadyExistsError, ConflictError, InvalidArgumentError, NotFoundError, VaultError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE, MAX_TAGS
from vault.store.specs import MetadataSpec
from vault.store.values import Change, ChangeKind
from vault.testing.cases import each
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    assert_failed_with,
    fetch,
    listed,
    payload,
    put,
    raises_refusal,
    replace,
    stat,
    upload_spec,
)


class MetadataConformance(StoreHarness):
    """`Store.set_metadata` and `Store.set_metadata_many`, and `stat_many` and `exists_many` as far as names go."""

    async def test_a_name_and_tags_are_set_without_touching_the_bytes(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"data", upload_spec(datatype="Document"))
        info = await subject.set_metadata(unit, MetadataSpec(first.data_id, name="name", tags={"a": "1"}))
        assert (info.name, dict(info.tags)) == ("name", {"a": "1"})
        assert info.generation == first.generation
        assert info.revision > first.revision
        assert info.updated_at >= first.updated_at
        assert (info.created_at, info.size, info.checksum, info.datatype) == (
            first.created_at,
            first.size,
            first.checksum,
            first.datatype,
        )
        assert await subject.stat_many(unit, [first.data_id, "name"]) == [info, info]
        assert await fetch(subject, unit, "name") == b"data"

    @each(
        ("name", "tags", "left_name", "left_tags"),
        [
            (None, None, "name", {"a": "1", "b": "2"}),
            ("other", None, "other", {"a": "1", "b": "2"}),
            ("name", None, "name", {"a": "1", "b": "2"}),
            ("", None, None, {"a": "1", "b": "2"}),
            (None, {"b": "3"}, "name", {"b": "3"}),
            (None, {}, "name", {}),
            ("", {}, None, {}),
        ],
    )
    async def test_none_leaves_and_empty_clears(
        self,
        subject: AsyncStore,
        unit: str,
        name: str | None,
        tags: dict[str, str] | None,
        left_name: str | None,
        left_tags: dict[str, str],
    ) -> None:
        first = await put(subject, unit, b"data", upload_spec(name="name", tags={"a": "1", "b": "2"}))
        info = await subject.set_metadata(unit, MetadataSpec(first.data_id, name=name, tags=tags))
        assert (info.name, dict(info.tags)) == (left_name, left_tags)
        assert await stat(subject, unit, first.data_id) == info
        assert await subject.exists_many(unit, ["name"]) == [first.generation if left_name == "name" else 0]

    async def test_an_object_is_found_by_the_name_it_had_to_be_renamed(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"data", upload_spec(name="old"))
        info = await subject.set_metadata(unit, MetadataSpec("old", name="new"))
        assert info.data_id == first.data_id
        assert await subject.exists_many(unit, ["old", "new"]) == [0, first.generation]

    async def test_a_name_moves_from_one_object_to_another(self, subject: AsyncStore, unit: str) -> None:
        one = await put(subject, unit, b"one", upload_spec(name="name"))
        two = await put(subject, unit, b"two", upload_spec(name="other"))
        await subject.set_metadata(unit, MetadataSpec(one.data_id, name=""))
        await subject.set_metadata(unit, MetadataSpec(two.data_id, name="name"))
        await subject.set_metadata(unit, MetadataSpec(one.data_id, name="other"))
        assert await fetch(subject, unit, "name") == b"two"
        assert await fetch(subject, unit, "other") == b"one"
        assert [info.data_id for info in await listed(subject, unit, prefix="")] == [two.data_id, one.data_id]

    async def test_a_freed_name_can_be_uploaded_under(self, subject: AsyncStore, unit: str) -> None:
        one = await put(subject, unit, b"one", upload_spec(name="name"))
        await subject.set_metadata(unit, MetadataSpec(one.data_id, name="old"))
        await put(subject, unit, b"two", upload_spec(name="name"))
        assert await fetch(subject, unit, "name") == b"two"
        assert await fetch(subject, unit, "old") == b"one"

    async def test_a_name_that_is_taken_is_refused_with_all_that_came_with_it(
        self, subject: AsyncStore, unit: str
    ) -> None:
        await put(subject, unit, b"one", upload_spec(name="name"))
        two = await put(subject, unit, b"two")
        async with self.unchanged(subject, unit):
            with raises_refusal(AlreadyExistsError, "NAME_TAKEN", "name"):
                await subject.set_metadata(unit, MetadataSpec(two.data_id, name="name", tags={"a": "1"}))
        assert await fetch(subject, unit, "name") == b"one"

    async def test_names_of_other_units_are_no_obstacle(self, subject: AsyncStore, unit: str) -> None:
        await put(subject, f"{unit}.b", b"there", upload_spec(name="name"))
        info = await put(subject, unit, b"here")
        await subject.set_metadata(unit, MetadataSpec(info.data_id, name="name"))
        assert await fetch(subject, unit, "name") == b"here"

    async def test_tags_go_up_to_their_limit_again_and_again(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data")
        for turn in range(2):
            tags = {f"tag {turn} {number}": "ä%_'\"" for number in range(MAX_TAGS)}
            assert dict((await subject.set_metadata(unit, MetadataSpec(info.data_id, tags=tags))).tags) == tags

    @each("key", [5, "name"])
    async def test_what_is_not_there_has_no_metadata(self, subject: AsyncStore, unit: str, key: int | str) -> None:
        async with self.unchanged(subject, unit):
            for if_generation in (None, 3):
                with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", str(key), unit):
                    spec = MetadataSpec(key, tags={}, if_generation=if_generation)
                    await subject.set_metadata(unit, spec)

    async def test_if_generation_asks_for_the_bytes_one_knows(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first")
        second = await replace(subject, unit, first.data_id, b"second")
        for generation in (0, first.generation, second.generation + 1):
            async with self.unchanged(subject, unit):
                with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(second.generation)):
                    spec = MetadataSpec(first.data_id, name="name", if_generation=generation)
                    await subject.set_metadata(unit, spec)
        for name in ("name", "again"):
            spec = MetadataSpec(first.data_id, name=name, if_generation=second.generation)
            assert (await subject.set_metadata(unit, spec)).name == name

    async def test_a_retried_change_is_done_once_and_answers_the_same(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data", upload_spec(name="name"))
        spec = MetadataSpec("name", name="other", tags={"a": "1"})
        changed = await subject.set_metadata(unit, spec)
        async with self.unchanged(subject, unit):
            assert await subject.set_metadata(unit, spec) == changed
        await subject.set_metadata(unit, MetadataSpec(info.data_id, name="name", tags={}))
        assert await subject.set_metadata(unit, spec) == changed
        now = await stat(subject, unit, "name")
        assert now is not None
        assert dict(now.tags) == {}

    async def test_if_revision_asks_for_all_that_one_knows(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"data", upload_spec(name="name"))
        tagged = await subject.set_metadata(unit, MetadataSpec("name", tags={"a": "1"}, if_revision=first.revision))
        async with self.unchanged(subject, unit):
            for revision in (0, first.revision, tagged.revision + 1):
                with raises_refusal(ConflictError, "REVISION_MISMATCH", str(tagged.revision)) as caught:
                    await subject.set_metadata(unit, MetadataSpec("name", tags={}, if_revision=revision))
                assert caught.value.context["revision"] == tagged.revision
        info = await subject.set_metadata(unit, MetadataSpec("name", "other", if_revision=tagged.revision))
        assert (info.name, dict(info.tags)) == ("other", {"a": "1"})

    async def test_a_rename_over_a_name_deletes_what_bears_it_and_nobody_sees_neither(
        self, subject: AsyncStore, unit: str
    ) -> None:
        new = await put(subject, unit, b"new", upload_spec(name="new", tags={"a": "1"}))
        old = await put(subject, unit, payload(BLOCK_SIZE + 1), upload_spec(name="name", tags={"b": "2"}))
        spec = MetadataSpec("new", "name", replace=True)
        async with await subject.watch([unit], since=subject.revision) as watch:
            info = await subject.set_metadata(unit, spec)
            assert await subject.set_metadata(unit, spec) == info
            last = await subject.set_metadata(unit, MetadataSpec("name", tags={}))
            told = []
            async for event in watch:
                told += [event] if isinstance(event, Change) else []
                if event.revision == last.revision:
                    break
        assert (info.data_id, info.name, dict(info.tags)) == (new.data_id, "name", {"a": "1"})
        assert [(event.kind, event.data_id, event.name, event.revision) for event in told] == [
            (ChangeKind.DELETED, old.data_id, "name", info.revision - 1),
            (ChangeKind.METADATA, new.data_id, "name", info.revision),
            (ChangeKind.METADATA, new.data_id, "name", last.revision),
        ]
        assert await listed(subject, unit) == [last]
        assert await fetch(subject, unit, "name") == b"new"
        assert await subject.exists_many(unit, ["new", old.data_id]) == [0, 0]
        self.assert_raw(unit, old.data_id, None)

    async def test_a_rename_onto_itself_or_onto_nobody_deletes_nothing(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data", upload_spec(name="name"))
        for name in ("name", "other"):
            info = await subject.set_metadata(unit, MetadataSpec(info.data_id, name, replace=True))
            assert await listed(subject, unit) == [info]

    async def test_a_rename_over_a_name_that_is_refused_leaves_both(self, subject: AsyncStore, unit: str) -> None:
        one = await put(subject, unit, b"one", upload_spec(name="one"))
        await put(subject, unit, b"two", upload_spec(name="two"))
        async with self.unchanged(subject, unit):
            with raises_refusal(ConflictError, "REVISION_MISMATCH"):
                await subject.set_metadata(unit, MetadataSpec("one", "two", replace=True, if_revision=one.revision + 1))
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND"):
                await subject.set_metadata(unit, MetadataSpec("none", "two", replace=True))
            for bad in (None, ""):
                with raises_refusal(InvalidArgumentError, "BAD_NAME"):
                    await subject.set_metadata(unit, MetadataSpec("one", bad, replace=True))

    async def test_an_expiry_is_set_kept_and_taken_away(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data", upload_spec(name="name"))
        assert info.expires_at is None
        info = await subject.set_metadata(unit, MetadataSpec("name", expires_in=3600))
        assert info.expires_at == info.updated_at + timedelta(hours=1)
        kept = await subject.set_metadata(unit, MetadataSpec("name", tags={"a": "1"}))
        assert kept.expires_at == info.expires_at
        assert await stat(subject, unit, "name") == kept
        assert (await subject.set_metadata(unit, MetadataSpec("name", expires_in=math.inf))).expires_at is None
        async with self.unchanged(subject, unit):
            for bad in (0, -1, math.nan, "soon", True):
                with raises_refusal(InvalidArgumentError, "BAD_EXPIRY", "expires_in"):
                    await subject.set_metadata(unit, MetadataSpec("name", expires_in=bad))  # type: ignore[arg-type]

    async def test_many_objects_are_changed_in_one_call_each_seeing_those_before(
        self, subject: AsyncStore, unit: str
    ) -> None:
        one = await put(subject, unit, b"one", upload_spec(name="one"))
        two = await put(subject, unit, b"two", upload_spec(name="two", tags={"a": "1"}))
        specs = [
            MetadataSpec("one", "third"),
            MetadataSpec("two", "one"),
            MetadataSpec("third", "two"),
            MetadataSpec("nobody", "name"),
            MetadataSpec(two.data_id, "two"),
            MetadataSpec("one", tags={"b": "2"}, if_revision=two.revision),
            MetadataSpec("one", tags={"b": "2"}, if_generation=two.generation),
            MetadataSpec(0, "name"),
            MetadataSpec("one", "", replace=True),
        ]
        outcomes = await subject.set_metadata_many(unit, specs)
        assert_failed_with(outcomes[3], NotFoundError, "OBJECT_NOT_FOUND", "nobody")
        assert_failed_with(outcomes[4], AlreadyExistsError, "NAME_TAKEN", "two")
        assert_failed_with(outcomes[5], ConflictError, "REVISION_MISMATCH")
        assert_failed_with(outcomes[7], InvalidArgumentError, "BAD_ID")
        assert_failed_with(outcomes[8], InvalidArgumentError, "BAD_NAME")
        assert await subject.stat_many(unit, ["one", "two"]) == [outcomes[6], outcomes[2]]
        left = await listed(subject, unit, prefix="")
        assert [(info.data_id, info.name, dict(info.tags)) for info in left] == [
            (two.data_id, "one", {"b": "2"}),
            (one.data_id, "two", {}),
        ]
        good = [spec for spec, outcome in zip(specs, outcomes, strict=True) if not isinstance(outcome, VaultError)]
        async with self.unchanged(subject, unit):
            again = await subject.set_metadata_many(unit, good)
        assert list(again) == [outcome for outcome in outcomes if not isinstance(outcome, VaultError)]
        assert await subject.set_metadata_many(unit, []) == []

    async def test_objects_are_asked_for_in_any_order_and_number(self, subject: AsyncStore, unit: str) -> None:
        one = await put(subject, unit, b"one", upload_spec(name="one"))
        two = await put(subject, unit, b"two")
        keys: list[int | str] = [two.data_id, "nothing", "one", one.data_id, 5, two.data_id]
        assert await subject.stat_many(unit, keys) == [two, None, one, one, None, two]
        generations = [two.generation, 0, one.generation, one.generation, 0, two.generation]
        assert await subject.exists_many(unit, keys) == generations
        assert await subject.stat_many(unit, []) == []
        assert await subject.exists_many(unit, []) == []
        many: list[int | str] = [*range(1, 1500), "one"]
        assert await subject.exists_many(unit, many) == [0] * 1499 + [one.generation]
        assert (await subject.stat_many(unit, many))[-1] == one
