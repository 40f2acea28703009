"""The object cache alone: lookup, pin, evict, invalidate."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from vault._cache.lookup import Hit, Join, Miss, Stale
from vault._runtime.sync_async import Flight
from vault.store.values import Change, ChangeKind, ObjectInfo
from vault.unit import UnitSettings

from tests.vault.caching import NOW, changed, edit, held, info, make, put
from tests.vault.places import Count, Note


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


def test_two_loads_of_one_generation_share_one_object() -> None:
    cache = make()
    first, _ = cache.fill(info(1, 5), Note("a"), 1)
    second, _ = cache.fill(info(1, 5), Note("a"), 1)
    assert first is second
    assert cache.stats().open_tickets == 2
    cache.unpin(first)
    cache.unpin(first)
    assert cache.stats().open_tickets == 0


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


def test_of_a_unit_that_is_declared_anew_nothing_stays_and_nothing_comes_that_was_asked_for_before() -> None:
    cache = make()
    put(cache, info(1, 1, name="a"))
    open_one, _ = cache.fill(info(2, 2), Note("2"), 1)
    with cache.request("u") as sent:
        cache.declare("u", UnitSettings(Count, max_cached=1))
        assert held(cache, 1, 2) == []
        entry, fresh = cache.fill(info(3, 3), Note("3"), 1, sent=sent)
        assert not fresh
        cache.unpin(entry)
    working = edit(open_one)
    with cache.writing(open_one, Flight()) as sent:
        cache.declare("u", UnitSettings(Count, max_cached=1))
        cache.written(open_one, working, info(2, 4), working.data, 1, sent=sent)
    cache.unpin(open_one)
    assert held(cache, 2, 3) == []
    put(cache, info(1, 5))
    put(cache, info(2, 6))
    assert held(cache, 1, 2) == [2], "with the limit of now"
    stats = cache.stats()
    assert (stats.entries, stats.bytes, stats.open_tickets) == (1, 10, 0)


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
    assert stats.entries == part.count_idle() <= 20
    assert stats.bytes == sum(entry.info.size for entry in part.entries.values()) <= 500
