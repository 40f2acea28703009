"""Tables at random: of pandas, Arrow and polars, with any columns and indexes."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.extra import pandas as pdst
from polars.testing.parametric import dataframes as polars_frames

from torture.datatypes.values import ATOMS, TEXT

# pandas

ZONES: Any = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=2))])
TIMES = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1), timezones=ZONES)  # noqa: DTZ001
LABELS = st.one_of(st.integers(0, 9), st.text("abc", max_size=2), st.none(), st.tuples(st.just("a"), st.just(1)))

OBJECTS = st.one_of(
    st.none(),
    st.just(float("nan")),
    st.just(pd.NA),
    st.integers(-3, 3),
    st.booleans(),
    st.text("ab", max_size=2),
    st.binary(max_size=2),
    st.dates(dt.date(1900, 1, 1)),
    TIMES,
    st.times(),
    st.timedeltas(dt.timedelta(-9), dt.timedelta(9)),
    st.decimals(-9, 9, places=2),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from("xy"), st.integers(0, 3)),
    st.tuples(st.integers(0, 3)),
    st.just(np.array([1, 2])),
    st.uuids(version=4),
)


def _values(rows: int, one: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(one, min_size=rows, max_size=rows)


@st.composite
def columns(draw: st.DrawFn, rows: int) -> Any:
    """The values of a column, of a dtype that pandas or Arrow has."""
    kind = draw(st.sampled_from(KINDS))
    dtype: Any
    if kind in ("object", "one kind of objects"):
        one = OBJECTS if kind == "object" else draw(st.sampled_from(OBJECTS.element_strategies))  # type: ignore[attr-defined]
        values = np.empty(rows, dtype=object)
        for row, value in enumerate(draw(_values(rows, one))):
            values[row] = value
        return pd.Series(values, dtype=object)
    if kind == "numpy":
        dtype = draw(
            st.one_of(
                npst.boolean_dtypes(),
                npst.integer_dtypes(endianness="="),
                npst.floating_dtypes(endianness="=", sizes=(16, 32, 64)),
                npst.complex_number_dtypes(endianness="=", sizes=(64, 128)),
            )
        )
        return pd.Series(draw(npst.arrays(dtype, rows)))
    if kind == "times":
        unit = draw(st.sampled_from(["s", "ms", "us", "ns"]))
        numbers = np.array(draw(_values(rows, st.integers(-(2**31), 2**31))), dtype="i8")
        zone = draw(st.sampled_from([None, "UTC", "Europe/Berlin", dt.timezone(dt.timedelta(hours=2))]))
        if draw(st.booleans()):
            return pd.Series(numbers.astype(f"m8[{unit}]"))
        naive = pd.Series(numbers.astype(f"M8[{unit}]"))
        return naive if zone is None else naive.dt.tz_localize("UTC").dt.tz_convert(zone)
    if kind == "nullable":
        dtype = draw(st.sampled_from(["Int64", "UInt8", "boolean", "Float64", "Float32"]))
        one = st.booleans() if dtype == "boolean" else st.integers(0, 200)
        return pd.Series(pd.array(draw(_values(rows, st.one_of(st.none(), one))), dtype=dtype))
    if kind == "text":
        dtype = draw(st.sampled_from(["string", "string[python]", "string[pyarrow]", "str"]))
        return pd.Series(draw(_values(rows, st.one_of(st.none(), TEXT))), dtype=object).astype(dtype)
    if kind == "categories":
        categories: Any = draw(
            st.sampled_from(
                [
                    ["b", "a", "unseen"],
                    [3, 1, 2],
                    [1.5, 0.5],
                    [dt.date(2020, 1, 1), dt.date(2019, 1, 1)],
                    list(pd.date_range("2020", periods=2)),
                    list(pd.date_range("2020", periods=2, tz="UTC")),
                    list(pd.to_timedelta([1, 2], "s")),
                    list(pd.interval_range(0, 2)),
                    list(pd.period_range("2020", periods=2, freq="M")),
                    [True, False],
                    ["a", 1],
                    [(1, 2), (3,)],
                    [],
                ]
            )
        )
        codes = draw(_values(rows, st.integers(-1, len(categories) - 1)))
        index = pd.Index(categories, tupleize_cols=False) if categories else pd.Index([], dtype=object)
        return pd.Series(pd.Categorical.from_codes(codes, index, ordered=draw(st.booleans())))
    if kind == "arrow":
        dtype = draw(
            st.sampled_from(
                [
                    pa.int8(),
                    pa.float64(),
                    pa.date32(),
                    pa.timestamp("s", "UTC"),
                    pa.time64("ns"),
                    pa.list_(pa.int8()),
                    pa.decimal128(9, 2),
                    pa.large_string(),
                    pa.null(),
                ]
            )
        )
        return pd.Series(pd.arrays.ArrowExtensionArray(pa.array([None] * rows, dtype)))
    if kind == "periods":
        return pd.Series(pd.period_range("2020", periods=rows, freq=draw(st.sampled_from(["M", "D", "W-TUE"]))))
    if kind == "intervals":
        return pd.Series(pd.interval_range(0, rows, closed=draw(st.sampled_from(["left", "both"]))))
    if kind == "sparse":
        return pd.Series(pd.arrays.SparseArray([0] * rows))
    some = pd.Series(draw(_values(rows, st.integers(0, 9))), dtype="i8")
    return pd.Series(pd.cut(some, [-1, 3, 6, 9])) if rows else some


KINDS = (
    "numpy",
    "object",
    "one kind of objects",
    "times",
    "nullable",
    "text",
    "categories",
    "arrow",
    "periods",
    "intervals",
    "sparse",
    "cut",
)


@st.composite
def indexes(draw: st.DrawFn, rows: int) -> Any:
    """Of as many labels."""
    if draw(st.integers(0, 5)) == 0:
        levels = [draw(columns(rows)).rename(draw(LABELS)) for _ in range(2)]
        try:
            return pd.MultiIndex.from_arrays(levels)
        except (TypeError, NotImplementedError, pa.ArrowException):  # what is no label
            return pd.RangeIndex(rows)
    index: Any = draw(
        st.one_of(
            st.just(pd.RangeIndex(rows)),
            st.just(pd.RangeIndex(3, 3 + 2 * rows, 2)),
            pdst.indexes(dtype=int, min_size=rows, max_size=rows),
            pdst.indexes(dtype=float, min_size=rows, max_size=rows, unique=False),
            st.just(pd.date_range("2020", periods=rows, freq="D")),
            st.just(pd.date_range("2020", periods=rows, freq="ME", tz="Europe/Berlin")),
            st.just(pd.timedelta_range("1h", periods=rows, freq="h")),
            st.just(pd.bdate_range("2020", periods=rows, freq="C", holidays=["2020-01-01"])),
            columns(rows).filter(lambda column: column.dtype != "float16").map(pd.Index),
        )
    )
    return index.rename(draw(LABELS)) if draw(st.booleans()) else index


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Of a few columns of any dtype, under any index."""
    if draw(st.integers(0, 3)) == 0:
        return draw(pdst.data_frames(pdst.columns(draw(st.integers(0, 3)), elements=st.floats())))
    rows = draw(st.integers(0, 4))
    index = draw(indexes(rows))
    names = draw(
        st.one_of(
            st.lists(st.text("abc0", max_size=2), max_size=4),
            st.lists(st.one_of(st.integers(0, 3), st.text("ab", max_size=1)), max_size=3),
            st.integers(0, 3).map(range),
            st.lists(st.dates(dt.date(2000, 1, 1), dt.date(2000, 1, 5)), max_size=2),
        )
    )
    parts = [draw(columns(rows)) for _ in names]
    frame = pd.DataFrame({number: part.array for number, part in enumerate(parts)}, index=index)
    if names:
        frame.columns = pd.RangeIndex(len(names)) if isinstance(names, range) else pd.Index(names)
        frame.columns.name = draw(st.one_of(st.none(), st.sampled_from(["columns", 0])))
    if draw(st.booleans()):
        frame.attrs = draw(st.dictionaries(st.one_of(st.text("a"), st.integers(0, 1)), ATOMS, max_size=2))
    return frame


# pyarrow

ARROW_TYPES = st.recursive(
    st.sampled_from(
        [
            pa.null(),
            pa.bool_(),
            pa.int8(),
            pa.uint64(),
            pa.float16(),
            pa.float64(),
            pa.string(),
            pa.large_string(),
            pa.string_view(),
            pa.binary(),
            pa.binary(3),
            pa.binary_view(),
            pa.date32(),
            pa.date64(),
            pa.timestamp("s"),
            pa.timestamp("ns", "Europe/Berlin"),
            pa.time32("ms"),
            pa.duration("us"),
            pa.month_day_nano_interval(),
            pa.decimal128(9, 2),
            pa.decimal256(50, 3),
            pa.dictionary(pa.int8(), pa.string()),
            pa.dictionary(pa.int32(), pa.int64(), ordered=True),
            pa.run_end_encoded(pa.int32(), pa.string()),
            pa.uuid(),
        ]
    ),
    lambda inner: st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        inner.map(lambda kind: pa.list_(kind, 2)),
        st.lists(inner, max_size=2).map(
            lambda kinds: pa.struct([pa.field(str(at), each) for at, each in enumerate(kinds)])
        ),
        inner.map(lambda kind: pa.map_(pa.string(), kind)),
    ),
    max_leaves=3,
)


@st.composite
def arrow_tables(draw: st.DrawFn) -> Any:
    """Of a few columns of any type, in chunks, perhaps a slice."""
    rows = draw(st.integers(0, 5))
    fields, parts = [], []
    for number in range(draw(st.integers(0, 3))):
        kind = draw(ARROW_TYPES)
        one = _arrow_values(kind)
        try:
            chunk = pa.array(draw(_values(rows, one)), kind)
        except (pa.ArrowException, TypeError, ValueError):
            chunk = pa.nulls(rows, kind)
        fields.append(pa.field(str(number), kind, metadata=draw(st.sampled_from([None, {"unit": "m"}]))))
        parts.append(
            pa.chunked_array([chunk, chunk], kind) if draw(st.booleans()) else pa.chunked_array([chunk, chunk])
        )
    schema = pa.schema(fields, draw(st.sampled_from([None, {"author": "x", b"\xff": b"\0"}])))
    try:
        table = pa.table(parts, schema)
    except pa.ArrowInvalid:  # some arrays of nulls are none that Arrow takes
        reject()
    return table.slice(draw(st.integers(0, 2))) if draw(st.booleans()) else table


def _arrow_values(kind: Any) -> st.SearchStrategy[Any]:
    if pa.types.is_floating(kind):
        return st.one_of(st.none(), st.floats(width=16))
    if pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        return st.one_of(st.none(), st.integers(0, 100))
    if pa.types.is_boolean(kind):
        return st.one_of(st.none(), st.booleans())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return st.one_of(st.none(), st.lists(_arrow_values(kind.value_type), max_size=2))
    if pa.types.is_dictionary(kind):
        return _arrow_values(kind.value_type)
    if pa.types.is_decimal(kind):
        return st.one_of(st.none(), st.decimals(-9, 9, places=2))
    return st.one_of(st.none(), st.text("ab", max_size=3))


# polars

POLARS = polars_frames(max_cols=3, max_size=4)
