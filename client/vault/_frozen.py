"""Frozen dataclasses whose instances are made fast. No I/O."""

from dataclasses import MISSING, fields
from functools import wraps
from typing import Any, Final, TypeVar

T = TypeVar("T")

_INIT: Final = """
def __init__(self, {names}):
    if type(self) is not cls:  # a subclass, which may have fields of its own
        return slow(self, {names})
    set_class(self, twin)
    {lines}
    self.__class__ = cls
"""


def thawed(cls: type[T]) -> type[T]:
    """The twin of a frozen class that its instances are of while they are made, and nobody else has them."""
    body = {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(cls.__name__, (cls,), body)


def made_fast(cls: type[T]) -> type[T]:
    """A dataclass, frozen and with slots, with another `__init__` that does the same.

    The one that `dataclass` writes calls `object.__setattr__` for each field: for the thirteen of an object's info that
    is a tenth of a load. Here they are assigned while the instance, which nobody else has yet, is of a twin's class,
    which is not frozen.
    """
    slow: Any = cls.__init__
    scope: dict[str, Any] = {
        "cls": cls,
        "slow": slow,
        "twin": thawed(cls),
        "set_class": object.__dict__["__class__"].__set__,
    }
    names, lines = [], []
    of_cls = fields(cls)  # type: ignore[arg-type]  # a dataclass
    for place, each in enumerate(of_cls, -len(of_cls)):
        name = value = each.name
        if each.default_factory is not MISSING:
            scope |= {f"make_{name}": each.default_factory, f"no_{name}": slow.__defaults__[place]}
            value = f"make_{name}() if {name} is no_{name} else {name}"
        names.append(name)
        lines.append(f"self.{name} = {value}")
    exec(_INIT.format(names=", ".join(names), lines="\n    ".join(lines)), scope)  # noqa: S102  # names of fields
    scope["__init__"].__defaults__ = slow.__defaults__
    cls.__init__ = wraps(slow)(scope["__init__"])  # type: ignore[method-assign]
    return cls
