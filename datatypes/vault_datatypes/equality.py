"""What tells two values apart, strictly: types, order, signs of zero, zones of time.

`==` finds 1, 1.0, True and an IntEnum of 1 equal. A Datatype that promises to return what it was given compares
what it was given with what came back by this.
"""

import array
import collections
import datetime as dt
import decimal
import enum
import math
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any, Final

from vault.store.limits import shown
from vault.store.values import UploadedId

_Found = tuple[str, str] | None
"""Where in the value something is another, and what would come of it."""

_HEAP_TYPE: Final = 1 << 9  # a class made by a class statement, whose state can be seen


def difference(before: Any, after: Any, path: str = "") -> str | None:
    """Where and how `after` is not what `before` was; None where it is.

    Args:
        path: What the values are called in the text, such as "column 'a'".

    Raises:
        RecursionError: They are nested too deeply to be compared, or hold themselves.
    """
    found = _find(before, after)
    if found is None:
        return None
    where = f"{path}{found[0]}" if path else found[0].removeprefix(".")
    return f"{where or 'the value'}: {found[1]}"


def _find(before: Any, after: Any) -> _Found:
    if before is after:
        return None
    kind = type(before)
    if kind is UploadedId:  # comes back as the int it is
        before, kind = int(before), int
    if kind is not type(after):
        return _changed(before, after)
    compare = _EXACT.get(kind)
    return (compare or _comparison(before))(before, after)


def _comparison(value: Any) -> Callable[[Any, Any], _Found]:
    """For what is derived from the usual types, and others."""
    if isinstance(value, enum.Enum):
        return _plain
    if hasattr(value, "dtype") and hasattr(value, "tolist"):  # NumPy's
        return _array
    for kind, compare in _EXACT.items():
        if isinstance(value, kind):
            return lambda before, after: compare(before, after) or _attributes(before, after)
    if isinstance(value, Mapping):
        return _mapping
    if hasattr(value, "__next__") or not type(value).__flags__ & _HEAP_TYPE:
        return _plain  # it can be read once only, or holds what cannot be seen
    # Models' own `==` looks at their fields with theirs.
    models = ("__dataclass_fields__", "__struct_fields__", "__pydantic_fields__")
    has_equality = any("__eq__" in vars(base) for base in type(value).__mro__[:-1])
    return _plain if has_equality and not any(hasattr(type(value), name) for name in models) else _attributes


def _plain(before: Any, after: Any) -> _Found:
    same = before == after
    if not isinstance(same, bool):  # what is like an array answers for each element
        same = getattr(before, "shape", None) == getattr(after, "shape", None) and bool(same.all())
    return None if same else _changed(before, after)


def _array(before: Any, after: Any) -> _Found:
    if before.dtype != after.dtype or before.shape != after.shape:
        one, other = (f"an array {each.shape} of {each.dtype}" for each in (before, after))
        return "", f"{one} would come back as {other}"
    mine = before.tolist()
    if type(mine) is type(before):  # a number that Python has no type for
        return None if bool(before == after) else _changed(before, after)
    return _find(mine, after.tolist())


def _with(attribute: str, compare: Callable[[Any, Any], _Found]) -> Callable[[Any, Any], _Found]:
    return lambda before, after: _find(getattr(before, attribute), getattr(after, attribute)) or compare(before, after)


def _changed(before: Any, after: Any) -> _Found:
    one, other = shown(before), shown(after)
    if type(before) is not type(after):
        return "", f"{one} ({type(before).__name__}) would come back as {other} ({type(after).__name__})"
    return "", f"{one} would come back as {f'another {type(after).__name__}' if one == other else other}"


def _float(before: float, after: float) -> _Found:
    if before == after:
        return None if before or math.copysign(1, before) == math.copysign(1, after) else _changed(before, after)
    return None if math.isnan(before) and math.isnan(after) else _changed(before, after)


def _complex(before: complex, after: complex) -> _Found:
    return _float(before.real, after.real) or _float(before.imag, after.imag)


def _decimal(before: decimal.Decimal, after: decimal.Decimal) -> _Found:
    return None if before.as_tuple() == after.as_tuple() else _changed(before, after)


def _time(before: Any, after: Any) -> _Found:
    """Libraries have classes of their own for zones of a fixed offset: those count as the same, and no others."""
    mine, theirs = before.tzinfo, after.tzinfo
    if before.replace(tzinfo=None) != after.replace(tzinfo=None) or before.fold != after.fold:
        return _changed(before, after)
    if mine is theirs or (mine is not None and mine == theirs):
        return None
    # A zone of a region has a name, too, and only UTC means nothing more by it than its offset.
    named = isinstance(mine, zoneinfo.ZoneInfo) and mine.key != "UTC"
    if mine is None or theirs is None or named or (offset := mine.utcoffset(None)) is None:
        return _changed(before, after)
    return None if offset == theirs.utcoffset(None) else _changed(before, after)


def _mapping(before: Any, after: Any) -> _Found:
    if len(before) != len(after):
        return "", f"{len(before)} keys would come back as {len(after)}"
    for one, other in zip(before, after, strict=True):
        if found := _find(one, other):
            return "", f"the key {found[1]}"
        if found := _find(before[one], after[other]):
            return f"[{shown(one)}]{found[0]}", found[1]
    return None


def _sequence(before: Any, after: Any) -> _Found:
    if len(before) != len(after):
        return "", f"{len(before)} items would come back as {len(after)}"
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        if found := _find(one, other):
            return f"[{index}]{found[0]}", found[1]
    return None


def _set(before: Any, after: Any) -> _Found:
    theirs = {each: each for each in after}
    missing = []  # by their `==`, as not-a-number always is
    for one in before:
        if one not in theirs:
            missing.append(one)
        elif found := _find(one, theirs.pop(one)):
            return found
    return _sequence(missing, list(theirs))


def _attributes(before: Any, after: Any) -> _Found:
    mine, theirs = _state(before), _state(after)
    if mine.keys() != theirs.keys():
        name = next(iter(mine.keys() ^ theirs.keys()))
        return f".{name}", "it would not come back" if name in mine else "it would be there, too"
    for name, value in mine.items():
        if found := _find(value, theirs[name]):
            return f".{name}{found[0]}", found[1]
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


_EXACT: Final[dict[type, Callable[[Any, Any], _Found]]] = {
    str: _plain,
    int: _plain,
    bytes: _plain,
    float: _float,
    complex: _complex,
    decimal.Decimal: _decimal,
    dt.datetime: _time,
    dt.time: _time,
    collections.deque: _with("maxlen", _sequence),
    collections.defaultdict: _with("default_factory", _mapping),
    array.array: _with("typecode", _sequence),
    dict: _mapping,
    list: _sequence,
    tuple: _sequence,
    set: _set,
    frozenset: _set,
}
