"""A connection to a server on an event loop, and its calls, over grpc.aio."""

import asyncio
import math
import weakref
from typing import Any

import grpc
import grpc.aio

from vault._grpc.address import parse_address
from vault._grpc.async_streams import AsyncDuplex, AsyncReceiver, is_cancelled
from vault._grpc.calls import (
    Attempts,
    Retired,
    closed,
    is_sign_of_life,
    make_stub,
    patience_of,
    something,
    stalled,
    timed_out,
)
from vault._grpc.settings import OPTIONS
from vault._runtime.fork import fork_count, is_inherited, never_free, renew_after_fork
from vault._runtime.sync_async import AsyncAffinity
from vault.errors import ClosedError, ProtocolError, UnavailableError
from vault.store.connection import ConnectionSettings, check_connection

_claims: list[int] = []


class AsyncChannel:
    """A connection to a server, made at the first call. Belongs to the event loop of that call."""

    def __init__(self, address: str, connection: ConnectionSettings) -> None:
        """Does no I/O.

        Args:
            address: host:port, grpc://host:port or unix:PATH.
            connection: How it is reached.

        Raises:
            InvalidArgumentError: BAD_ADDRESS, BAD_PROXY, BAD_SETTING.
        """
        check_connection(connection)
        self._route = parse_address(address, connection.proxy)
        self.address = self._route.shown
        self.timeout = float(connection.timeout)
        self.patience = patience_of(self.timeout)
        self._channel: grpc.aio.Channel | None = None
        self._affinity = AsyncAffinity(f"the connection to {self.address}")
        self._closed = False
        self._calls: weakref.WeakSet[Any] = weakref.WeakSet()
        self._retired = Retired()
        renew_after_fork(self)

    async def unary(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """One request, one reply.

        Args:
            timeout: Seconds, if not those of every call.
        """
        attempts = Attempts(self.address, timeout or self.timeout)
        patience = attempts.first_patience
        while True:
            call = self._method(method)(request, timeout=min(patience, attempts.remaining))
            self._calls.add(call)
            try:
                return something(await call, self.address, method)
            except grpc.RpcError as error:
                if timed_out(error) and patience < math.inf:  # on this connection; perhaps it is that
                    self._stall(call)
                    patience = math.inf
                    continue
                await self._pause(attempts, error)
            except asyncio.CancelledError as error:
                if self._closed and not is_cancelled():
                    raise closed(self.address) from error
                raise

    async def stream(
        self, method: str, request: Any, *, idle: float | None = None, attempts: Attempts | None = None
    ) -> AsyncReceiver:
        """One request, many replies; returns when the first is here.

        Args:
            idle: Seconds between two messages, where the stream has a pace of its own; the timeout otherwise.
            attempts: Those of the transfer that this stream goes on with.
        """
        attempts = attempts or Attempts(self.address, self.timeout)
        self.require_own_loop()
        for idle_channel in self._retired.take_idle():
            await idle_channel.close()
        while True:
            call = self._method(method)(request)
            self._calls.add(call)
            patience = attempts.first_patience
            try:
                async with asyncio.timeout(patience):
                    first = await call.read()
                first = something(None if first is grpc.aio.EOF else first, self.address, method)
                return AsyncReceiver(call, first, self.address, idle or self.timeout, self._stall)
            except TimeoutError:
                self._stall(call)
                call.cancel()
                await asyncio.sleep(attempts.wait(stalled(self.address, patience)))
            except ProtocolError:
                call.cancel()
                raise
            except grpc.RpcError as error:
                await self._pause(attempts, error)
            except asyncio.CancelledError as error:
                call.cancel()
                if self._closed and not is_cancelled():
                    raise closed(self.address) from error
                raise

    async def duplex(self, method: str, start: Any, attempts: Attempts | None = None) -> tuple[AsyncDuplex, Any]:
        """Messages both ways; returns when the first reply to `start` is here, with that reply.

        Args:
            attempts: Those of the transfer that this call goes on with.
        """
        attempts = attempts or Attempts(self.address, self.timeout)
        self.require_own_loop()
        for idle_channel in self._retired.take_idle():
            await idle_channel.close()
        while True:
            call = self._method(method)()
            self._calls.add(call)
            duplex = AsyncDuplex(call, self.address, attempts.patience, self._is_closed, self._stall)
            try:
                await duplex.send(start)
                first = await duplex.receive(attempts.first_patience)
                while is_sign_of_life(first):
                    attempts.sign_of_life()
                    first = await duplex.receive(attempts.first_patience)
                return duplex, something(first, self.address, method)
            except UnavailableError as error:
                duplex.cancel()
                await duplex.finish()
                await asyncio.sleep(attempts.wait(error))
            except BaseException:
                duplex.cancel()
                await duplex.finish()
                raise

    async def close(self) -> None:
        """Ends every call that is running with ClosedError. Harmless when repeated.

        Raises:
            InvalidArgumentError: OTHER_LOOP, it is in use by another event loop, which is not closed.
        """
        self._affinity.require_closable()
        self._closed = True
        if self._channel is not None:
            self._retired.add(self._channel, self._calls, 0)
            self._channel = None
        for channel, calls in self._retired.take_all():
            for call in calls:
                call.cancel()
            await channel.close()

    def renew(self) -> None:
        """In a forked child: forgets the parent's connection, and the tasks that it is in the middle of."""
        tasks = () if self._affinity.loop is None else asyncio.all_tasks(self._affinity.loop)
        never_free((self._channel, list(self._calls), self._retired.take_all(), tasks))
        self._channel = None
        self._affinity.renew()
        self._calls = weakref.WeakSet()
        self._retired = Retired()

    def require_own_loop(self) -> None:
        """Raises InvalidArgumentError, OTHER_LOOP, on another event loop than that of the first call."""
        self._affinity.require()

    def _is_closed(self) -> bool:
        return self._closed

    def _stall(self, call: Any) -> None:
        """Nothing came for a call for too long: the next ones get a new connection, in case it is that."""
        if call not in self._calls or self._channel is None:
            return
        self._retired.add(self._channel, self._calls, self.timeout)
        self._channel = None
        self._calls = weakref.WeakSet()

    async def _pause(self, attempts: Attempts, error: grpc.RpcError) -> None:
        if self._closed:
            raise closed(self.address) from error
        await asyncio.sleep(attempts.pause(error))

    def _method(self, name: str) -> Any:
        if self._closed:
            raise closed(self.address)
        self.require_own_loop()
        if self._channel is None:
            claim_grpc_aio()
            self._channel = grpc.aio.insecure_channel(self._route.target, options=[*OPTIONS, *self._route.options])
            self._stub = make_stub(self._channel)
        return getattr(self._stub, name)


def claim_grpc_aio() -> None:
    """Notes that this process uses grpc.aio; ClosedError when one that it was forked from did.

    What polls for all of grpc.aio is a thread that a child does not have: calls would wait for ever there.
    """
    _claims[:] = _claims or [fork_count()]
    if is_inherited(_claims[0]):
        raise ClosedError(
            "gRPC was used on an event loop before the fork, and cannot be again in the child: use a sync vault here, "
            "or start this process by spawn or forkserver"
        )
