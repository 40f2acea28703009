"""The comparison by which a Datatype tells whether a value came back as it was."""

import array
import datetime as dt
import decimal
import uuid
from collections import OrderedDict, defaultdict, deque
from typing import Any

import numpy as np
import pandas as pd
import pytest
from vault_datatypes.equality import difference


class Noted(list[int]):
    note: str = ""


def noted(note: str) -> Noted:
    made = Noted([1])
    made.note = note
    return made


OTHERS: dict[str, tuple[Any, Any]] = {
    "arrays of another dtype": (np.array(["a"]), np.array(["a"], dtype=object)),
    "arrays of another byte order": (np.array([1], ">i8"), np.array([1], "<i8")),
    "arrays of another shape": (np.zeros((2, 1)), np.zeros((1, 2))),
    "the sign of a zero in an array": (np.array([0.0]), np.array([-0.0])),
    "the sign of a NumPy zero": (np.float32(0), np.float32(-0.0)),
    "the sign of a zero": (0.0, -0.0),
    "how much a deque holds": (deque([1], maxlen=5), deque([1])),
    "what a defaultdict makes": (defaultdict(int, a=1), defaultdict(list, a=1)),
    "the order of keys": (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
    "the type of an array's items": (array.array("i", [1]), array.array("l", [1])),
    "attributes of a derived list": (noted("a"), noted("b")),
    "nanoseconds": (pd.Timestamp("2020-01-01T00:00:00.000000001"), pd.Timestamp("2020-01-01")),
    "places of a decimal": (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
    "a generator, which is read once": ((each for each in "a"), (each for each in "a")),
    "an iterator": (iter([1]), iter([1])),
    "an object that shows nothing of itself": (object(), object()),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_another_is_told(what: str) -> None:
    before, after = OTHERS[what]
    assert difference(before, after) is not None
    assert difference([before], [after]) is not None


SAME: list[Any] = [
    lambda: np.array([np.nan, 0.0, -0.0]),
    lambda: np.array([1, 2], dtype="g"),
    lambda: np.longdouble(1) / 3,
    lambda: np.array([(1, 2.0)], dtype="i4,f8"),
    lambda: np.array(["NaT", "2020-01-01"], dtype="M8[ns]"),
    lambda: deque([1], maxlen=5),
    lambda: defaultdict(int, a=1),
    lambda: array.array("d", [float("nan")]),
    lambda: noted("a"),
    lambda: pd.Timestamp("2020-01-01", tz="UTC"),
    lambda: pd.Interval(1, 2),
    lambda: (pd.NaT, pd.NA, None, float("nan")),
    lambda: uuid.UUID(int=1),
    lambda: dt.timezone(dt.timedelta(hours=1)),
    lambda: range(3),
    lambda: {1: {2.0}, "a": frozenset("b")},
]


@pytest.mark.parametrize("make", SAME)
def test_what_is_the_same_is_not(make: Any) -> None:
    assert difference(make(), make()) is None
