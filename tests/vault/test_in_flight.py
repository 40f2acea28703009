"""Changes and writes that overtake the replies of the store: none is lost, and nobody waits for ever."""

import pytest
from vault._cache.lookup import Hit, Join, Miss, Stale
from vault._runtime.sync_async import Flight
from vault.store.values import ChangeKind

from tests.vault.caching import changed, edit, held, info, make, put
from tests.vault.places import Note


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


@pytest.mark.parametrize("only_names", [False, True])
def test_a_change_of_an_unknown_object_or_name_puts_all_older_ones_in_doubt_until_the_feed_tells(
    only_names: bool,
) -> None:
    cache = make()
    put(cache, info(1, 5, name="a"))
    put(cache, info(2, 9, name="b"))
    with cache.request("u") as sent:
        cache.some_changed("u", 8, only_names=only_names)
        put(cache, info(3, 7, name="c"), sent=sent)
    put(cache, info(4, 7, name="d"))
    for reached in (0, 6, 7):
        cache.reached = reached
        assert held(cache, 1, 2, 3, 4) == ([1, 2, 3, 4] if only_names else [2])
        assert held(cache, "a", "b", "c", "d") == ["b"]
    cache.reached = 8
    assert held(cache, 1, 2, 3, 4, "a", "b", "c", "d") == [1, 2, 3, 4, "a", "b", "c", "d"]


def test_a_stream_that_begins_anew_ends_every_doubt_and_knows_nothing_yet() -> None:
    cache = make()
    cache.some_changed("u", 80, only_names=False)
    cache.reached = 70
    cache.follow_all_but(())
    assert not cache.reached
    put(cache, info(1, 5), epoch=2)  # of a store that was put back to an older copy
    assert held(cache, 1, epoch=2) == [1]
    cache.some_changed("u", 6, only_names=False)
    assert held(cache, 1, epoch=2) == []


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
