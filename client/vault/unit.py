"""The structure of a vault: which units it works with, what is in them, how much of it is cached."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vault.datatype import Datatype, check_datatype_class
from vault.errors import InvalidArgumentError, UnknownUnitError
from vault.plain import wrapper_of
from vault.store.limits import check_unit
from vault.wrappers import BytesWrapper


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


UNDECLARED: Final = UnitSettings(BytesWrapper)
"""What a unit holds for as long as it is not declared, in a vault without a structure."""


class Structure:
    """The units of a vault, checked. Does no I/O. Units are added one at a time, under a lock of the vault's.

    Attributes:
        units: Those that are declared, by name; replaced when one is added, never changed.
        is_open: Whether other units may be used, too: there was no structure.
    """

    def __init__(self, structure: Mapping[str, UnitLike] | None) -> None:
        """
        Args:
            structure: From a unit's name to `(Datatype, max_cached)` or `UnitSettings(...)`. It may be empty. None:
                every unit may be used.

        Raises:
            InvalidArgumentError: BAD_STRUCTURE, BAD_UNIT.
        """
        if not isinstance(structure, Mapping | None):
            raise _bad(f"a structure is a mapping of unit names to (Datatype, max_cached), not {structure!r}")
        units = {}
        for name, value in (structure or {}).items():
            check_unit(name)
            units[name] = _parse(name, value)
        self.units: Mapping[str, UnitSettings] = units
        self.is_open = structure is None
        self._plain: dict[str, type] = {}

    def unit(self, name: str) -> UnitSettings:
        """The unit of this name; UNDECLARED where it is none of `units` and may be used.

        Raises:
            InvalidArgumentError: BAD_UNIT, nothing can have this name.
            UnknownUnitError: It is not in the structure.
        """
        unit = self.units.get(name) if isinstance(name, str) else None
        if unit is None:
            check_unit(name)
            if self.is_open:
                return UNDECLARED
            known = ", ".join(map(repr, sorted(self.units))) or "none"
            raise UnknownUnitError(
                f"unit {name!r} is not in the structure; known units: {known}; vault.unit({name!r}, Type) declares it",
                unit=name,
            )
        return unit

    def declared(
        self, name: str, datatype: type[Datatype], plain: type | None, max_cached: int | None, max_bytes: int | None
    ) -> UnitSettings:
        """What the unit is by this declaration: what it was before, where it was declared already.

        Args:
            plain: The plain type, where the declaration named one.
            max_cached, max_bytes: None: as it was declared, 0 where it was not.

        Raises:
            InvalidArgumentError: BAD_UNIT, BAD_STRUCTURE; it was declared as something else.
        """
        check_unit(name)
        known = self.units.get(name)
        wanted = _parse(
            name,
            UnitSettings(
                datatype,
                max_cached if max_cached is not None else known.max_cached if known else 0,
                max_bytes if max_bytes is not None else known.max_bytes if known else 0,
            ),
        )
        if known is None:
            return wanted
        before, now = self._plain.get(name, known.datatype), plain or datatype
        if known.datatype is not datatype or (plain and self._plain.get(name, plain) is not plain):
            what = f"was declared with {before.__qualname__}, not {now.__qualname__}"
            if before.__qualname__ == now.__qualname__:
                what += (
                    ": that is another class of the same name; one that was defined again needs the vault opened anew"
                )
            raise _bad(f"unit {name!r} {what}", name)
        if known != wanted:
            raise _bad(
                f"unit {name!r} was declared with max_cached={known.max_cached}, max_bytes={known.max_bytes}, and its "
                f"limits do not change: leave them out, not {wanted.max_cached} and {wanted.max_bytes}",
                name,
            )
        return known

    def add(self, name: str, unit: UnitSettings, plain: type | None) -> None:
        """The unit is declared now."""
        if plain is not None:
            self._plain[name] = plain
        self.units = {**self.units, name: unit}


def _parse(name: str, value: Any) -> UnitSettings:
    match value:
        case UnitSettings():
            unit = value
        case (datatype, max_cached):
            unit = UnitSettings(datatype, max_cached)
        case _:
            raise _bad(f"unit {name!r} needs (Datatype, max_cached) or UnitSettings(...), not {value!r}", name)
    if isinstance(unit.datatype, type) and (wrapper := wrapper_of(unit.datatype)):
        kind = unit.datatype.__name__
        raise _bad(
            f"unit {name!r} needs a class derived from Datatype, not {unit.datatype!r}: name {wrapper.__name__}, or "
            f"declare it by vault.unit({name!r}, {kind}), whose objects are of {kind} itself",
            name,
        )
    check_datatype_class(unit.datatype, name)
    for what, limit in (("max_cached", unit.max_cached), ("max_bytes", unit.max_bytes)):
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise _bad(f"unit {name!r}: {what} is a whole number from 0 (no limit), not {limit!r}", name)
    return unit


def _bad(message: str, unit: str | None = None) -> InvalidArgumentError:
    return InvalidArgumentError(message, reason="BAD_STRUCTURE", unit=unit)
