"""The server: a Store, made reachable over gRPC. `AsyncServer` for event loops, `Server` for everybody else."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Final, Self

import grpc
from vault._grpc.async_connection import claim_grpc_aio
from vault._runtime.blocking import on_thread, start_thread
from vault._runtime.fork import never_free, renew_after_fork
from vault._runtime.sync_async import AsyncAffinity, Event
from vault.errors import ClosedError, InvalidArgumentError
from vault.store.contract import AsyncStore, Store
from vault.store.limits import check_seconds

from vault_server.access.control import AccessControl
from vault_server.access.listeners import given_away, listeners_of
from vault_server.access.settings import AccessSettings
from vault_server.rpc.running_server import RunningServer, Service
from vault_server.settings import DEFAULT_GRACE, ServerSettings

logger: Final = logging.getLogger("vault_server")


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
        self._running: RunningServer | None = None
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
        running = RunningServer(self._store, self._settings, access)
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


def _require_store(store: object) -> None:
    if not isinstance(store, Store | AsyncStore):
        raise InvalidArgumentError(
            f"a server takes a Store or an AsyncStore, not {store!r}; of a directory: EmbeddedStore(DIRECTORY)",
            reason="BAD_LOCATION",
        )


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
