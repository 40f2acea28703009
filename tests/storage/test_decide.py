"""The decision on a group of writes, as a function: nothing here stores anything."""

import copy
import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault.errors import ConflictError, CorruptionError, VaultError
from vault.store.columns import to_time
from vault.store.values import ChangeKind, DeleteSpec, MetadataSpec, ObjectInfo, PutSpec, Times, UpdateSpec, UploadSpec
from vault_server.storage.decision.decide import decide, preview
from vault_server.storage.decision.plan import Facts, Outcome, Plan, Retention
from vault_server.storage.decision.rows import to_info
from vault_server.storage.decision.writes import (
    Content,
    Delete,
    Put,
    SetMetadata,
    Update,
    Upload,
    Write,
    request_hash,
)

from tests.storage.deciding import DictIndex, Expected, content, in_groups, told, write_lists

RETENTION = Retention(grace=300_000_000)
NOTHING = Retention()
YEAR = 366 * 86_400_000_000


def run(
    index: DictIndex, writes: list[Write], retention: Retention = RETENTION, clock: int = 1_000_000
) -> list[Outcome]:
    plan = decide(index.facts(writes, retention), writes, clock, retention)
    index.apply(plan)
    return plan.outcomes


def uploaded(*ids: int, named: bool = False) -> DictIndex:
    """An index with these objects, and a name for each, if it is to have one: a, b, …"""
    index = DictIndex()
    run(index, [up(data_id, chr(96 + data_id) if named else None) for data_id in ids])
    return index


def up(data_id: int, name: str | None = None, data: bytes = b"x", **spec: Any) -> Upload:
    return Upload("u", UploadSpec(data_id, name, **spec), content(data))


def put(name: str | None, data: bytes = b"p", **spec: Any) -> Put:
    return Put("u", PutSpec(name, **spec), content(data))


def renamed(key: int | str, name: str) -> SetMetadata:
    return SetMetadata("u", MetadataSpec(key, name))


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, VaultError)
    return outcome.reason


def names(index: DictIndex) -> dict[int, str | None]:
    return {data_id: row.name for (_, data_id), row in index.objects.items()}


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


def test_one_request_id_twice_in_a_group_is_applied_once() -> None:
    index = DictIndex()
    write = up(1, "a")
    first, second = run(index, [write, write])
    assert first == second
    assert index.revision == 1


@pytest.mark.parametrize(
    "other",
    [
        up(1, data=b"y", request_id=bytes(16)),
        up(2, request_id=bytes(16)),
        up(1, "a", request_id=bytes(16)),
        up(1, tags={"k": "v"}, request_id=bytes(16)),
        up(1, datatype="d", request_id=bytes(16)),
        Upload("v", UploadSpec(1, request_id=bytes(16)), content(b"x")),
        Update("u", UpdateSpec(1, request_id=bytes(16)), content(b"x")),
        Delete("u", DeleteSpec(1, request_id=bytes(16))),
        SetMetadata("u", MetadataSpec(1, request_id=bytes(16))),
        put(None, b"x", data_id=1, request_id=bytes(16)),
    ],
)
def test_a_request_id_that_stands_for_another_write_is_refused(other: Write) -> None:
    for together in (True, False):
        index = DictIndex()
        first: list[Write] = [up(1, request_id=bytes(16))]
        outcomes = run(index, [*first, other]) if together else run(index, first) + run(index, [other])
        assert reason(outcomes[1]) == "BAD_REQUEST_ID"
        assert index.revision == 1


def test_a_request_id_is_known_to_who_used_it_and_to_nobody_else() -> None:
    index = DictIndex()
    mine = Upload("u", UploadSpec(1, request_id=bytes(16)), content(b"x"), "me")
    theirs = dataclasses.replace(mine, principal="them")
    assert [type(outcome) for outcome in run(index, [mine, mine])] == [ObjectInfo] * 2
    (outcome,) = run(index, [theirs])
    assert reason(outcome) == "OBJECT_EXISTS"


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


SPEC = UploadSpec(1, "ab", {"k": "v", "l": "w"}, "d", bytes(16))


def test_a_requests_hash_stays_what_it_is() -> None:
    """It is in stores: one that another version or Python computes must be the same."""
    assert request_hash(Upload("u", SPEC, content(b"x"))) == HASH
    assert request_hash(Upload("u", dataclasses.replace(SPEC, tags={"l": "w", "k": "v"}), content(b"y"))) == HASH


HASH = 4_048_772_566_622_590_315


def test_requests_that_differ_in_where_a_text_ends_have_other_hashes() -> None:
    hashes = {
        request_hash(write)
        for write in (
            Upload("u", UploadSpec(1, "ab", datatype="c"), content(b"")),
            Upload("u", UploadSpec(1, "a", datatype="bc"), content(b"")),
            Upload("u", UploadSpec(1, None, datatype="abc"), content(b"")),
            Delete("u", DeleteSpec(1)),
            Delete("u", DeleteSpec("1")),
            Delete("u", DeleteSpec(1, 0)),
            SetMetadata("u", MetadataSpec(1)),
            SetMetadata("u", MetadataSpec(1, "")),
            SetMetadata("u", MetadataSpec(1, tags={})),
            SetMetadata("u", MetadataSpec(1, "a")),
            SetMetadata("u", MetadataSpec(1, "a", replace=True)),
            SetMetadata("u", MetadataSpec(1, "a", expires_in=1)),
            SetMetadata("u", MetadataSpec(1, "a", expires_in=math.inf)),
            SetMetadata("u", MetadataSpec(1, "a", if_revision=1)),
            Delete("u", DeleteSpec(1, if_revision=0)),
            Update("u", UpdateSpec(1), content(b"")),
            Update("u", UpdateSpec(1, tags={}), content(b"")),
            Update("u", UpdateSpec(1, if_revision=0), content(b"")),
            put(None, data_id=1),
            put("a", data_id=1),
            put("a", data_id=1, if_generation=0),
            put("a", data_id=1, expires_in=1),
            put("a", data_id=1, times=Times(*[to_time(YEAR)] * 3)),
        )
    }
    assert len(hashes) == 23


def test_every_kind_of_change_is_made_by_a_write() -> None:
    index = DictIndex()
    run(index, [put("a", data_id=1), put("a"), renamed("a", "b"), Delete("u", DeleteSpec("b"))])
    assert [told["kind"] for told in index.changes.values()] == [kind.value for kind in ChangeKind]


def test_a_put_keeps_the_id_and_the_beginning_of_what_it_replaces_and_nothing_else() -> None:
    index = DictIndex()
    run(index, [up(1, "a", tags={"k": "v"}, datatype="d")], clock=1_000)
    (info,) = run(index, [put("a", data_id=2, expires_in=1.5)], clock=2_000)
    assert isinstance(info, ObjectInfo)
    assert (info.data_id, info.tags, info.datatype) == (1, {}, "")
    (row,) = index.objects.values()
    assert (row.created_at, row.updated_at, row.written_at, row.expires_at) == (1_000, 2_000, 2_000, 1_502_000)
    (info,) = run(index, [put("a")])
    assert isinstance(info, ObjectInfo)
    assert info.expires_at is None


def test_an_expiry_is_kept_by_an_update_and_set_or_taken_by_metadata() -> None:
    index = DictIndex()
    run(index, [put("a", data_id=1, expires_in=1), Update("u", UpdateSpec("a"), content(b"y"))], clock=1_000)
    assert index.objects["u", 1].expires_at == 1_001_000
    for expires_in, expected in ((None, 1_001_000), (5, 5_002_000), (math.inf, None)):
        run(index, [SetMetadata("u", MetadataSpec("a", expires_in=expires_in))], clock=2_000)
        assert index.objects["u", 1].expires_at == expected


def test_times_that_are_taken_over_are_never_later_than_the_stores() -> None:
    index = DictIndex()
    times = Times(*[to_time(moment) for moment in (YEAR, 3 * YEAR, 2 * YEAR)])
    for _ in range(2):  # new, and replaced
        run(index, [put("a", data_id=1, times=times)], clock=2 * YEAR + 5)
        row = index.objects["u", 1]
        assert (row.created_at, row.written_at, row.updated_at) == (YEAR, 2 * YEAR, 2 * YEAR + 5)


def test_a_put_is_answered_as_it_was_also_when_what_it_made_is_gone() -> None:
    index, write = DictIndex(), put("a", request_id=bytes(16))
    (first,) = run(index, [write])
    run(index, [Delete("u", DeleteSpec("a"))])
    assert run(index, [write]) == [first]
    assert index.objects == {}
    (other,) = run(index, [put("a", b"other", data_id=write.spec.data_id, request_id=bytes(16))])
    assert reason(other) == "BAD_REQUEST_ID"


def test_a_rename_over_a_name_deletes_what_bore_it_in_the_same_group_and_is_answered_once() -> None:
    for retention in (RETENTION, NOTHING):
        index = uploaded(1, 2, named=True)
        write = SetMetadata("u", MetadataSpec(1, "b", replace=True))
        first, again = run(index, [write, write], retention)
        assert first == again
        assert names(index) == {1: "b"}
        assert [(told["kind"], told["data_id"]) for told in index.changes.values()][2:] == [(4, 2), (3, 1)]
        assert [told["request_id"] for told in index.changes.values()][2:] == [None, write.spec.request_id]
        assert run(index, [write], retention) == [first]
        assert index.revision == 4


def test_an_object_renamed_onto_itself_stays() -> None:
    index = uploaded(1, named=True)
    (info,) = run(index, [SetMetadata("u", MetadataSpec("a", "a", replace=True))])
    assert isinstance(info, ObjectInfo)
    assert names(index) == {1: "a"}


def test_a_rename_that_is_refused_deletes_nothing() -> None:
    index = uploaded(1, 2, named=True)
    writes: list[Write] = [
        SetMetadata("u", MetadataSpec("a", "b", replace=True, if_revision=9)),
        SetMetadata("u", MetadataSpec("a", "b", {"k\n": "v"}, replace=True)),
    ]
    assert list(map(reason, run(index, writes))) == ["REVISION_MISMATCH", "BAD_TAGS"]
    assert names(index) == {1: "a", 2: "b"}


def test_a_revision_that_is_not_the_objects_refuses_and_says_which_it_is_at() -> None:
    for write in (
        Update("u", UpdateSpec(1, if_revision=1), content(b"y")),
        Delete("u", DeleteSpec(1, if_revision=1)),
        SetMetadata("u", MetadataSpec(1, tags={}, if_revision=1)),
    ):
        index = uploaded(1, named=True)
        run(index, [renamed(1, "z")])
        (refused,) = run(index, [write])
        assert reason(refused) == "REVISION_MISMATCH"
        assert isinstance(refused, ConflictError)
        assert (refused.context["revision"], refused.context["wanted"]) == (2, 1)
        spec: Any = dataclasses.replace(write.spec, if_revision=2)
        (done,) = run(index, [dataclasses.replace(write, spec=spec)])
        assert not isinstance(done, VaultError)


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (put("a", if_generation=0), "GENERATION_MISMATCH"),
        (put("a", if_generation=7), "GENERATION_MISMATCH"),
        (put("z", if_generation=7), "OBJECT_NOT_FOUND"),
        (put("z", data_id=1), "OBJECT_EXISTS"),
        (put(None, data_id=9, if_generation=1), "OBJECT_NOT_FOUND"),
        (put("z\n"), "BAD_NAME"),
        (put("a", tags={"k\n": "v"}), "BAD_TAGS"),
        (put("a", datatype="d\u2028"), "BAD_DATATYPE"),
    ],
)
def test_a_put_is_refused_before_its_bytes_come_and_at_its_commit(write: Put, why: str) -> None:
    index = uploaded(1, named=True)
    with pytest.raises(VaultError) as raised:
        preview(index.facts([write], RETENTION), write, 0)
    assert raised.value.reason == why
    assert list(map(reason, run(index, [write]))) == [why]


def test_of_two_puts_that_want_nobody_there_the_second_is_refused() -> None:
    index = DictIndex()
    first, second = run(index, [put("a", if_generation=0), put("a", if_generation=0)])
    assert isinstance(first, ObjectInfo)
    assert reason(second) == "GENERATION_MISMATCH"
