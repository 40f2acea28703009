"""What tells two values apart, strictly: types, order, signs of zero, zones of time.

`==` finds 1, 1.0, True and an IntEnum of 1 equal. A Datatype that promises to return what it was given compares
what it was given with what came back by this.
"""

import dataclasses
import datetime as dt
import decimal
import enum
import math
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any

_SHOWN = 60  # characters of a value in a message


def difference(before: Any, after: Any, path: str = "") -> str | None:
    """Where and how `after` is not what `before` was; None where it is.

    Args:
        path: What the values are called in the text, such as "column 'a'".

    Raises:
        RecursionError: They are nested too deeply to be compared, or hold themselves.
    """
    if before is after:
        return None
    if type(before) is not type(after):
        return _changed(path, before, after)
    return _comparison(before)(before, after, path)


def shown(value: Any) -> str:
    """The value in a message, its type first, cut."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  # whatever its __repr__ does
        text = f"a value whose repr raises {type(error).__name__}"
    return f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text


def _comparison(value: Any) -> Callable[[Any, Any, str], str | None]:
    match value:
        case enum.Enum() | str() | int() | bytes():
            return _plain
        case float():
            return _float
        case complex():
            return _complex
        case decimal.Decimal():
            return _decimal
        case dt.datetime() | dt.time():
            return _time
        case Mapping():
            return _mapping
        case list() | tuple():
            return _sequence
        case set() | frozenset():
            return _set
    has_equality = any("__eq__" in vars(base) for base in type(value).__mro__[:-1])
    return _plain if has_equality and not _has_fields(value) else _attributes


def _has_fields(value: Any) -> bool:
    """Whether it is a model, whose own `==` looks at its fields with theirs."""
    return dataclasses.is_dataclass(value) or any(hasattr(type(value), name) for name in _FIELDS)


_FIELDS = ("__struct_fields__", "__pydantic_fields__")  # of msgspec, of pydantic


def _plain(before: Any, after: Any, path: str) -> str | None:
    same = before == after
    if not isinstance(same, bool):  # arrays and the like answer for each element
        same = getattr(before, "shape", None) == getattr(after, "shape", None) and bool(same.all())
    return None if same else _changed(path, before, after)


def _changed(path: str, before: Any, after: Any) -> str:
    one, other = shown(before), shown(after)
    if type(before) is not type(after):
        one, other = f"{one} ({type(before).__name__})", f"{other} ({type(after).__name__})"
    elif one == other:
        return f"{path or 'the value'}: {one} would come back as another {type(after).__name__}"
    return f"{path or 'the value'}: {one} would come back as {other}"


def _float(before: float, after: float, path: str) -> str | None:
    if (math.isnan(before) and math.isnan(after)) or (
        before == after and math.copysign(1, before) == math.copysign(1, after)
    ):
        return None
    return _changed(path, before, after)


def _complex(before: complex, after: complex, path: str) -> str | None:
    return _float(before.real, after.real, f"{path}.real") or _float(before.imag, after.imag, f"{path}.imag")


def _decimal(before: decimal.Decimal, after: decimal.Decimal, path: str) -> str | None:
    return None if before.as_tuple() == after.as_tuple() else _changed(path, before, after)


def _time(before: Any, after: Any, path: str) -> str | None:
    """Libraries have classes of their own for zones of a fixed offset: those count as the same, and no others."""
    # A zone of a region has a name, too, and only UTC means nothing more by it than its offset.
    mine, theirs = before.tzinfo, after.tzinfo
    if before.replace(tzinfo=None) != after.replace(tzinfo=None) or before.fold != after.fold:
        return _changed(path, before, after)
    if mine is theirs or (mine is not None and mine == theirs):
        return None
    named = isinstance(mine, zoneinfo.ZoneInfo) and mine.key != "UTC"
    if (
        mine is None
        or theirs is None
        or named
        or (offset := mine.utcoffset(None)) is None
        or offset != theirs.utcoffset(None)
    ):
        return _changed(path, before, after)
    return None


def _mapping(before: Any, after: Any, path: str) -> str | None:
    for one, other in zip(before, after, strict=False):
        if found := difference(one, other, f"a key of {path}" if path else "a key"):
            return found
    if len(before) != len(after):
        return f"{path or 'the value'}: {len(before)} keys would come back as {len(after)}"
    for one, other in zip(before, after, strict=True):
        if found := difference(before[one], after[other], f"{path}[{shown(one)}]"):
            return found
    return None


def _sequence(before: Any, after: Any, path: str) -> str | None:
    if len(before) != len(after):
        return f"{path or 'the value'}: {len(before)} items would come back as {len(after)}"
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        if found := difference(one, other, f"{path}[{index}]"):
            return found
    return None


def _set(before: Any, after: Any, path: str) -> str | None:
    theirs = {each: each for each in after}
    missing = []  # by their `==`, as not-a-number always is
    for one in before:
        if one not in theirs:
            missing.append(one)
        elif found := difference(one, theirs.pop(one), path):
            return found
    return _sequence(missing, list(theirs), path)


def _attributes(before: Any, after: Any, path: str) -> str | None:
    mine, theirs = _state(before), _state(after)
    for name in {**mine, **theirs}:
        where = f"{path}.{name}" if path else name
        if name not in mine or name not in theirs:
            return f"{where} would {'not come back' if name in mine else 'be there, too'}"
        if found := difference(mine[name], theirs[name], where):
            return found
    return None


def _state(value: Any) -> dict[str, Any]:
    """Every attribute that the object has, slots and a model's hidden ones included."""
    if hasattr(type(value), "__struct_fields__"):
        fields = {name: getattr(value, name) for name in type(value).__struct_fields__}
        return {**fields, **getattr(value, "__dict__", {})}
    if hasattr(type(value), "__pydantic_fields__") and hasattr(type(value), "__pydantic_private__"):
        return {**vars(value), **(value.__pydantic_extra__ or {}), **(value.__pydantic_private__ or {})}
    state = object.__getstate__(value)  # a dict; with slots, a pair of dicts; None when there is nothing
    in_dict, in_slots = state if isinstance(state, tuple) else (state, None)
    return {**(in_dict or {}), **(in_slots or {})}
