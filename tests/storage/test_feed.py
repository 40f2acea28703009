"""The change feed: in order, without a hole, cheap when nothing happens."""

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vault.errors import ClosedError, InvalidArgumentError, RevisionCompactedError
from vault.store.specs import MetadataSpec
from vault.store.values import Change, ChangeKind, Progress
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.engine.register import Register
from vault_server.storage.feed.feed import PAGE

from tests.storage.objects import LARGE, SMALL, UNIT, delete, small, update, upload


def changes_only(events: Iterator[Change | Progress], count: int) -> list[Change]:
    return list(itertools.islice((event for event in events if isinstance(event, Change)), count))


def test_every_kind_of_change_is_told(store: EmbeddedStore) -> None:
    first = upload(store, LARGE, data_id=1, name="n")
    second = update(store, 1, SMALL)
    renamed = store.set_metadata(UNIT, MetadataSpec(1, name="m"))
    deleted = delete(store, 1)
    assert store.changes(0) == (
        deleted,
        [
            Change(first.revision, UNIT, 1, ChangeKind.UPLOADED, first.generation, "n"),
            Change(second.revision, UNIT, 1, ChangeKind.UPDATED, second.generation, "n"),
            Change(renamed.revision, UNIT, 1, ChangeKind.METADATA, second.generation, "m"),
            Change(deleted, UNIT, 1, ChangeKind.DELETED, second.generation, "m"),
        ],
    )
    assert store.changes(deleted) == (deleted, [])
    assert store.changes(second.revision)[1][0].kind is ChangeKind.METADATA


def test_an_acknowledged_write_is_in_the_feed_already(store: EmbeddedStore) -> None:
    since = store.revision
    for _ in range(50):
        info = upload(store, SMALL)
        assert store.revision == info.revision
        revision, (change,) = store.changes(since)
        assert change.data_id == info.data_id
        since = revision


def test_a_watch_tells_where_it_begins_then_every_change_then_how_far_it_is(store: EmbeddedStore) -> None:
    before = upload(store, SMALL)
    with store.watch() as now, store.watch(since=0) as start:
        from_now, from_start = iter(now), iter(start)
        assert next(from_now) == Progress(before.revision)
        assert next(from_start) == Progress(0)
        after = upload(store, SMALL)
        assert changes_only(from_now, 1)[0].data_id == after.data_id
        assert [change.data_id for change in changes_only(from_start, 2)] == [before.data_id, after.data_id]
        assert next(from_now) == next(from_start) == Progress(after.revision)


def test_a_watch_of_some_units_tells_of_no_others_and_still_progresses(store: EmbeddedStore) -> None:
    with store.watch(["one", "two"], since=0) as watch:
        events = iter(watch)
        next(events)
        for unit in ("one", "other", "two", "other"):
            upload(store, SMALL, unit=unit)
        assert [change.unit for change in changes_only(events, 2)] == ["one", "two"]
        assert next(events) == Progress(4)


def test_an_idle_watch_progresses_every_few_seconds(store: EmbeddedStore) -> None:
    with store.watch() as watch:
        began = time.monotonic()
        assert list(itertools.islice(watch, 2)) == [Progress(0), Progress(0)]
        assert 1 < time.monotonic() - began < 10


def test_a_watcher_far_behind_reads_page_by_page_without_a_hole(store: EmbeddedStore) -> None:
    for _ in range(7):
        store.upload_many(UNIT, [small() for _ in range(1000)])
    with store.watch(since=3) as watch:
        revisions = [change.revision for change in changes_only(iter(watch), 6997)]
    assert revisions == list(range(4, 7001))
    assert len(store.engine.feed.page(0)[1]) == PAGE
    revision, changes = store.changes(0)
    assert [change.revision for change in changes] == list(range(1, revision + 1))


def test_watchers_follow_while_many_threads_write(store: EmbeddedStore) -> None:
    seen: dict[int, list[int]] = {}
    ready = threading.Barrier(6)

    def follow(number: int) -> None:
        with store.watch(since=0) as watch:
            ready.wait()
            seen[number] = [change.revision for change in changes_only(iter(watch), 200)]

    def write() -> None:
        ready.wait()
        for _ in range(100):
            upload(store, SMALL)

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(4)]
    threads += [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(seen.values()) == [list(range(1, 201))] * 4


def test_closing_a_watch_ends_it_promptly(store: EmbeddedStore) -> None:
    watch = store.watch()
    ended = threading.Event()

    def follow() -> None:
        for _ in watch:
            pass
        ended.set()

    follower = threading.Thread(target=follow)
    follower.start()
    time.sleep(0.2)
    began = time.monotonic()
    watch.close()
    watch.close()
    assert ended.wait(5)
    assert time.monotonic() - began < 1
    follower.join()


def test_a_watch_of_a_closed_store_says_so(directory: Path) -> None:
    store = EmbeddedStore(directory)
    events = iter(store.watch())
    next(events)
    threading.Timer(0.2, store.close).start()
    with pytest.raises(ClosedError):
        list(events)
    with pytest.raises(ClosedError):
        store.watch()


def test_history_that_is_gone_is_told_not_skipped(store: EmbeddedStore) -> None:
    store.close()
    with EmbeddedStore(store.directory, StoreOptions(feed_history=20, resume_window=0)) as short:
        for _ in range(50):
            upload(short, SMALL)
    with EmbeddedStore(store.directory, StoreOptions(feed_history=20, resume_window=0)) as short:
        with pytest.raises(RevisionCompactedError) as raised:
            short.changes(5)
        assert raised.value.context["revision"] == 5
        watch = short.watch(since=5)
        with pytest.raises(RevisionCompactedError):
            next(iter(watch))
        assert len(short.changes(30)[1]) == 20
        assert short.check().ok


def test_a_revision_from_the_future_is_another_stores(store: EmbeddedStore) -> None:
    with pytest.raises(RevisionCompactedError, match="another store"):
        store.changes(7)
    with pytest.raises(RevisionCompactedError):
        next(iter(store.watch(since=7)))
    with pytest.raises(InvalidArgumentError):
        store.watch(since=-1)
    with pytest.raises(InvalidArgumentError):
        store.watch(["../x"])


def test_what_another_thread_has_seen_meanwhile_is_told_and_no_sign_of_another_store(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(store, SMALL)
    index = store.index
    assert isinstance(index, Register)
    feed = index.feed
    look = feed.refresh

    def refresh_and_be_overtaken() -> int:
        revision = look()
        upload(store, SMALL)
        look()  # of the other thread
        return revision

    monkeypatch.setattr(feed, "refresh", refresh_and_be_overtaken)
    revision, changes = store.changes(0)
    assert [change.revision for change in changes] == [1, 2]
    assert revision == 2
    with pytest.raises(RevisionCompactedError, match="revision 9 is not in this store's feed, which is at 2"):
        store.changes(9)
