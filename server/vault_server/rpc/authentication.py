"""Who calls, asked at each call; and the end of the calls of those who may not go on."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import grpc
from vault._runtime.watched_file import WatchedFile
from vault.errors import UnauthenticatedError, UnavailableError, VaultError

from vault_server.access.authentication import Authenticator
from vault_server.access.grants import Principal, denied
from vault_server.rpc.admission import WATCH, Call, Calls
from vault_server.rpc.method_scopes import METHOD_SCOPES, MethodScope, require_method

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]
Check: TypeAlias = Callable[[Call, Metadata, "grpc.aio.ServicerContext[Any, Any]"], Awaitable[None]]

_PATIENCE: Final = 1.0
"""Seconds for which who is not known waits for the file to be read again, where it has changed."""

_TICK: Final = 0.25
"""Seconds by which a call outlives its token at the most."""


class Authentication:
    """Belongs to one event loop.

    Args:
        file: Who is known. Calls are cut as its changes are delivered.
        calls: Those that run.
        own: The scopes of services that are not ours, by their names.
    """

    def __init__(self, file: WatchedFile[Authenticator], calls: Calls, own: Mapping[str, MethodScope]) -> None:
        self._file = file
        self._authenticator = file.content
        self._news = asyncio.Event()
        self._calls = calls
        self._own = own
        self._next_expiry = self._authenticator.next_expiry()
        file.on_change(self._changed)

    def scope_of(self, method: str) -> MethodScope | None:
        """What a method asks for; None: it is refused to everybody."""
        return METHOD_SCOPES.get(method) or self._own.get(method[1:].rpartition("/")[0])

    def check_of(self, method: str) -> Check | None:
        """What gives a call of this method its principal, and raises UnauthenticatedError where nobody knows him, or
        PermissionDeniedError where he may not make it; None: nobody is asked."""
        scope = self.scope_of(method)
        if scope == "open":
            return None

        async def check(call: Call, metadata: Metadata, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
            await self.authenticate(call, metadata, context)
            require_method(call.principal, method, scope)

        return check

    async def authenticate(self, call: Call, metadata: Metadata, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        """Gives a call its principal. A token works as soon as it is in the file: who is not known waits where that is
        yet to be read.

        Raises:
            UnauthenticatedError: Nobody knows.
        """
        try:
            call.principal = self._known(metadata, context)
        except UnauthenticatedError:
            if not self._file.is_behind:
                raise
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._news.wait()
            call.principal = self._known(metadata, context)

    def _known(self, metadata: Metadata, context: "grpc.aio.ServicerContext[Any, Any]") -> Principal:
        known = self._authenticator
        names = certificate_names(context.auth_context()) if known.has_certificates else ()  # it takes 8 µs
        return known.authenticate([value for key, value in metadata if key == "authorization"], names)

    async def keep_expiring(self) -> None:
        """Cuts the calls whose token has expired, until it is cancelled."""
        while True:
            await asyncio.sleep(_TICK)
            if time.time() >= self._next_expiry:
                self._reconsider()

    def _changed(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._news.set()
        self._news = asyncio.Event()
        self._reconsider()

    def _reconsider(self) -> None:
        self._next_expiry = self._authenticator.next_expiry()
        self._calls.cut(self._over)

    def _over(self, call: Call) -> VaultError | None:
        """What a call is to be cut with; otherwise it goes on with the grants of now."""
        before = call.principal
        now = self._authenticator.renewed(before)
        if now is None:
            return UnauthenticatedError("the token, or certificate, was revoked or has expired", reason="REVOKED")
        call.principal = now
        if now.grants == before.grants:
            return None
        if call.method == WATCH:
            return UnavailableError("grants changed: watch anew")
        try:
            require_method(now, call.method, self.scope_of(call.method))
        except VaultError as error:
            return error
        lost = next(((unit, scope) for unit, scope in call.uses if scope not in now.scopes(unit)), None)
        return None if lost is None else denied(now, lost[1], lost[0])


def certificate_names(auth_context: Mapping[str, Iterable[bytes]]) -> Iterator[str]:
    """The alternative names of a client's certificate that may say who it is, of what gRPC knows of a connection.

    Never its common name, which authorities do not check and which need not be unique.
    """
    for raw in auth_context.get("peer_uri", ()):
        yield f"uri:{raw.decode('utf-8', 'replace')}"
    for raw in auth_context.get("peer_dns", ()):
        yield f"dns:{raw.decode('utf-8', 'replace').lower()}"
