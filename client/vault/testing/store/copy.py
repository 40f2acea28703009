"""What holds for copies: a read of the source, and then a write to the target."""

import asyncio
import secrets

import pytest

from vault.errors import AlreadyExistsError, ConflictError, CorruptionError, InvalidArgumentError, NotFoundError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import CopySpec, PutSpec, SmallPut, UploadSpec, new_data_id
from vault.store.values import Change, ObjectInfo, checksum
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    assert_failed_with,
    every_size,
    fetch,
    listed,
    payload,
    put,
    remove,
    replace,
    stat,
    upload_spec,
)


async def copy(store: AsyncStore, unit: str, spec: CopySpec, *, to_unit: str | None = None) -> ObjectInfo:
    """One copy that must be made."""
    (outcome,) = await store.copy_many(unit, [spec], to_unit=to_unit)
    assert isinstance(outcome, ObjectInfo), outcome
    return outcome


class CopyConformance(StoreHarness):
    """`Store.copy_many`."""

    @pytest.fixture
    def target(self) -> str:
        """Another unit that holds nothing."""
        return f"target-{secrets.token_hex(4)}"

    @every_size
    async def test_a_copy_has_the_bytes_and_what_is_known_of_them(
        self, subject: AsyncStore, unit: str, target: str, size: int
    ) -> None:
        data = payload(size)
        source = await put(subject, unit, data, upload_spec(name="source", tags={"k": "v"}, datatype="t"))
        for to_unit in (None, target):
            for key, name in ((source.data_id, None), ("source", "copy")):
                spec = CopySpec(key, name)
                made = await copy(subject, unit, spec, to_unit=to_unit)
                assert (made.unit, made.data_id, made.name) == (to_unit or unit, spec.data_id, name)
                assert (made.size, made.checksum, made.datatype) == (size, source.checksum, "t")
                assert dict(made.tags) == {"k": "v"}
                assert made.generation == made.revision > source.revision
                assert made.created_at == made.updated_at == made.written_at
                assert await stat(subject, made.unit, made.data_id) == made
                assert await fetch(subject, made.unit, made.data_id) == data
                self.assert_raw(made.unit, made.data_id, data)
        assert await stat(subject, unit, source.data_id) == source
        assert await fetch(subject, unit, "source") == data

    @every_size
    async def test_a_copy_and_its_source_do_not_share_their_fate(
        self, subject: AsyncStore, unit: str, target: str, size: int
    ) -> None:
        data, other = payload(size, 1), payload(size + 1, 2)
        source = await put(subject, unit, data)
        first = await copy(subject, unit, CopySpec(source.data_id, "first"))
        second = await copy(subject, unit, CopySpec("first", "second"), to_unit=target)
        await replace(subject, unit, source.data_id, other)
        assert await fetch(subject, unit, "first") == data
        await remove(subject, unit, "first")
        assert await fetch(subject, target, "second") == data
        await replace(subject, target, second.data_id, other)
        assert await fetch(subject, unit, source.data_id) == other
        assert await stat(subject, unit, first.data_id) is None

    @every_size
    async def test_a_copy_over_a_name_replaces_and_keeps_the_id(
        self, subject: AsyncStore, unit: str, target: str, size: int
    ) -> None:
        data = payload(size)
        source = await put(subject, unit, data, upload_spec(name="source", tags={"k": "v"}, datatype="t"))
        for to_unit in (unit, target):
            old = await put(subject, to_unit, b"old", upload_spec(name="copy", tags={"old": "x"}, datatype="o"))
            made = await copy(subject, unit, CopySpec("source", "copy", replace=True), to_unit=to_unit)
            assert (made.data_id, made.name, made.created_at) == (old.data_id, "copy", old.created_at)
            assert (dict(made.tags), made.datatype, made.checksum) == ({"k": "v"}, "t", source.checksum)
            assert made.generation == made.revision > old.revision
            assert await stat(subject, to_unit, "copy") == made
            assert await fetch(subject, to_unit, old.data_id) == data
            again = await copy(subject, unit, CopySpec("source", "copy", replace=True), to_unit=to_unit)
            assert again.generation > made.generation

    async def test_a_copy_over_a_name_that_nobody_bears_is_a_new_object(self, subject: AsyncStore, unit: str) -> None:
        source = await put(subject, unit, b"data")
        spec = CopySpec(source.data_id, "copy", replace=True)
        made = await copy(subject, unit, spec)
        assert made.data_id == spec.data_id
        assert await fetch(subject, unit, "copy") == b"data"

    async def test_an_expiry_is_taken_along(self, subject: AsyncStore, unit: str, target: str) -> None:
        item = SmallPut(PutSpec("source", expires_in=3600.0), b"data", checksum(b"data"))
        (source,) = await subject.put_many(unit, [item])
        assert isinstance(source, ObjectInfo)
        assert source.expires_at is not None
        made = await copy(subject, unit, CopySpec("source", "copy"), to_unit=target)
        assert made.expires_at == source.expires_at
        lasting = await put(subject, unit, b"data", upload_spec(name="lasting"))
        assert lasting.expires_at is None
        assert (await copy(subject, unit, CopySpec("lasting", "copy", replace=True), to_unit=target)).expires_at is None

    # Refusals

    async def test_what_cannot_be_copied_is_refused_and_changes_nothing(
        self, subject: AsyncStore, unit: str, target: str
    ) -> None:
        source = await put(subject, unit, b"data", upload_spec(name="source"))
        taken = await put(subject, target, b"taken", upload_spec(name="taken"))
        refusals = [
            (CopySpec(5, "copy"), NotFoundError, "OBJECT_NOT_FOUND"),
            (CopySpec("nobody", "copy"), NotFoundError, "OBJECT_NOT_FOUND"),
            (CopySpec("source", "copy", if_generation=source.generation + 1), ConflictError, "GENERATION_MISMATCH"),
            (CopySpec("source", "copy", if_generation=0), ConflictError, "GENERATION_MISMATCH"),
            (CopySpec("source", "taken"), AlreadyExistsError, "NAME_TAKEN"),
            (CopySpec("source", data_id=taken.data_id), AlreadyExistsError, "OBJECT_EXISTS"),
            (CopySpec("source", "new", data_id=taken.data_id, replace=True), AlreadyExistsError, "OBJECT_EXISTS"),
            (CopySpec("source", "a\x00b"), InvalidArgumentError, "BAD_NAME"),
            (CopySpec("source", ""), InvalidArgumentError, "BAD_NAME"),
            (CopySpec("source", None, replace=True), InvalidArgumentError, "BAD_NAME"),
            (CopySpec("source", "copy", data_id=0), InvalidArgumentError, "BAD_ID"),
            (CopySpec("", "copy"), InvalidArgumentError, "BAD_NAME"),
            (CopySpec("source", "copy", request_id=b"short"), InvalidArgumentError, "BAD_REQUEST_ID"),
        ]
        async with self.unchanged(subject, target):
            outcomes = await subject.copy_many(unit, [spec for spec, _, _ in refusals], to_unit=target)
            for outcome, (_, kind, reason) in zip(outcomes, refusals, strict=True):
                assert_failed_with(outcome, kind, reason)
        assert await fetch(subject, target, "taken") == b"taken"

    async def test_a_copy_onto_itself_is_refused(self, subject: AsyncStore, unit: str) -> None:
        source = await put(subject, unit, b"data", upload_spec(name="name"))
        async with self.unchanged(subject, unit):
            for key in (source.data_id, "name"):
                (outcome,) = await subject.copy_many(unit, [CopySpec(key, "name", replace=True)])
                assert_failed_with(outcome, InvalidArgumentError, "BAD_NAME", "itself")
                (outcome,) = await subject.copy_many(unit, [CopySpec(key, "name")])
                assert_failed_with(outcome, AlreadyExistsError, "NAME_TAKEN")

    async def test_units_that_can_be_none_are_refused(self, subject: AsyncStore, unit: str) -> None:
        spec = CopySpec(5, "copy")
        for args, to_unit in (("", unit), (unit, ""), (unit, "no/unit")):
            with pytest.raises(InvalidArgumentError) as caught:
                await subject.copy_many(args, [spec], to_unit=to_unit)
            assert caught.value.reason == "BAD_UNIT"
        with pytest.raises(InvalidArgumentError):
            await subject.copy_many(unit, [UploadSpec(5)])  # type: ignore[list-item]

    # Many, and again

    async def test_many_copies_are_made_in_order_each_with_its_own_outcome(
        self, subject: AsyncStore, unit: str, target: str
    ) -> None:
        sources = [await put(subject, unit, payload(size), upload_spec()) for size in (0, 1000, 70_000, BLOCK_SIZE + 1)]
        keys = [info.data_id for info in sources]
        specs = [CopySpec(key, f"copy {number}") for number, key in enumerate([*keys, 7, *keys])]
        outcomes = await subject.copy_many(unit, specs, to_unit=target)
        assert_failed_with(outcomes[4], NotFoundError, "OBJECT_NOT_FOUND")
        for number, (spec, outcome) in enumerate(zip(specs, outcomes, strict=True)):
            if number != 4:
                assert isinstance(outcome, ObjectInfo), outcome
                assert outcome.name == spec.name
                assert await fetch(subject, target, outcome.data_id) == await fetch(subject, unit, spec.key)
        assert await listed(subject, target) == sorted(
            (outcome for outcome in outcomes if isinstance(outcome, ObjectInfo)), key=lambda info: info.data_id
        )
        assert list(await subject.copy_many(unit, [])) == []

    async def test_copies_of_one_call_do_not_see_each_other(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, b"first", upload_spec(name="first"))
        second = await put(subject, unit, b"second", upload_spec(name="second"))
        specs = [CopySpec(first.data_id, "second", replace=True), CopySpec(second.data_id, "third")]
        await subject.copy_many(unit, specs)
        assert await fetch(subject, unit, "second") == b"first"
        assert await fetch(subject, unit, "third") == b"second", "all are read before any is written"

    @pytest.mark.parametrize("size", [0, 1000, 2 * BLOCK_SIZE + 1])
    async def test_a_retry_is_answered_as_it_was_whatever_became_of_its_source(
        self, subject: AsyncStore, unit: str, target: str, size: int
    ) -> None:
        source = await put(subject, unit, payload(size, 1), upload_spec(name="source"))
        spec = CopySpec("source", "copy", replace=True)
        made = await copy(subject, unit, spec, to_unit=target)
        assert await copy(subject, unit, spec, to_unit=target) == made
        await replace(subject, unit, source.data_id, payload(size + 1, 2))
        assert await copy(subject, unit, spec, to_unit=target) == made
        await remove(subject, unit, "source")
        assert await copy(subject, unit, spec, to_unit=target) == made
        await remove(subject, target, "copy")
        assert await copy(subject, unit, spec, to_unit=target) == made
        assert await stat(subject, target, "copy") is None, "it was applied once"

    async def test_another_copy_under_its_request_id_is_refused(
        self, subject: AsyncStore, unit: str, target: str
    ) -> None:
        await put(subject, unit, b"data", upload_spec(name="source"))
        other = await put(subject, unit, b"data", upload_spec(name="other"))
        spec = CopySpec("source", "copy")
        await copy(subject, unit, spec, to_unit=target)
        again = {"request_id": spec.request_id, "data_id": spec.data_id}
        for changed, to_unit in [
            (CopySpec("other", "copy", **again), target),  # type: ignore[arg-type]
            (CopySpec(other.data_id, "copy", **again), target),  # type: ignore[arg-type]
            (CopySpec("source", "another", **again), target),  # type: ignore[arg-type]
            (CopySpec("source", "copy", replace=True, **again), target),  # type: ignore[arg-type]
            (CopySpec("source", "copy", new_data_id(), request_id=spec.request_id), target),
            (spec, unit),
            (CopySpec("gone", "copy", **again), target),  # type: ignore[arg-type]
        ]:
            (outcome,) = await subject.copy_many(unit, [changed], to_unit=to_unit)
            assert_failed_with(outcome, InvalidArgumentError, "BAD_REQUEST_ID")

    async def test_a_copy_beside_writers_of_its_source_is_of_one_of_its_generations(
        self, subject: AsyncStore, unit: str, target: str
    ) -> None:
        contents = [payload(size, seed) for seed, size in enumerate([1000, 70_000, BLOCK_SIZE + 1, 10])]
        source = await put(subject, unit, contents[0])

        async def write() -> None:
            for data in contents[1:]:
                await replace(subject, unit, source.data_id, data)

        async def read() -> None:
            for _ in range(6):
                made = await copy(subject, unit, CopySpec(source.data_id, None), to_unit=target)
                assert made.checksum in {checksum(data) for data in contents}

        await asyncio.gather(write(), read(), read())
        for info in await listed(subject, target):
            data = await fetch(subject, target, info.data_id)
            assert data is not None
            assert checksum(data) == info.checksum

    async def test_of_two_copies_to_a_name_one_is_made(self, subject: AsyncStore, unit: str, target: str) -> None:
        source = await put(subject, unit, payload(70_000))
        specs = [CopySpec(source.data_id, "copy") for _ in range(6)]
        outcomes = [
            outcome
            for (outcome,) in await asyncio.gather(*(subject.copy_many(unit, [spec], to_unit=target) for spec in specs))
        ]
        assert sum(isinstance(outcome, ObjectInfo) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, AlreadyExistsError) for outcome in outcomes) == 5
        assert len(await listed(subject, target)) == 1

    async def test_a_copy_is_told_as_an_upload_or_an_update(self, subject: AsyncStore, unit: str, target: str) -> None:
        await put(subject, unit, b"data", upload_spec(name="source"))
        async with await subject.watch([target]) as watch:
            events = aiter(watch)
            await anext(events)
            first = await copy(subject, unit, CopySpec("source", "copy"), to_unit=target)
            second = await copy(subject, unit, CopySpec("source", "copy", replace=True), to_unit=target)
            kinds = []
            async for event in events:
                if isinstance(event, Change):
                    kinds.append((event.kind.name, event.revision, event.data_id, event.name))
                if len(kinds) == 2:
                    break
        assert kinds == [
            ("UPLOADED", first.revision, first.data_id, "copy"),
            ("UPDATED", second.revision, first.data_id, "copy"),
        ]

    async def test_a_source_that_is_damaged_gives_no_copy_that_passes_for_sound(
        self, subject: AsyncStore, unit: str, target: str
    ) -> None:
        if not self.corruptible:
            pytest.skip("this store cannot be corrupted from outside")
        source = await put(subject, unit, payload(70_000))
        self.corrupt(unit, source.data_id, 500)
        (outcome,) = await subject.copy_many(unit, [CopySpec(source.data_id, None)], to_unit=target)
        if isinstance(outcome, ObjectInfo):
            assert outcome.checksum == source.checksum, "the kept checksum, and not one of what is there now"
            with pytest.raises(CorruptionError):
                await fetch(subject, target, outcome.data_id)
            await remove(subject, target, outcome.data_id)
        else:
            assert_failed_with(outcome, CorruptionError, "STORED_CHECKSUM_MISMATCH")
