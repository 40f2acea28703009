"""Plain types: classes that are no Datatype, whose objects a unit holds in a Wrapper.

`bytes`, `str` and what JSON can say are known here. For other libraries' types a package names its Wrapper in the
entry-point group `vault.datatypes`, under the type's module and name; neither is imported before a unit asks for it.
"""

import copy
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, get_origin

from vault.datatype import Datatype
from vault.errors import DecodeError, InvalidArgumentError
from vault.store.values import UploadedId
from vault.wrappers import BytesWrapper, JsonWrapper, TextWrapper, Wrapper

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

GROUP: Final = "vault.datatypes"

_BUILT_IN: Final[dict[type, type[Wrapper]]] = {
    bytes: BytesWrapper,
    str: TextWrapper,
    **dict.fromkeys((dict, list, int, float, bool), JsonWrapper),
}


class Plain(Generic[T]):
    """A plain type, and the Wrapper that stores its objects.

    Attributes:
        kind: The type.
        wrapper: The Wrapper.
    """

    __slots__ = ("kind", "wrapper")

    def __init__(self, kind: type[T], wrapper: type[Wrapper]) -> None:
        self.kind = kind
        self.wrapper = wrapper

    def wrap(self, value: Any, into: Wrapper | None = None) -> Any:
        """A Wrapper with the value; the value itself where it is of another type, for the codec to refuse.

        Args:
            into: One that is stored already: what it says of its object (a format, options) is kept.
        """
        if type(value) is UploadedId:
            value = int(value)
        if not self._fits(value):
            return value
        if into is None:
            return self.wrapper(value)
        wrapper = copy.copy(into)
        wrapper.data = value
        return wrapper

    def value(self, wrapper: Any) -> T:
        """What a loaded Wrapper holds.

        Raises:
            DecodeError: DATATYPE_MISMATCH, it is of another type: a list in a unit of dicts.
        """
        value = getattr(wrapper, "data", None)
        if self._fits(value):
            return cast(T, value)
        raise DecodeError(
            f"a {type(value).__name__} was stored in a unit of {self.kind.__name__}: "
            f"declare the unit with {type(wrapper).__name__} to load either",
            reason="DATATYPE_MISMATCH",
        )

    def _fits(self, value: object) -> bool:
        # JSON's types are told apart exactly, as JsonWrapper does it: True is no int.
        return type(value) is self.kind if self.wrapper is JsonWrapper else isinstance(value, self.kind)


def plain_type(kind: Any, unit: str) -> Plain[Any] | None:
    """How a unit holds objects of this type; None where it is a Datatype.

    Args:
        kind: A class, or one with parameters, as `dict[str, int]`.

    Raises:
        InvalidArgumentError: BAD_STRUCTURE, nothing stores such objects.
        ModuleNotFoundError: A library that the type's Wrapper needs is missing; the text says what to install.
    """
    asked, kind = kind, get_origin(kind) or kind
    if not isinstance(kind, type):
        raise InvalidArgumentError(
            f"unit {unit!r} needs the class of its objects, not {kind!r}", reason="BAD_STRUCTURE", unit=unit
        )
    if issubclass(kind, Datatype):
        return None
    if wrapper := wrapper_of(kind):
        return Plain(kind, wrapper)
    name = kind.__name__ if asked is kind else asked
    raise InvalidArgumentError(
        f"unit {unit!r}: nothing is known that stores {name} as it is: declare the unit with a class that derives from "
        f"Datatype or JsonDatatype, or with a Wrapper, such as PickleWrapper, and store PickleWrapper(x)",
        reason="BAD_STRUCTURE",
        unit=unit,
    )


def advice(data: object, datatype: type[Datatype], declared: Plain[Any] | None) -> str:
    """How to store an object that a unit refuses, to be put behind that; "" where its type is no plain one.

    Args:
        datatype: The unit's.
        declared: The plain type that the unit was declared with.
    """
    for kind in type(data).__mro__:
        try:
            wrapper = wrapper_of(kind)
        except ImportError:  # its Wrapper needs another library, which is not here
            continue
        if wrapper is not None:
            if issubclass(datatype, wrapper) and declared is None:
                return f": wrap it: {datatype.__name__}(x)"
            return f": declare a unit for it with {kind.__name__}, as vault.unit(name, {kind.__name__})"
    return ""


def wrapper_of(kind: type) -> type[Wrapper] | None:
    """The Wrapper that stores objects of this very type; None where none is known, as for a Datatype.

    Raises:
        ImportError: It needs a library that is not there.
    """
    if kind in _BUILT_IN:
        return _BUILT_IN[kind]
    known = _entries()
    for base in kind.__mro__:
        entry = known.get(f"{base.__module__}.{base.__qualname__}")
        if entry is not None:
            wrapper: Any = entry.load()
            # Models are derived from their library's base, and each class has a Wrapper of its own. An object of a
            # class that is derived from another type would come back as one of that type.
            if hasattr(wrapper, "of"):
                return None if base is kind else cast(type[Wrapper], wrapper.of(kind))
            return cast(type[Wrapper], wrapper) if base is kind else None
    return None


@cache
def _entries() -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points  # noqa: PLC0415  # it takes longer than all of Vault

    return {entry.name: entry for entry in entry_points(group=GROUP)}
