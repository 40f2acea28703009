"""AdminService: principals and tokens, allowed networks, what runs in all workers, and what is retained."""
# ruff: noqa: N802, ARG002  # the names and the arguments of its methods are those of the generated base class

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from google.protobuf.timestamp_pb2 import Timestamp
from vault._runtime.blocking import on_thread
from vault.errors import (
    InvalidArgumentError,
    StorageError,
    UnavailableError,
    UnsupportedError,
    VaultError,
)
from vault.store.contract import AsyncStore
from vault.store.limits import check_principal, check_unit
from vault.v1 import admin_pb2 as pb
from vault.v1 import admin_pb2_grpc, vault_pb2

from vault_server.access import token_changes
from vault_server.access.control import AccessControl
from vault_server.access.grants import SCOPES, Grant, denied
from vault_server.access.identities import Identities, Identity
from vault_server.access.identity_file import change_identities, read_identities
from vault_server.access.networks import Networks, parse_network, peer_address
from vault_server.access.replaced_file import replace_file
from vault_server.rpc.admission import Call, Calls
from vault_server.rpc.call_audit import unit_of
from vault_server.rpc.call_context import CallContext
from vault_server.rpc.worker_group import WorkerGroup
from vault_server.settings import ServerSettings

T = TypeVar("T")

logger: Final = logging.getLogger(__name__)

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["AdminService"].full_name


class AdminService(admin_pb2_grpc.AdminServiceServicer):
    """Its methods are for principals with the scope admin on all units, by an identity that the server knows: whoever
    calls where nobody is asked is none. Each `context` is a CallContext."""

    def __init__(self, access: AccessControl, calls: Calls, store: AsyncStore, settings: ServerSettings) -> None:
        self._access = access
        self._calls = calls
        self._store = store
        self._worker = settings.worker or 0
        self._workers = WorkerGroup(settings.workers_folder, self._worker, self._answer)

    async def start(self) -> None:
        """Answers other workers. Raises StorageError when it cannot."""
        try:
            await self._workers.start()
        except OSError as error:
            raise StorageError(f"workers cannot reach each other: {error.strerror}") from error

    def stop(self) -> None:
        self._workers.stop()

    async def ListPrincipals(self, request: pb.ListPrincipalsRequest, context: Any) -> pb.ListPrincipalsResponse:
        _require_admin(context)
        identities = await self._with_file(read_identities)
        return pb.ListPrincipalsResponse(principals=[_to_wire(each) for each in identities.values()])

    async def AddToken(self, request: pb.AddTokenRequest, context: Any) -> pb.AddTokenResponse:
        _require_admin(context)
        expires = request.expires_at.ToDatetime(UTC) if request.HasField("expires_at") else None
        grants = [_grant(each) for each in request.grants]

        def add(identities: Identities) -> tuple[Identities, tuple[str, Identity]]:
            after, token = token_changes.add_token(
                identities, request.principal, now=datetime.now(UTC), grants=grants, expires=expires
            )
            return after, (token, after[request.principal])

        token, identity = await self._change(add)
        return pb.AddTokenResponse(token=token, principal=_to_wire(identity))

    async def RevokeTokens(self, request: pb.RevokeTokensRequest, context: Any) -> pb.RevokeTokensResponse:
        _require_admin(context)
        revoke = partial(token_changes.revoke_tokens, name=request.principal, token_id=request.id or None)
        return pb.RevokeTokensResponse(tokens=await self._change(revoke))

    async def GetAllowlist(self, request: pb.GetAllowlistRequest, context: Any) -> pb.GetAllowlistResponse:
        _require_admin(context)
        networks = self._access.allowlist.networks
        return pb.GetAllowlistResponse(networks=() if networks is None else map(str, networks.networks))

    async def SetAllowlist(self, request: pb.SetAllowlistRequest, context: Any) -> pb.SetAllowlistResponse:
        _require_admin(context)
        file, path = self._access.allowlist.file, self._access.settings.allow_file
        if file is None or path is None:
            raise UnsupportedError("this server has no allowlist that can be changed: --allow-file names one")
        networks = Networks.parse(request.networks)
        given = Networks.parse(self._access.settings.allow)
        if not networks.networks:
            raise _bad_network("an allowlist without networks would shut everybody out; all are 0.0.0.0/0 and ::/0")
        if missing := [str(each) for each in given.networks if each not in networks.networks]:
            raise _bad_network(f"{', '.join(missing)} is of the server's --allow, which no call takes back")
        if peer_address(context.peer()) not in networks:
            raise _bad_network("the address of this very call is not among them: it would be shut out")
        listed = [f"{each}\n" for each in networks.networks if each not in given.networks]
        try:
            await on_thread(None, replace_file, path, "".join(listed))
        except OSError as error:
            raise StorageError(f"the allowlist cannot be written: {error.strerror}") from error
        await on_thread(None, partial(file.look, settle=False))
        file.deliver()
        return pb.SetAllowlistResponse()

    async def ListCalls(self, request: pb.ListCallsRequest, context: Any) -> pb.ListCallsResponse:
        _require_admin(context)
        reply = pb.ListCallsResponse()
        for answer in await self._workers.ask({"ask": "calls"}):
            for call in answer["calls"]:
                began = Timestamp()
                began.FromNanoseconds(call.pop("began"))
                reply.calls.add(began_at=began, **call)
        return reply

    async def CutCalls(self, request: pb.CutCallsRequest, context: Any) -> pb.CutCallsResponse:
        _require_admin(context)
        if not request.principal and not request.address:
            raise InvalidArgumentError("a principal or an address is needed, or both")
        if request.principal:
            check_principal(request.principal)
        if request.address:
            parse_network(request.address)
        question = {"ask": "cut", "principal": request.principal, "address": request.address}
        answers = await self._workers.ask(question)
        return pb.CutCallsResponse(calls=sum(answer["cut"] for answer in answers))

    async def PurgeRetained(self, request: pb.PurgeRetainedRequest, context: Any) -> pb.PurgeRetainedResponse:
        _require_admin(context)
        if request.unit:
            check_unit(request.unit)
        purge = getattr(self._store, "purge_retained", None)
        if purge is None:
            raise UnsupportedError(
                f"{type(self._store).__name__} does not tell what it retains: purge it at its server"
            )
        purged = await purge(request.unit or None)
        return pb.PurgeRetainedResponse(objects=purged.objects, bytes=purged.bytes)

    async def _change(self, change: Callable[[Identities], tuple[Identities, T]]) -> T:
        """Changes the identity file; when it returns, this worker goes by it. Others do within POLL_SECONDS."""
        result: T = await self._with_file(change_identities, change)
        file = self._access.identities
        assert file is not None  # noqa: S101  # there is one where the service is offered
        await on_thread(None, partial(file.look, settle=False))
        file.deliver()
        return result

    async def _with_file(self, work: Callable[..., T], *arguments: Any) -> T:
        """What some work with the identity file comes to, on a thread; paths stay here."""
        try:
            result: T = await on_thread(None, work, self._access.settings.tokens, *arguments)
            return result
        except OSError as error:
            logger.error("the identity file is not usable", extra={"detail": str(error)})  # noqa: TRY400
            raise StorageError(f"the identity file is not usable: {error.strerror}") from error
        except VaultError as error:
            if error.reason not in ("BAD_IDENTITIES", "FILE_NOT_FOUND", "UNAVAILABLE"):
                raise
            logger.error("the identity file is not usable", extra={"detail": error.message})  # noqa: TRY400
            raise StorageError("the identity file is not usable: the server's log says why") from error

    def _answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """What this worker says to a question of any."""
        if question["ask"] == "calls":
            return {"calls": [self._told(call) for call in self._calls.running()]}
        principal, address = question["principal"], question["address"]
        networks = Networks.parse([address]) if address else None
        error = UnavailableError("an administrator of the server has ended the call", reason="CANCELLED")

        def decide(call: Call) -> VaultError | None:
            if call.method == f"/{SERVICE_NAME}/CutCalls" or (principal and call.principal.name != principal):
                return None
            return None if networks is not None and not _is_in(call.peer, networks) else error

        return {"cut": self._calls.cut(decide)}

    def _told(self, call: Call) -> dict[str, Any]:
        return {
            "principal": call.principal.name,
            "peer": unquote(call.peer),
            "method": call.method,
            "unit": unit_of(call.request),
            "began": time.time_ns() - int((time.perf_counter() - call.began) * 1e9),
            "worker": self._worker,
        }


def _require_admin(context: CallContext) -> None:
    principal = context.principal
    if not principal.name or not principal.is_admin:
        raise denied(principal, "admin")


def _is_in(peer: str, networks: Networks) -> bool:
    """Whether a call comes from one of some networks; one of a unix socket, which has no address, does not."""
    try:
        address = peer_address(peer)
    except ValueError:  # of a connection that is gone
        return False
    return address is not None and address in networks


def _bad_network(why: str) -> InvalidArgumentError:
    return InvalidArgumentError(why, reason="BAD_NETWORK")


def _grant(wire: vault_pb2.Grant) -> Grant:
    return Grant.parse(f"{wire.units}:{','.join(wire.scopes)}")


def _to_wire(identity: Identity) -> pb.Principal:
    found = pb.Principal(name=identity.name, certificates=identity.certificates)
    for grant in identity.grants:
        found.grants.add(units=grant.units, scopes=[scope for scope in SCOPES if scope in grant.scopes])
    for token in identity.tokens:
        kept = found.tokens.add(id=token.id)
        kept.created_at.FromDatetime(token.created)
        if token.expires is not None:
            kept.expires_at.FromDatetime(token.expires)
    return found
