"""What is charged to principals, and their limits, as messages of vault.v1, and back, held against what was asked."""

from vault.errors import InvalidArgumentError, ProtocolError
from vault.store.limits import MAX_DATA_ID, check_principal
from vault.store.usage import PrincipalInfo, PrincipalLimits, PrincipalPage
from vault.v1 import vault_pb2 as pb
from vault.wire.reply_checks import check_page_of


def principal_limits_to_wire(limits: PrincipalLimits) -> pb.PrincipalLimits:
    return pb.PrincipalLimits(max_objects=limits.max_objects, max_bytes=limits.max_bytes)


def principal_limits_from_wire(wire: pb.PrincipalLimits) -> PrincipalLimits:
    return PrincipalLimits(
        max_objects=wire.max_objects if wire.HasField("max_objects") else None,
        max_bytes=wire.max_bytes if wire.HasField("max_bytes") else None,
    )


def fill_principal_info(wire: pb.PrincipalInfo, info: PrincipalInfo) -> None:
    wire.principal, wire.objects, wire.bytes = info.principal, info.objects, info.bytes
    if info.limits.are_set:
        wire.limits.CopyFrom(principal_limits_to_wire(info.limits))


def principal_info_from_wire(wire: pb.PrincipalInfo, principal: str) -> PrincipalInfo:
    """Of this principal, or ProtocolError."""
    info = PrincipalInfo(wire.principal, wire.objects, wire.bytes, principal_limits_from_wire(wire.limits))
    if info.principal != principal or max(info.objects, info.bytes) > MAX_DATA_ID:
        raise ProtocolError(
            f"the server said of principal {principal!r} what can be of none: {info.objects} objects of {info.bytes} "
            f"bytes of {info.principal!r}",
            principal=principal,
        )
    try:
        info.limits.validate()
    except InvalidArgumentError as error:
        raise ProtocolError(f"the server sent limits of a principal that can be none: {error}") from error
    return info


def limited_from_wire(wire: pb.PrincipalInfo, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
    """What is charged to a principal when limits were set, which are those."""
    info = principal_info_from_wire(wire, principal)
    if info.limits != limits:
        raise ProtocolError(f"the server set {info.limits} where {limits} were asked for", principal=principal)
    return info


def principal_page_from_wire(wire: pb.StatPrincipalsResponse, asked: pb.StatPrincipalsRequest) -> PrincipalPage:
    """A page of principals, held against what was asked."""
    infos = [principal_info_from_wire(info, info.principal) for info in wire.principals]
    check_page_of("principal", [info.principal for info in infos], wire.next_page_token, asked, check_principal)
    return PrincipalPage(infos, wire.next_page_token)
