"""The errors that writes, and reads, are refused with."""

from collections.abc import Sequence

from vault.errors import (
    AlreadyExistsError,
    ConflictError,
    CorruptionError,
    InvalidArgumentError,
    UnknownUnitError,
)
from vault.store.limits import check_unit
from vault.store.values import ObjectInfo


def require_allowed(unit: str, allowed: Sequence[str]) -> None:
    """Raises InvalidArgumentError when `unit` is no unit's name, UnknownUnitError when others are allowed only."""
    check_unit(unit)
    if allowed and unit not in allowed:
        raise UnknownUnitError(
            f"unit {unit!r} is not allowed here; allowed: {', '.join(map(repr, allowed))}", unit=unit
        )


def other_write(unit: str) -> InvalidArgumentError:
    """The error for a request id that was used for another write."""
    return InvalidArgumentError(
        "the request id was used for another write: every write needs a new one", reason="BAD_REQUEST_ID", unit=unit
    )


def object_exists(unit: str, data_id: int, generation: int) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"unit {unit!r} already has an object with id {data_id}",
        reason="OBJECT_EXISTS",
        unit=unit,
        data_id=data_id,
        generation=generation,
    )


def name_taken(unit: str, name: str, data_id: int) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"the name {name!r} in unit {unit!r} belongs to object {data_id}",
        reason="NAME_TAKEN",
        unit=unit,
        name=name,
        data_id=data_id,
    )


def copy_onto_itself(unit: str, name: str, data_id: int) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"a copy of object {data_id} in unit {unit!r} onto itself: it bears the name {name!r} already",
        reason="BAD_NAME",
        unit=unit,
        name=name,
        data_id=data_id,
    )


def require_generation(unit: str, data_id: int, generation: int, wanted: int | None) -> None:
    """Raises ConflictError when a generation is wanted and the object is at another."""
    if wanted is not None and generation != wanted:
        new = " (0 asks for a new object)" if wanted == 0 else ""
        raise ConflictError(
            f"object {data_id} in unit {unit!r} is at generation {generation}, not {wanted}{new}",
            unit=unit,
            data_id=data_id,
            generation=generation,
            wanted=wanted,
        )


def require_revision(unit: str, data_id: int, revision: int, wanted: int) -> None:
    """Raises ConflictError, REVISION_MISMATCH, when the object is at another revision."""
    if revision != wanted:
        raise ConflictError(
            f"object {data_id} in unit {unit!r} is at revision {revision}, not {wanted}",
            reason="REVISION_MISMATCH",
            unit=unit,
            data_id=data_id,
            revision=revision,
            wanted=wanted,
        )


def cut_short(info: ObjectInfo, index: int) -> CorruptionError:
    """The error for an object whose block is not all there."""
    return CorruptionError(
        f"object {info.data_id} in unit {info.unit!r} is cut short or gone: block {index} of "
        f"{info.block_count} is not all there",
        unit=info.unit,
        data_id=info.data_id,
        generation=info.generation,
        block=index,
    )
