"""What units hold, and their limits, as messages of vault.v1, and back; as `messages` has it of all else."""

from collections.abc import Mapping
from typing import Final, Literal

from vault.errors import InvalidArgumentError, ProtocolError
from vault.store.usage import UnitInfo, UnitLimits, UnitPage
from vault.v1 import vault_pb2 as pb

_WHEN_FULL: Final[Mapping[int, Literal["refuse", "evict"]]] = {
    pb.UnitLimits.WHEN_FULL_UNSPECIFIED: "refuse",
    pb.UnitLimits.WHEN_FULL_REFUSE: "refuse",
    pb.UnitLimits.WHEN_FULL_EVICT: "evict",
}


def unit_limits_to_wire(limits: UnitLimits) -> pb.UnitLimits:
    full = pb.UnitLimits.WHEN_FULL_EVICT if limits.when_full == "evict" else pb.UnitLimits.WHEN_FULL_REFUSE
    return pb.UnitLimits(max_objects=limits.max_objects, max_bytes=limits.max_bytes, when_full=full)


def unit_limits_from_wire(wire: pb.UnitLimits) -> UnitLimits:
    if wire.when_full not in _WHEN_FULL:
        raise InvalidArgumentError(f"bad when_full {wire.when_full}: refuse or evict", reason="BAD_LIMIT")
    return UnitLimits(
        max_objects=wire.max_objects if wire.HasField("max_objects") else None,
        max_bytes=wire.max_bytes if wire.HasField("max_bytes") else None,
        when_full=_WHEN_FULL[wire.when_full],
    )


def fill_unit_info(wire: pb.UnitInfo, info: UnitInfo) -> None:
    wire.unit, wire.objects, wire.bytes, wire.revision = info.unit, info.objects, info.bytes, info.revision
    if info.limits != UnitLimits():
        wire.limits.CopyFrom(unit_limits_to_wire(info.limits))


def unit_info_from_wire(wire: pb.UnitInfo) -> UnitInfo:
    try:
        limits = unit_limits_from_wire(wire.limits)
        limits.validate()
    except InvalidArgumentError as error:
        raise ProtocolError(f"the server sent limits of a unit that can be none: {error}") from error
    return UnitInfo(wire.unit, wire.objects, wire.bytes, wire.revision, limits)


def unit_page_from_wire(wire: pb.StatUnitsResponse) -> UnitPage:
    return UnitPage([unit_info_from_wire(info) for info in wire.units], wire.next_page_token)
