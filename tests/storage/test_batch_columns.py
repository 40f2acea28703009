"""A batch of uploads or puts comes to the same, as columns or item by item: its plan, its outcomes, its feed."""

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault.errors import ChecksumError, VaultError
from vault.store.columns import ObjectInfos
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE, MAX_DATA_ID
from vault.store.specs import LoadItem, PutSpec, SmallObject, UpdateSpec, UploadSpec
from vault.store.values import ObjectInfo, checksum
from vault.store.write_columns import SmallPuts, SmallUploads, new_columns
from vault_server.storage import EmbeddedStore, MemoryStore
from vault_server.storage.decision.decide import decide
from vault_server.storage.decision.plan import Account, Plan, Usage
from vault_server.storage.decision.writes import Batch, Write, asked, request_hash, request_hashes

from tests.storage.deciding import NAMES, DictIndex, content, write_lists
from tests.storage.one_group import NOTHING, RETENTION, run

UNIT = "u"
Items = SmallUploads | SmallPuts

_SPEC = {
    "data_id": st.integers(1, 8),
    "name": st.sampled_from([None, *NAMES]),
    "tags": st.sampled_from([{}, {"a": "1"}, {"b": "2", "a": "ä"}]),
    "datatype": st.sampled_from(["", "bytes"]),
    "request_id": st.integers(0, 12).map(lambda number: bytes([number] * 16)),
}
_NEW = _SPEC | {"data_id": st.integers(1, MAX_DATA_ID), "request_id": st.binary(min_size=16, max_size=16)}


def batches(*, fresh: bool) -> st.SearchStrategy[Items]:
    """Of uploads, or of puts; with nothing in their way, mostly, or with much."""
    spec = _NEW if fresh else _SPEC
    asked_for: Any = {"expires_in": st.sampled_from([None, None, 60.0, 3600.0])}
    if not fresh:
        asked_for["if_generation"] = st.sampled_from([None, None, 0, 1])
    data = st.binary(max_size=3)
    uploads = st.lists(st.tuples(st.builds(UploadSpec, **spec), data), min_size=1, max_size=8)
    puts = st.lists(st.tuples(st.builds(PutSpec, **spec, **asked_for), data), min_size=1, max_size=8)
    return st.one_of(
        uploads.map(lambda some: _small(SmallUploads, some)), puts.map(lambda some: _small(SmallPuts, some))
    )


def _small(kind: type[Items], some: Sequence[tuple[Any, bytes]]) -> Any:
    return kind.of([SmallObject(spec, data, checksum(data)) for spec, data in some])


def batch(items: Items, principal: str = "") -> Batch:
    return Batch(UNIT, items, [content(data) for data in items.data], principal)


def plan_of(plan: Plan) -> dict[str, Any]:
    """All that it says, but for which sequences say it."""
    found = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    outcomes = [str(each) if isinstance(each, VaultError) else each for each in plan.outcomes]
    return found | {"outcomes": outcomes}


@settings(max_examples=200)
@given(
    before=write_lists(),
    items=st.one_of(batches(fresh=True), batches(fresh=False)),
    principal=st.sampled_from(["", "alice"]),
    limit=st.sampled_from([None, None, 3]),
    retention=st.sampled_from([RETENTION, NOTHING]),
)
def test_a_batch_comes_to_the_plan_of_its_writes_one_by_one(
    before: list[Write], items: Items, principal: str, limit: int | None, retention: Any
) -> None:
    index = DictIndex()
    run(index, before, retention)
    if limit is not None:
        index.units[UNIT] = index.units.get(UNIT, Usage(UNIT))._replace(max_objects=limit)
        index.accounts[principal] = Account(principal, 1, 1, None, limit)
    whole = batch(items, principal)
    writes: list[Write] = list(whole)
    assert dataclasses.asdict(asked(whole)) == dataclasses.asdict(asked(writes))
    assert list(request_hashes(whole)) == [request_hash(write) for write in writes]
    facts = index.facts(writes, retention)
    assert plan_of(decide(facts, whole, 5, retention)) == plan_of(decide(facts, writes, 5, retention))


def test_new_objects_are_decided_without_a_value_for_each() -> None:
    items = SmallUploads(new_columns(range(3), ["bytes"] * 3, [b"1", b"2", b"3"], ["a", None, "b"], None))
    plan = decide(DictIndex().facts([], RETENTION), batch(items), 5, RETENTION)
    assert isinstance(plan.outcomes, ObjectInfos)


@pytest.fixture(params=["embedded", "memory"])
def make(request: pytest.FixtureRequest) -> Callable[[str], Store]:
    return EmbeddedStore if request.param == "embedded" else lambda _: MemoryStore()


def test_any_batch_is_answered_and_told_of_as_its_items_are_alone(make: Callable[[str], Store]) -> None:
    @settings(max_examples=12, deadline=None)
    @given(st.lists(st.one_of(batches(fresh=True), batches(fresh=False)), min_size=1, max_size=3))
    def holds(groups: list[Items]) -> None:
        folder = tempfile.TemporaryDirectory()
        with folder as path, make(f"{path}/columns") as in_columns, make(f"{path}/alone") as alone:
            for items in (*groups, *groups):  # the second time they are asked for again
                told = _write(in_columns, items)
                assert _told(told) == _told([_write(alone, [item])[0] for item in items])
            assert in_columns.changes(0) == alone.changes(0)
            assert in_columns.revision == alone.revision
            for store in (in_columns, alone):
                if isinstance(store, EmbeddedStore):
                    assert not store.check(deep=True).problems

    holds()


def _write(store: Store, items: Sequence[Any]) -> Sequence[ObjectInfo | VaultError]:
    if isinstance(items[0].spec, UploadSpec):
        return store.upload_many(UNIT, items)
    return store.put_many(UNIT, items)


def _told(outcomes: Sequence[ObjectInfo | VaultError]) -> list[Any]:
    told: list[Any] = []
    for outcome in outcomes:
        if isinstance(outcome, VaultError):
            told.append((outcome.reason, str(outcome)))
        else:
            times = dict.fromkeys(("created_at", "updated_at", "written_at"))
            times["expires_at"] = None
            told.append(dataclasses.replace(outcome, **times))  # type: ignore[arg-type]  # each store has its own time
    return told


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(
    "wrong",
    [
        {"data_id": 0},
        {"data_id": True},
        {"data_id": "7"},
        {"name": ""},
        {"name": "a\x00\u202eb"},
        {"name": 5},
        {"tags": {"a": 5}},
        {"tags": []},
        {"tags": {"\u202e": ""}},
        {"datatype": "a\nb"},
        {"datatype": ["bytes"]},
        {"request_id": b"short"},
        {"data": b"x" * (BLOCK_SIZE + 1)},
        {"data": "text"},
        {"data": bytearray(b"another")},
        {"checksum": -1},
        {"checksum": 1 << 64},
        {"checksum": 7},
        {"checksum": None},
    ],
    ids=repr,
)
def test_what_is_wrong_with_an_item_is_its_outcome_alone(
    make: Callable[[str], Store], wrong: dict[str, Any], number: int, tmp_path: Any
) -> None:
    """bytearrays are right, but are not what columns have."""
    rows: list[tuple[Any, ...]] = [
        (at + 1, f"n{at}", {}, "", bytes([at] * 16), b"x", checksum(b"x")) for at in range(3)
    ]
    names = ("data_id", "name", "tags", "datatype", "request_id", "data", "checksum")
    rows[number] = tuple(wrong.get(name, value) for name, value in zip(names, rows[number], strict=True))
    if isinstance(wrong.get("data"), bytearray):
        rows[number] = (*rows[number][:6], checksum(wrong["data"]))
    items = SmallUploads(tuple(zip(*rows, strict=True)))
    with make(str(tmp_path / "one")) as in_columns, make(str(tmp_path / "other")) as alone:
        told = in_columns.upload_many(UNIT, items)
        expected = [alone.upload_many(UNIT, [item])[0] for item in items]
        assert _told(told) == _told(expected)
        assert [isinstance(each, VaultError) for each in told].count(True) == (0 if "bytearray" in repr(wrong) else 1)


def test_one_item_that_does_not_match_its_checksum_spoils_none_of_the_others(
    make: Callable[[str], Store], tmp_path: Any
) -> None:
    columns = new_columns(range(3), [""] * 3, [b"1", b"2", b"3"], None, None)
    items = SmallUploads((*columns[:6], [*columns[6][:1], 5, *columns[6][2:]]))
    with make(str(tmp_path)) as store:
        outcomes = store.upload_many(UNIT, items)
        assert [type(each) for each in outcomes] == [ObjectInfo, ChecksumError, ObjectInfo]


def test_a_batch_of_puts_may_hold_updates_and_times_which_no_column_has(
    make: Callable[[str], Store], tmp_path: Any
) -> None:
    some: list[Any] = [
        SmallObject(PutSpec("a"), b"1", checksum(b"1")),
        SmallObject(UpdateSpec("a"), b"2", checksum(b"2")),
    ]
    with make(str(tmp_path)) as store:
        outcomes: Any = store.put_many(UNIT, SmallPuts.of(some))
        assert [each.generation for each in outcomes] == [1, 2]


def test_a_slice_of_columns_is_columns_of_the_same_items() -> None:
    infos: ObjectInfos[None] = ObjectInfos.of([None, *_infos(3), None])
    for part in (slice(1, 3), slice(None, None, -1), slice(4, None), slice(9, 12), slice(-2, None)):
        assert isinstance(infos[part], ObjectInfos)
        assert infos[part] == list(infos)[part]


def _infos(number: int) -> list[ObjectInfo]:
    with MemoryStore() as store:
        return list(store.upload_many(UNIT, _new(number)))  # type: ignore[arg-type]  # none failed


def _new(number: int) -> SmallUploads:
    return SmallUploads(new_columns(range(number), [""] * number, [b"x"] * number, None, None))


def test_large_objects_of_a_batch_in_columns_go_into_files(tmp_path: Any) -> None:
    data = [b"small", b"l" * BLOCK_SIZE, b"", b"m" * (BLOCK_SIZE // 2)]
    items = SmallUploads(new_columns(range(4), [""] * 4, data, None, None))
    with EmbeddedStore(tmp_path) as store:
        store.upload_many(UNIT, items)
        assert [each.data for each in store.load_many(UNIT, _keys(items))] == data  # type: ignore[union-attr]
        assert store.check(deep=True).files == 2


def _keys(items: SmallUploads) -> list[Any]:
    return [LoadItem(data_id) for data_id in items.data_ids]
