"""The structure of a vault: which units it works with, what is in them, how much of it is cached."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vault.datatype import Datatype, check_datatype_class
from vault.errors import InvalidArgumentError, UnknownUnitError
from vault.store.limits import check_unit


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """What a vault has to know of a unit.

    Attributes:
        datatype: The class of the unit's objects; subclasses are stored and loaded too.
        max_cached: Objects kept in the cache; 0: no limit by count.
        max_bytes: Bytes kept in the cache, as they are stored; 0: no limit by bytes.

    Objects with an open ticket count, but are never put out.
    """

    datatype: type[Datatype]
    max_cached: int = 0
    max_bytes: int = 0


UnitLike = UnitSettings | tuple[type[Datatype], int]
"""UnitSettings, or `(datatype, max_cached)`."""


class Structure:
    """The units of a vault, checked. Does no I/O and does not change."""

    def __init__(self, structure: Mapping[str, UnitLike]) -> None:
        """
        Args:
            structure: From a unit's name to `(Datatype, max_cached)` or `UnitSettings(...)`. It may be empty.

        Raises:
            InvalidArgumentError: BAD_STRUCTURE, BAD_UNIT.
        """
        if not isinstance(structure, Mapping):
            raise _bad(f"a structure is a mapping of unit names to (Datatype, max_cached), not {structure!r}")
        units = {}
        for name, value in structure.items():
            check_unit(name)
            units[name] = _parse(name, value)
        self.units: Mapping[str, UnitSettings] = units

    def unit(self, name: str) -> UnitSettings:
        """The unit of this name.

        Raises:
            InvalidArgumentError: BAD_UNIT, nothing can have this name.
            UnknownUnitError: It is not in the structure.
        """
        unit = self.units.get(name) if isinstance(name, str) else None
        if unit is None:
            check_unit(name)
            known = ", ".join(map(repr, sorted(self.units))) or "none"
            raise UnknownUnitError(f"unit {name!r} is not in the structure; known units: {known}", unit=name)
        return unit


def _parse(name: str, value: Any) -> UnitSettings:
    match value:
        case UnitSettings():
            unit = value
        case (datatype, max_cached):
            unit = UnitSettings(datatype, max_cached)
        case _:
            raise _bad(f"unit {name!r} needs (Datatype, max_cached) or UnitSettings(...), not {value!r}", name)
    check_datatype_class(unit.datatype, name)
    for what, limit in (("max_cached", unit.max_cached), ("max_bytes", unit.max_bytes)):
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise _bad(f"unit {name!r}: {what} is a whole number from 0 (no limit), not {limit!r}", name)
    return unit


def _bad(message: str, unit: str | None = None) -> InvalidArgumentError:
    return InvalidArgumentError(message, reason="BAD_STRUCTURE", unit=unit)
