"""Names made of a function and its arguments: equal for equal ones, in every process, and for no others.

Values are told apart by type, too: 1, 1.0, True and "1" are four. Text is written in ASCII, with what is hidden or
beyond it escaped, so that a name is one that an object may have.
"""

import dataclasses
import hashlib
import inspect
import types
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from vault.errors import InvalidArgumentError
from vault.store.limits import check_name, check_new, shown

_LONGEST: Final = 200
"""Characters of arguments that are written out in a name; more are hashed."""

_DECIMAL_BITS: Final = 1024  # longer whole numbers are written in hexadecimal, which no limit of Python's is on

_SIMPLE: Final[Mapping[type, Callable[[Any], str]]] = {
    type(None): repr,
    bool: repr,
    int: lambda value: str(value) if value.bit_length() <= _DECIMAL_BITS else hex(value),
    float: repr,
    complex: repr,
    str: ascii,
    bytes: repr,
    date: lambda value: f"date({value.isoformat()})",
    datetime: lambda value: f"datetime({value.isoformat()},{value.fold},{str(value.tzinfo)!a})",
    timedelta: lambda value: f"timedelta({value.days},{value.seconds},{value.microseconds})",
    Decimal: lambda value: f"Decimal({value})",
    UUID: lambda value: f"UUID({value})",
}


def encode(value: object) -> str:
    """Text that stands for the value: that of an equal one of its type, and of no other.

    Raises:
        InvalidArgumentError: BAD_KEY, it is, or holds, something that there is no such text for.
    """
    try:
        return _encode(value)
    except RecursionError:
        raise InvalidArgumentError("an argument that holds itself makes no key: give key=", reason="BAD_KEY") from None


def _encode(value: Any) -> str:
    kind = type(value)
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return simple(value)
    if kind is tuple:
        return f"({''.join(f'{_encode(each)},' for each in value)})"
    if kind is list:
        return f"[{','.join(map(_encode, value))}]"
    if kind is dict:
        return f"{{{','.join(sorted(f'{_encode(key)}:{_encode(each)}' for key, each in value.items()))}}}"
    if kind is set or kind is frozenset:
        return f"{kind.__name__}({','.join(sorted(map(_encode, value)))})"
    if isinstance(value, Enum):
        return f"{_named(kind)}.{value.name}" if value.name else f"{_named(kind)}({_encode(value.value)})"
    if isinstance(value, PurePath) and kind.__module__.partition(".")[0] == "pathlib":
        return f"{kind.__name__}({str(value)!a})"
    if _is_all_fields(kind) and all(hasattr(value, each.name) for each in dataclasses.fields(value)):
        fields = (f"{each.name}={_encode(getattr(value, each.name))}" for each in dataclasses.fields(value))
        return f"{_named(kind)}({','.join(fields)})"
    raise InvalidArgumentError(
        f"{shown(value)} of type {kind.__qualname__} makes no key: give key=, a function of the arguments that returns "
        "text, numbers, or tuples, lists, dicts and dataclasses of them; or ignore the argument",
        reason="BAD_KEY",
    )


def _is_all_fields(kind: type) -> bool:
    """Whether it is a dataclass, and nothing that holds more: a class that only inherits the fields, or a list too."""
    return "__dataclass_fields__" in vars(kind) and all(
        each is object or each.__module__ != "builtins" for each in kind.__mro__
    )


def _named(kind: type) -> str:
    if "<locals>" in kind.__qualname__:
        raise InvalidArgumentError(
            f"{kind.__qualname__} is a class of one call of a function, as others may be called: give key=",
            reason="BAD_KEY",
        )
    return f"{kind.__module__}.{kind.__qualname__}"


class CallNames:
    """The names under which a function's results are stored: function#version(arguments).

    Args:
        name: Of the function; None: its module and qualified name.
        version: Of what it computes. Results of another are not found.
        key: What of the arguments makes the difference; None: all of them.
        ignore: Parameters that make none.

    Raises:
        InvalidArgumentError: BAD_FUNCTION, its name is others', too, or it has no such parameter; BAD_NAME.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None,
        version: int | str,
        key: Callable[..., object] | None,
        ignore: Collection[str],
    ) -> None:
        if isinstance(ignore, str) or not isinstance(ignore, Collection):
            raise InvalidArgumentError(
                f"ignore is a list of parameters, not {shown(ignore)}: ignore=['verbose']", reason="BAD_FUNCTION"
            )
        if key is not None and not callable(key):
            raise InvalidArgumentError(f"key is a function of the arguments, not {shown(key)}", reason="BAD_FUNCTION")
        self._key = key
        self._ignore = ignore
        try:
            self._signature = inspect.signature(function)
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(f"{shown(function)} has no signature", reason="BAD_FUNCTION") from error
        if unknown := [each for each in ignore if each not in self._signature.parameters]:
            known = ", ".join(self._signature.parameters) or "none"
            raise InvalidArgumentError(
                f"no parameter {unknown[0]!r} to ignore: there are {known}", reason="BAD_FUNCTION"
            )
        if type(version) not in (int, str):
            raise InvalidArgumentError(f"a version is a number or text, not {shown(version)}", reason="BAD_NAME")
        name = _name_of(function) if name is None else name
        check_name(name)
        for text in (name, str(version)):
            if "#" in text or "(" in text:  # which end them
                raise InvalidArgumentError(f"no '#' and no '(' in a name or a version: {text!r}", reason="BAD_NAME")
        self._prefix = f"{name}#{version}("
        check_name(self._prefix + "x" * _LONGEST)
        check_new(name=self._prefix)

    def of(self, *args: Any, **options: Any) -> str:
        """The name of a call's result.

        Raises:
            TypeError: The function does not take these arguments.
            InvalidArgumentError: BAD_KEY, one of them makes no key.
        """
        if self._key is not None:
            text = encode(self._key(*args, **options))
        else:
            bound = self._signature.bind(*args, **options)
            bound.apply_defaults()
            text = ",".join(
                f"{name}={encode(value)}" for name, value in bound.arguments.items() if name not in self._ignore
            )
        if len(text) > _LONGEST:
            text = f"blake2b:{hashlib.blake2b(text.encode(), digest_size=32).hexdigest()}"
        return f"{self._prefix}{text})"


def _name_of(function: Callable[..., Any]) -> str:
    """The module and the qualified name of a function that no other has."""
    inner = inspect.unwrap(function)
    name = getattr(inner, "__qualname__", None)
    if name is None or "<lambda>" in name:
        raise InvalidArgumentError(f"{shown(function)} has no name of its own: give name=", reason="BAD_FUNCTION")
    if not isinstance(getattr(inner, "__self__", None), types.ModuleType | None):  # as that of what is built in is
        raise InvalidArgumentError(
            f"{name} is bound to an object, which its name does not tell apart: give name=", reason="BAD_FUNCTION"
        )
    if getattr(inner, "__closure__", None):
        raise InvalidArgumentError(
            f"{name} takes values from the function around it, which its name does not tell apart: give name=",
            reason="BAD_FUNCTION",
        )
    return f"{inner.__module__}.{name}"
