"""What a Datatype takes comes back as it was, to the type and the bit; anything else is an EncodeError.

The judges here are the libraries' own comparisons and `repr`, and not what the wrappers compare with.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
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

from tests.datatypes import values

fast = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def comes_back(wrapper: Wrapper, same: Callable[[Any, Any], None]) -> bool:
    """Whether the wrapper took it; if so, it is the same."""
    try:
        raw = wrapper._dump()
    except EncodeError:
        return False
    same(wrapper.data, type(wrapper)._load(raw).data)
    return True


def same_repr(before: Any, after: Any) -> None:
    assert type(before) is type(after)
    assert repr(before) == repr(after)


@fast
@given(values.JSON)
def test_json_comes_back_to_the_type_or_is_refused(data: Any) -> None:
    comes_back(JsonWrapper(data), same_repr)


@fast
@given(st.one_of(values.TEXT, st.binary(), values.ATOMS))
def test_text_and_bytes_come_back_or_are_refused(data: Any) -> None:
    comes_back(TextWrapper(data), same_repr)
    comes_back(BytesWrapper(data), same_repr)


@fast
@given(values.JSON)
def test_pickled_values_come_back(data: Any) -> None:
    assert comes_back(PickleWrapper(data), same_repr)


@fast
@given(values.arrays())
def test_arrays_come_back_to_the_bit_or_are_refused(array: np.ndarray[Any, Any]) -> None:
    def same(before: Any, after: Any) -> None:
        assert type(before) is type(after)
        assert (before.dtype, before.shape, before.dtype.metadata) == (after.dtype, after.shape, after.dtype.metadata)
        assert before.dtype.type is after.dtype.type
        assert before.tobytes() == after.tobytes()

    comes_back(NumpyWrapper(array), same)


def same_frame(before: pd.DataFrame, after: pd.DataFrame) -> None:
    assert_frame_equal(
        before,
        after,
        check_dtype=True,
        check_index_type=True,
        check_column_type=True,
        check_frame_type=True,
        check_names=True,
        check_exact=True,
        check_freq=True,
        check_flags=True,
        check_categorical=True,
    )
    assert repr(before.attrs) == repr(after.attrs)
    assert [*map(repr, before.index.names)] == [*map(repr, after.index.names)]
    for position in range(before.shape[1]):
        one, other = before.iloc[:, position], after.iloc[:, position]
        assert repr(one.dtype) == repr(other.dtype)
        assert [type(each) for each in one] == [type(each) for each in other]
        assert one.map(repr).tolist() == other.map(repr).tolist()


@settings(fast, max_examples=120)
@given(kind=st.sampled_from([PandasWrapper, PandasSnappyWrapper, PandasFeatherWrapper]), frame=values.frames())
def test_frames_come_back_to_the_dtype_or_are_refused(kind: type[PandasWrapper], frame: pd.DataFrame) -> None:
    comes_back(kind(frame), same_frame)


@fast
@given(values.arrow_tables())
def test_tables_come_back_with_their_metadata_or_are_refused(table: Any) -> None:
    def same(before: Any, after: Any) -> None:
        assert before.schema.equals(after.schema, check_metadata=True)
        assert before.num_rows == after.num_rows
        assert repr(before.to_pylist()) == repr(after.to_pylist())

    if not comes_back(ArrowWrapper(table), same):
        with pytest.raises(pa.ArrowInvalid):
            table.validate(full=True)


@fast
@given(values.POLARS)
def test_polars_frames_come_back_or_are_refused(frame: pl.DataFrame) -> None:
    def same(before: pl.DataFrame, after: pl.DataFrame) -> None:
        assert before.schema == after.schema
        assert repr(before.rows()) == repr(after.rows())

    comes_back(PolarsWrapper(frame), same)


def without_zone_classes(value: Any) -> str:
    """Zones of a fixed offset come back as a class of the library's own."""
    text = re.sub(r"datetime\.timezone\.utc|zoneinfo\.ZoneInfo\(key='UTC'\)|TzInfo\((0|UTC)\)", "zone(0)", repr(value))
    return re.sub(r"datetime\.timezone\(datetime\.timedelta\(seconds=(\d+)\)\)|TzInfo\((\d+)\)", r"zone(\1\2)", text)


@settings(fast, max_examples=200)
@given(values.pydantic_models())
def test_pydantic_models_come_back_or_are_refused(model: Any) -> None:
    def same(before: Any, after: Any) -> None:
        assert without_zone_classes(before) == without_zone_classes(after)
        for name in vars(before):
            assert type(getattr(before, name)) is type(getattr(after, name))

    comes_back(PydanticWrapper.of(type(model))(model), same)


@settings(fast, max_examples=200)
@given(values.structs())
def test_structs_come_back_or_are_refused(struct: msgspec.Struct) -> None:
    def same(before: Any, after: Any) -> None:
        assert without_zone_classes(before) == without_zone_classes(after)

    comes_back(MsgspecWrapper.of(type(struct))(struct), same)


LOSSY = ("JPEG", "WEBP")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
@settings(fast, max_examples=60)
@given(image=values.images())
def test_images_come_back_or_are_refused(format: str, image: Image.Image) -> None:  # noqa: A002  # Pillow's word
    def same(before: Image.Image, after: Image.Image) -> None:
        assert (before.mode, before.size) == (after.mode, after.size)
        assert format in LOSSY or before.tobytes() == after.tobytes()
        if before.mode == "P":
            assert before.convert("RGBA").tobytes() == after.convert("RGBA").tobytes()
        for name in ("transparency", "icc_profile", "xmp", "comment"):
            assert not before.info.get(name) or before.info[name] == after.info[name]
        assert "dpi" not in before.info or after.info["dpi"] == pytest.approx(before.info["dpi"], rel=0.01)
        assert dict(before.getexif()).items() <= dict(after.getexif()).items()

    comes_back(ImageWrapper(image, format), same)
