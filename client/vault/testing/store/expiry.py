"""What holds for objects that expire: there until their moment by the store's clock, absent from then on, for good.

The store's clock is this machine's, as far as a test can tell: it moves by itself, and the tests wait for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from math import inf, nan
from typing import Any, Literal

import pytest

from vault.errors import InvalidArgumentError, NotFoundError
from vault.store.contract import AsyncBlockReader, AsyncStore
from vault.store.limits import MAX_EXPIRES_IN
from vault.store.outcomes import single
from vault.store.specs import DeleteSpec, LoadItem, MetadataSpec, PutSpec, UpdateSpec
from vault.store.usage import UnitLimits
from vault.store.values import Change, ChangeKind, ListOrder, LoadedObject, ObjectInfo, Progress
from vault.testing.store.feed import PATIENCE
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    assert_failed_with,
    blocks_of,
    listed,
    payload,
    put,
    raises_refusal,
    remove,
    replace,
    send,
    small_put,
    stat,
    upload_spec,
)

SOON = 0.05
"""Seconds after which something expires that nothing is done with before."""

EXPIRIES: list[Any] = [0, -1.0, nan, -inf, MAX_EXPIRES_IN * 1.01, 2**63, True, "1", timedelta(seconds=1)]
"""What can be no time to live."""


async def put_one(store: AsyncStore, unit: str, spec: PutSpec, data: bytes = b"data") -> ObjectInfo:
    """Puts an object."""
    return single(await store.put_many(unit, [small_put(spec, data)]))


async def touch(store: AsyncStore, unit: str, key: int | str, seconds: float) -> ObjectInfo:
    """Sets when an object expires."""
    return await store.set_metadata(unit, MetadataSpec(key, expires_in=seconds))


async def gone(*infos: ObjectInfo) -> None:
    """Waits until their moment has passed."""
    for info in infos:
        assert info.expires_at is not None
        while (left := (info.expires_at - datetime.now(UTC)).total_seconds()) >= 0:  # noqa: ASYNC110  # time passes
            await asyncio.sleep(left + 0.001)


def leaves_nothing(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Has deleted what a test has put into its unit, expired or not: tests that come after it share the store, and see
    its revision stand still."""

    @wraps(test)
    async def run(self: Any, subject: AsyncStore, unit: str, **options: Any) -> None:
        await subject.exists_many(unit, [1])
        begun = subject.revision
        try:
            await test(self, subject=subject, unit=unit, **options)
        finally:
            await subject.exists_many(unit, [1])
            ids: set[int] = set()
            async with await subject.watch([unit], since=begun) as watch, asyncio.timeout(PATIENCE):
                async for event in watch:
                    if isinstance(event, Change):
                        ids.add(event.data_id)
                    if event.revision >= subject.revision or (isinstance(event, Progress) and event.revision > begun):
                        break
            await subject.delete_many(unit, [DeleteSpec(data_id) for data_id in ids])

    return run


async def _loads(store: AsyncStore, unit: str, key: int) -> bool:
    reader = await store.load(unit, key)
    if isinstance(reader, AsyncBlockReader):
        await reader.close()
    return reader is not None


async def _loads_small(store: AsyncStore, unit: str, key: int) -> bool:
    first, second, other = await store.load_many(unit, [LoadItem(key), LoadItem("name"), LoadItem(key + 1)])
    assert other is None
    assert isinstance(first, LoadedObject) or first is None
    return first is not None and second is not None


async def _lists(store: AsyncStore, unit: str, **options: Any) -> bool:
    return [info.name for info in (await store.list_page(unit, **options)).objects] == ["name"]


Look = Callable[[AsyncStore, str, int], Awaitable[bool]]
LOOKS: dict[str, Look] = {
    "exists": lambda store, unit, key: _is(store.exists_many(unit, [key]), lambda found: found != [0]),
    "exists_many": lambda store, unit, key: _is(store.exists_many(unit, ["name", key + 1]), lambda found: found[0] > 0),
    "stat": lambda store, unit, _: _is(store.stat_many(unit, ["name"]), lambda found: found[0] is not None),
    "stat_many": lambda store, unit, key: _is(store.stat_many(unit, [key, 7]), lambda found: found[0] is not None),
    "load": _loads,
    "load_many": _loads_small,
    "load_one": lambda store, unit, _: _is(
        store.load_many(unit, [LoadItem("name")]), lambda found: found[0] is not None
    ),
    "read": lambda store, unit, key: _is(store.read(unit, key, [(0, 1)]), lambda found: found is not None),
    "list by id": lambda store, unit, _: _lists(store, unit),
    "list by name": lambda store, unit, _: _lists(store, unit, prefix="na"),
    "list by change": lambda store, unit, _: _lists(store, unit, order=ListOrder.REVISION, descending=True),
    "list tagged": lambda store, unit, _: _lists(store, unit, tags={"a": "b"}),
    "level": lambda store, unit, _: _lists(store, unit, delimiter="/"),
    "units": lambda store, unit, _: _is(store.list_units(), lambda found: unit in found),
    "unit_info": lambda store, unit, _: _is(
        store.unit_info(unit), lambda found: (found.objects, found.bytes) == (1, 4)
    ),
    "unit_page": lambda store, unit, _: _is(store.unit_page(prefix=unit), lambda found: len(found.units) == 1),
}
"""Every way to see whether an object is there."""


async def _is(call: Awaitable[Any], there: Callable[[Any], bool]) -> bool:
    return there(await call)


class ExpiryConformance(StoreHarness):
    """`expires_in` of a put, and of a change of metadata."""

    @leaves_nothing
    async def test_an_object_is_there_until_its_moment_and_never_after_it(self, subject: AsyncStore, unit: str) -> None:
        key = 5
        info = await put_one(subject, unit, PutSpec("name", key, tags={"a": "b"}, expires_in=4 * SOON))
        expires_at = info.expires_at
        assert expires_at is not None

        async def watch(how: str, look: Look) -> None:
            absent = 0
            while absent < 3:
                before = datetime.now(UTC)
                if await look(subject, unit, key):
                    assert before < expires_at, how
                    assert not absent, how
                else:
                    assert datetime.now(UTC) >= expires_at, how
                    absent += 1

        await asyncio.gather(*[watch(how, look) for how, look in LOOKS.items()])

    @leaves_nothing
    async def test_a_moment_is_so_far_from_the_commit_as_was_asked(self, subject: AsyncStore, unit: str) -> None:
        for seconds in (0.000_001, 1, 1.5, 86400 * 365.0, MAX_EXPIRES_IN):
            for info in (
                await put_one(subject, unit, PutSpec("name", expires_in=seconds)),
                await send(await subject.put(unit, PutSpec("stream", expires_in=seconds)), payload(1000)),
                await touch(subject, unit, (await put(subject, unit, b"data")).data_id, seconds),
            ):
                assert info.expires_at is not None
                assert info.expires_at - info.updated_at == timedelta(seconds=seconds)

    @leaves_nothing
    async def test_a_stream_expires_so_long_after_its_commit(self, subject: AsyncStore, unit: str) -> None:
        for resumable in (False, True):
            async with await subject.put(unit, PutSpec("name", expires_in=1000), resumable=resumable) as writer:
                for block in blocks_of(payload(1000)):
                    await writer.write(block)
                await asyncio.sleep(SOON)
                begun = datetime.now(UTC)
                info = await writer.commit(1000)
            assert info.expires_at is not None
            assert info.expires_at >= begun + timedelta(seconds=1000)
            assert await stat(subject, unit, "name") == info

    @leaves_nothing
    async def test_what_never_expires_says_so(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data")
        assert info.expires_at is None
        assert (await touch(subject, unit, info.data_id, 1000)).expires_at is not None
        never = await touch(subject, unit, info.data_id, inf)
        assert never.expires_at is None
        assert await stat(subject, unit, info.data_id) == never

    @leaves_nothing
    async def test_a_later_moment_is_kept_to(self, subject: AsyncStore, unit: str) -> None:
        for attempt in range(8):
            soon = await put_one(subject, unit, PutSpec("name", expires_in=SOON * 2**attempt))
            try:
                later = await touch(subject, unit, soon.data_id, 1000)
            except NotFoundError:  # it took too long
                continue
            await gone(soon)
            assert await stat(subject, unit, "name") == later
            assert later.generation == soon.generation
            return
        pytest.fail("a change takes seconds")

    @leaves_nothing
    async def test_new_bytes_and_metadata_leave_the_moment_as_it_is(self, subject: AsyncStore, unit: str) -> None:
        first = await put_one(subject, unit, PutSpec("name", expires_in=1000))
        for info in (
            await replace(subject, unit, "name", b"other"),
            await subject.set_metadata(unit, MetadataSpec("name", tags={"a": "b"})),
            await send(await subject.put(unit, UpdateSpec("name", tags={})), b"third"),
        ):
            assert info.expires_at == first.expires_at
        assert await stat(subject, unit, "name") == info

    @leaves_nothing
    async def test_a_put_sets_it_anew(self, subject: AsyncStore, unit: str) -> None:
        first = await put_one(subject, unit, PutSpec("name", expires_in=1000))
        second = await put_one(subject, unit, PutSpec("name", expires_in=5000))
        assert second.data_id == first.data_id
        assert second.expires_at is not None
        assert second.expires_at - second.updated_at == timedelta(seconds=5000)
        assert (await put_one(subject, unit, PutSpec("name"))).expires_at is None

    @leaves_nothing
    async def test_what_has_expired_is_gone_to_every_write(self, subject: AsyncStore, unit: str) -> None:
        info = await put_one(subject, unit, PutSpec("name", expires_in=SOON))
        await gone(info)
        for key in (info.data_id, "name"):
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND"):
                await replace(subject, unit, key, b"data")
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND"):
                await touch(subject, unit, key, 1000)
            with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND"):
                await replace(subject, unit, UpdateSpec(key, if_generation=info.generation), b"data")
            assert await remove(subject, unit, key) == 0
        with raises_refusal(NotFoundError, "OBJECT_NOT_FOUND"):
            await put_one(subject, unit, PutSpec("name", if_generation=info.generation))
        assert await listed(subject, unit) == []

    @leaves_nothing
    async def test_its_name_and_its_id_are_free_at_once(self, subject: AsyncStore, unit: str) -> None:
        named = [await put_one(subject, unit, PutSpec(f"n{number}", number, expires_in=SOON)) for number in range(1, 5)]
        await gone(*named)
        uploaded = await put(subject, unit, b"new", upload_spec(name="n1"))
        assert await put_one(subject, unit, PutSpec(None, 2, if_generation=0))
        again = await put_one(subject, unit, PutSpec("n3", 30, if_generation=0))
        assert again.data_id == 30
        renamed = await subject.set_metadata(unit, MetadataSpec(30, name="n4"))
        assert [info.name for info in await listed(subject, unit)] == [None, "n4", "n1"]
        assert {info.data_id for info in await listed(subject, unit)} == {2, renamed.data_id, uploaded.data_id}

    @leaves_nothing
    async def test_it_is_told_of_as_a_deletion_though_nobody_does_anything(
        self, subject: AsyncStore, unit: str
    ) -> None:
        async with await subject.watch([unit]) as watch, asyncio.timeout(PATIENCE):
            events = aiter(watch)
            await anext(events)
            info = await put_one(subject, unit, PutSpec("name", expires_in=SOON))
            told: list[Change] = []
            while len(told) < 2:
                event = await anext(events)
                if isinstance(event, Change):
                    told.append(event)
        assert info.expires_at is not None
        assert datetime.now(UTC) >= info.expires_at
        assert [change.kind for change in told] == [ChangeKind.UPLOADED, ChangeKind.DELETED]
        assert (told[1].data_id, told[1].name, told[1].generation) == (info.data_id, "name", info.generation)

    @leaves_nothing
    async def test_many_that_expire_together_all_go(self, subject: AsyncStore, unit: str) -> None:
        async with await subject.watch([unit]) as watch, asyncio.timeout(PATIENCE):
            events = aiter(watch)
            await anext(events)
            items = [small_put(PutSpec(None, number, expires_in=SOON), b"x") for number in range(1, 1501)]
            infos = await subject.put_many(unit, items)
            assert all(isinstance(info, ObjectInfo) for info in infos)
            deleted: set[int] = set()
            while len(deleted) < 1500:
                event = await anext(events)
                if isinstance(event, Change) and event.kind is ChangeKind.DELETED:
                    assert event.data_id not in deleted
                    deleted.add(event.data_id)
        assert (await subject.unit_info(unit)).objects == 0

    @leaves_nothing
    async def test_a_retried_put_is_answered_as_it_was_and_brings_nothing_back(
        self, subject: AsyncStore, unit: str
    ) -> None:
        spec = PutSpec("name", expires_in=SOON)
        info = await put_one(subject, unit, spec)
        await gone(info)
        assert await put_one(subject, unit, spec) == info
        assert await subject.stat_many(unit, ["name"]) == [None]

    @leaves_nothing
    async def test_its_bytes_are_retained_as_those_of_a_deletion(self, subject: AsyncStore, unit: str) -> None:
        info = await send(await subject.put(unit, PutSpec("name", expires_in=SOON)), payload(1000))
        await gone(info)
        for _ in range(2):
            found = await subject.load(unit, info.data_id, generation=info.generation)
            if found is None:
                assert not self.retains
                return
            assert isinstance(found, AsyncBlockReader)
            async with found:
                assert b"".join([bytes(block.data) async for block in found]) == payload(1000)
            await put(subject, unit, b"other")  # whatever is deleted by then

    @leaves_nothing
    async def test_a_reader_finishes_what_expires_meanwhile(self, subject: AsyncStore, unit: str) -> None:
        data = payload(3 * 2**20 + 17)
        for attempt in range(8):
            info = await send(await subject.put(unit, PutSpec("name", expires_in=SOON * 2**attempt)), data)
            found = await subject.load(unit, "name")
            if not isinstance(found, AsyncBlockReader):  # it took too long
                continue
            async with found:
                await gone(info)
                await put(subject, unit, b"other")
                assert b"".join([bytes(block.data) async for block in found]) == data
            return
        pytest.fail("a load takes seconds")

    @leaves_nothing
    async def test_what_has_expired_takes_no_room(self, subject: AsyncStore, unit: str) -> None:
        ways: tuple[Literal["refuse", "evict"], ...] = ("refuse", "evict")
        for when_full in ways:
            await subject.set_unit_limits(unit, UnitLimits())
            oldest = await put(subject, unit, b"1234")
            soon = await put_one(subject, unit, PutSpec("name", expires_in=SOON), b"1234")
            limits = UnitLimits(max_objects=2, max_bytes=8, when_full=when_full)
            await subject.set_unit_limits(unit, limits)
            await gone(soon)
            newest = await put(subject, unit, b"1234")
            held = await subject.exists_many(unit, [oldest.data_id, newest.data_id])
            assert held == [oldest.generation, newest.generation]
            for info in (oldest, newest):
                await remove(subject, unit, info.data_id)

    @leaves_nothing
    async def test_a_time_to_live_that_cannot_be_is_refused(self, subject: AsyncStore, unit: str) -> None:
        info = await put_one(subject, unit, PutSpec("name", expires_in=1000))
        async with self.unchanged(subject, unit):
            for bad in [*EXPIRIES, inf]:
                spec = PutSpec("name", expires_in=bad)
                (outcome,) = await subject.put_many(unit, [small_put(spec, b"data")])
                assert_failed_with(outcome, InvalidArgumentError, "BAD_EXPIRY", "expires_in")
                with raises_refusal(InvalidArgumentError, "BAD_EXPIRY"):
                    await send(await subject.put(unit, spec), b"data")
            for bad in EXPIRIES:
                with raises_refusal(InvalidArgumentError, "BAD_EXPIRY", "expires_in"):
                    await touch(subject, unit, info.data_id, bad)
                (outcome,) = await subject.set_metadata_many(unit, [MetadataSpec("name", expires_in=bad)])
                assert_failed_with(outcome, InvalidArgumentError, "BAD_EXPIRY")
