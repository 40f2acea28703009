"""The object cache alone: lookup, pin, evict, invalidate, and changes that overtake loads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from vault._cache.cache import ObjectCache
from vault._cache.entry import Entry
from vault._cache.lookup import Hit, Join, Miss, Stale
from vault._cache.working_copy import WorkingCopy
from vault._runtime.sync_async import Flight
from vault.store.values import Change, ChangeKind, Key, ObjectInfo
from vault.unit import UnitSettings

from tests.vault.places import Note

NOW = datetime.now(UTC)


class Cache(ObjectCache[Flight]):
    """Whose objects are held and released one by one."""

    def look_up(self, unit: str, key: Key, epoch: int, flight: Flight) -> Hit | Stale | Miss | Join[Flight]:  # type: ignore[override]
        return super().look_up(unit, key, epoch, flight, {})

    def fill(self, info: ObjectInfo, data: Any, epoch: int, **options: Any) -> tuple[Entry, bool]:  # type: ignore[override]
        return super().fill(info, data, epoch, {}, info.data_id, **options)

    def unpin(self, entry: Entry) -> None:
        self.release({0: entry}, 0)


class Editor:
    _working_copy: WorkingCopy | None = None


def edit(entry: Entry) -> WorkingCopy:
    editor = Editor()
    entry.edit(threading.Lock, editor)
    assert editor._working_copy is not None
    return editor._working_copy


def make(*, enabled: bool = True, **limits: int) -> Cache:
    return Cache({"u": UnitSettings(Note, **limits), "v": UnitSettings(Note)}, enabled=enabled)


def info(
    data_id: int, generation: int, *, revision: int = 0, name: str | None = None, size: int = 10, unit: str = "u"
) -> ObjectInfo:
    return ObjectInfo(unit, data_id, generation, revision or generation, size, generation, "Note", name, {}, NOW, NOW)


def put(cache: Cache, what: ObjectInfo, epoch: int = 1, sent: int | None = None) -> Entry:
    """Loads an object and closes the ticket on it."""
    entry, _ = cache.fill(what, Note(str(what.generation)), epoch, sent=sent)
    cache.unpin(entry)
    return entry


def changed(data_id: int, revision: int, kind: ChangeKind = ChangeKind.UPDATED, name: str | None = None) -> Change:
    return Change(revision, "u", data_id, kind, revision, name)


def held(cache: Cache, *data_ids: int, epoch: int = 1) -> list[int]:
    """Those that are there and current."""
    found = []
    for data_id in data_ids:
        match cache.look_up("u", data_id, epoch, Flight()):
            case Hit(entry):
                found.append(data_id)
                cache.unpin(entry)
            case Stale(entry):
                cache.unpin(entry)
            case Miss():
                pass  # whose flight is over
    return found


def test_what_landed_is_found_by_id_and_by_name() -> None:
    cache = make()
    entry = put(cache, info(1, 5, name="a"))
    for key in (1, "a"):
        claim = cache.look_up("u", key, 1, Flight())
        assert isinstance(claim, Hit)
        assert claim.entry is entry
        cache.unpin(entry)
    assert isinstance(cache.look_up("v", 1, 1, Flight()), Miss)


def test_the_longest_unused_goes_first() -> None:
    cache = make(max_cached=2)
    put(cache, info(1, 1))
    put(cache, info(2, 2))
    assert held(cache, 1) == [1]
    put(cache, info(3, 3))
    assert held(cache, 1, 2, 3) == [1, 3]
    assert cache.stats().evictions == 1


def test_bytes_are_a_limit_of_their_own() -> None:
    cache = make(max_bytes=25)
    for data_id in (1, 2, 3):
        put(cache, info(data_id, data_id))
    assert held(cache, 1, 2, 3) == [2, 3]
    assert cache.stats().bytes == 20
    put(cache, info(4, 4, size=100))
    assert cache.stats().entries == 0


def test_an_open_ticket_counts_and_keeps_its_object() -> None:
    cache = make(max_cached=1)
    pinned, _ = cache.fill(info(1, 1), Note(""), 1)
    put(cache, info(2, 2))
    assert held(cache, 1, 2) == [1]
    cache.unpin(pinned)
    put(cache, info(3, 3))
    assert held(cache, 1, 3) == [3]


def test_units_have_limits_of_their_own() -> None:
    cache = make(max_cached=1)
    put(cache, info(1, 1))
    put(cache, info(1, 2, unit="v"))
    put(cache, info(2, 3, unit="v"))
    assert cache.stats().entries == 3


def test_shedding_puts_out_what_no_ticket_is_open_on() -> None:
    cache = make()
    pinned, _ = cache.fill(info(9, 9), Note(""), 1)
    for data_id in range(1, 9):
        put(cache, info(data_id, data_id))
    assert cache.shed(25) == 3
    assert held(cache, 1, 2, 3, 4) == [4]
    assert cache.shed(0, 0.5) == 3
    assert cache.shed(10**9) == 2
    assert cache.shed(10**9) == 0
    assert held(cache, 9) == [9]
    cache.unpin(pinned)
    assert cache.shed(1) == 1


def test_a_change_takes_out_what_is_older_and_nothing_else() -> None:
    cache = make()
    put(cache, info(1, 5))
    cache.apply(changed(1, 5))
    cache.apply(changed(2, 9))
    cache.apply(Change(9, "elsewhere", 1, ChangeKind.UPDATED, 9))
    assert held(cache, 1) == [1]
    cache.apply(changed(1, 6))
    assert held(cache, 1) == []
    assert cache.stats().bytes == 0


def test_a_change_of_metadata_keeps_the_bytes_and_asks_after_the_rest() -> None:
    cache = make()
    entry = put(cache, info(1, 5, name="a"))
    cache.apply(changed(1, 6, ChangeKind.METADATA, "b"))
    assert isinstance(cache.look_up("u", "a", 1, Flight()), Miss)
    claim = cache.look_up("u", 1, 1, Flight())
    assert isinstance(claim, Stale)
    assert cache.revalidate(entry, info(1, 5, revision=6, name="b"), 1)
    cache.unpin(entry)
    assert isinstance(cache.look_up("u", "b", 1, Flight()), Hit)
    assert entry.info.name == "b"


def test_a_name_that_another_object_took_leads_to_it_no_more() -> None:
    cache = make()
    put(cache, info(1, 5, name="a"))
    cache.apply(changed(2, 7, ChangeKind.UPLOADED, "a"))
    assert isinstance(cache.look_up("u", "a", 1, Flight()), Miss)
    assert held(cache, 1) == [1]


def test_a_name_that_an_object_kept_still_leads_to_it() -> None:
    cache = make()
    put(cache, info(1, 5, name="a"))
    cache.apply(changed(1, 5, ChangeKind.UPDATED, "a"))
    assert isinstance(cache.look_up("u", "a", 1, Flight()), Hit)


@pytest.mark.parametrize("epoch", [0, 2])
def test_what_was_loaded_under_another_epoch_is_asked_after(epoch: int) -> None:
    cache = make()
    entry = put(cache, info(1, 5), epoch=1)
    assert isinstance(cache.look_up("u", 1, epoch, Flight()), Stale)
    assert cache.revalidate(entry, info(1, 5), epoch)
    claim = cache.look_up("u", 1, epoch, Flight())
    assert isinstance(claim, Hit if epoch else Stale)


def test_nothing_is_current_while_no_epoch_holds() -> None:
    cache = make()
    put(cache, info(1, 5), epoch=0)
    assert isinstance(cache.look_up("u", 1, 0, Flight()), Stale)


@pytest.mark.parametrize(
    "now",
    [info(1, 6), ObjectInfo("u", 1, 5, 5, 10, 99, "Note", None, {}, NOW, NOW), info(2, 5)],
    ids=["newer", "the same generation of a store put back from a copy", "another under the name"],
)
def test_what_is_not_confirmed_is_kept_no_longer(now: ObjectInfo) -> None:
    cache = make()
    entry = put(cache, info(1, 5))
    assert isinstance(cache.look_up("u", 1, 0, Flight()), Stale)
    assert not cache.revalidate(entry, now, 1)
    cache.unpin(entry)
    assert isinstance(cache.look_up("u", 1, 1, Flight()), Miss)


def test_a_change_that_overtakes_a_load_is_not_lost() -> None:
    cache = make()
    with cache.request("u") as sent:
        cache.apply(changed(1, 6))
        entry, fresh = cache.fill(info(1, 5), Note("old"), 1, sent=sent)
    assert not fresh
    cache.unpin(entry)
    assert held(cache, 1) == []
    with cache.request("u") as sent:
        entry, fresh = cache.fill(info(1, 6), Note("new"), 1, sent=sent)
    assert fresh
    cache.unpin(entry)
    assert held(cache, 1) == [1]


def test_a_change_that_overtakes_a_load_by_name_is_not_lost() -> None:
    cache = make()
    with cache.request("u") as sent:
        cache.apply(changed(1, 6, ChangeKind.METADATA, "b"))
        entry, fresh = cache.fill(info(1, 5, name="a"), Note("old"), 1, sent=sent)
    assert not fresh
    assert isinstance(cache.look_up("u", "a", 1, Flight()), Miss)
    cache.unpin(entry)


def test_a_change_of_an_unknown_object_puts_all_older_ones_in_doubt() -> None:
    cache = make()
    put(cache, info(1, 5))
    put(cache, info(2, 9))
    with cache.request("u") as sent:
        cache.some_changed("u", 8)
        put(cache, info(3, 7), sent=sent)
    assert held(cache, 1, 2, 3) == [2]


def test_what_changes_while_requests_are_always_in_flight_takes_no_memory() -> None:
    cache = make()
    with cache.request("u") as sent:
        for data_id in range(1, 25_001):
            cache.apply(changed(data_id, data_id + 10))
        assert len(cache._units["u"].in_flight) <= 10_000
        put(cache, info(1, 5), sent=sent)
        put(cache, info(2, 30_000), sent=sent)  # of what left so long ago, too little is known
        with cache.request("u") as later:
            put(cache, info(3, 30_001), sent=later)
    assert held(cache, 1, 2, 3) == [3]
    assert not len(cache._units["u"].in_flight)


def test_an_older_object_does_not_take_the_place_of_a_newer_one() -> None:
    cache = make()
    with cache.request("u") as sent:
        newer = put(cache, info(1, 6))
        entry, fresh = cache.fill(info(1, 5), Note("old"), 1, sent=sent)
    assert not fresh
    assert entry is not newer
    cache.unpin(entry)
    claim = cache.look_up("u", 1, 1, Flight())
    assert isinstance(claim, Hit)
    assert claim.entry is newer


def test_an_older_reply_does_not_follow_a_newer_one_that_was_put_out() -> None:
    cache = make()
    with cache.request("u") as sent:
        cache.forget(put(cache, info(1, 6)))  # shown, and gone
        entry, fresh = cache.fill(info(1, 5), Note("old"), 1, sent=sent)
    assert not fresh
    cache.unpin(entry)
    assert held(cache, 1) == []


@pytest.mark.parametrize("key", [1, "a"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_was_said_to_be_missing_is_not_shown_by_a_reply_that_left_before(key: int | str, when: str) -> None:
    """ZEO's PR 160 was of this kind: a miss, and an object that was loaded beside it."""
    cache = make()
    with cache.request("u") as sent:
        if when == "before":
            cache.absent("u", key)
        put(cache, info(1, 5, name="a"), sent=sent)
        if when == "after":
            cache.absent("u", key)
    claim = cache.look_up("u", key, 1, Flight())
    assert isinstance(claim, Stale)  # it may have been made since: the store is asked
    cache.unpin(claim.entry)
    with cache.request("u") as sent:
        assert cache.revalidate(claim.entry, info(1, 5, name="a"), 1, sent=sent)
        cache.unpin(claim.entry)
    assert held(cache, 1) == [1]


@pytest.mark.parametrize("news", ["a reply", "a write", "a reply that was put out"])
def test_a_name_does_not_lead_back_to_the_object_that_had_it_before(news: str) -> None:
    cache = make()
    with cache.request("u") as sent:
        if news == "a write":
            cache.apply(changed(2, 7, ChangeKind.UPLOADED, "a"))
        else:
            newer = put(cache, info(2, 7, name="a"))
            if news != "a reply":
                cache.forget(newer)
        put(cache, info(1, 5, name="a"), sent=sent)
    match cache.look_up("u", "a", 1, Flight()):
        case Hit(entry):
            assert entry.info.data_id == 2
        case other:
            assert isinstance(other, Miss)


def test_a_store_that_was_put_back_to_an_older_copy_is_believed() -> None:
    """Its revisions come a second time: what is here from before must not pass for newer than they are."""
    cache = make()
    described = put(cache, info(1, 5, revision=90, name="new"))
    put(cache, info(2, 80))
    # The stream was lost and is back: another epoch. Object 1 has the bytes it had, and an older name.
    with cache.request("u") as sent:
        assert not cache.revalidate(described, info(1, 5, revision=5, name="old"), 2, sent=sent)
        put(cache, info(1, 5, revision=5, name="old"), 2, sent=sent)
        put(cache, info(2, 40), 2, sent=sent)
    assert held(cache, 1, 2, epoch=2) == [1, 2]
    cache.apply(changed(1, 51))
    cache.apply(changed(2, 52))
    assert held(cache, 1, 2, epoch=2) == []


@pytest.mark.parametrize("ended", ["written", "failed", "written by somebody else after it"])
def test_who_loads_what_is_being_written_back_waits_for_that(ended: str) -> None:
    """Else there would be two of one object, each with a working copy: the next edits would be lost races."""
    cache = make()
    entry, _ = cache.fill(info(1, 5, name="a"), Note("x"), 1)
    working = edit(entry)
    flight = Flight()
    with flight.lock, cache.writing(entry, flight) as sent:
        assert isinstance(cache.look_up("u", 1, 1, Flight()), Hit)  # nothing is known yet but the old
        cache.unpin(entry)
        cache.apply(changed(1, 6, name="a"))  # the news of it is faster than the reply
        by_id, by_name = cache.look_up("u", 1, 1, Flight()), cache.look_up("u", "a", 1, Flight())
        assert isinstance(by_id, Join)
        assert isinstance(by_name, Join)
        assert by_id.flight is flight
        other, fresh = cache.fill(info(1, 6, name="a"), Note("beside"), 1, sent=sent)
        assert not fresh
        cache.unpin(other)
        if ended.startswith("written by"):
            cache.apply(changed(1, 7, name="a"))
        if ended != "failed":
            cache.written(entry, working, info(1, 6, name="a"), working.data, 1, sent=sent)
    assert by_name.flight is flight
    claim = cache.look_up("u", 1, 1, Flight())
    if ended == "written":
        assert isinstance(claim, Hit)
        assert claim.entry is entry
    else:
        assert isinstance(claim, Miss)


def test_two_loads_of_one_generation_share_one_object() -> None:
    cache = make()
    first, _ = cache.fill(info(1, 5), Note("a"), 1)
    second, _ = cache.fill(info(1, 5), Note("a"), 1)
    assert first is second
    assert cache.stats().open_tickets == 2
    cache.unpin(first)
    cache.unpin(first)
    assert cache.stats().open_tickets == 0


@pytest.mark.parametrize("finished", [True, False])
def test_one_leads_and_the_others_join_until_his_flight_is_over(finished: bool) -> None:
    cache = make()
    flight = Flight()
    with flight.lock:
        assert isinstance(cache.look_up("u", 1, 1, flight), Miss)
        join = cache.look_up("u", 1, 1, Flight())
        assert isinstance(join, Join)
        assert join.flight is flight
        assert isinstance(cache.look_up("v", 1, 1, Flight()), Miss)
        assert isinstance(cache.look_up("u", 2, 1, Flight()), Miss)
        if finished:  # else he was interrupted just then
            cache.finish("u", 1, flight)
    flight.wait()
    assert isinstance(cache.look_up("u", 1, 1, Flight()), Miss)


def test_what_was_being_written_back_when_that_was_interrupted_holds_up_nobody() -> None:
    cache = make()
    entry, _ = cache.fill(info(1, 5), Note("x"), 1)
    flight = Flight()
    with flight.lock:
        torn = cache.writing(entry, flight)
        torn.__enter__()  # kept from its end by a traceback that somebody holds
        cache.apply(changed(1, 6))
        assert isinstance(cache.look_up("u", 1, 1, Flight()), Join)
    assert isinstance(cache.look_up("u", 1, 1, Flight()), Stale)
    put(cache, info(1, 6))
    assert held(cache, 1) == [1]


def test_without_a_cache_everyone_loads_for_himself() -> None:
    cache = make(enabled=False)
    assert isinstance(cache.look_up("u", 1, 1, Flight()), Miss)
    assert isinstance(cache.look_up("u", 1, 1, Flight()), Miss)
    first, fresh = cache.fill(info(1, 5), Note("a"), 1)
    assert fresh
    second, _ = cache.fill(info(1, 5), Note("a"), 1)
    assert first is not second
    assert cache.stats().entries == 0
    assert cache.stats().open_tickets == 2


def test_what_a_finalizer_drops_is_let_go_at_the_next_call() -> None:
    cache = make(max_cached=1)
    entry, _ = cache.fill(info(1, 1), Note(""), 1)
    with cache.lock:  # as when a collection runs in the middle of a call
        cache.dropped += (entry,)
    assert cache.stats().open_tickets == 0
    put(cache, info(2, 2))
    assert held(cache, 1, 2) == [2]


def test_a_written_back_entry_is_counted_as_what_it_is_now() -> None:
    cache = make()
    entry, _ = cache.fill(info(1, 5, name="a"), Note("x"), 1)
    with cache.request("u") as sent:
        cache.apply(changed(1, 6, name="b"))  # its own change, ahead of the reply
        assert cache.stats().entries == 0
        working = edit(entry)
        cache.written(entry, working, info(1, 6, name="b", size=33), working.data, 1, sent=sent)
    assert cache.stats().bytes == 33
    assert isinstance(cache.look_up("u", "a", 1, Flight()), Miss)
    assert isinstance(cache.look_up("u", "b", 1, Flight()), Hit)


def test_a_written_back_entry_that_somebody_wrote_again_is_not_kept() -> None:
    cache = make()
    entry, _ = cache.fill(info(1, 5), Note("x"), 1)
    with cache.request("u") as sent:
        working = edit(entry)
        cache.apply(changed(1, 7))
        cache.written(entry, working, info(1, 6), working.data, 1, sent=sent)
    assert held(cache, 1) == []
    assert cache.stats().bytes == 0


def test_threads_leave_the_books_straight() -> None:
    """Limits, bytes and pins add up, whatever threads do at the same time."""
    cache = make(max_cached=20, max_bytes=500)

    def work(seed: int) -> None:
        for step in range(1, 1500):
            data_id = (step * 7 + seed * 13) % 40 + 1
            flight = Flight()
            match cache.look_up("u", data_id, 1, flight):
                case Hit(entry) | Stale(entry):
                    cache.unpin(entry)
                case Miss():
                    with flight.lock, cache.request("u") as sent:
                        entry, _ = cache.fill(info(data_id, step, size=step % 50), Note(""), 1, sent=sent)
                        cache.finish("u", data_id, flight)
                    cache.unpin(entry)
                case Join(other):
                    other.wait()
            if step % 11 == 0:
                cache.apply(changed(data_id, step + 3))
            if step % 101 == 0:
                cache.shed(60)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    stats = cache.stats()
    part = cache._units["u"]
    assert stats.open_tickets == 0
    assert stats.entries == len(part.idle) <= 20
    assert stats.bytes == sum(entry.info.size for entry in part.entries.values()) <= 500
