"""The parts of a server that runs: one service, and a gRPC server for each address."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from vault.errors import UnavailableError, UnsupportedError
from vault.store.contract import AsyncStore, Store
from vault.store.threaded import ThreadedStore
from vault.v1 import admin_pb2_grpc, vault_pb2, vault_pb2_grpc

from vault_server.access.control import AccessControl
from vault_server.access.listeners import Listener
from vault_server.client_connections import ClientConnections
from vault_server.listen_address import Listen
from vault_server.rpc.admin_service import SERVICE_NAME as ADMIN
from vault_server.rpc.admin_service import AdminService
from vault_server.rpc.admission import Calls
from vault_server.rpc.authentication import Authentication
from vault_server.rpc.health import SERVICE_NAME as HEALTH
from vault_server.rpc.health import Health
from vault_server.rpc.interceptor import CallInterceptor
from vault_server.rpc.refusal_log import RefusalLog
from vault_server.rpc.server_credentials import server_credentials
from vault_server.rpc.service import VaultService
from vault_server.settings import ServerSettings
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore

SERVICE_NAME: Final = vault_pb2.DESCRIPTOR.services_by_name["VaultService"].full_name

_LAST_REPLIES: Final = 1.0
"""Seconds for replies that are written but not sent yet, when a server stops."""

_CLEANUP: Final = 5.0
"""Seconds for cancelled calls to give back what they hold."""


@dataclass(frozen=True, slots=True)
class Service:
    """A gRPC service of your own, on the same server.

    Attributes:
        name: Its full name, for health and reflection: "package.Service".
        add: Adds the servicer: `lambda server: add_MyServicer_to_server(MyServicer(), server)`. Its methods
            are async; what they raise is answered as for VaultService. It is called for each listener.
        scope: Who may call it where it is asked who calls: "admin", the server's administrators; "identity", whoever
            has one; "open", anybody. Finer rules are the servicer's own: its context has the `principal`.
    """

    name: str
    add: Callable[[grpc.aio.Server], None]
    scope: Literal["admin", "identity", "open"] = "admin"


class RunningServer:
    """What `AsyncServer` starts and stops. Belongs to the event loop that it is made in."""

    def __init__(self, store: Store | AsyncStore, settings: ServerSettings, access: AccessControl) -> None:
        if access.identities is not None:
            _require_principals(store)
        self._settings = settings
        self._access = access
        self._connections = ClientConnections()
        named = access.identities is not None
        self._calls = Calls(settings, self._connections, named=named)
        self._calls.allow(access.allowlist.networks)
        access.allowlist.on_change(self._calls.allow)
        self._refusals = RefusalLog()
        self._servers: list[grpc.aio.Server] = []
        self._looking = asyncio.get_running_loop().create_task(self._calls.enforce_limits(), name="vault-calls")
        self._expiring: asyncio.Task[None] | None = None
        self._adapters = contextlib.AsyncExitStack()
        if not isinstance(store, AsyncStore):
            store = AsyncEmbeddedStore(store) if isinstance(store, EmbeddedStore) else ThreadedStore(store)
            self._adapters.push_async_callback(store.close)
        self._service = VaultService(store, settings, self._refusals)
        self._admin: AdminService | None = None
        if access.has_admin:
            self._admin = AdminService(access, self._calls, store, settings)

    async def start(
        self,
        listeners: Sequence[Listener],
        services: Sequence[Service],
        interceptors: Sequence[grpc.aio.ServerInterceptor],
    ) -> tuple[str, ...]:
        """Listens at all addresses, or at none. Returns them as clients are given them."""
        names = (SERVICE_NAME, *([ADMIN] if self._admin is not None else ()), *(service.name for service in services))
        self._health = Health(names)
        options = dict(self._settings.options())
        most = max(1, self._settings.connections // len(listeners))
        options["grpc.max_allowed_incoming_connections"] = self._calls.most_connections = most
        authentication = None
        if self._access.identities is not None:
            own = {service.name: service.scope for service in services}
            authentication = Authentication(self._access.identities, self._calls, own)
            self._expiring = asyncio.get_running_loop().create_task(authentication.keep_expiring(), name="vault-expiry")
        try:
            self._access.start()
            if self._admin is not None:
                await self._admin.start()
            shown = []
            for listener in listeners:
                listen = listener.listen
                ours = CallInterceptor(self._calls, self._refusals, self._access, listener, authentication)
                surrounding = (ours, *interceptors)
                server = grpc.aio.server(interceptors=surrounding, options=list(options.items()))
                self._servers.append(server)
                # A server waits at each call for every registered method at once (grpc/grpc#43461): a tenth of a load.
                # Its generic handlers, which services add as well, do without.
                server.add_registered_method_handlers = lambda *_: None  # type: ignore[method-assign]
                vault_pb2_grpc.add_VaultServiceServicer_to_server(self._service, server)
                if self._admin is not None:
                    admin_pb2_grpc.add_AdminServiceServicer_to_server(self._admin, server)
                for service in services:
                    service.add(server)
                health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
                reflection.enable_server_reflection((*names, HEALTH, reflection.SERVICE_NAME), server)
                try:
                    if listener.tls:
                        port = server.add_secure_port(listen.target, server_credentials(self._access, listener))
                    elif listen.path:
                        port = _add_socket(server, listen, 0o660 if self._settings.group_access else 0o600)
                    else:
                        port = server.add_insecure_port(listen.target)
                except RuntimeError as error:  # of whatever went wrong; `prepare` found the usual causes
                    raise UnavailableError(f"cannot listen on {listen.target}: {error}") from error
                self._connections.add_port(port)
                shown.append(listener.shown(port))
            for server in self._servers:
                await server.start()
        except BaseException:
            await self._end(0)
            raise
        return tuple(shown)

    async def stop(self, grace: float) -> None:
        """Drains, and ends what still runs after `grace` seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        # First, so that whoever watches health knows before calls are refused.
        self._health.stop()
        self._calls.drain()
        finished = await self._calls.idle(grace)
        self._calls.end_housekeeping()
        # A call that has returned may not have sent its reply yet.
        await self._end(max(end - loop.time(), _LAST_REPLIES) if finished else 0)

    async def _end(self, grace: float) -> None:
        try:
            await asyncio.gather(*(server.stop(grace) for server in self._servers))
            await self._calls.idle(_CLEANUP)
        finally:
            self._looking.cancel()
            if self._expiring is not None:
                self._expiring.cancel()
            self._refusals.close()
            if self._admin is not None:
                self._admin.stop()
            self._access.stop()
            await self._adapters.aclose()


def _add_socket(server: grpc.aio.Server, listen: Listen, mode: int) -> int:
    """Makes a unix socket to which nobody can connect, at no moment, whom `mode` does not name."""
    mask = os.umask(0o777 ^ mode)  # the whole process's, for as long as it takes to bind
    try:
        port = server.add_insecure_port(listen.target)
    finally:
        os.umask(mask)
    Path(listen.path).chmod(mode)  # where the folder has a default access list, no mask is heeded
    return port


def _require_principals(store: Store | AsyncStore) -> None:
    try:
        store.for_principal("anybody")
    except UnsupportedError as error:
        raise UnsupportedError(
            f"a server asks who calls where its store tells principals apart, which {type(store).__name__} does not: "
            "ask at the server that has the objects"
        ) from error
