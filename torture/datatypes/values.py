"""Values of every library at random, as Hypothesis draws them from the libraries' own strategies."""

import datetime as dt
import decimal
import enum
import uuid
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from hypothesis.extra import pandas as pdst
from PIL import Image
from polars.testing.parametric import dataframes as polars_frames

# What JSON can say, and what looks as if it could

TEXT = st.text(st.characters(exclude_categories=[]), max_size=6)  # surrogates, too


class Colour(enum.IntEnum):
    RED = 1


class Word(str):
    __slots__ = ()


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXT,
    st.just(Colour.RED),
    st.builds(Word, TEXT),
    st.just(np.float64(1.5)),
    st.binary(max_size=3),
    st.decimals(),
)
JSON = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(st.one_of(TEXT, st.integers(0, 3), st.booleans(), st.none()), inner, max_size=3),
    ),
    max_leaves=8,
)

# NumPy

DTYPES: Any = st.one_of(
    npst.scalar_dtypes(),
    npst.array_dtypes(),
    npst.nested_dtypes(),
    st.sampled_from(["O", "S0", "V0", "V3", np.dtypes.StringDType(), np.dtype("i4", metadata={"unit": "m"}), "U0"]).map(
        np.dtype  # type: ignore[arg-type]  # whatever it may be
    ),
)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Of any dtype, shape and layout."""
    dtype = draw(DTYPES)
    shape = draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    array = np.zeros(shape, dtype)
    if dtype.itemsize and not dtype.hasobject and dtype.kind not in "VT" and array.size:
        raw = draw(st.binary(min_size=array.nbytes, max_size=array.nbytes))
        if dtype.kind not in "Ub":
            array = np.frombuffer(raw, dtype)[: array.size].reshape(shape)
    if array.ndim:
        array = array[draw(npst.basic_indices(array.shape, allow_newaxis=True, allow_ellipsis=True))]
    layout = draw(st.sampled_from(["as it is", "fortran", "transposed", "matrix", "record"]))
    array = np.asarray(array)
    match layout:
        case "fortran":
            return np.asfortranarray(array)
        case "transposed":
            return array.T
        case "matrix" if array.ndim == 2:
            return array.view(np.matrix)
        case "record" if array.dtype.names:
            return array.view(np.recarray)
    return array


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


def polars_table() -> st.SearchStrategy[pl.DataFrame]:
    """polars' own strategy."""
    return POLARS


# Models


class Base(pydantic.BaseModel):
    x: int = 0


class Derived(Base):
    y: int = 1


class Plain(msgspec.Struct):
    x: int = 0


class Below(Plain):
    y: int = 1


T = TypeVar("T")


class Box(pydantic.BaseModel, Generic[T]):
    item: T


FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    float: st.floats(),
    bool: st.booleans(),
    str: TEXT,
    bytes: st.binary(max_size=3),
    dt.datetime: st.datetimes(timezones=st.one_of(ZONES, st.timezones())),
    dt.date: st.dates(),
    dt.time: st.times(timezones=ZONES),
    dt.timedelta: st.timedeltas(),
    decimal.Decimal: st.decimals(),
    uuid.UUID: st.uuids(),
    Colour: st.just(Colour.RED),
    Any: st.one_of(ATOMS, st.tuples(st.integers()), st.frozensets(st.integers(), max_size=1), st.just(Base())),
    set[int]: st.sets(st.integers(), max_size=1),  # of more, the order in a repr is anybody's
    tuple[int, ...]: st.tuples(st.integers()),
    dict[int, str]: st.dictionaries(st.integers(), TEXT, max_size=2),
    int | float: st.one_of(st.integers(), st.floats()),
    str | int: st.one_of(st.integers(), st.text("0123456789", max_size=3)),
    float | None: st.one_of(st.none(), st.floats()),
    list[int | str]: st.lists(st.one_of(st.integers(), st.just("1")), max_size=2),
}
PYDANTIC_FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    **FIELDS,
    complex: st.complex_numbers(),
    pydantic.SecretStr: st.builds(pydantic.SecretStr, st.text("ab", max_size=2)),
    pydantic.SecretBytes: st.builds(pydantic.SecretBytes, st.binary(max_size=2)),
    Base: st.sampled_from([Base(), Derived(), Base(x=2)]),
    list[Base]: st.lists(st.sampled_from([Base(), Derived(x=2)]), max_size=2),
    Base | Derived: st.sampled_from([Base(), Derived()]),
    Box[int]: st.builds(Box[int], item=st.integers()),
    pydantic.SerializeAsAny[Base]: st.sampled_from([Base(), Derived()]),
}
MSGSPEC_FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    # A Union with several kinds of text or numbers is none that msgspec takes.
    **FIELDS,
    Plain: st.sampled_from([Plain(), Below(), Plain(2)]),
    list[Plain]: st.lists(st.sampled_from([Plain(), Below()]), max_size=2),
}


@st.composite
def pydantic_models(draw: st.DrawFn) -> pydantic.BaseModel:
    """A class of models made at random, and an object of it; some of its fields are not what they are declared as."""
    kinds = draw(st.lists(st.sampled_from(list(PYDANTIC_FIELDS)), min_size=1, max_size=3))
    config = draw(
        st.sampled_from(
            [
                pydantic.ConfigDict(),
                pydantic.ConfigDict(extra="allow"),
                pydantic.ConfigDict(ser_json_inf_nan="constants", ser_json_bytes="base64", val_json_bytes="base64"),
                pydantic.ConfigDict(frozen=True, ser_json_inf_nan="strings", ser_json_timedelta="float"),
            ]
        )
    )
    fields: dict[str, Any] = {
        f"f{number}": (
            kind,
            pydantic.Field(
                alias=draw(st.sampled_from([None, f"F{number}"])), exclude=draw(st.sampled_from([False] * 5 + [True]))
            ),
        )
        for number, kind in enumerate(kinds)
    }
    model = pydantic.create_model("Model", __config__=config, **fields)
    values = {f"f{number}": draw(PYDANTIC_FIELDS[kind]) for number, kind in enumerate(kinds)}
    if config.get("extra") == "allow":
        values["more"] = draw(ATOMS)
    made: pydantic.BaseModel = model.model_construct(**values)
    return made


@st.composite
def structs(draw: st.DrawFn) -> msgspec.Struct:
    """A class of Structs made at random, and an object of it."""
    kinds = draw(st.lists(st.sampled_from(list(MSGSPEC_FIELDS)), min_size=1, max_size=3))
    options: Any = draw(
        st.sampled_from(
            [{}, {"array_like": True}, {"rename": "camel"}, {"tag": True}, {"dict": True}, {"frozen": True}]
        )
    )
    model = msgspec.defstruct("Model", [(f"f{number}", kind) for number, kind in enumerate(kinds)], **options)
    made = model(*[draw(MSGSPEC_FIELDS[kind]) for kind in kinds])
    if options == {"dict": True}:
        made.__dict__["more"] = 1
    return made


# Images

MODES = ("L", "P", "1", "LA", "La", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F")
WIDE_MODES = ("I;16", "I;16L", "I;16B")


@st.composite
def images(draw: st.DrawFn) -> Image.Image:
    """Of any mode, with or without what a file may say of it."""
    mode = draw(st.sampled_from(MODES + WIDE_MODES))
    size = draw(st.tuples(st.integers(1, 9), st.integers(1, 5)))
    empty = Image.new(mode, size)
    length = len(empty.tobytes())
    image = Image.frombytes(mode, size, draw(st.binary(min_size=length, max_size=length)))
    if mode in ("P", "PA"):
        image.putpalette(draw(st.binary(min_size=768, max_size=768)))
        if draw(st.booleans()):
            image.info["transparency"] = draw(st.one_of(st.integers(0, 255), st.binary(min_size=256, max_size=256)))
    elif mode in ("1", "L", "RGB") and draw(st.booleans()):
        image.info["transparency"] = (1, 2, 3) if mode == "RGB" else 1
    said = {"dpi": (300, 150), "icc_profile": b"profile", "xmp": b"some text", "comment": b"some text"}
    for name in draw(st.sets(st.sampled_from(list(said)), max_size=2)) if draw(st.booleans()) else ():
        image.info[name] = said[name]
    if draw(st.integers(0, 3)) == 0:
        exif = image.getexif()
        exif[draw(st.sampled_from([0x0112, 0x010E]))] = draw(st.sampled_from([3, 6]))
    return image
