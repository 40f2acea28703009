"""Calls on threads, over grpc."""

import atexit
import collections
import functools
import math
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc

from vault.address import parse_address
from vault.channel.calls import (
    MOST_REPLIES,
    OPTIONS,
    Attempts,
    Retired,
    check_timeout,
    closed,
    is_sign_of_life,
    make_stub,
    patience_of,
    readable,
    something,
    stalled,
    timed_out,
)
from vault.channel.watchdog import Watchdog
from vault.concurrency import Background
from vault.errors import ProtocolError, UnavailableError, VaultError
from vault.eventcount import EventCount
from vault.forks import fork_count, is_inherited, never_free, renew_after_fork
from vault.threads import no_thread
from vault.wire.status import error_from_rpc

SEND_AHEAD: Final = 2
"""Messages that wait for gRPC: one on its way, one ready."""

_CLOSING: Final = 1.0  # seconds, for what may never end


class Receiver:
    """The messages of a server's stream; iterate over it once."""

    def __init__(
        self,
        call: Any,
        first: Any,
        address: str,
        idle: float,
        watchdog: Watchdog,
        is_closed: Callable[[], bool],
        stall: Callable[[Any], None],
        given_up: Callable[[Any, BaseException], None],
    ) -> None:
        self.first = first
        self._call = call
        self._address = address
        self._idle = idle
        self._watchdog = watchdog
        self._is_closed = is_closed
        self._stall = stall
        self._given_up = given_up
        self._cancelled = False
        self._forks = fork_count()

    def __iter__(self) -> Iterator[Any]:
        message = self.first
        while message is not None:
            yield message
            message = self._receive()

    def _receive(self) -> Any:
        try:
            with self._watchdog.watching(self._call, self._idle):
                return readable(next(self._call, None), self._address)
        except grpc.RpcError as error:
            _untie(error)
            if self._watchdog.overdue(self._call):
                self._stall(self._call)
                raise stalled(self._address, self._idle) from error
            if self._cancelled:
                return None
            if self._is_closed():
                raise closed(self._address) from error
            raise error_from_rpc(error, address=self._address) from error
        except BaseException as error:
            self._given_up(self._call, error)
            raise

    def cancel(self) -> None:
        """Ends the stream, also while another thread waits for it. Harmless when repeated, and in a forked child."""
        self._cancelled = True
        if not is_inherited(self._forks):
            self._call.cancel()


class Duplex:
    """Messages both ways. Replies are received all the time, so that a refusal stops the sender at once; a few
    of them, until they are looked at."""

    def __init__(
        self,
        method: Any,
        address: str,
        idle: float,
        is_closed: Callable[[], bool],
        stall: Callable[[Any], None],
    ) -> None:
        self._address = address
        self._idle = idle
        self._is_closed = is_closed
        self._stall = stall
        self._news = EventCount()
        self._requests: collections.deque[Any] = collections.deque()
        self._half_closed = False
        self._replies: collections.deque[Any] = collections.deque()
        self._ended = False
        self._error: VaultError | None = None
        self._afterwards: Callable[[], None] | None = None
        self._forks = fork_count()
        self.call = method(self._outgoing())
        self._reader = Background(self._read, "vault-replies")
        try:
            self._reader.start()
        except BaseException:
            self._ended = True
            self._news.advance()
            self.call.cancel()
            raise

    def send(self, message: Any) -> None:
        """Sends one message; waits while the server does not take it."""
        self._wait(lambda: len(self._requests) < SEND_AHEAD, self._idle)
        if self._ended:
            raise self._error or ProtocolError(f"{self._address} ended the call before its time", address=self._address)
        self._requests.append(message)
        self._news.advance()

    def half_close(self) -> None:
        """Says that no message follows."""
        self._half_closed = True
        self._news.advance()

    def received(self) -> list[Any]:
        """The replies that are here, without waiting."""
        replies = [self._replies.popleft() for _ in range(len(self._replies))]
        if len(replies) >= MOST_REPLIES:
            self._news.advance()  # there is room
        return replies

    def receive(self, patience: float | None = None) -> Any:
        """The next reply; None at the end of the stream.

        Args:
            patience: Seconds to wait for it, if not those of every message.
        """
        self._wait(lambda: self._replies, self._idle if patience is None else patience)
        if self._replies:
            reply = self._replies.popleft()
            if len(self._replies) == MOST_REPLIES - 1:
                self._news.advance()  # there is room
            return reply
        if self._error is not None:
            raise self._error
        return None

    def cancel(self) -> None:
        """Ends the call; what was not committed is gone. Harmless when repeated, and in a forked child."""
        if not is_inherited(self._forks):
            self.call.cancel()
            self._news.advance()

    def leave(self, afterwards: Callable[[], None]) -> None:
        """`cancel` from a finalizer: starts nothing, waits for nothing.

        Args:
            afterwards: Is called by the thread that receives replies, at its end; by nobody when that has ended
                already, when the interpreter ends, and in a forked child.
        """
        if not sys.is_finalizing():
            self._afterwards = afterwards
            self.cancel()

    def finish(self) -> None:
        """Waits until the call has ended; call it last."""
        self._reader.stop()

    def _wait(self, ready: Callable[[], object], seconds: float) -> None:
        if not self._news.wait_for(lambda: self._ended or ready(), seconds):
            self._stall(self.call)
            self.cancel()
            raise stalled(self._address, seconds)

    def _outgoing(self) -> Iterator[Any]:
        while True:
            self._news.wait_for(lambda: self._requests or self._half_closed or self._ended)
            if self._ended or not self._requests:
                return
            message = self._requests.popleft()
            self._news.advance()
            yield message

    def _read(self) -> None:
        error: VaultError | None = None
        try:
            for message in self.call:
                self._replies.append(readable(message, self._address))
                self._news.advance()
                if len(self._replies) >= MOST_REPLIES:
                    self._news.wait_for(lambda: len(self._replies) < MOST_REPLIES or not self.call.is_active())
        except ProtocolError as failure:
            error = failure
            self.call.cancel()
        except grpc.RpcError as failure:
            _untie(failure)
            ended = self._is_closed()
            error = closed(self._address) if ended else error_from_rpc(failure, address=self._address)
            error.__cause__ = failure
        finally:
            self._error = error
            self._ended = True
            self._news.advance()
        if self._afterwards is not None:
            self._afterwards()


class Channel:
    """A connection to a server, made at the first call. May be shared by threads, and by a fork: a child
    makes its own at its first call."""

    def __init__(self, address: str, *, timeout: float, proxy: str | None = None) -> None:
        """Does no I/O.

        Args:
            address: host:port, grpc://host:port or unix:PATH.
            timeout: Seconds that a call may go without progress.
            proxy: See `parse_address`.

        Raises:
            InvalidArgumentError: BAD_ADDRESS, BAD_PROXY, BAD_TIMEOUT.
        """
        self._route = parse_address(address, proxy)
        self.address = self._route.shown
        self.timeout = check_timeout(timeout)
        self.patience = patience_of(timeout)
        self._closed = False
        self._channel: grpc.Channel | None = None
        self._lock = threading.Lock()
        self._watchdog = Watchdog()
        self._calls: weakref.WeakSet[Any] = weakref.WeakSet()
        self._retired = Retired()
        self._doubtful: list[tuple[Any, list[Any]]] = []
        renew_after_fork(self)
        _channels.add(self)

    def unary(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """One request, one reply.

        Args:
            timeout: Seconds, if not those of every call.
        """
        attempts = Attempts(self.address, timeout or self.timeout)
        patience = attempts.first_patience
        while True:
            call = self._method(method)
            channel = self._channel
            try:
                return something(call(request, timeout=min(patience, attempts.remaining)), self.address, method)
            except grpc.RpcError as error:
                if timed_out(error) and patience < math.inf:  # on this connection; perhaps it is that
                    self._retire(channel)
                    patience = math.inf
                    continue
                self._pause(attempts, error)

    def stream(
        self, method: str, request: Any, *, idle: float | None = None, attempts: Attempts | None = None
    ) -> Receiver:
        """One request, many replies; returns when the first is here.

        Args:
            idle: Seconds between two messages, where the stream has a pace of its own; the timeout otherwise.
            attempts: Those of the transfer that this stream goes on with.
        """
        attempts = attempts or Attempts(self.address, self.timeout)
        self._tidy()
        while True:
            call = self._method(method)(request)
            self._calls.add(call)
            patience = attempts.first_patience
            try:
                with self._watchdog.watching(call, patience):
                    first = something(next(call, None), self.address, method)
                return Receiver(
                    call,
                    first,
                    self.address,
                    idle or self.timeout,
                    self._watchdog,
                    self._is_closed,
                    self._stall,
                    self._given_up,
                )
            except ProtocolError:
                call.cancel()
                raise
            except grpc.RpcError as error:
                _untie(error)
                if not self._watchdog.overdue(call):
                    self._pause(attempts, error)
                    continue
            except BaseException as error:
                self._given_up(call, error)
                raise
            self._stall(call)
            time.sleep(attempts.wait(stalled(self.address, patience)))

    def duplex(self, method: str, start: Any, attempts: Attempts | None = None) -> tuple[Duplex, Any]:
        """Messages both ways; returns when the first reply to `start` is here, with that reply.

        Args:
            attempts: Those of the transfer that this call goes on with.
        """
        attempts = attempts or Attempts(self.address, self.timeout)
        self._tidy()
        while True:
            duplex = Duplex(self._method(method), self.address, attempts.patience, self._is_closed, self._stall)
            self._calls.add(duplex.call)
            try:
                duplex.send(start)
                first = duplex.receive(attempts.first_patience)
                while is_sign_of_life(first):
                    attempts.sign_of_life()
                    first = duplex.receive(attempts.first_patience)
                return duplex, something(first, self.address, method)
            except UnavailableError as error:
                duplex.cancel()
                duplex.finish()
                time.sleep(attempts.wait(error))
            except BaseException:
                duplex.cancel()
                raise

    def close(self) -> None:
        """Ends every call that is running with ClosedError. Harmless when repeated."""
        self._closed = True
        with self._lock:
            if self._channel is not None:
                self._retired.add(self._channel, self._calls, 0)
                self._channel = None
            retired = self._retired.take_all()
            doubtful, self._doubtful = self._doubtful, []
        _end(retired)
        if doubtful:
            # Where gRPC could not start its thread, or an interrupt left a lock of it locked, that may never end.
            ending = Background(functools.partial(_end, doubtful), "vault-closing")
            try:
                ending.start()
                ending.stop(_CLOSING)
            except UnavailableError:  # no thread left for it
                never_free(doubtful)

    def require_own_loop(self) -> None:
        """Threads share it."""

    def _is_closed(self) -> bool:
        return self._closed

    def _given_up(self, call: Any, error: BaseException) -> None:
        """Nobody goes on with a stream. After an interrupt the next calls get a new connection: gRPC's thread for this
        one may wait for a lock that was left locked."""
        if not isinstance(error, Exception):
            self._stall(call, doubtful=True)
        call.cancel()

    def _stall(self, call: Any, *, doubtful: bool = False) -> None:
        """A call heard nothing for too long: the next ones get a new connection, in case it is that."""
        with self._lock:
            channel = self._channel if call in self._calls else None
        self._retire(channel, doubtful=doubtful)

    def _retire(self, channel: grpc.Channel | None, *, doubtful: bool = False) -> None:
        """The channel gets no new calls.

        Args:
            doubtful: gRPC may not be able to close it: that is left to `close`, which does not wait for ever.
        """
        with self._lock:
            if channel is not None and channel is self._channel:
                if doubtful:
                    self._doubtful.append((channel, list(self._calls)))
                else:
                    self._retired.add(channel, self._calls, self.timeout)
                self._channel = None
                self._calls = weakref.WeakSet()

    def _tidy(self) -> None:
        with self._lock:
            idle = self._retired.take_idle()
        for channel in idle:
            channel.close()

    def _pause(self, attempts: Attempts, error: grpc.RpcError) -> None:
        if self._closed:
            raise closed(self.address) from error
        time.sleep(attempts.pause(error))

    def _method(self, name: str) -> Any:
        with self._lock:
            if self._closed:
                raise closed(self.address)
            if self._channel is None:
                self._channel = grpc.insecure_channel(self._route.target, options=[*OPTIONS, *self._route.options])
                self._stub = make_stub(self._channel)
            return functools.partial(self._invoke, self._channel, getattr(self._stub, name))

    def _invoke(self, channel: grpc.Channel, method: Any, *args: Any, **options: Any) -> Any:
        try:
            return method(*args, **options)
        except RuntimeError as error:  # Python's, for a thread that gRPC could not start: its channel is of no use now
            self._retire(channel, doubtful=True)
            raise no_thread(error) from error
        except ValueError as error:  # gRPC's, for a channel that another thread has just closed
            if self._closed:
                raise closed(self.address) from error
            raise

    def renew(self) -> None:
        """In a forked child: forgets everything that does not cross a fork."""
        self.never_free()
        self._lock = threading.Lock()
        self._channel = None
        self._watchdog = Watchdog()
        self._calls = weakref.WeakSet()
        self._retired = Retired()
        self._doubtful = []

    def never_free(self) -> None:
        """Leaves what there is of gRPC's as it is, for as long as the process lasts."""
        never_free((self._channel, list(self._calls), self._retired.take_all(), self._doubtful))


_channels: weakref.WeakSet[Channel] = weakref.WeakSet()


@atexit.register
def _leave_open() -> None:
    for channel in list(_channels):
        channel.never_free()


def _end(retired: list[tuple[Any, list[Any]]]) -> None:
    for channel, calls in retired:
        for call in calls:
            call.cancel()
        channel.close()


def _untie(error: grpc.RpcError) -> None:
    """Lets a stream that failed go with its last reference.

    gRPC raises the call itself, and by way of its traceback the call then holds itself. Left to the collector it may
    live until the interpreter ends; its `__del__` then waits for a lock that gRPC's own thread, stopped there, held.
    """
    error.__traceback__ = None
