"""Values at random through each Datatype: what it takes comes back to the type and the bit, or is an EncodeError.

The judges here are the libraries' own comparisons and `repr`, and not what the wrappers compare with.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from PIL import Image
from vault.errors import EncodeError
from vault.wrappers import BytesWrapper, JsonWrapper, PickleWrapper, TextWrapper, Wrapper
from vault_datatypes import (
    ArrowWrapper,
    ImageWrapper,
    MsgspecWrapper,
    NumpyWrapper,
    PandasFeatherWrapper,
    PandasSnappyWrapper,
    PandasWrapper,
    PolarsWrapper,
    PydanticWrapper,
)

from torture.datatypes import models, tables, values


@dataclass(frozen=True)
class Case:
    """A kind of values.

    Attributes:
        drawn: The values.
        wrap: What holds one.
        same: Raises AssertionError where the second is not what the first was.
        refusable: Whether it may be refused.
    """

    drawn: st.SearchStrategy[Any]
    wrap: Callable[[Any], Wrapper]
    same: Callable[[Any, Any], None]
    refusable: Callable[[Any], bool] = lambda _: True


def tried(case: Case, examples: int, start: int | None = None) -> Counter[str]:
    """How many values came back, and how many were refused."""
    counts: Counter[str] = Counter()
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=slow, print_blob=True)
    @given(case.drawn)
    def check(value: Any) -> None:
        wrapper = case.wrap(value)
        try:
            raw = wrapper._dump()
        except EncodeError:
            assert case.refusable(value)
            counts["refused"] += 1
            return
        case.same(wrapper.data, type(wrapper)._load(raw).data)
        counts["came back"] += 1

    (check if start is None else seed(start)(check))()
    return counts


def same_repr(before: Any, after: Any) -> None:
    assert type(before) is type(after)
    assert repr(before) == repr(after)


def same_array(before: Any, after: Any) -> None:
    assert type(before) is type(after)
    assert (before.dtype, before.shape, before.dtype.metadata) == (after.dtype, after.shape, after.dtype.metadata)
    assert before.dtype.type is after.dtype.type
    assert before.tobytes() == after.tobytes()


def same_frame(before: pd.DataFrame, after: pd.DataFrame) -> None:
    assert_frame_equal(before, after, check_column_type=True, check_exact=True, check_freq=True, check_flags=True)
    assert repr(before.attrs) == repr(after.attrs)
    assert [*map(repr, before.index.names)] == [*map(repr, after.index.names)]
    for position in range(before.shape[1]):
        one, other = before.iloc[:, position], after.iloc[:, position]
        assert repr(one.dtype) == repr(other.dtype)
        assert [type(each) for each in one] == [type(each) for each in other]
        assert one.map(repr).tolist() == other.map(repr).tolist()


def same_table(before: Any, after: Any) -> None:
    assert before.schema.equals(after.schema, check_metadata=True)
    assert before.num_rows == after.num_rows
    assert repr(before.to_pylist()) == repr(after.to_pylist())


def is_invalid(table: Any) -> bool:
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:
        return True
    return False


def same_polars(before: pl.DataFrame, after: pl.DataFrame) -> None:
    assert before.schema == after.schema
    assert repr(before.rows()) == repr(after.rows())


def without_zone_classes(value: Any) -> str:
    """Zones of a fixed offset come back as a class of the library's own."""
    text = re.sub(r"datetime\.timezone\.utc|zoneinfo\.ZoneInfo\(key='UTC'\)|TzInfo\((0|UTC)\)", "zone(0)", repr(value))
    seconds = r"datetime\.timezone\(datetime\.timedelta\(seconds=(\d+)\)\)|TzInfo\((\d+)\)"
    return re.sub(seconds, r"zone(\1\2)", text)


def same_model(before: Any, after: Any) -> None:
    assert type(before) is type(after)
    assert without_zone_classes(before) == without_zone_classes(after)
    for name, value in getattr(before, "__dict__", {}).items():
        assert type(value) is type(getattr(after, name))


def same_image(format: str, before: Image.Image, after: Image.Image) -> None:  # noqa: A002  # Pillow's word
    assert (before.mode, before.size) == (after.mode, after.size)
    assert format in ("JPEG", "WEBP") or before.tobytes() == after.tobytes()
    assert "A" not in before.getbands() or before.getchannel("A").tobytes() == after.getchannel("A").tobytes()
    if before.mode == "P":
        assert before.convert("RGBA").tobytes() == after.convert("RGBA").tobytes()
    names = ("icc_profile", "xmp", "comment") + (("transparency",) if before.mode != "P" else ())
    for name in names:
        assert not before.info.get(name) or before.info[name] == after.info[name]
    assert "dpi" not in before.info or after.info["dpi"] == pytest.approx(before.info["dpi"], rel=0.01)
    assert dict(before.getexif()).items() <= dict(after.getexif()).items()


FRAMES = st.tuples(st.sampled_from([PandasWrapper, PandasSnappyWrapper, PandasFeatherWrapper]), tables.frames())

CASES: dict[str, Case] = {
    "JSON": Case(values.JSON, JsonWrapper, same_repr),
    "text": Case(st.one_of(values.TEXT, values.ATOMS), TextWrapper, same_repr),
    "bytes": Case(st.one_of(st.binary(), values.ATOMS), BytesWrapper, same_repr),
    "pickle": Case(values.JSON, PickleWrapper, same_repr, lambda _: False),
    "NumPy": Case(values.arrays(), NumpyWrapper, same_array),
    "pandas": Case(FRAMES, lambda drawn: drawn[0](drawn[1]), same_frame),
    "pyarrow": Case(tables.arrow_tables(), ArrowWrapper, same_table, is_invalid),
    "polars": Case(tables.POLARS, PolarsWrapper, same_polars),
    "pydantic": Case(models.pydantic_models(), lambda model: PydanticWrapper.of(type(model))(model), same_model),
    "msgspec": Case(models.structs(), lambda struct: MsgspecWrapper.of(type(struct))(struct), same_model),
    **{
        name: Case(values.images(), partial(ImageWrapper, format=name), partial(same_image, name))
        for name in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
    },
}
