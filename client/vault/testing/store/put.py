"""What holds for puts: new or replaced is decided at the commit, the id stays, and nothing else of what was there."""

import asyncio
from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vault.errors import (
    AlreadyExistsError,
    ChecksumError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
)
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import MetadataSpec, PutSpec, SmallPut, Times, UpdateSpec, new_data_id
from vault.store.values import Change, ChangeKind, checksum
from vault.testing.cases import each
from vault.testing.store import bad_values as bad
from vault.testing.store.batches import infos_of
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    WAYS,
    assert_failed_with,
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
    small_put,
    stat,
    upload_spec,
)

BAD: dict[str, tuple[str, list[Any]]] = {
    "name": ("BAD_NAME", [*bad.NAMES.values(), "", 5, b"a"]),
    "data_id": ("BAD_ID", [*bad.IDS.values(), "5"]),
    "tags": ("BAD_TAGS", [*bad.TAGS.values()]),
    "datatype": ("BAD_DATATYPE", [*bad.DATATYPES.values()]),
    "if_generation": ("BAD_GENERATION", [*bad.GENERATIONS.values()]),
    "expires_in": ("BAD_EXPIRY", [*bad.EXPIRIES.values()]),
    "request_id": ("BAD_REQUEST_ID", [*bad.REQUEST_IDS.values()]),
    "times": ("INVALID_ARGUMENT", [5, "2020", (1, 2, 3)]),
}
"""By field, the reason and what is refused with it."""

LARGE = payload(2 * BLOCK_SIZE + 17)


class PutConformance(StoreHarness):
    """`Store.put` and `Store.put_many`."""

    @every_size
    async def test_a_put_is_an_upload_where_there_is_nothing(self, subject: AsyncStore, unit: str, size: int) -> None:
        spec = PutSpec("name", tags={"a": "1"}, datatype="Document")
        info = await put_by(subject, unit, "stream", spec, payload(size))
        assert (info.data_id, info.name, dict(info.tags), info.datatype) == (
            spec.data_id,
            "name",
            {"a": "1"},
            "Document",
        )
        assert (info.size, info.checksum, info.expires_at) == (size, checksum(payload(size)), None)
        assert info.generation == info.revision
        assert info.created_at == info.updated_at == info.written_at
        assert await stat(subject, unit, "name") == info
        assert await fetch(subject, unit, spec.data_id) == payload(size)
        self.assert_raw(unit, spec.data_id, payload(size))

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("size", [0, 1000, BLOCK_SIZE])
    async def test_a_put_replaces_what_bears_the_name_but_for_its_id_and_its_beginning(
        self, subject: AsyncStore, unit: str, way: str, size: int
    ) -> None:
        first = await put(subject, unit, LARGE, upload_spec(name="name", tags={"a": "1"}, datatype="old"))
        info = await put_by(subject, unit, way, PutSpec("name", tags={"b": "2"}, datatype="new"), payload(size, 1))
        assert (info.data_id, info.created_at) == (first.data_id, first.created_at)
        assert (dict(info.tags), info.datatype, info.size) == ({"b": "2"}, "new", size)
        assert info.generation == info.revision > first.revision
        assert await listed(subject, unit) == [info]
        assert await listed(subject, unit, tags={"a": "1"}) == []
        assert await fetch(subject, unit, "name") == payload(size, 1)
        self.assert_raw(unit, first.data_id, payload(size, 1))
        bare = await put_by(subject, unit, way, PutSpec("name"), b"")
        assert (dict(bare.tags), bare.datatype, bare.data_id) == ({}, "", first.data_id)

    @pytest.mark.parametrize("way", WAYS)
    async def test_without_a_name_the_id_says_what_is_replaced(self, subject: AsyncStore, unit: str, way: str) -> None:
        spec = PutSpec(None)
        first = await put_by(subject, unit, way, spec, b"first")
        assert (first.data_id, first.name) == (spec.data_id, None)
        await subject.set_metadata(unit, MetadataSpec(spec.data_id, "name"))
        second = await put_by(subject, unit, way, PutSpec(None, spec.data_id), b"second")
        assert (second.data_id, second.name) == (spec.data_id, "name")
        assert await fetch(subject, unit, "name") == b"second"

    @pytest.mark.parametrize("way", WAYS)
    async def test_preconditions_are_of_what_bears_the_name_then(
        self, subject: AsyncStore, unit: str, way: str
    ) -> None:
        first = await put_by(subject, unit, way, PutSpec("name", if_generation=0), b"first")
        async with self.unchanged(subject, unit):
            for generation in (0, first.generation + 1):
                with raises_refusal(ConflictError, "GENERATION_MISMATCH", str(first.generation)):
                    await put_by(subject, unit, way, PutSpec("name", if_generation=generation), b"no")
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND", "other", unit):
                await put_by(subject, unit, way, PutSpec("other", if_generation=first.generation), b"no")
            with raises_refusal(AlreadyExistsError, "OBJECT_EXISTS", str(first.data_id)):
                await put_by(subject, unit, way, PutSpec("other", first.data_id), b"no")
        second = await put_by(subject, unit, way, PutSpec("name", if_generation=first.generation), b"second")
        assert await stat(subject, unit, "name") == second
        assert await fetch(subject, unit, "name") == b"second"

    async def test_of_two_streams_that_want_nobody_there_the_second_to_commit_is_refused(
        self, subject: AsyncStore, unit: str
    ) -> None:
        one = await subject.put(unit, PutSpec("name", if_generation=0))
        two = await subject.put(unit, PutSpec("name", if_generation=0))
        await one.write(blocks_of(b"one")[0])
        info = await send(two, b"two")
        with raises_refusal(ConflictError, "GENERATION_MISMATCH"):
            async with one:
                await one.commit(3)
        assert await listed(subject, unit) == [info]
        assert await fetch(subject, unit, "name") == b"two"

    async def test_whether_it_is_new_is_decided_at_the_commit(self, subject: AsyncStore, unit: str) -> None:
        """What bears the name may come, go, or get it from another meanwhile."""
        async with await subject.put(unit, PutSpec("name")) as writer:
            await writer.write(blocks_of(b"last")[0])
            other = await put(subject, unit, b"other", upload_spec(name="name"))
            assert (await writer.commit(4)).data_id == other.data_id
        spec = PutSpec("name")
        async with await subject.put(unit, spec) as writer:
            await remove(subject, unit, "name")
            info = await writer.commit(0)
        assert info.data_id == spec.data_id
        assert await fetch(subject, unit, "name") == b""

    async def test_the_object_is_there_until_the_commit_and_after_it(self, subject: AsyncStore, unit: str) -> None:
        first = await put(subject, unit, LARGE, upload_spec(name="name"))
        new = payload(3 * BLOCK_SIZE + 1, 1)
        async with await subject.put(unit, PutSpec("name")) as writer:
            for block in blocks_of(new):
                await writer.write(block)
                assert await stat(subject, unit, "name") == first
            assert await fetch(subject, unit, "name") == LARGE
            await writer.commit(len(new))
        assert await fetch(subject, unit, "name") == new
        self.assert_raw(unit, first.data_id, new)

    async def test_readers_never_miss_what_is_put_and_renamed_over(self, subject: AsyncStore, unit: str) -> None:
        """One after the other, whole objects are at the name, and always one."""
        texts = [payload(size, number) for number, size in enumerate([10, 70_000, BLOCK_SIZE + 1] * 4)]
        await put(subject, unit, texts[0], upload_spec(name="name"))
        over = asyncio.Event()

        async def write() -> None:
            try:
                for number, text in enumerate(texts):
                    if number % 2:
                        await put_by(subject, unit, "stream", PutSpec("name"), text)
                    else:
                        await put(subject, unit, text, upload_spec(name="new"))
                        await subject.set_metadata(unit, MetadataSpec("new", "name", replace=True))
                    await asyncio.sleep(0)  # the readers' turn: a store in memory waits for nothing
            finally:
                over.set()

        async def read() -> int:
            loads = 0
            while not over.is_set():
                assert await fetch(subject, unit, "name") in texts
                assert (await subject.exists_many(unit, ["name"]))[0]
                loads += 1
                await asyncio.sleep(0)
            return loads

        _, *loads = await asyncio.gather(write(), read(), read())
        assert min(loads) > 0

    async def test_a_put_that_is_refused_or_left_leaves_the_old_object(self, subject: AsyncStore, unit: str) -> None:
        await put(subject, unit, b"old", upload_spec(name="name"))
        async with self.unchanged(subject, unit):
            async with await subject.put(unit, PutSpec("name")) as writer:
                await writer.write(blocks_of(b"left")[0])
            for size, total, kind, reason in (
                (5, None, InvalidArgumentError, "BAD_SIZE"),
                (4, 1, ChecksumError, "CHECKSUM_MISMATCH"),
            ):
                with raises_refusal(kind, reason):
                    async with await subject.put(unit, PutSpec("name")) as writer:
                        await writer.write(blocks_of(b"data")[0])
                        await writer.commit(size, total)
        assert await fetch(subject, unit, "name") == b"old"

    @each("field", list(BAD))
    async def test_a_bad_spec_is_refused_before_anything(self, subject: AsyncStore, unit: str, field: str) -> None:
        await put(subject, unit, b"old", upload_spec(name="name"))
        reason, values = BAD[field]
        async with self.unchanged(subject, unit):
            for value in values:
                fields: dict[str, Any] = {"name": "name", field: value}
                with raises_refusal(InvalidArgumentError, reason):
                    await subject.put(unit, PutSpec(**fields))
                (outcome,) = await subject.put_many(unit, [small_put(PutSpec(**fields), b"no")])
                assert_failed_with(outcome, InvalidArgumentError, reason)

    # Retries

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("there", ["nothing", "name"])
    async def test_a_retried_put_is_done_once_and_answers_the_same(
        self, subject: AsyncStore, unit: str, way: str, there: str
    ) -> None:
        first = await put(subject, unit, b"first", upload_spec(name=there))
        generation = first.generation if there == "name" else 0
        spec = PutSpec("name", tags={"a": "1"}, if_generation=generation, expires_in=3600.5)
        info = await put_by(subject, unit, way, spec, b"data")
        async with self.unchanged(subject, unit):
            for again in WAYS:
                assert await put_by(subject, unit, again, spec, b"data") == info
        await put_by(subject, unit, way, PutSpec("name"), b"after")
        assert await put_by(subject, unit, way, spec, b"data") == info
        assert await fetch(subject, unit, "name") == b"after"
        await remove(subject, unit, "name")
        assert await put_by(subject, unit, way, spec, b"data") == info
        assert await stat(subject, unit, "name") is None

    @pytest.mark.parametrize("way", WAYS)
    async def test_another_write_under_a_puts_request_id_is_refused(
        self, subject: AsyncStore, unit: str, way: str
    ) -> None:
        spec = PutSpec("name", tags={"a": "1"})
        await put_by(subject, unit, way, spec, b"data")
        async with self.unchanged(subject, unit):
            others: list[dict[str, Any]] = [
                {"name": "other"},
                {"name": None},
                {"data_id": new_data_id()},
                {"tags": {}},
                {"datatype": "d"},
                {"if_generation": 0},
                {"expires_in": 60.0},
            ]
            for other in others:
                with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                    await put_by(subject, unit, way, changed(spec, **other), b"data")
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                await put_by(subject, unit, way, spec, b"atad")
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                await put_by(subject, unit, way, UpdateSpec("name", request_id=spec.request_id), b"data")
            with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
                other_kind = upload_spec(data_id=spec.data_id, name="name", tags={"a": "1"}, request_id=spec.request_id)
                await put(subject, unit, b"data", other_kind)

    async def test_a_put_goes_on_where_it_was_suspended(self, subject: AsyncStore, unit: str) -> None:
        if not self.resumes:
            pytest.skip("the store keeps no writes, as its class says")
        await put(subject, unit, b"old", upload_spec(name="name"))
        times = Times(*[datetime(2020, 1, 2, 3, 4, 5, 678901, UTC)] * 3)
        spec = PutSpec("name", tags={"a": "1"}, datatype="d", expires_in=7200.25, times=times)
        writer = await subject.put(unit, spec, resumable=True)
        for block in blocks_of(LARGE)[:2]:
            await writer.write(block)
        await writer.suspend()
        assert (await subject.write_status(unit, spec.request_id)).persisted_size == 2 * BLOCK_SIZE
        with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
            await subject.put(unit, changed(spec, expires_in=7200.5), resumable=True)
        with raises_refusal(InvalidArgumentError, "BAD_REQUEST_ID"):
            await subject.update(unit, UpdateSpec("name", request_id=spec.request_id), resumable=True)
        async with await subject.put(unit, spec, resumable=True) as again:
            assert again.persisted_size == 2 * BLOCK_SIZE
            await again.write(blocks_of(LARGE)[2])
            info = await again.commit(len(LARGE), checksum(LARGE))
        assert (await subject.write_status(unit, spec.request_id)).info == info
        assert (dict(info.tags), info.datatype, info.created_at) == ({"a": "1"}, "d", times.created_at)
        assert await fetch(subject, unit, "name") == LARGE

    # Batches

    async def test_items_succeed_and_fail_one_by_one_each_seeing_those_before(
        self, subject: AsyncStore, unit: str
    ) -> None:
        there = await put(subject, unit, b"there", upload_spec(name="there", tags={"a": "1"}))
        new = PutSpec("new")
        outcomes = await subject.put_many(
            unit,
            [
                small_put(new, b"new"),
                small_put(PutSpec("new", if_generation=0), b"no"),
                small_put(PutSpec("new", tags={"b": "2"}), b"newer"),
                small_put(UpdateSpec("there", tags={"c": "3"}), b"updated"),
                small_put(UpdateSpec("nowhere"), b"no"),
                SmallPut(PutSpec("bad"), b"no", checksum(b"no") ^ 1),
                small_put(PutSpec("large"), payload(BLOCK_SIZE + 1)),
                small_put(PutSpec(""), b"no"),
                small_put(PutSpec("soon", expires_in=0), b"no"),
                small_put(PutSpec("other", there.data_id), b"no"),
            ],
        )
        assert_failed_with(outcomes[1], ConflictError, "GENERATION_MISMATCH")
        assert_failed_with(outcomes[4], NotFoundError, "OBJECT_NOT_FOUND", "nowhere")
        assert_failed_with(outcomes[5], ChecksumError, "CHECKSUM_MISMATCH")
        assert_failed_with(outcomes[6], InvalidArgumentError, "BAD_SIZE", str(BLOCK_SIZE + 1))
        assert_failed_with(outcomes[7], InvalidArgumentError, "BAD_NAME")
        assert_failed_with(outcomes[8], InvalidArgumentError, "BAD_EXPIRY", "expires_in")
        assert_failed_with(outcomes[9], AlreadyExistsError, "OBJECT_EXISTS")
        assert await subject.stat_many(unit, ["new", "there"]) == [outcomes[2], outcomes[3]]
        assert [(info.data_id, dict(info.tags)) for info in infos_of([outcomes[2], outcomes[3]])] == [
            (new.data_id, {"b": "2"}),
            (there.data_id, {"c": "3"}),
        ]
        assert [await fetch(subject, unit, name) for name in ("new", "there")] == [b"newer", b"updated"]

    async def test_hundreds_of_puts_take_one_call_and_again_replace_them(self, subject: AsyncStore, unit: str) -> None:
        items = [small_put(PutSpec(f"{n:03}"), payload(100, n)) for n in range(300)]
        first = infos_of(await subject.put_many(unit, items))
        assert [info.name for info in first] == [f"{n:03}" for n in range(300)]
        assert await subject.put_many(unit, items) == first
        again = infos_of(await subject.put_many(unit, [small_put(PutSpec(f"{n:03}"), b"new") for n in range(300)]))
        assert [info.data_id for info in again] == [info.data_id for info in first]
        assert await listed(subject, unit, prefix="") == again
        assert await subject.put_many(unit, []) == []

    # Times

    @pytest.mark.parametrize("way", WAYS)
    async def test_an_expiry_is_of_the_object_that_was_put_and_an_update_keeps_it(
        self, subject: AsyncStore, unit: str, way: str
    ) -> None:
        info = await put_by(subject, unit, way, PutSpec("name", expires_in=3600), b"data")
        assert info.expires_at == info.updated_at + timedelta(hours=1)
        updated = await replace(subject, unit, UpdateSpec("name"), b"updated")
        assert updated.expires_at == info.expires_at
        assert (await put_by(subject, unit, way, PutSpec("name"), b"for ever")).expires_at is None

    @pytest.mark.parametrize("way", WAYS)
    async def test_times_of_another_store_are_taken_over_and_none_of_the_future(
        self, subject: AsyncStore, unit: str, way: str
    ) -> None:
        now = datetime.now(UTC)
        created, written = now - timedelta(days=400, microseconds=7), now - timedelta(days=3)
        for _ in ("new", "replaced"):
            times = Times(created, now + timedelta(days=1), written)
            info = await put_by(subject, unit, way, PutSpec("name", times=times), b"data")
            assert (info.created_at, info.written_at) == (created, written)
            assert info.updated_at <= datetime.now(UTC) + timedelta(minutes=5), "by this machine's clock"
            assert await stat(subject, unit, "name") == info
        unordered = Times(now, created, now)
        with raises_refusal(InvalidArgumentError, "BAD_TIME"):
            await put_by(subject, unit, way, PutSpec("name", times=unordered), b"no")

    # The feed

    async def test_the_feed_says_what_a_put_came_to(self, subject: AsyncStore, unit: str) -> None:
        async with await subject.watch([unit], since=subject.revision) as watch:
            first = await put_by(subject, unit, "batch", PutSpec("name"), b"1")
            second = await put_by(subject, unit, "batch", PutSpec("name"), b"2")
            kinds: list[tuple[ChangeKind, int, int]] = []
            async for event in watch:
                if isinstance(event, Change):
                    kinds.append((event.kind, event.revision, event.data_id))
                if len(kinds) == 2:
                    break
        assert kinds == [
            (ChangeKind.UPLOADED, first.revision, first.data_id),
            (ChangeKind.UPDATED, second.revision, first.data_id),
        ]
