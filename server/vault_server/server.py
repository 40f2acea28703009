"""The server: a Store, made reachable over gRPC. `AsyncServer` for event loops, `Server` for everybody else."""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, Self

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from vault._grpc.async_connection import claim_grpc_aio
from vault._runtime.blocking import on_thread, start_thread
from vault._runtime.fork import never_free, renew_after_fork
from vault._runtime.sync_async import AsyncAffinity, Event
from vault.errors import ClosedError, InvalidArgumentError, UnavailableError, UnsupportedError
from vault.store.contract import AsyncStore, Store
from vault.store.limits import check_seconds
from vault.store.threaded import ThreadedStore
from vault.v1 import admin_pb2_grpc, vault_pb2, vault_pb2_grpc

from vault_server.access.control import AccessControl
from vault_server.access.listeners import Listener, given_away, listeners_of
from vault_server.access.settings import AccessSettings
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
from vault_server.settings import DEFAULT_GRACE, ServerSettings
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore

logger: Final = logging.getLogger("vault_server")

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


class AsyncServer:
    """Serves a Store over gRPC, with grpc.health.v1 and reflection. Belongs to the event loop it is started in.

        async with AsyncEmbeddedStore("./storage") as store, AsyncServer(store) as server:
            print(server.address)
            await server.wait()

    It serves once: after `stop` make another one.

    Args:
        store: Any Store or AsyncStore. It stays open when the server stops: whoever made it closes it.
        listen: HOST:PORT, [IPv6]:PORT (port 0: any free one), each also as grpcs://… (TLS) or grpc://… (plain), or
            unix:PATH; or several, which share what the server allows. Without a scheme it is TLS where `access` has a
            certificate, on loopback too. After ? client-certs=required|none or identity=required|none, joined by &,
            for other than what `access` says.
        access: Who may connect, and over which channel. None: whoever is on this machine, and nobody else.
        interceptors: Own interceptors, the first one outermost. What they raise is answered as for servicers.
        services: Own services.
        settings: Limits.

    Raises:
        InvalidArgumentError: BAD_LOCATION, `store` is no Store; BAD_ADDRESS, `listen` is none, or one of it is;
            BAD_SETTING, `listen` and `access` do not go together.
    """

    def __init__(
        self,
        store: Store | AsyncStore,
        listen: str | Sequence[str] = "127.0.0.1:0",
        *,
        access: AccessSettings | None = None,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        services: Sequence[Service] = (),
        settings: ServerSettings | None = None,
    ) -> None:
        _require_store(store)
        self._store = store
        self._access = access or AccessSettings()
        self._listeners = listeners_of(listen, self._access)
        self._interceptors = tuple(interceptors)
        self._services = tuple(services)
        self._settings = settings or ServerSettings()
        self._addresses: tuple[str, ...] = ()
        self._running: _Running | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self._affinity = AsyncAffinity("the server")
        renew_after_fork(self)

    @property
    def address(self) -> str:
        """Where it listens, with the real port: "127.0.0.1:50051", "grpcs://127.0.0.1:50051" or "unix:/path".

        Raises:
            ClosedError: It has not been started.
        """
        return self.addresses[0]

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them, in the order of `listen`."""
        if not self._addresses:
            raise ClosedError("the server has no address before it is started")
        return self._addresses

    async def start(self) -> None:
        """Listens; when it returns, clients can connect. Harmless when repeated.

        Raises:
            InvalidArgumentError: BAD_ADDRESS, it cannot listen there: no such host or folder; BAD_SETTING, it would be
                open to other machines without TLS, or without asking who calls, and `access` does not allow that;
                or one of its files is not usable.
            UnsupportedError: It asks who calls, and its store does not tell principals apart.
            UnavailableError: ADDRESS_IN_USE; or this user may not listen there.
            ClosedError: It was stopped before.
        """
        self._affinity.require()
        if self._stopping is not None or self._stopped.is_set():
            raise ClosedError("the server was stopped; make another one")
        if self._running is not None:
            return
        warnings = await on_thread(None, given_away, self._listeners, self._access)
        if self._settings.share_port:  # then somebody who holds the port for all has looked, and says it
            warnings = []
        else:
            for each in self._listeners:
                await on_thread(None, each.listen.prepare)
        access = await on_thread(None, AccessControl, self._access, self._settings.worker)
        claim_grpc_aio()
        running = _Running(self._store, self._settings, access)
        self._addresses = await running.start(self._listeners, self._services, self._interceptors)
        self._running = running
        for warning in warnings:
            logger.warning(warning)

    async def stop(self, grace: float = DEFAULT_GRACE) -> None:
        """Drains and ends. Harmless when repeated, also while it runs; then `grace` is the first caller's.

        Health says NOT_SERVING, watches end and new calls are refused (UNAVAILABLE) at once; running
        transfers have `grace` seconds to finish and are cancelled then, which leaves nothing of them.

        Raises:
            InvalidArgumentError: BAD_SETTING, `grace` is no number of seconds from 0 to a year; OTHER_LOOP, it
                was started in another event loop. When that is closed, the port is held until the process ends.
        """
        check_seconds("grace", grace, zero=True)
        if self._stopped.is_set():
            return
        self._affinity.require()
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(grace))
        await asyncio.shield(self._stopping)

    async def _stop(self, grace: float) -> None:
        try:
            if self._running is not None:
                await self._running.stop(grace)
                for each in self._listeners:
                    if each.listen.path:
                        Path(each.listen.path).unlink(missing_ok=True)  # noqa: ASYNC240  # also with no thread left
        finally:
            self._stopped.set()

    async def wait(self) -> None:
        """Returns when the server has stopped."""
        self._affinity.require()
        await self._stopped.wait()

    def renew(self) -> None:
        """In a forked child: one that serves is the parent's, and here as one that was stopped. Called for you."""
        self._affinity.renew()
        self._stopped = asyncio.Event()
        if self._running is not None:
            never_free(self._running)
            self._running = None
            self._stopped.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()


class _Running:
    """The parts of a server that runs: one service, and a gRPC server for each listener."""

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


def _require_store(store: object) -> None:
    if not isinstance(store, Store | AsyncStore):
        raise InvalidArgumentError(
            f"a server takes a Store or an AsyncStore, not {store!r}; of a directory: EmbeddedStore(DIRECTORY)",
            reason="BAD_LOCATION",
        )


def _require_principals(store: Store | AsyncStore) -> None:
    try:
        store.for_principal("anybody")
    except UnsupportedError as error:
        raise UnsupportedError(
            f"a server asks who calls where its store tells principals apart, which {type(store).__name__} does not: "
            "ask at the server that has the objects"
        ) from error


class Server:
    """AsyncServer for sync code: the same, with its event loop in a thread. Methods may be called from any thread.

    with EmbeddedStore("./storage") as store, Server(store) as server:
        print(server.address)
        server.wait()
    """

    def __init__(
        self,
        store: Store | AsyncStore,
        listen: str | Sequence[str] = "127.0.0.1:0",
        *,
        access: AccessSettings | None = None,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        services: Sequence[Service] = (),
        settings: ServerSettings | None = None,
    ) -> None:
        _require_store(store)
        listeners_of(listen, access or AccessSettings())
        self._make = partial(
            AsyncServer, store, listen, access=access, interceptors=interceptors, services=services, settings=settings
        )
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: AsyncServer | None = None
        self._stopped = Event()

    @property
    def address(self) -> str:
        """See AsyncServer.address."""
        return self.addresses[0]

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them, in the order of `listen`."""
        if self._server is None:
            raise ClosedError("the server has no address before it is started")
        return self._server.addresses

    def start(self) -> None:
        """See AsyncServer.start."""
        with self._lock:
            if self._stopped.is_set():
                raise ClosedError("the server was stopped; make another one")
            if self._thread is not None:
                return
            started: Future[None] = Future()
            # A daemon, so that a program that forgets to stop its server can end; it loses nothing by it.
            self._thread = start_thread(lambda: asyncio.run(self._serve(started)), "vault-server")
            try:
                started.result()
            except Exception:
                self._thread.join()
                self._thread = None
                raise

    async def _serve(self, started: "Future[None]") -> None:
        server = self._make()
        try:
            await server.start()
        except BaseException as error:  # noqa: BLE001  # raised in the thread that waits for it
            started.set_exception(error)
            return
        self._loop = asyncio.get_running_loop()
        self._server = server
        started.set_result(None)
        await server.wait()

    def stop(self, grace: float = DEFAULT_GRACE) -> None:
        """See AsyncServer.stop."""
        check_seconds("grace", grace, zero=True)
        with self._lock:
            thread, loop, server = self._thread, self._loop, self._server
            if thread is None or loop is None or server is None:
                self._stopped.set()
                return
            if thread.is_alive():
                asyncio.run_coroutine_threadsafe(server.stop(grace), loop).result()
                thread.join()
            self._stopped.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the server has stopped, at most `timeout` seconds. Returns whether it has."""
        return self._stopped.wait(timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
