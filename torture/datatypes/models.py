"""Models of pydantic and Structs of msgspec at random: the class, and an object of it."""

import datetime as dt
import decimal
import uuid
from typing import Any, Generic, TypeVar

import msgspec
import pydantic
from hypothesis import strategies as st

from torture.datatypes.tables import ZONES
from torture.datatypes.values import ATOMS, TEXT, Colour


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
