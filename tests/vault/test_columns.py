"""Columns: whatever items they are made of, they are the sequence of these."""

import pickle
from collections.abc import Sequence
from copy import copy
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault._display import first_of
from vault.errors import NotFoundError
from vault.store.columns import Columns, LoadedObjects, LoadItems, ObjectInfos
from vault.store.specs import LoadItem
from vault.store.values import LoadedObject, NotModified, ObjectInfo, from_time, info_of_row, row_of_info, to_time

numbers = st.integers(1, (1 << 63) - 1)
times = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(fold=0))
tags = st.dictionaries(st.text(), st.text(), max_size=3)
infos = st.builds(
    ObjectInfo,
    st.sampled_from("uv"),
    numbers,
    numbers,
    numbers,
    st.integers(0),
    st.integers(0, (1 << 64) - 1),
    st.text(),
    st.none() | st.text(),
    tags,
    times,
    times,
)
others = st.none() | st.just(NotFoundError("none"))
loaded = st.builds(LoadedObject, infos, st.none() | st.binary())
wanted = st.builds(LoadItem, numbers | st.text(), st.none() | numbers)
batches = (
    st.tuples(st.just(ObjectInfos), st.lists(infos | others))
    | st.tuples(st.just(LoadedObjects), st.lists(loaded | others | st.builds(NotModified, numbers)))
    | st.tuples(st.just(LoadItems), st.lists(wanted))
)
bounds = st.none() | st.integers(-5, 5)


@given(batches, st.slices(5), bounds, bounds)
def test_columns_are_the_sequence_of_their_items(
    batch: tuple[type[Columns[Any]], list[Any]], part: slice, start: int | None, stop: int | None
) -> None:
    kind, items = batch
    columns = kind.of(items)
    assert isinstance(columns, Sequence)
    assert len(columns) == len(items)
    assert list(columns) == items
    assert [columns[at] for at in range(-len(items), len(items))] == items + items
    assert columns[part] == items[part]
    assert columns[start:stop] == items[start:stop]
    assert list(reversed(columns)) == items[::-1]
    assert all(item in columns for item in items)
    assert columns == items
    assert items == columns
    assert columns == kind.of(iter(items))
    assert columns != [*items, None]
    assert columns != {}
    for index in (len(items), -len(items) - 1):
        with pytest.raises(IndexError):
            columns[index]
    assert repr(columns) == f"{kind.__name__}.of({first_of(items)})"
    assert kind.of(columns) is columns


@given(st.lists(infos | others))
def test_a_column_has_a_value_for_each_item(items: list[Any]) -> None:
    columns = ObjectInfos[Any].of(items)
    assert columns.others == {at: item for at, item in enumerate(items) if not isinstance(item, ObjectInfo)}
    for at, item in enumerate(items):
        if isinstance(item, ObjectInfo):
            assert (columns.units[at], columns.data_ids[at], columns.names[at]) == (item.unit, item.data_id, item.name)
            assert (columns.sizes[at], columns.checksums[at]) == (item.size, item.checksum)
            assert (columns.datatypes[at], columns.tags[at]) == (item.datatype, item.tags)
            assert (columns.revisions[at], columns.generations[at]) == (item.revision, item.generation)
            assert to_time(columns.created_at[at]) == item.created_at
            assert to_time(columns.updated_at[at]) == item.updated_at
        else:
            assert columns.generations[at] == 0


@given(times)
def test_a_time_is_kept_to_the_microsecond(moment: datetime) -> None:
    assert to_time(from_time(moment)) == moment
    assert from_time(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=1)) == 1


@given(
    infos,
    st.none() | times,
    st.none() | times,
    st.permutations(["created_at", "updated_at", "written_at", "expires_at", "tags"]),
)
def test_an_info_of_a_row_is_the_one_of_its_times_whatever_is_looked_at_first(
    made: ObjectInfo, written_at: datetime | None, expires_at: datetime | None, order: list[str]
) -> None:
    made = replace(made, written_at=written_at, expires_at=expires_at)
    row = row_of_info(made)
    info = info_of_row(*row)
    assert row_of_info(info) == row
    assert [getattr(info, name) for name in order] == [getattr(made, name) for name in order]
    for same in (info_of_row(*row), copy(info_of_row(*row)), pickle.loads(pickle.dumps(info_of_row(*row)))):
        assert type(same) is ObjectInfo
        assert same == made
        assert repr(same) == repr(made)
        assert row_of_info(same) == row
    for name in ("created", "_nothing"):
        with pytest.raises(AttributeError, match=name):
            getattr(info_of_row(*row), name)
    with pytest.raises(FrozenInstanceError):
        info_of_row(*row).created_at = None  # type: ignore[misc,assignment]


def test_columns_and_what_comes_out_of_them_cannot_be_changed_by_those_who_have_them() -> None:
    columns = ObjectInfos[None].of([ObjectInfo("u", 1, 2, 3, 4, 5, "", None, {"a": "b"}, to_time(0), to_time(1))])
    info = columns[0]
    assert info is not None
    assert isinstance(info.tags, dict)
    info.tags["a"] = "c"
    with pytest.raises(FrozenInstanceError):
        info.size = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        columns[0] = None  # type: ignore[index]
    with pytest.raises(AttributeError):
        columns.sizes = ()
    assert columns[0] != info
    assert columns.tags[0] == {"a": "b"}
