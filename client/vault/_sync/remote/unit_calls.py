# Generated from _async/remote/unit_calls.py by scripts/unasync: DO NOT CHANGE.
"""What units hold, what is charged to principals, and the limits of both, asked of a server."""

from vault._sync.remote.asking import Asking, check_page_token
from vault._grpc.calls import Attempts
from vault.store.limits import check_page_size, check_prefix, check_principal, check_spec, check_unit
from vault.store.usage import PrincipalInfo, PrincipalLimits, PrincipalPage, UnitInfo, UnitLimits, UnitPage
from vault.v1 import vault_pb2 as pb
from vault.wire import principal_messages, unit_messages
from vault.wire import reply_checks as replies


class UnitCalls(Asking):
    """These calls of a RemoteStore."""

    def list_units(self) -> list[str]:
        return replies.check_units((self._unary("ListUnits", pb.ListUnitsRequest())).units)

    def unit_info(self, unit: str) -> UnitInfo:
        check_unit(unit)
        reply = self._unary("StatUnits", pb.StatUnitsRequest(units=[unit]))
        ((info, _),) = replies.pairs(reply.units, [unit])
        return replies.check_unit_info(unit_messages.unit_info_from_wire(info), unit)

    def unit_page(self, *, prefix: str = "", page_size: int = 0, page_token: str = "") -> UnitPage:
        check_prefix(prefix)
        check_page_size(page_size)
        check_page_token(page_token)
        request = pb.StatUnitsRequest(prefix=prefix, page_size=page_size, page_token=page_token)
        attempts = Attempts(self._channel.address, self._channel.timeout)
        while True:
            reply = self._unary("StatUnits", request, timeout=attempts.remaining)
            page = unit_messages.unit_page_from_wire(reply)
            replies.check_unit_page(page, prefix=prefix, page_size=page_size, page_token=request.page_token)
            if page.units or not page.next_page_token:
                return page
            attempts.check()  # as in a listing
            request.page_token = page.next_page_token

    def set_unit_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        check_unit(unit)
        check_spec(limits, UnitLimits)
        request = pb.SetUnitLimitsRequest(unit=unit, limits=unit_messages.unit_limits_to_wire(limits))
        reply = self._unary("SetUnitLimits", request)
        return replies.check_limited(unit_messages.unit_info_from_wire(reply.info), unit, limits)

    def principal_info(self, principal: str) -> PrincipalInfo:
        check_principal(principal)
        reply = self._unary("StatPrincipals", pb.StatPrincipalsRequest(principals=[principal]))
        ((info, _),) = replies.pairs(reply.principals, [principal])
        return principal_messages.principal_info_from_wire(info, principal)

    def principal_page(self, *, prefix: str = "", page_size: int = 0, page_token: str = "") -> PrincipalPage:
        check_prefix(prefix)
        check_page_size(page_size)
        check_page_token(page_token)
        request = pb.StatPrincipalsRequest(prefix=prefix, page_size=page_size, page_token=page_token)
        attempts = Attempts(self._channel.address, self._channel.timeout)
        while True:
            reply = self._unary("StatPrincipals", request, timeout=attempts.remaining)
            page = principal_messages.principal_page_from_wire(reply, request)
            if page.principals or not page.next_page_token:
                return page
            attempts.check()  # as in a listing
            request.page_token = page.next_page_token

    def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        check_principal(principal)
        check_spec(limits, PrincipalLimits)
        wire_limits = principal_messages.principal_limits_to_wire(limits)
        request = pb.SetPrincipalLimitsRequest(principal=principal, limits=wire_limits)
        reply = self._unary("SetPrincipalLimits", request)
        return principal_messages.limited_from_wire(reply.info, principal, limits)
