"""gRPC calls with one shape on both sides: AsyncChannel over grpc.aio, Channel over grpc.

Both raise errors of `vault.errors` only. A call may go `timeout` seconds without progress: for a unary
call that is its deadline, retries included; for a stream it is the longest wait for one message. What
can be sent again (all of Vault's calls can: reads, and writes under a request id) is sent again while
the server is away.
"""

import asyncio
import collections
import contextlib
import json
import math
import os
import random
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import grpc
import grpc.aio

from vault.address import parse_address
from vault.errors import ClosedError, InvalidArgumentError, ProtocolError, UnavailableError, VaultError
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault.wire.status import error_from_rpc

MAX_MESSAGE_SIZE: Final = 4 << 20
"""Bytes in one message, each way: gRPC's usual limit."""

_FIRST_BACKOFF: Final = 0.1
_LAST_BACKOFF: Final = 1.0
_SEND_AHEAD: Final = 2  # messages: one on its way, one ready
_READS: Final = ("GetCapabilities", "Exists", "Stat", "List", "ListUnits", "Load", "LoadMany")

_OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.max_send_message_length", MAX_MESSAGE_SIZE),
    ("grpc.max_receive_message_length", MAX_MESSAGE_SIZE),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Two clients in one process must not share a connection: its flow control would couple them, and
    # closing one would not close it.
    ("grpc.use_local_subchannel_pool", 1),
    (
        "grpc.service_config",
        json.dumps(
            {
                "methodConfig": [
                    {
                        "name": [{"service": "vault.v1.VaultService", "method": method} for method in _READS],
                        "retryPolicy": {
                            "maxAttempts": 4,
                            "initialBackoff": f"{_FIRST_BACKOFF}s",
                            "maxBackoff": f"{_LAST_BACKOFF}s",
                            "backoffMultiplier": 2,
                            "retryableStatusCodes": ["UNAVAILABLE"],
                        },
                    }
                ]
            }
        ),
    ),
]


def check_timeout(timeout: float) -> float:
    """`timeout`, when it is a number of seconds above 0; InvalidArgumentError when not."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
        raise InvalidArgumentError(f"bad timeout {timeout!r}: seconds, above 0", reason="BAD_TIMEOUT")
    return float(timeout)


class _Attempts:
    """When to try again, and what to say when trying is over. No I/O."""

    def __init__(self, address: str, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._backoff = _FIRST_BACKOFF

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; never 0, which gRPC would take for none."""
        return max(self._deadline - time.monotonic(), 0.001)

    def pause(self, failure: grpc.RpcError) -> float:
        """Seconds to wait before the next attempt; raises what the failure comes to when there is none."""
        error = error_from_rpc(failure, address=self._address)
        if not isinstance(error, UnavailableError):
            raise error from failure
        wait: float = max(error.context.get("retry_after", 0.0), self._backoff * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        self._backoff = min(self._backoff * 2, _LAST_BACKOFF)
        if error.reason in ("TIMEOUT", "CANCELLED") or time.monotonic() + wait >= self._deadline:
            raise UnavailableError(
                f"no answer from {self._address} within {self._timeout:g} s: {error.message}",
                reason=error.reason,
                address=self._address,
            ) from failure
        return wait


def _stalled(address: str, timeout: float) -> UnavailableError:
    return UnavailableError(f"{address} made no progress for {timeout:g} s", reason="TIMEOUT", address=address)


def _something(reply: Any, address: str, method: str) -> Any:
    if reply is None:
        raise ProtocolError(f"{address} answered {method} with nothing", address=address)
    return reply


def _closed(address: str) -> ClosedError:
    return ClosedError(f"the connection to {address} is closed", address=address)


class AsyncReceiver:
    """The messages of a server's stream; iterate over it once."""

    def __init__(self, call: Any, first: Any, address: str, idle: float) -> None:
        self.first = first
        self._call = call
        self._address = address
        self._idle = idle
        self._cancelled = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        message = self.first
        while message is not None:
            yield message
            message = await self._receive()

    async def _receive(self) -> Any:
        try:
            async with asyncio.timeout(self._idle):
                message = await self._call.read()
            return None if message is grpc.aio.EOF else message
        except TimeoutError as error:
            self.cancel()
            raise _stalled(self._address, self._idle) from error
        except asyncio.CancelledError as error:
            if self._cancelled:  # by cancel(), in another task: that is an end, not this task's cancellation
                return None
            self.cancel()
            task = asyncio.current_task()
            if task is not None and not task.cancelling():  # nor is it when the channel was closed
                raise _closed(self._address) from error
            raise
        except grpc.RpcError as error:
            if self._cancelled:
                return None
            raise error_from_rpc(error, address=self._address) from error

    def cancel(self) -> None:
        """Ends the stream, also while another task waits for it. Harmless when repeated."""
        self._cancelled = True
        self._call.cancel()


class AsyncDuplex:
    """Messages both ways. Replies are received all the time, so that a refusal stops the sender at once."""

    def __init__(self, call: Any, address: str, idle: float) -> None:
        self._call = call
        self._address = address
        self._idle = idle
        self._replies: collections.deque[Any] = collections.deque()
        self._news = asyncio.Event()
        self._ended = False
        self._error: VaultError | None = None
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="vault-replies")

    async def send(self, message: Any) -> None:
        """Sends one message; waits while the server does not take it."""
        if not self._ended:
            try:
                async with asyncio.timeout(self._idle):
                    await self._call.write(message)
                return
            except TimeoutError as error:
                self.cancel()
                raise _stalled(self._address, self._idle) from error
            except (grpc.RpcError, asyncio.InvalidStateError):
                await self._reader  # which learns why the call ended
        self._raise()

    async def half_close(self) -> None:
        """Says that no message follows."""
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):  # `receive` tells why
            await self._call.done_writing()

    def received(self) -> list[Any]:
        """The replies that are here, without waiting."""
        replies = list(self._replies)
        self._replies.clear()
        return replies

    async def receive(self) -> Any:
        """The next reply; None at the end of the stream."""
        while not self._replies and not self._ended:
            self._news.clear()
            try:
                async with asyncio.timeout(self._idle):
                    await self._news.wait()
            except TimeoutError as error:
                self.cancel()
                raise _stalled(self._address, self._idle) from error
        if self._replies:
            return self._replies.popleft()
        if self._error is not None:
            raise self._error
        return None

    def cancel(self) -> None:
        """Ends the call; what was not committed is gone. Harmless when repeated."""
        self._call.cancel()

    async def finish(self) -> None:
        """Waits until the call has ended; call it last."""
        await self._reader

    async def _read(self) -> None:
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                self._replies.append(message)
                self._news.set()
        except grpc.RpcError as error:
            self._error = error_from_rpc(error, address=self._address)
            self._error.__cause__ = error
        except asyncio.CancelledError:
            self._error = UnavailableError(f"the call to {self._address} was cancelled", reason="CANCELLED")
        finally:
            self._ended = True
            self._news.set()

    def _raise(self) -> None:
        raise self._error or ProtocolError(f"{self._address} ended the call before its time", address=self._address)


class AsyncChannel:
    """A connection to a server, made at the first call. Belongs to the event loop of that call."""

    def __init__(self, address: str, *, timeout: float) -> None:
        """Does no I/O.

        Args:
            address: host:port, grpc://host:port or unix:PATH.
            timeout: Seconds that a call may go without progress.

        Raises:
            InvalidArgumentError: BAD_ADDRESS, BAD_TIMEOUT.
        """
        self.address, self._target = parse_address(address)
        self.timeout = check_timeout(timeout)
        self._channel: grpc.aio.Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._calls: weakref.WeakSet[Any] = weakref.WeakSet()

    async def unary(self, method: str, request: Any) -> Any:
        """One request, one reply."""
        attempts = _Attempts(self.address, self.timeout)
        while True:
            call = self._method(method)(request, timeout=attempts.remaining)
            self._calls.add(call)
            try:
                return await call
            except grpc.RpcError as error:
                await self._pause(attempts, error)
            except asyncio.CancelledError as error:
                if self._closed:
                    raise _closed(self.address) from error
                raise

    async def stream(self, method: str, request: Any, *, idle: float = 0.0) -> AsyncReceiver:
        """One request, many replies; returns when the first is here.

        Args:
            idle: Seconds between two messages, where that should be longer than the timeout.
        """
        attempts = _Attempts(self.address, self.timeout)
        while True:
            call = self._method(method)(request)
            self._calls.add(call)
            try:
                async with asyncio.timeout(attempts.remaining):
                    first = await call.read()
                first = _something(None if first is grpc.aio.EOF else first, self.address, method)
                return AsyncReceiver(call, first, self.address, max(idle, self.timeout))
            except TimeoutError as error:
                call.cancel()
                raise _stalled(self.address, self.timeout) from error
            except grpc.RpcError as error:
                await self._pause(attempts, error)
            except asyncio.CancelledError as error:
                call.cancel()
                if self._closed:
                    raise _closed(self.address) from error
                raise

    async def duplex(self, method: str, start: Any) -> tuple[AsyncDuplex, Any]:
        """Messages both ways; returns when the first reply to `start` is here, with that reply."""
        attempts = _Attempts(self.address, self.timeout)
        while True:
            call = self._method(method)()
            self._calls.add(call)
            duplex = AsyncDuplex(call, self.address, self.timeout)
            try:
                await duplex.send(start)
                first = await duplex.receive()
                return duplex, _something(first, self.address, method)
            except UnavailableError as error:
                if not isinstance(error.__cause__, grpc.RpcError):
                    raise
                await self._pause(attempts, error.__cause__)
            except BaseException:
                duplex.cancel()
                raise

    async def close(self) -> None:
        """Ends every call that is running with ClosedError. Harmless when repeated."""
        self._closed = True
        for call in list(self._calls):
            call.cancel()
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _pause(self, attempts: _Attempts, error: grpc.RpcError) -> None:
        if self._closed:
            raise _closed(self.address) from error
        await asyncio.sleep(attempts.pause(error))

    def _method(self, name: str) -> Any:
        if self._closed:
            raise _closed(self.address)
        loop = asyncio.get_running_loop()
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
            self._stub = VaultServiceStub(self._channel)
            self._loop = loop
        elif self._loop is not loop:
            raise InvalidArgumentError(
                f"the connection to {self.address} belongs to another event loop: make one vault for each loop",
                reason="OTHER_LOOP",
            )
        return getattr(self._stub, name)


class _Watchdog:
    """Cancels the streams that waited too long for a message. One thread, while any stream is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[Any, float] = {}  # call -> when its wait is over
        self._running = False
        self._overdue: weakref.WeakSet[Any] = weakref.WeakSet()
        self._wake = threading.Condition(self._lock)

    @contextlib.contextmanager
    def watching(self, call: Any, seconds: float) -> Iterator[None]:
        with self._lock:
            self._waits[call] = time.monotonic() + seconds
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="vault-watchdog", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                del self._waits[call]

    def overdue(self, call: Any) -> bool:
        return call in self._overdue

    def _run(self) -> None:
        with self._lock:
            idle = 0
            while idle < 2:
                now = time.monotonic()
                late = [call for call, until in self._waits.items() if until <= now]
                for call in late:
                    self._overdue.add(call)
                    self._waits[call] = float("inf")
                    call.cancel()
                idle = 0 if self._waits else idle + 1
                nearest = min(self._waits.values(), default=now + 1.0)
                self._wake.wait(min(max(nearest - now, 0.01), 0.5))
            self._running = False


class Receiver:
    """The messages of a server's stream; iterate over it once."""

    def __init__(self, call: Any, first: Any, address: str, idle: float, watchdog: _Watchdog) -> None:
        self.first = first
        self._call = call
        self._address = address
        self._idle = idle
        self._watchdog = watchdog
        self._cancelled = False

    def __iter__(self) -> Iterator[Any]:
        message = self.first
        while message is not None:
            yield message
            message = self._receive()

    def _receive(self) -> Any:
        try:
            with self._watchdog.watching(self._call, self._idle):
                return next(self._call, None)
        except grpc.RpcError as error:
            if self._watchdog.overdue(self._call):
                raise _stalled(self._address, self._idle) from error
            if self._cancelled:
                return None
            raise error_from_rpc(error, address=self._address) from error

    def cancel(self) -> None:
        """Ends the stream, also while another thread waits for it. Harmless when repeated."""
        self._cancelled = True
        self._call.cancel()


class Duplex:
    """Messages both ways. Replies are received all the time, so that a refusal stops the sender at once."""

    def __init__(self, method: Any, address: str, idle: float) -> None:
        self._address = address
        self._idle = idle
        self._news = threading.Condition()
        self._requests: collections.deque[Any] = collections.deque()
        self._half_closed = False
        self._replies: collections.deque[Any] = collections.deque()
        self._ended = False
        self._error: VaultError | None = None
        self.call = method(self._outgoing())
        self._reader = threading.Thread(target=self._read, name="vault-replies", daemon=True)
        self._reader.start()

    def send(self, message: Any) -> None:
        """Sends one message; waits while the server does not take it."""
        with self._news:
            self._wait(lambda: len(self._requests) < _SEND_AHEAD)
            if self._ended:
                raise self._error or ProtocolError(
                    f"{self._address} ended the call before its time", address=self._address
                )
            self._requests.append(message)
            self._news.notify_all()

    def half_close(self) -> None:
        """Says that no message follows."""
        with self._news:
            self._half_closed = True
            self._news.notify_all()

    def received(self) -> list[Any]:
        """The replies that are here, without waiting."""
        with self._news:
            replies = list(self._replies)
            self._replies.clear()
            return replies

    def receive(self) -> Any:
        """The next reply; None at the end of the stream."""
        with self._news:
            self._wait(lambda: self._replies)
            if self._replies:
                return self._replies.popleft()
            if self._error is not None:
                raise self._error
            return None

    def cancel(self) -> None:
        """Ends the call; what was not committed is gone. Harmless when repeated."""
        self.call.cancel()

    def finish(self) -> None:
        """Waits until the call has ended; call it last."""
        self._reader.join()

    def _wait(self, ready: Callable[[], object]) -> None:
        if not self._news.wait_for(lambda: self._ended or ready(), self._idle):
            self.cancel()
            raise _stalled(self._address, self._idle)

    def _outgoing(self) -> Iterator[Any]:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._requests or self._half_closed or self._ended)
                if self._ended or not self._requests:
                    return
                message = self._requests.popleft()
                self._news.notify_all()
            yield message

    def _read(self) -> None:
        error: VaultError | None = None
        try:
            for message in self.call:
                with self._news:
                    self._replies.append(message)
                    self._news.notify_all()
        except grpc.RpcError as failure:
            error = error_from_rpc(failure, address=self._address)
            error.__cause__ = failure
        finally:
            with self._news:
                self._error = error
                self._ended = True
                self._news.notify_all()


class Channel:
    """A connection to a server, made at the first call. May be shared by threads, and by a fork: a child
    makes its own at its first call."""

    def __init__(self, address: str, *, timeout: float) -> None:
        """Does no I/O.

        Args:
            address: host:port, grpc://host:port or unix:PATH.
            timeout: Seconds that a call may go without progress.

        Raises:
            InvalidArgumentError: BAD_ADDRESS, BAD_TIMEOUT.
        """
        self.address, self._target = parse_address(address)
        self.timeout = check_timeout(timeout)
        self._closed = False
        self._channel: grpc.Channel | None = None
        self._lock = threading.Lock()
        self._watchdog = _Watchdog()
        self._calls: weakref.WeakSet[Any] = weakref.WeakSet()
        _channels.add(self)

    def unary(self, method: str, request: Any) -> Any:
        """One request, one reply."""
        attempts = _Attempts(self.address, self.timeout)
        while True:
            try:
                return self._method(method)(request, timeout=attempts.remaining)
            except grpc.RpcError as error:
                self._pause(attempts, error)

    def stream(self, method: str, request: Any, *, idle: float = 0.0) -> Receiver:
        """One request, many replies; returns when the first is here.

        Args:
            idle: Seconds between two messages, where that should be longer than the timeout.
        """
        attempts = _Attempts(self.address, self.timeout)
        while True:
            call = self._method(method)(request)
            self._calls.add(call)
            try:
                with self._watchdog.watching(call, attempts.remaining):
                    first = next(call, None)
                return Receiver(
                    call, _something(first, self.address, method), self.address, max(idle, self.timeout), self._watchdog
                )
            except grpc.RpcError as error:
                if self._watchdog.overdue(call):
                    raise _stalled(self.address, self.timeout) from error
                self._pause(attempts, error)

    def duplex(self, method: str, start: Any) -> tuple[Duplex, Any]:
        """Messages both ways; returns when the first reply to `start` is here, with that reply."""
        attempts = _Attempts(self.address, self.timeout)
        while True:
            duplex = Duplex(self._method(method), self.address, self.timeout)
            self._calls.add(duplex.call)
            try:
                duplex.send(start)
                first = duplex.receive()
                return duplex, _something(first, self.address, method)
            except UnavailableError as error:
                if not isinstance(error.__cause__, grpc.RpcError):
                    raise
                self._pause(attempts, error.__cause__)
            except BaseException:
                duplex.cancel()
                raise

    def close(self) -> None:
        """Ends every call that is running with ClosedError. Harmless when repeated."""
        self._closed = True
        for call in list(self._calls):
            call.cancel()
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _pause(self, attempts: _Attempts, error: grpc.RpcError) -> None:
        if self._closed:
            raise _closed(self.address) from error
        time.sleep(attempts.pause(error))

    def _method(self, name: str) -> Any:
        with self._lock:
            if self._closed:
                raise _closed(self.address)
            if self._channel is None:
                self._channel = grpc.insecure_channel(self._target, options=_OPTIONS)
                self._stub = VaultServiceStub(self._channel)
            return getattr(self._stub, name)

    def reset(self) -> None:
        """Forgets everything that does not cross a fork."""
        self._lock = threading.Lock()
        self._channel = None
        self._watchdog = _Watchdog()
        self._calls = weakref.WeakSet()


_channels: weakref.WeakSet[Channel] = weakref.WeakSet()


def _after_fork() -> None:
    for channel in list(_channels):
        channel.reset()


os.register_at_fork(after_in_child=_after_fork)
