"""The object cache alone: lookup, pin, evict, invalidate, and changes that overtake loads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from vault._cache.cache import ObjectCache
from vault._cache.entry import Draft, Entry
from vault._cache.lookup import Check, Hit, Join, Lead
from vault._runtime.sync_async import Flight
from vault.store.values import Change, ChangeKind, Key, ObjectInfo
from vault.unit import UnitSettings

from tests.vault.places import Note

NOW = datetime.now(UTC)


class Cache(ObjectCache[Flight]):
    """Whose objects are held and released one by one."""

    def claim(self, unit: str, key: Key, epoch: int, flight: Flight) -> Hit | Check | Lead | Join[Flight]:  # type: ignore[override]
        return super().claim(unit, key, epoch, flight, {})

    def land(self, info: ObjectInfo, data: Any, epoch: int, **options: Any) -> tuple[Entry, bool]:  # type: ignore[override]
        return super().land(info, data, epoch, {}, info.data_id, **options)

    def unpin(self, entry: Entry) -> None:
        self.release({0: entry}, 0)


class Editor:
    _draft: Draft | None = None


def edit(entry: Entry) -> Draft:
    editor = Editor()
    entry.edit(threading.Lock, editor)
    assert editor._draft is not None
    return editor._draft


def make(*, enabled: bool = True, **limits: int) -> Cache:
    return Cache({"u": UnitSettings(Note, **limits), "v": UnitSettings(Note)}, enabled=enabled)


def info(
    data_id: int, generation: int, *, revision: int = 0, name: str | None = None, size: int = 10, unit: str = "u"
) -> ObjectInfo:
    return ObjectInfo(unit, data_id, generation, revision or generation, size, generation, "Note", name, {}, NOW, NOW)


def put(cache: Cache, what: ObjectInfo, epoch: int = 1, departed: int | None = None) -> Entry:
    """Loads an object and closes the ticket on it."""
    entry, _ = cache.land(what, Note(str(what.generation)), epoch, departed=departed)
    cache.unpin(entry)
    return entry


def changed(data_id: int, revision: int, kind: ChangeKind = ChangeKind.UPDATED, name: str | None = None) -> Change:
    return Change(revision, "u", data_id, kind, revision, name)


def held(cache: Cache, *data_ids: int, epoch: int = 1) -> list[int]:
    """Those that are there and current."""
    found = []
    for data_id in data_ids:
        match cache.claim("u", data_id, epoch, Flight()):
            case Hit(entry):
                found.append(data_id)
                cache.unpin(entry)
            case Check(entry):
                cache.unpin(entry)
            case Lead():
                pass  # whose flight is over
    return found


def test_what_landed_is_found_by_id_and_by_name() -> None:
    cache = make()
    entry = put(cache, info(1, 5, name="a"))
    for key in (1, "a"):
        claim = cache.claim("u", key, 1, Flight())
        assert isinstance(claim, Hit)
        assert claim.entry is entry
        cache.unpin(entry)
    assert isinstance(cache.claim("v", 1, 1, Flight()), Lead)


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
    pinned, _ = cache.land(info(1, 1), Note(""), 1)
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
    pinned, _ = cache.land(info(9, 9), Note(""), 1)
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
    assert isinstance(cache.claim("u", "a", 1, Flight()), Lead)
    claim = cache.claim("u", 1, 1, Flight())
    assert isinstance(claim, Check)
    assert cache.confirm(entry, info(1, 5, revision=6, name="b"), 1)
    cache.unpin(entry)
    assert isinstance(cache.claim("u", "b", 1, Flight()), Hit)
    assert entry.info.name == "b"


def test_a_name_that_another_object_took_leads_to_it_no_more() -> None:
    cache = make()
    put(cache, info(1, 5, name="a"))
    cache.apply(changed(2, 7, ChangeKind.UPLOADED, "a"))
    assert isinstance(cache.claim("u", "a", 1, Flight()), Lead)
    assert held(cache, 1) == [1]


def test_a_name_that_an_object_kept_still_leads_to_it() -> None:
    cache = make()
    put(cache, info(1, 5, name="a"))
    cache.apply(changed(1, 5, ChangeKind.UPDATED, "a"))
    assert isinstance(cache.claim("u", "a", 1, Flight()), Hit)


@pytest.mark.parametrize("epoch", [0, 2])
def test_what_was_loaded_under_another_epoch_is_asked_after(epoch: int) -> None:
    cache = make()
    entry = put(cache, info(1, 5), epoch=1)
    assert isinstance(cache.claim("u", 1, epoch, Flight()), Check)
    assert cache.confirm(entry, info(1, 5), epoch)
    claim = cache.claim("u", 1, epoch, Flight())
    assert isinstance(claim, Hit if epoch else Check)


def test_nothing_is_current_while_no_epoch_holds() -> None:
    cache = make()
    put(cache, info(1, 5), epoch=0)
    assert isinstance(cache.claim("u", 1, 0, Flight()), Check)


@pytest.mark.parametrize(
    "now",
    [info(1, 6), ObjectInfo("u", 1, 5, 5, 10, 99, "Note", None, {}, NOW, NOW), info(2, 5)],
    ids=["newer", "the same generation of a store put back from a copy", "another under the name"],
)
def test_what_is_not_confirmed_is_kept_no_longer(now: ObjectInfo) -> None:
    cache = make()
    entry = put(cache, info(1, 5))
    assert isinstance(cache.claim("u", 1, 0, Flight()), Check)
    assert not cache.confirm(entry, now, 1)
    cache.unpin(entry)
    assert isinstance(cache.claim("u", 1, 1, Flight()), Lead)


def test_a_change_that_overtakes_a_load_is_not_lost() -> None:
    cache = make()
    with cache.airborne("u") as departed:
        cache.apply(changed(1, 6))
        entry, fresh = cache.land(info(1, 5), Note("old"), 1, departed=departed)
    assert not fresh
    cache.unpin(entry)
    assert held(cache, 1) == []
    with cache.airborne("u") as departed:
        entry, fresh = cache.land(info(1, 6), Note("new"), 1, departed=departed)
    assert fresh
    cache.unpin(entry)
    assert held(cache, 1) == [1]


def test_a_change_that_overtakes_a_load_by_name_is_not_lost() -> None:
    cache = make()
    with cache.airborne("u") as departed:
        cache.apply(changed(1, 6, ChangeKind.METADATA, "b"))
        entry, fresh = cache.land(info(1, 5, name="a"), Note("old"), 1, departed=departed)
    assert not fresh
    assert isinstance(cache.claim("u", "a", 1, Flight()), Lead)
    cache.unpin(entry)


def test_a_change_of_an_unknown_object_puts_all_older_ones_in_doubt() -> None:
    cache = make()
    put(cache, info(1, 5))
    put(cache, info(2, 9))
    with cache.airborne("u") as departed:
        cache.doubt("u", 8)
        put(cache, info(3, 7), departed=departed)
    assert held(cache, 1, 2, 3) == [2]


def test_what_changes_while_the_air_is_never_clear_takes_no_memory() -> None:
    cache = make()
    with cache.airborne("u") as departed:
        for data_id in range(1, 25_001):
            cache.apply(changed(data_id, data_id + 10))
        assert len(cache._shelves["u"].air) <= 10_000
        put(cache, info(1, 5), departed=departed)
        put(cache, info(2, 30_000), departed=departed)  # of what left so long ago, too little is known
        with cache.airborne("u") as later:
            put(cache, info(3, 30_001), departed=later)
    assert held(cache, 1, 2, 3) == [3]
    assert not len(cache._shelves["u"].air)


def test_an_older_object_does_not_take_the_place_of_a_newer_one() -> None:
    cache = make()
    with cache.airborne("u") as departed:
        newer = put(cache, info(1, 6))
        entry, fresh = cache.land(info(1, 5), Note("old"), 1, departed=departed)
    assert not fresh
    assert entry is not newer
    cache.unpin(entry)
    claim = cache.claim("u", 1, 1, Flight())
    assert isinstance(claim, Hit)
    assert claim.entry is newer


def test_an_older_reply_does_not_follow_a_newer_one_that_was_put_out() -> None:
    cache = make()
    with cache.airborne("u") as departed:
        cache.forget(put(cache, info(1, 6)))  # shown, and gone
        entry, fresh = cache.land(info(1, 5), Note("old"), 1, departed=departed)
    assert not fresh
    cache.unpin(entry)
    assert held(cache, 1) == []


@pytest.mark.parametrize("key", [1, "a"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_was_said_to_be_missing_is_not_shown_by_a_reply_that_left_before(key: int | str, when: str) -> None:
    """ZEO's PR 160 was of this kind: a miss, and an object that was loaded beside it."""
    cache = make()
    with cache.airborne("u") as departed:
        if when == "before":
            cache.missing("u", key)
        put(cache, info(1, 5, name="a"), departed=departed)
        if when == "after":
            cache.missing("u", key)
    claim = cache.claim("u", key, 1, Flight())
    assert isinstance(claim, Check)  # it may have been made since: the store is asked
    cache.unpin(claim.entry)
    with cache.airborne("u") as departed:
        assert cache.confirm(claim.entry, info(1, 5, name="a"), 1, departed=departed)
        cache.unpin(claim.entry)
    assert held(cache, 1) == [1]


@pytest.mark.parametrize("news", ["a reply", "a write", "a reply that was put out"])
def test_a_name_does_not_lead_back_to_the_object_that_had_it_before(news: str) -> None:
    cache = make()
    with cache.airborne("u") as departed:
        if news == "a write":
            cache.apply(changed(2, 7, ChangeKind.UPLOADED, "a"))
        else:
            newer = put(cache, info(2, 7, name="a"))
            if news != "a reply":
                cache.forget(newer)
        put(cache, info(1, 5, name="a"), departed=departed)
    match cache.claim("u", "a", 1, Flight()):
        case Hit(entry):
            assert entry.info.data_id == 2
        case other:
            assert isinstance(other, Lead)


def test_a_store_that_was_put_back_to_an_older_copy_is_believed() -> None:
    """Its revisions come a second time: what is here from before must not pass for newer than they are."""
    cache = make()
    described = put(cache, info(1, 5, revision=90, name="new"))
    put(cache, info(2, 80))
    # The stream was lost and is back: another epoch. Object 1 has the bytes it had, and an older name.
    with cache.airborne("u") as departed:
        assert not cache.confirm(described, info(1, 5, revision=5, name="old"), 2, departed=departed)
        put(cache, info(1, 5, revision=5, name="old"), 2, departed=departed)
        put(cache, info(2, 40), 2, departed=departed)
    assert held(cache, 1, 2, epoch=2) == [1, 2]
    cache.apply(changed(1, 51))
    cache.apply(changed(2, 52))
    assert held(cache, 1, 2, epoch=2) == []


@pytest.mark.parametrize("ended", ["written", "failed", "written by somebody else after it"])
def test_who_loads_what_is_being_written_back_waits_for_that(ended: str) -> None:
    """Else there would be two of one object, each with a working copy: the next edits would be lost races."""
    cache = make()
    entry, _ = cache.land(info(1, 5, name="a"), Note("x"), 1)
    draft = edit(entry)
    flight = Flight()
    with flight.lock, cache.writing(entry, flight) as departed:
        assert isinstance(cache.claim("u", 1, 1, Flight()), Hit)  # nothing is known yet but the old
        cache.unpin(entry)
        cache.apply(changed(1, 6, name="a"))  # the news of it is faster than the reply
        by_id, by_name = cache.claim("u", 1, 1, Flight()), cache.claim("u", "a", 1, Flight())
        assert isinstance(by_id, Join)
        assert isinstance(by_name, Join)
        assert by_id.flight is flight
        other, fresh = cache.land(info(1, 6, name="a"), Note("beside"), 1, departed=departed)
        assert not fresh
        cache.unpin(other)
        if ended.startswith("written by"):
            cache.apply(changed(1, 7, name="a"))
        if ended != "failed":
            entry.commit(draft, info(1, 6, name="a"), draft.data)
            cache.replaced(entry, 1, departed=departed)
    assert by_name.flight is flight
    claim = cache.claim("u", 1, 1, Flight())
    if ended == "written":
        assert isinstance(claim, Hit)
        assert claim.entry is entry
    else:
        assert isinstance(claim, Lead)


def test_two_loads_of_one_generation_share_one_object() -> None:
    cache = make()
    first, _ = cache.land(info(1, 5), Note("a"), 1)
    second, _ = cache.land(info(1, 5), Note("a"), 1)
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
        assert isinstance(cache.claim("u", 1, 1, flight), Lead)
        join = cache.claim("u", 1, 1, Flight())
        assert isinstance(join, Join)
        assert join.flight is flight
        assert isinstance(cache.claim("v", 1, 1, Flight()), Lead)
        assert isinstance(cache.claim("u", 2, 1, Flight()), Lead)
        if finished:  # else he was interrupted just then
            cache.finish("u", 1, flight)
    flight.wait()
    assert isinstance(cache.claim("u", 1, 1, Flight()), Lead)


def test_what_was_being_written_back_when_that_was_interrupted_holds_up_nobody() -> None:
    cache = make()
    entry, _ = cache.land(info(1, 5), Note("x"), 1)
    flight = Flight()
    with flight.lock:
        torn = cache.writing(entry, flight)
        torn.__enter__()  # kept from its end by a traceback that somebody holds
        cache.apply(changed(1, 6))
        assert isinstance(cache.claim("u", 1, 1, Flight()), Join)
    assert isinstance(cache.claim("u", 1, 1, Flight()), Check)
    put(cache, info(1, 6))
    assert held(cache, 1) == [1]


def test_without_a_cache_everyone_loads_for_himself() -> None:
    cache = make(enabled=False)
    assert isinstance(cache.claim("u", 1, 1, Flight()), Lead)
    assert isinstance(cache.claim("u", 1, 1, Flight()), Lead)
    first, fresh = cache.land(info(1, 5), Note("a"), 1)
    assert fresh
    second, _ = cache.land(info(1, 5), Note("a"), 1)
    assert first is not second
    assert cache.stats().entries == 0
    assert cache.stats().open_tickets == 2


def test_what_a_finalizer_drops_is_let_go_at_the_next_call() -> None:
    cache = make(max_cached=1)
    entry, _ = cache.land(info(1, 1), Note(""), 1)
    with cache.lock:  # as when a collection runs in the middle of a call
        cache.dropped += (entry,)
    assert cache.stats().open_tickets == 0
    put(cache, info(2, 2))
    assert held(cache, 1, 2) == [2]


def test_a_written_back_entry_is_counted_as_what_it_is_now() -> None:
    cache = make()
    entry, _ = cache.land(info(1, 5, name="a"), Note("x"), 1)
    with cache.airborne("u") as departed:
        cache.apply(changed(1, 6, name="b"))  # its own change, ahead of the reply
        assert cache.stats().entries == 0
        draft = edit(entry)
        entry.commit(draft, info(1, 6, name="b", size=33), draft.data)
        cache.replaced(entry, 1, departed=departed)
    assert cache.stats().bytes == 33
    assert isinstance(cache.claim("u", "a", 1, Flight()), Lead)
    assert isinstance(cache.claim("u", "b", 1, Flight()), Hit)


def test_a_written_back_entry_that_somebody_wrote_again_is_not_kept() -> None:
    cache = make()
    entry, _ = cache.land(info(1, 5), Note("x"), 1)
    with cache.airborne("u") as departed:
        draft = edit(entry)
        cache.apply(changed(1, 7))
        entry.commit(draft, info(1, 6), draft.data)
        cache.replaced(entry, 1, departed=departed)
    assert held(cache, 1) == []
    assert cache.stats().bytes == 0


def test_threads_leave_the_books_straight() -> None:
    """Limits, bytes and pins add up, whatever threads do at the same time."""
    cache = make(max_cached=20, max_bytes=500)

    def work(seed: int) -> None:
        for step in range(1, 1500):
            data_id = (step * 7 + seed * 13) % 40 + 1
            flight = Flight()
            match cache.claim("u", data_id, 1, flight):
                case Hit(entry) | Check(entry):
                    cache.unpin(entry)
                case Lead():
                    with flight.lock, cache.airborne("u") as departed:
                        entry, _ = cache.land(info(data_id, step, size=step % 50), Note(""), 1, departed=departed)
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
    shelf = cache._shelves["u"]
    assert stats.open_tickets == 0
    assert stats.entries == len(shelf.idle) <= 20
    assert stats.bytes == sum(entry.info.size for entry in shelf.entries.values()) <= 500
