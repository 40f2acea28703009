"""Tables of pandas, pyarrow and polars come back as they were, or are refused."""

import datetime as dt
import decimal
import io
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal
from vault.datatype import MemoryStream
from vault.errors import DecodeError, EncodeError
from vault_datatypes import ArrowWrapper, PandasFeatherWrapper, PandasSnappyWrapper, PandasWrapper, PolarsWrapper
from vault_datatypes.frames import frame_difference

from tests.datatypes.streams import InStream, OutStream, every_way

PANDAS = [PandasWrapper, PandasSnappyWrapper, PandasFeatherWrapper]

FRAMES = {
    "numbers and text": pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan], "s": ["x", None]}),
    "bytes": pd.DataFrame({"b": [b"x", b""]}),
    "categories": pd.DataFrame({"c": pd.Categorical(["a", None], categories=["b", "a", "z"], ordered=True)}),
    "times": pd.DataFrame(
        {"t": pd.date_range("2020", periods=3, tz="Europe/Berlin"), "d": pd.to_timedelta([1, 2, 3], "s")}
    ),
    "nullable": pd.DataFrame(
        {
            "i": pd.array([1, None], dtype="Int64"),
            "b": pd.array([True, None], dtype="boolean"),
            "f": pd.array([1.5, None], dtype="Float32"),
            "s": pd.array(["a", None], dtype="string"),
        }
    ),
    "periods": pd.DataFrame({"p": pd.period_range("2020", periods=3, freq="M")}),
    "intervals": pd.DataFrame({"i": pd.interval_range(0, 3)}),
    "arrow": pd.DataFrame({"a": pd.array([1, None], dtype="int64[pyarrow]")}),
    "small types": pd.DataFrame({"h": np.array([1, 2], dtype="f2"), "u": np.array([1, 255], dtype="u1")}),
    "named index": pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 7], name="k")),
    "range index": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(4, 8, 2, name="r")),
    "multiindex": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["n", None])),
    "index named as a column": pd.DataFrame({"a": [1]}, index=pd.Index([3], name="a")),
    "whole numbers as columns": pd.DataFrame([[1, 2], [3, 4]], columns=pd.Index([5, 6], name="c")),
    "multiindex of columns": pd.DataFrame(
        [[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["u", "v"])
    ),
    "no rows": pd.DataFrame({"a": np.array([], dtype="i4")}),
    "no columns": pd.DataFrame(index=pd.RangeIndex(3)),
    "nothing": pd.DataFrame(),
}


@pytest.mark.parametrize("kind", PANDAS)
@pytest.mark.parametrize("name", FRAMES)
def test_pandas_frames_come_back_as_they_were(kind: type[PandasWrapper], name: str) -> None:
    for loaded in every_way(kind(FRAMES[name])):
        assert_frame_equal(loaded, FRAMES[name])
        assert frame_difference(FRAMES[name], loaded) is None


def test_attrs_of_a_pandas_frame_come_back() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["unit"] = "m"
    for kind in PANDAS:
        assert [loaded.attrs for loaded in every_way(kind(frame))] == [{"unit": "m"}] * 3
    parquet = io.BytesIO()
    frame.to_parquet(parquet)
    assert PandasWrapper._load(parquet.getvalue()).data.attrs == {"unit": "m"}


@pytest.mark.parametrize("written", PANDAS)
@pytest.mark.parametrize("unit", PANDAS)
def test_every_pandas_class_reads_every_format(written: type[PandasWrapper], unit: type[PandasWrapper]) -> None:
    frame = FRAMES["multiindex"]
    decoder = unit.decoder_for(written.datatype_tag)
    assert issubclass(decoder, unit)
    assert decoder is (written if issubclass(written, unit) else unit)
    for tagged in (decoder, unit.decoder_for("")):
        assert_frame_equal(tagged._load(written(frame)._dump()).data, frame)


def test_a_class_of_ones_own_reads_the_formats_too_and_keeps_its_tag() -> None:
    class Prices(PandasWrapper):
        pass

    assert Prices.datatype_tag == "Prices"
    assert Prices.decoder_for("pandas.DataFrame+feather") is Prices
    assert PandasWrapper.decoder_for("Prices") is Prices
    with pytest.raises(DecodeError, match="stored as 'json'"):
        Prices.decoder_for("json")


def test_what_pandas_itself_wrote_loads() -> None:
    frame = FRAMES["numbers and text"]
    parquet, feather = io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    frame.to_feather(feather)
    assert_frame_equal(PandasFeatherWrapper._load(parquet.getvalue()).data, frame)
    assert_frame_equal(PandasWrapper._load(feather.getvalue()).data, frame)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (pd.DataFrame([[1, 2]], columns=[1, "a"]), "all of one kind"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "each there once"),
        ({"a": [1]}, "holds a DataFrame, not a dict"),
        (pd.Series([1]), "holds a DataFrame, not a Series"),
        (pd.DataFrame({"a": [1j]}), "complex"),
        (pd.DataFrame({"a": [1, "b"]}), "Conversion failed for column a"),
        (pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), "Sparse"),
        (pd.DataFrame([[1, 2]], columns=pd.CategoricalIndex(["a", "b"])), "categorical"),
    ],
)
def test_pandas_frames_that_would_come_back_otherwise_are_refused(frame: Any, text: str) -> None:
    for kind in PANDAS:
        with pytest.raises(EncodeError, match=text):
            kind(frame)._dump()


def test_bytes_that_are_neither_parquet_nor_feather_are_refused() -> None:
    for raw in (b"", b"a,b\n1,2\n"):
        with pytest.raises(DecodeError, match="neither Parquet nor Feather"):
            PandasWrapper._load(raw)
    raw = PandasWrapper(FRAMES["numbers and text"])._dump()
    with pytest.raises(DecodeError):
        PandasWrapper._load(raw[:-20])


def test_a_clone_of_a_loaded_pandas_frame_can_be_changed_and_the_loaded_one_does_not() -> None:
    lists = [np.array([1]), np.array([2])]
    raw = PandasFeatherWrapper(pd.DataFrame({"n": [1, 2], "l": lists}))._dump()
    loaded = PandasFeatherWrapper._load(raw)
    clone = loaded._clone()
    clone.data.loc[0, "n"] = 9
    clone.data["l"].to_numpy()[0][0] = 9
    assert loaded.data["n"].tolist() == [1, 2]
    assert loaded.data["l"].iloc[0].tolist() == [1]
    assert clone.data["n"].tolist() == [9, 2]
    assert clone != loaded
    assert loaded == PandasFeatherWrapper._load(raw)


def test_a_large_frame_is_written_in_pieces() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).random((200_000, 8)), columns=list("abcdefgh"))
    for kind in PANDAS:
        out = OutStream()
        kind(frame)._dump_to(out)
        assert max(map(len, out.pieces)) < sum(map(len, out.pieces)) / 4


# pyarrow

TABLES = {
    "plain": pa.table({"a": [1, 2, None], "s": ["x", None, "z"]}),
    "metadata": pa.table({"a": [1]}).replace_schema_metadata({"author": "x"}),
    "chunks": pa.table({"a": pa.chunked_array([[1, 2], [], [3]], pa.int8())}),
    "dictionaries": pa.table(
        {"d": pa.chunked_array([pa.array(["a", "b"]).dictionary_encode(), pa.array(["c"]).dictionary_encode()])}
    ),
    "nested": pa.table({"n": [[{"x": 1}], None, []]}),
    "slice": pa.table({"a": list(range(1000))}).slice(500, 10),
    "no rows": pa.table({"a": pa.array([], pa.timestamp("ns", "UTC"))}),
    "no columns": pa.table({}),
}


@pytest.mark.parametrize("name", TABLES)
def test_arrow_tables_come_back_as_they_were(name: str) -> None:
    for loaded in every_way(ArrowWrapper(TABLES[name])):
        loaded.validate(full=True)
        assert loaded.equals(TABLES[name], check_metadata=True)


def test_a_mapped_arrow_table_takes_no_memory() -> None:
    raw = ArrowWrapper(pa.table({"a": np.arange(1_000_000)}))._dump()
    before = pa.total_allocated_bytes()
    mapped = ArrowWrapper._load_from(MemoryStream(raw))
    assert pa.total_allocated_bytes() - before < 100_000
    assert mapped.data.column("a")[999_999].as_py() == 999_999


def test_an_arrow_table_that_is_not_mapped_is_in_memory_once() -> None:
    table = pa.table({"a": np.arange(1_000_000), "b": np.arange(1_000_000)})
    raw = ArrowWrapper(table)._dump()
    tracemalloc.start()
    try:
        before = pa.total_allocated_bytes()
        assert ArrowWrapper._load_from(InStream(raw)).data.equals(table)
        assert tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - before < len(raw) + 1_000_000
    finally:
        tracemalloc.stop()


def test_an_arrow_wrapper_holds_tables_only() -> None:
    with pytest.raises(EncodeError, match=r"holds a pyarrow.Table, not a dict"):
        ArrowWrapper({"a": [1]})._dump()
    with pytest.raises(DecodeError):
        ArrowWrapper._load(b"not arrow")


def test_arrow_wrappers_compare_their_tables() -> None:
    wrapper = ArrowWrapper(TABLES["metadata"])
    assert wrapper == wrapper._clone()
    assert wrapper != ArrowWrapper(TABLES["metadata"].replace_schema_metadata(None))


# polars

SERIES: dict[str, pl.Series] = {
    "categories": pl.Series(["a", "b", None], dtype=pl.Categorical),
    "enum": pl.Series(["a", "b"], dtype=pl.Enum(["b", "a", "c"])),
    "decimal": pl.Series([decimal.Decimal("1.23")], dtype=pl.Decimal(10, 2)),
    "duration": pl.Series([dt.timedelta(1)]),
    "time": pl.Series([dt.time(1, 2)]),
    "zoned": pl.Series([dt.datetime(2020, 1, 1)]).dt.replace_time_zone("Europe/Berlin"),  # noqa: DTZ001  # zoned after
    "lists": pl.Series([[1], [2, None], None]),
    "arrays": pl.Series([[1, 2]], dtype=pl.Array(pl.Int8, 2)),
    "structs": pl.Series([{"a": 1, "b": "x"}]),
    "nulls": pl.Series([None, None]),
    "not a number": pl.Series([float("nan"), None, 1.5]),
    "binary": pl.Series([b"a", b""]),
    "no rows": pl.Series([], dtype=pl.Int16),
}


@pytest.mark.parametrize("name", SERIES)
def test_polars_frames_come_back_as_they_were(name: str) -> None:
    wrapper = PolarsWrapper(pl.DataFrame({"x": SERIES[name]}))
    for loaded in every_way(wrapper):
        assert PolarsWrapper(loaded) == wrapper
        assert loaded.schema == wrapper.data.schema


def test_a_polars_frame_without_columns_comes_back() -> None:
    assert [loaded.shape for loaded in every_way(PolarsWrapper(pl.DataFrame()))] == [(0, 0)] * 3


def test_a_clone_of_a_polars_frame_is_changed_alone() -> None:
    wrapper = PolarsWrapper(pl.DataFrame({"a": [1, 2]}))
    clone = wrapper._clone()
    clone.data[0, "a"] = 9
    clone.data.insert_column(1, pl.Series("b", [0, 0]))
    assert wrapper.data.to_dict(as_series=False) == {"a": [1, 2]}


def test_polars_frames_of_objects_and_other_things_are_refused() -> None:
    with pytest.raises(EncodeError, match="holds a polars DataFrame, not a list"):
        PolarsWrapper([1])._dump()
    with pytest.raises(EncodeError, match=r"(?i)object"):
        PolarsWrapper(pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}))._dump()
    with pytest.raises(DecodeError):
        PolarsWrapper._load(b"not parquet")
