"""What holds for the change feed: every commit, in order, without a hole, and in time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from vault.errors import UnsupportedError
from vault.store.contract import AsyncStore, AsyncWatch
from vault.store.specs import DeleteSpec, MetadataSpec, UpdateSpec
from vault.store.values import Change, ChangeKind, ObjectInfo, Progress
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import put, remove, replace, small_upload, upload_spec

PATIENCE = 30.0
"""Seconds after which a change that should have come is missing: long, so that only a defect reaches it."""


class FeedConformance(StoreHarness):
    """`Store.watch`, and `Store.changes` where there is a local feed."""

    async def test_the_first_event_says_where_the_watch_starts(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data")
        async with await subject.watch() as watch:
            first = await _next(aiter(watch))
        assert isinstance(first, Progress)
        assert first.revision >= info.revision
        async with await subject.watch(since=info.revision - 1) as watch:
            assert await _next(aiter(watch)) == Progress(info.revision - 1)

    async def test_every_kind_of_change_is_told_with_what_came_of_it(self, subject: AsyncStore, unit: str) -> None:
        start = await self._start(subject, unit)
        expected = await self._history(subject, unit)
        async with await subject.watch([unit], since=start) as watch:
            assert await _up_to(expected[-1].revision, watch) == expected

    async def test_groups_hold_the_same_events_in_the_same_order(self, subject: AsyncStore, unit: str) -> None:
        start = await self._start(subject, unit)
        expected = await self._history(subject, unit)
        found: list[Change] = []
        async with await subject.watch([unit], since=start) as watch, asyncio.timeout(PATIENCE):
            async for events in watch.groups():
                assert events
                if not found and isinstance(events[0], Progress):
                    continue
                found += [event for event in events if isinstance(event, Change)]
                if events[-1].revision >= expected[-1].revision:
                    break
        assert found == expected

    async def test_changes_come_as_they_commit(self, subject: AsyncStore, unit: str) -> None:
        await put(subject, unit, b"before")
        async with await subject.watch([unit]) as watch:
            events = aiter(watch)
            assert isinstance(await _next(events), Progress)
            for number in range(3):
                info = await put(subject, unit, b"data", upload_spec(name=f"n{number}"))
                assert await _next_change(events) == _uploaded(info)

    async def test_a_watch_of_units_tells_of_no_others(self, subject: AsyncStore, unit: str) -> None:
        start = await self._start(subject, unit)
        infos = {}
        for name in (unit, f"{unit}.b", f"{unit}.c"):
            infos[name] = [await put(subject, name, b"data") for _ in range(2)]
        async with await subject.watch([f"{unit}.b"], since=start) as watch:
            wanted = [_uploaded(info) for info in infos[f"{unit}.b"]]
            assert await _up_to(wanted[-1].revision, watch) == wanted
        async with await subject.watch([unit, f"{unit}.c"], since=start) as watch:
            wanted = [_uploaded(info) for info in infos[unit] + infos[f"{unit}.c"]]
            assert await _up_to(wanted[-1].revision, watch) == wanted
        async with await subject.watch(since=start) as watch:
            found = await _up_to(wanted[-1].revision, watch)
            assert [change.unit for change in found] == sorted([*infos] * 2)

    async def test_a_watch_goes_on_from_any_revision_it_was_told(self, subject: AsyncStore, unit: str) -> None:
        start = await self._start(subject, unit)
        expected = await self._history(subject, unit)
        for index, change in enumerate(expected[:-1]):
            async with await subject.watch([unit], since=change.revision) as watch:
                assert await _up_to(expected[-1].revision, watch) == expected[index + 1 :]
        assert start < expected[0].revision

    async def test_a_retried_write_is_told_once(self, subject: AsyncStore, unit: str) -> None:
        start = await self._start(subject, unit)
        upload = upload_spec()
        first = await put(subject, unit, b"data", upload)
        assert await put(subject, unit, b"data", upload) == first
        update = UpdateSpec(first.data_id)
        second = await replace(subject, unit, update, b"new")
        assert await replace(subject, unit, update, b"new") == second
        delete = DeleteSpec(first.data_id)
        for _ in range(2):
            await remove(subject, unit, delete)
        last = await put(subject, unit, b"the last one")
        async with await subject.watch([unit], since=start) as watch:
            found = await _up_to(last.revision, watch)
        assert [change.kind.name for change in found] == ["UPLOADED", "UPDATED", "DELETED", "UPLOADED"]
        assert [found[0].revision, found[1].revision, found[3].revision] == [
            first.revision,
            second.revision,
            last.revision,
        ]

    async def test_what_failed_is_not_told(self, subject: AsyncStore, unit: str) -> None:
        start = await self._start(subject, unit)
        async with await subject.upload(unit, upload_spec()):
            pass
        await remove(subject, unit, 5)
        info = await put(subject, unit, b"data", upload_spec(name="name"))
        await subject.upload_many(unit, [small_upload(b"no", upload_spec(name="name"))])
        last = await put(subject, unit, b"data")
        async with await subject.watch([unit], since=start) as watch:
            assert await _up_to(last.revision, watch) == [_uploaded(info), _uploaded(last)]

    async def test_many_writers_at_once_leave_no_hole(self, subject: AsyncStore, unit: str) -> None:
        writers, each = 6, 8
        start = await self._start(subject, unit)

        async def write(number: int) -> list[int]:
            info = await put(subject, unit, b"data", upload_spec(name=f"w{number}"))
            updates = [await replace(subject, unit, info.data_id, b"new") for _ in range(each - 2)]
            deleted = await remove(subject, unit, info.data_id)
            return [info.revision, *(update.revision for update in updates), deleted]

        async with await subject.watch([unit]) as live:
            collecting = asyncio.create_task(_first(writers * each, live))
            await asyncio.sleep(0)
            told = await asyncio.gather(*[write(number) for number in range(writers)])
            expected = sorted(revision for revisions in told for revision in revisions)
            assert [change.revision for change in await collecting] == expected
        assert len(set(expected)) == writers * each, "every change has a revision of its own"
        async with await subject.watch([unit], since=start) as watch:
            assert [change.revision for change in await _up_to(expected[-1], watch)] == expected

    async def test_progress_never_runs_ahead_of_the_changes(self, subject: AsyncStore, unit: str) -> None:
        start = await self._start(subject, unit)
        expected = await self._history(subject, unit)
        seen = start
        async with await subject.watch([unit], since=start) as watch:
            events = aiter(watch)
            while seen < expected[-1].revision:
                event = await _next(events)
                assert event.revision >= seen if isinstance(event, Progress) else event.revision > seen
                missed = [change for change in expected if seen < change.revision < event.revision]
                assert not missed, f"{event} came before {missed}"
                if isinstance(event, Progress):
                    assert event.revision not in [change.revision for change in expected if change.revision > seen]
                seen = event.revision

    async def test_closing_ends_the_iteration(self, subject: AsyncStore, unit: str) -> None:
        watch = await subject.watch([unit])
        events = aiter(watch)
        assert isinstance(await _next(events), Progress)

        async def exhaust() -> list[Change]:
            return [event async for event in events if isinstance(event, Change)]

        waiting = asyncio.create_task(exhaust())
        await asyncio.sleep(0.05)
        await watch.close()
        assert await asyncio.wait_for(waiting, PATIENCE) == []
        await watch.close()

    async def test_a_watch_that_nobody_iterates_can_be_closed(self, subject: AsyncStore, unit: str) -> None:
        watch = await subject.watch([unit])
        info = await put(subject, unit, b"data")
        await watch.close()
        assert subject.revision == info.revision

    async def test_a_local_feed_tells_what_a_watch_does(self, subject: AsyncStore, unit: str) -> None:
        if not subject.local_feed:
            with pytest.raises(UnsupportedError):
                await subject.changes(0)
            return
        start = await self._start(subject, unit)
        expected = await self._history(subject, unit)
        assert subject.revision >= expected[-1].revision
        revision, changes = await subject.changes(start)
        assert revision >= expected[-1].revision
        assert [change for change in changes if change.unit == unit] == expected
        again, nothing = await subject.changes(revision)
        assert [change for change in nothing if change.unit == unit] == []
        assert again >= revision

    async def _start(self, store: AsyncStore, unit: str) -> int:
        """A revision that all that follows comes after."""
        return (await put(store, f"{unit}.start", b"data")).revision

    async def _history(self, store: AsyncStore, unit: str) -> list[Change]:
        """Makes one change of each kind and more; returns what the feed must say."""
        first = await put(store, unit, b"data", upload_spec(name="name"))
        second = await replace(store, unit, first.data_id, b"new")
        third = await store.set_metadata(unit, MetadataSpec(first.data_id, name="other", tags={"a": "1"}))
        fourth = await store.set_metadata(unit, MetadataSpec(first.data_id, name=""))
        other = await put(store, unit, b"data", upload_spec(name="ä"))
        deleted = await remove(store, unit, first.data_id)
        other_deleted = await remove(store, unit, "ä")
        one, two = first.data_id, other.data_id
        return [
            Change(first.revision, unit, one, ChangeKind.UPLOADED, first.generation, "name"),
            Change(second.revision, unit, one, ChangeKind.UPDATED, second.generation, "name"),
            Change(third.revision, unit, one, ChangeKind.METADATA, second.generation, "other"),
            Change(fourth.revision, unit, one, ChangeKind.METADATA, second.generation, None),
            Change(other.revision, unit, two, ChangeKind.UPLOADED, other.generation, "ä"),
            Change(deleted, unit, one, ChangeKind.DELETED, second.generation, None),
            Change(other_deleted, unit, two, ChangeKind.DELETED, other.generation, "ä"),
        ]


def _uploaded(info: ObjectInfo) -> Change:
    return Change(info.revision, info.unit, info.data_id, ChangeKind.UPLOADED, info.generation, info.name)


async def _next(events: AsyncIterator[Change | Progress]) -> Change | Progress:
    return await asyncio.wait_for(anext(events), PATIENCE)


async def _next_change(events: AsyncIterator[Change | Progress]) -> Change:
    while not isinstance(event := await _next(events), Change):
        pass
    return event


async def _up_to(revision: int, watch: AsyncWatch) -> list[Change]:
    """Every change that is told before the watch has come to the revision."""
    found: list[Change] = []
    async with asyncio.timeout(PATIENCE):
        async for event in watch:
            if isinstance(event, Change):
                found.append(event)
            if event.revision >= revision:
                break
    return found


async def _first(count: int, watch: AsyncWatch) -> list[Change]:
    """So many changes, the first that are told."""
    events = aiter(watch)
    async with asyncio.timeout(PATIENCE):
        return [await _next_change(events) for _ in range(count)]
