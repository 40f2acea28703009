"""The decision on a group of writes, as a function: nothing here stores anything."""

import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault.errors import CorruptionError, VaultError
from vault.store.specs import DeleteSpec, MetadataSpec, PutSpec, UpdateSpec, UploadSpec
from vault.store.values import ObjectInfo
from vault_server.storage.decision.decide import decide, preview
from vault_server.storage.decision.plan import Facts, Plan, Retention
from vault_server.storage.decision.rows import to_info
from vault_server.storage.decision.writes import Content, Delete, Put, SetMetadata, Update, Upload, Write

from tests.storage.deciding import DictIndex, Expected, content, in_groups, told, write_lists
from tests.storage.one_group import NOTHING, RETENTION, names, reason, renamed, run, up, uploaded


@given(write_lists(), st.lists(st.integers(1, 8), max_size=8), st.sampled_from([RETENTION, NOTHING]))
def test_any_writes_in_any_groups_come_to_what_they_come_to_one_by_one(
    writes: list[Write], sizes: list[int], retention: Retention
) -> None:
    index, expected = DictIndex(), Expected()
    for clock, group in enumerate(in_groups(writes, sizes), 5):
        wanted = [expected.outcome(write, clock) for write in group]
        outcomes = run(index, group, retention, clock)
        assert [told(outcome, want) for outcome, want in zip(outcomes, wanted, strict=True)] == wanted
        assert {
            key: {name: getattr(to_info(row), name) for name in expected.objects[key]}
            for key, row in index.objects.items()
        } == expected.objects
        assert index.revision == expected.revision


@settings(max_examples=50)
@given(write_lists(), st.sampled_from([RETENTION, NOTHING]))
def test_facts_are_not_changed_and_the_same_facts_give_the_same_plan(writes: list[Write], retention: Retention) -> None:
    index = DictIndex()
    run(index, writes[::2], retention)
    facts = index.facts(writes, retention)
    before = copy.deepcopy(facts)
    plans = [
        dataclasses.asdict(dataclasses.replace(decide(facts, writes, 5, retention), outcomes=[], contents=[]))
        for _ in range(2)
    ]
    assert plans[0] == plans[1]
    assert facts == before


@settings(max_examples=50)
@given(write_lists(), st.data())
def test_a_write_that_is_refused_leaves_nothing(writes: list[Write], data: st.DataObject) -> None:
    index = DictIndex()
    plan = decide(index.facts(writes, RETENTION), writes, 5, RETENTION)
    kept = [
        write
        for write, outcome in zip(writes, plan.outcomes, strict=True)
        if not isinstance(outcome, VaultError) or data.draw(st.booleans())
    ]
    again = decide(index.facts(kept, RETENTION), kept, 5, RETENTION)
    assert rows_of(plan) == rows_of(again)


def rows_of(plan: Plan) -> dict[str, Any]:
    found = dataclasses.asdict(dataclasses.replace(plan, outcomes=[], contents=[]))
    return found | {"contents": [(new.number, new.data_id, new.content.checksum) for new in plan.contents]}


@settings(max_examples=50)
@given(write_lists(blobs=False), st.sampled_from([RETENTION, NOTHING]))
def test_all_of_it_sent_again_does_nothing_and_is_answered_alike(writes: list[Write], retention: Retention) -> None:
    index = DictIndex()
    first = run(index, writes, retention)
    done = [
        (write, outcome)
        for write, outcome in zip(writes, first, strict=True)
        if isinstance(outcome, ObjectInfo) or (isinstance(outcome, int) and outcome)
    ]
    revision = index.revision
    assert run(index, [write for write, _ in done], retention, clock=9_000_000) == [outcome for _, outcome in done]
    assert index.revision == revision


def test_of_two_uploads_of_one_name_in_a_group_the_first_has_it() -> None:
    index = DictIndex()
    first, second = run(index, [up(1, "a"), up(2, "a")])
    assert isinstance(first, ObjectInfo)
    assert reason(second) == "NAME_TAKEN"
    assert list(index.objects) == [("u", 1)]


def test_of_two_uploads_of_one_id_in_a_group_the_first_is_there() -> None:
    index = DictIndex()
    first, second = run(index, [up(1, data=b"1"), up(1, data=b"2")])
    assert isinstance(first, ObjectInfo)
    assert reason(second) == "OBJECT_EXISTS"
    assert [kept.data for kept in index.contents.values()] == [b"1"]


def test_an_object_deleted_and_made_anew_in_a_group_is_the_new_one() -> None:
    index = uploaded(1, named=True)
    revision, info = run(index, [Delete("u", DeleteSpec("a")), up(1, "a", b"new", tags={"k": "v"})])
    assert revision == 2
    assert isinstance(info, ObjectInfo)
    assert (info.generation, info.tags) == (3, {"k": "v"})
    assert [kept["generation"] for kept in index.retired.values()] == [1]
    assert [told["kind"] for told in index.changes.values()] == [1, 4, 1]


def test_an_object_made_and_deleted_in_a_group_leaves_its_changes_and_what_is_retained() -> None:
    index = DictIndex()
    _, revision = run(index, [up(1, "a"), Delete("u", DeleteSpec(1))])
    assert (revision, index.objects, list(index.changes), list(index.retired)) == (2, {}, [1, 2], [1])
    index = DictIndex()
    run(index, [up(1, "a"), Delete("u", DeleteSpec(1))], NOTHING)
    assert (index.contents, index.retired) == ({}, {})


def test_an_update_after_a_delete_in_a_group_finds_nothing() -> None:
    index = uploaded(1)
    deleted, updated = run(index, [Delete("u", DeleteSpec(1)), Update("u", UpdateSpec(1), content(b"y"))])
    assert deleted == 2
    assert reason(updated) == "OBJECT_NOT_FOUND"


def test_several_updates_in_a_group_are_generations_of_their_own() -> None:
    index = uploaded(1)
    updates: list[Write] = [Update("u", UpdateSpec(1, n), content(b"%d" % n)) for n in (1, 2, 3, 3)]
    *done, last = run(index, updates)
    assert [outcome.generation for outcome in done if isinstance(outcome, ObjectInfo)] == [2, 3, 4]
    assert reason(last) == "GENERATION_MISMATCH"
    assert {number: kept.data for number, kept in index.contents.items()} == {1: b"x", 2: b"1", 3: b"2", 4: b"3"}
    assert [(kept["generation"], kept["retired_by"]) for kept in index.retired.values()] == [(1, 2), (2, 3), (3, 4)]


def test_names_are_swapped_in_a_group() -> None:
    index = uploaded(1, 2, named=True)
    run(index, [renamed(1, "t"), renamed("b", "a"), renamed("t", "b")])
    assert names(index) == {1: "b", 2: "a"}


def test_names_go_round_in_a_group() -> None:
    index = uploaded(1, 2, 3, named=True)
    run(index, [renamed(3, ""), renamed(2, "c"), renamed(1, "b"), renamed(3, "a")])
    assert names(index) == {1: "b", 2: "c", 3: "a"}


def test_a_name_that_is_given_up_in_a_group_may_be_taken_in_it() -> None:
    index = uploaded(1, 2, named=True)
    run(index, [renamed(1, ""), up(3, "a"), Delete("u", DeleteSpec(2)), renamed(1, "b")])
    assert names(index) == {1: "b", 3: "a"}


def test_what_is_replaced_goes_at_once_when_nothing_is_retained() -> None:
    index = DictIndex()
    run(index, [Upload("u", UploadSpec(1), content(b"1", "u/1")), up(2)], NOTHING)
    run(
        index,
        [Update("u", UpdateSpec(1), content(b"2", "u/2")), Update("u", UpdateSpec(1), content(b"3", "u/3"))],
        NOTHING,
    )
    run(index, [Delete("u", DeleteSpec(2))], NOTHING)
    assert index.trash == {"u/1"}, "what came and went within the group was never in the index"
    assert [kept.file for kept in index.contents.values()] == ["u/3"]


def test_the_stores_time_never_goes_back() -> None:
    index = DictIndex()
    (first,) = run(index, [up(1)], clock=1_000)
    (second,) = run(index, [up(2)], clock=10)
    (third,) = run(index, [renamed(1, "n")], clock=2_000)
    assert isinstance(first, ObjectInfo)
    assert isinstance(second, ObjectInfo)
    assert isinstance(third, ObjectInfo)
    assert first.created_at == second.created_at < third.updated_at
    assert index.clock == 2_000
    assert [told["committed_at"] for told in index.changes.values()] == [1_000, 1_000, 2_000]


def test_an_expiry_of_what_is_retained_follows_the_wall_clock() -> None:
    index = uploaded(1)
    run(index, [Delete("u", DeleteSpec(1))], Retention(grace=7), clock=50)
    (kept,) = index.retired.values()
    assert (kept["retired_at"], kept["collect_at"]) == (50, 57)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=40), st.integers(1, 12), st.integers(0, 60))
def test_the_feed_reaches_back_so_many_changes_and_so_long(
    steps: list[tuple[int, int]], history: int, window: int
) -> None:
    index, retention, clock = DictIndex(), Retention(history=history, window=window), 100
    number = 0
    for pause, count in steps:
        clock += pause
        before = {revision: told["committed_at"] for revision, told in index.changes.items()}
        writes: list[Write] = [up(number + each) for each in range(1, count + 1)]
        number += count
        run(index, writes, retention, clock)
        for revision in set(before) - set(index.changes):
            assert revision <= index.revision - history
            assert before[revision] <= clock - window
    if steps:
        run(index, [up(number + 1)], retention, clock + window)
        assert len(index.changes) <= history + retention.step + 1


def test_the_feed_shrinks_while_writes_come_faster_than_its_window_passes() -> None:
    index, retention = DictIndex(), Retention(history=10, window=100)
    for clock in range(400):
        run(index, [up(clock + 1)], retention, clock)
    assert 100 <= len(index.changes) <= 120


@pytest.mark.parametrize("key", [1, "a"])
def test_what_a_damaged_index_led_to_is_refused_and_taken_for_nothing(key: int | str) -> None:
    damage = CorruptionError("the register is damaged", unit="u")
    facts = Facts(damaged={("u", key): damage})
    writes: list[Write] = [
        Upload("u", UploadSpec(1, "a"), content(b"x")),
        Delete("u", DeleteSpec(key)),
        Update("u", UpdateSpec(key), content(b"x")),
        renamed(key, "z"),
    ]
    plan = decide(facts, writes, 0, RETENTION)
    assert plan.outcomes == [damage] * 4
    assert plan.revision == 0


@pytest.mark.parametrize(
    "column",
    [{"tags": text} for text in ("{", "[1]", "5", '{"k":5}')]
    + [{"size": -1}, {"generation": 9}, {"created_at": 1 << 62}],
)
def test_a_damaged_row_refuses_the_writes_on_it_and_no_others(column: dict[str, Any]) -> None:
    index = uploaded(1, 2)
    writes: list[Write] = [
        Update("u", UpdateSpec(1), content(b"y")),
        SetMetadata("u", MetadataSpec(1, tags={"k": "v"})),
        renamed(1, "n"),
        Delete("u", DeleteSpec(1)),
        renamed(2, "n"),
    ]
    facts = index.facts(writes, RETENTION)
    facts.rows["u", 1] = facts.rows["u", 1]._replace(row=facts.rows["u", 1].row._replace(**column))
    *refused, done = decide(facts, writes, 5, RETENTION).outcomes
    assert [type(outcome) for outcome in refused] == [CorruptionError] * 4
    assert isinstance(done, ObjectInfo)


def test_a_preview_says_what_a_commit_would_and_needs_no_bytes() -> None:
    index = uploaded(1, named=True)
    empty = Content(0, 0, b"", None)
    write = up(2, "n")
    spec = dataclasses.replace(write, content=empty)
    assert preview(index.facts([spec], RETENTION), spec, 0) is None
    (info,) = run(index, [write])
    assert preview(index.facts([spec], RETENTION), spec, 0) == info
    for refused, why in (
        (Upload("u", UploadSpec(1), empty), "OBJECT_EXISTS"),
        (Upload("u", UploadSpec(3, "a"), empty), "NAME_TAKEN"),
        (Upload("u", UploadSpec(3, "a\n"), empty), "BAD_NAME"),
        (Update("u", UpdateSpec(9), empty), "OBJECT_NOT_FOUND"),
        (Update("u", UpdateSpec("a", 7), empty), "GENERATION_MISMATCH"),
        (Update("u", UpdateSpec(1, request_id=write.spec.request_id), empty), "BAD_REQUEST_ID"),
        (Put("u", PutSpec("n", 2, request_id=write.spec.request_id), empty), "BAD_REQUEST_ID"),
    ):
        with pytest.raises(VaultError) as raised:
            preview(index.facts([refused], RETENTION), refused, 0)
        assert raised.value.reason == why
