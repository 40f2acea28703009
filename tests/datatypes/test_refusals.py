"""What would come back as another is an EncodeError that says which column, field or value, and what to do."""

import datetime as dt
import io
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
from PIL import Image
from vault.errors import EncodeError
from vault.wrappers import BytesWrapper, JsonDatatype, JsonWrapper, TextWrapper, Wrapper
from vault_datatypes import (
    ArrowWrapper,
    ImageWrapper,
    MsgspecWrapper,
    NumpyWrapper,
    PandasFeatherWrapper,
    PandasWrapper,
    PolarsWrapper,
    PydanticWrapper,
)

from torture.datatypes.models import Base, Below, Derived, Plain
from torture.datatypes.values import Colour, Word


class Account(pydantic.BaseModel):
    password: pydantic.SecretStr = pydantic.SecretStr("")
    weight: float = 0.0
    inner: Base = Base()
    hidden: int = pydantic.Field(default=1, exclude=True)
    when: Any = None
    _seen: int = pydantic.PrivateAttr(default=0)


def seen() -> Account:
    account = Account()
    account._seen = 1
    return account


class Holder(msgspec.Struct):
    inner: Plain = msgspec.field(default_factory=Plain)
    anything: Any = None
    when: dt.datetime | None = None


@dataclass
class Page(JsonDatatype):
    links: Any


class Meters(np.ndarray[Any, Any]):
    """A subclass with a unit, say."""


def frame(column: Any, index: Any = None) -> pd.DataFrame:
    return pd.DataFrame({"good": 1, "bad": column}, index=index)


def picture(mode: str, **info: Any) -> Image.Image:
    image = Image.linear_gradient("L").resize((4, 4)).convert("RGBA").convert(mode)
    image.info.update(info)
    return image


def turned(mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (4, 2))
    image.getexif()[0x0112] = 6
    return image


AccountObject, HolderObject = PydanticWrapper.of(Account), MsgspecWrapper.of(Holder)
BERLIN = dt.timezone(dt.timedelta(hours=1))
MIXED = [pd.Timestamp("2020"), pd.Timestamp("2020", tz="UTC")]

REFUSED: dict[str, tuple[Wrapper | JsonDatatype, str]] = {
    "secrets": (AccountObject(Account(password=pydantic.SecretStr("s3cret"))), "password.*serializer"),
    "nan": (AccountObject(Account(weight=float("nan"))), "weight.*ser_json_inf_nan"),
    "inf": (AccountObject(Account(weight=float("inf"))), "weight.*ser_json_inf_nan"),
    "a subclass in a field": (AccountObject(Account(inner=Derived())), "inner.*Derived.*declare the type"),
    "an excluded field": (AccountObject(Account(hidden=2)), "hidden: 2 would come back as 1"),
    "a private attribute": (AccountObject(seen()), "_seen: 1 would come back as 0"),
    "a time of type Any": (AccountObject(Account(when=dt.datetime(2020, 1, 1))), "when.*str"),  # noqa: DTZ001
    "a tuple of type Any": (AccountObject(Account(when=(1,))), "when.*tuple.*list"),
    "an unlike type": (AccountObject(Account.model_construct(weight="heavy")), "weight"),
    "a subclass in a Struct": (HolderObject(Holder(inner=Below())), "inner.*Below.*Plain"),
    "bytes that are no text": (AccountObject(Account(when=b"\xff")), "when: .*utf-8.*declare the type"),
    "an object in a Struct": (HolderObject(Holder(anything=object())), "anything: .*object.*declare the type"),
    "a tuple in a Struct": (HolderObject(Holder(anything=(1,))), "anything.*tuple.*list"),
    "a zone in a Struct": (HolderObject(Holder(when=dt.datetime(2020, 1, 1, tzinfo=BERLIN))), "when"),
    "number categories": (PandasWrapper(frame(pd.Categorical([1, 2]))), "'bad'.*category.*PandasFeatherWrapper"),
    "date categories": (PandasWrapper(frame(pd.Categorical([dt.date(2020, 1, 1)] * 2))), "'bad'.*category"),
    "time categories": (PandasWrapper(frame(pd.Categorical(pd.date_range("2020", periods=2)))), "'bad'.*category"),
    "cut": (PandasWrapper(frame(pd.cut([1, 5], [0, 3, 6]))), "'bad'.*rename_categories"),
    "cut as Feather": (PandasFeatherWrapper(frame(pd.cut([1, 5], [0, 3, 6]))), "could not be loaded again"),
    "naive and aware": (PandasWrapper(frame(pd.Series(MIXED, dtype=object))), "'bad'"),
    "Int64 index": (PandasWrapper(frame([1, 2], pd.Index([1, None], dtype="Int64"))), "index.*reset_index"),
    "index named by a tuple": (PandasWrapper(frame([1, 2], pd.Index([1, 2], name=(1, 2)))), "index.*names"),
    "holidays": (PandasWrapper(frame(1, pd.bdate_range("2020", periods=2, freq="C", holidays=["2020-01-02"]))), "freq"),
    "lists": (PandasWrapper(frame([[1], [2]])), r"'bad': row 0: \[1\]"),
    "attrs": (PandasWrapper(pd.DataFrame({"a": [1]}).pipe(lambda f: f.attrs.update({"a": (1,)}) or f)), "attrs"),
    "flags": (PandasWrapper(frame([1, 2]).set_flags(allows_duplicate_labels=False)), "allows_duplicate_labels"),
    "an empty struct": (PolarsWrapper(pl.DataFrame({"s": [{}]}, schema={"s": pl.Struct([])})), "'s'|struct"),
    "text that is none": (ArrowWrapper(pa.table({"t": pa.array([b"\xff"]).view(pa.string())})), "UTF8"),
    "a matrix": (NumpyWrapper(np.zeros((1, 1)).view(np.matrix)), "not a matrix.*asarray"),
    "a unit": (NumpyWrapper(np.zeros(2).view(Meters)), "not a Meters"),
    "records": (NumpyWrapper(np.zeros(1, np.dtype((np.record, [("a", "i4")])))), "would come back as"),
    "metadata of a dtype": (NumpyWrapper(np.zeros(1, np.dtype("i4", metadata={"unit": "m"}))), "would come back as"),
    "StringDType": (NumpyWrapper(np.array(["a"], np.dtypes.StringDType())), "Python objects|would come back"),
    "values of no bytes": (NumpyWrapper(np.zeros(3, np.dtype([]))), "of no bytes"),
    "alpha as JPEG": (ImageWrapper(picture("RGBA"), "JPEG"), "RGBA.*format='PNG'"),
    "colours as GIF": (ImageWrapper(picture("RGB"), "GIF"), "RGB would come back as .*format='PNG'"),
    "grey as WEBP": (ImageWrapper(picture("L"), "WEBP"), "mode L would come back as RGB"),
    "alpha of grey as BMP": (ImageWrapper(picture("LA"), "BMP"), "LA"),
    "a transparent colour as TIFF": (ImageWrapper(picture("L", transparency=1), "TIFF"), "transparency"),
    "the first colour, transparent, as BMP": (ImageWrapper(picture("L", transparency=0), "BMP"), "transparency"),
    "a profile as BMP": (ImageWrapper(picture("RGB", icc_profile=b"p"), "BMP"), "icc_profile.*another format"),
    "orientation in TIFF": (ImageWrapper(turned(), "TIFF"), "orientation 6.*exif_transpose"),
    "orientation in GIF": (ImageWrapper(turned("P"), "GIF"), "orientation 6|EXIF"),
    "a tuple as JSON": (JsonWrapper({"a": [(1,)]}), r"\['a'\]\[0\].*tuple.*make it a plain list|make it a list"),
    "keys as JSON": (JsonWrapper({"a": {1: 2}}), r"\['a'\]: the key 1 is no text; make it text"),
    "an enum as JSON": (JsonWrapper([Colour.RED]), r"\[0\].*Colour.*plain int"),
    "a numpy number as JSON": (JsonWrapper([np.float64(1)]), r"\[0\].*float64.*plain float"),
    "a surrogate as JSON": (JsonWrapper("\ud800"), "surrogates"),
    "huge numbers as JSON": (JsonWrapper(10**5000), "digits"),
    "a tuple as an attribute": (Page((1,)), "Page.*'links'.*tuple"),
    "derived text": (TextWrapper(Word("a")), "Word"),
    "bytes as text": (TextWrapper(b"a"), "holds a str"),
    "a number as bytes": (BytesWrapper(5), "holds bytes, not 5"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_change_is_refused_and_named(name: str) -> None:
    wrapper, text = REFUSED[name]
    with pytest.raises(EncodeError, match=f"(?s){text}") as caught:
        wrapper._dump()
    with pytest.raises(EncodeError):
        wrapper._dump_to(io.BytesIO())
    assert "s3cret" not in str(caught.value)


def test_what_holds_itself_or_is_nested_too_deeply_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = []
    for _ in range(2000):
        deep = [deep]
    for data in (loop, deep):
        for wrapper in (JsonWrapper(data), HolderObject(Holder(anything=data)), AccountObject(Account(when=data))):
            with pytest.raises(EncodeError):
                wrapper._dump()


KEPT = {
    "an index named 0": frame([1, 2], pd.Index([5, 6], name=0)),
    "freq": frame([1, 2], pd.date_range("2020", periods=2, freq="D")),
    "columns by number": pd.DataFrame([[1, 2]]),
    "seconds": frame(pd.Series(np.array([1, 2], "M8[s]"))),
    "objects of text": frame(pd.Series(["a", None], dtype=object)),
    "attrs": pd.DataFrame({"a": [1]}).pipe(lambda f: f.attrs.update({"a": [1]}) or f),
}


@pytest.mark.parametrize("kind", [PandasWrapper, PandasFeatherWrapper])
@pytest.mark.parametrize("name", KEPT)
def test_what_pyarrow_would_change_is_kept_beside_it(kind: type[PandasWrapper], name: str) -> None:
    loaded = kind._load(kind(KEPT[name])._dump()).data
    pd.testing.assert_frame_equal(loaded, KEPT[name], check_column_type=True, check_freq=True)
    assert loaded.attrs == KEPT[name].attrs
    assert [*loaded.index.names] == [*KEPT[name].index.names]


def test_a_format_that_holds_a_mode_takes_it() -> None:
    for mode, format in (("LA", "TIFF"), ("F", "TIFF"), ("I;16", "PNG"), ("RGBA", "WEBP"), ("CMYK", "JPEG")):  # noqa: A001
        options = {"lossless": True, "exact": True} if format == "WEBP" else {}
        image = Image.new(mode, (3, 2))
        loaded = ImageWrapper._load(ImageWrapper(image, format, options)._dump()).data
        assert (loaded.mode, loaded.size) == (mode, (3, 2))
        assert format == "JPEG" or loaded.tobytes() == image.tobytes()


def test_verification_can_be_switched_off_for_a_class() -> None:
    class Loose(PandasWrapper, verify=False):
        pass

    class Looser(Loose):
        pass

    lists = frame([[1], [2]])
    for kind in (Loose, Looser):
        assert kind._load(kind(lists)._dump()).data["bad"].iloc[1].tolist() == [2]
    hidden = PydanticWrapper.of(Account, verify=False)
    assert hidden is not AccountObject
    assert PydanticWrapper.of(Account, verify=True) is AccountObject
    assert hidden._load(hidden(Account(hidden=2))._dump()).data.hidden == 1


def test_models_that_say_it_whole_are_stored_whole() -> None:
    class Whole(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(ser_json_inf_nan="constants")
        password: pydantic.SecretStr
        weight: float
        when: dt.datetime

        @pydantic.field_serializer("password")
        def _say(self, password: pydantic.SecretStr) -> str:
            return password.get_secret_value()

    kind = PydanticWrapper.of(Whole)
    model = Whole(password=pydantic.SecretStr("a"), weight=float("inf"), when=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert kind._load(kind(model)._dump()).data == model
