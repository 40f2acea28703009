"""Calls on threads, over grpc."""

import collections
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc

from vault._grpc.address import parse_address
from vault._grpc.calls import (
    MOST_REPLIES,
    Attempts,
    Retired,
    closed,
    is_sign_of_life,
    patience_of,
    readable,
    something,
    stalled,
    timed_out,
)
from vault._grpc.connection import CLOSING, Call, Connection, end, is_left
from vault._grpc.settings import OPTIONS
from vault._runtime.eventcount import EventCount
from vault._runtime.fork import renew_after_fork
from vault._runtime.sync_async import Background
from vault.errors import ProtocolError, UnavailableError, VaultError
from vault.store.connection import ConnectionSettings, check_connection
from vault.wire.status import error_from_rpc

SEND_AHEAD: Final = 2
"""Messages that wait for gRPC: one on its way, one ready."""


class Receiver:
    """The messages of a server's stream; iterate over it once."""

    def __init__(
        self,
        call: Call,
        first: Any,
        address: str,
        idle: float,
        is_closed: Callable[[], bool],
        stall: Callable[[Call], None],
    ) -> None:
        self.first = first
        self._call = call
        self._address = address
        self._idle = idle
        self._is_closed = is_closed
        self._stall = stall
        self._cancelled = False

    def __iter__(self) -> Iterator[Any]:
        message = self.first
        while message is not None:
            yield message
            message = self._receive()

    def _receive(self) -> Any:
        watchdog = self._call.connection.watchdog
        try:
            with watchdog.watching(self._call, self._idle):
                return readable(self._call.next(), self._address)
        except grpc.RpcError as error:
            _untie(error)
            if watchdog.overdue(self._call):
                self._stall(self._call)
                raise stalled(self._address, self._idle) from error
            if self._cancelled:
                return None
            if self._is_closed():
                raise closed(self._address) from error
            raise error_from_rpc(error, address=self._address) from error
        except BaseException:
            self._call.cancel()
            raise

    def cancel(self) -> None:
        """Ends the stream, also while another thread waits for it. Harmless when repeated, and in a forked child."""
        self._cancelled = True
        self._call.cancel()


class Duplex:
    """Messages both ways. Replies are received all the time, so that a refusal stops the sender at once; a few
    of them, until they are looked at."""

    def __init__(
        self,
        connection: Connection,
        method: str,
        address: str,
        idle: float,
        is_closed: Callable[[], bool],
        stall: Callable[[Call], None],
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
        self._reader = Background(self._read, "vault-replies")
        call: Call | None = None
        try:
            call = self._call = connection.begin(method, self._outgoing())
            self._reader.start()
        except BaseException:
            self._ended = True
            self._news.advance()
            if call is not None:
                call.cancel()
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
        self._call.cancel()
        self._news.advance()

    def leave(self, afterwards: Callable[[], None]) -> None:
        """`cancel` from a finalizer: starts nothing, waits for nothing.

        Args:
            afterwards: Is called by the thread that receives replies, at its end; by nobody when that has ended
                already, where the connection is doubtful, when the interpreter ends, and in a forked child.
        """
        # The streams of a doubtful connection end with it: to cancel one there takes a thread.
        if not is_left() and not self._call.connection.is_doubtful:
            self._afterwards = afterwards
            self.cancel()

    def finish(self) -> None:
        """Waits until the call has ended, at most the timeout; call it last."""
        doubtful = self._call.connection.is_doubtful or is_left()
        self._reader.stop(CLOSING if doubtful else self._idle)

    def _wait(self, ready: Callable[[], object], seconds: float) -> None:
        if not self._news.wait_for(lambda: self._ended or ready(), seconds):
            self._stall(self._call)
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
            while (message := self._call.next()) is not None:
                self._replies.append(readable(message, self._address))
                self._news.advance()
                if len(self._replies) >= MOST_REPLIES:
                    self._news.wait_for(lambda: len(self._replies) < MOST_REPLIES or not self._call.is_active())
        except ProtocolError as failure:
            error = failure
            self._call.cancel()
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
        self._closed = False
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._retired = Retired()
        renew_after_fork(self)

    def unary(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """One request, one reply.

        Args:
            timeout: Seconds, if not those of every call.
        """
        attempts = Attempts(self.address, timeout or self.timeout)
        patience = attempts.first_patience
        while True:
            connection = self._connect()
            call = getattr(connection.stub, method)
            try:
                reply = connection.enter(call, request, timeout=min(patience, attempts.remaining))
                return something(reply, self.address, method)
            except grpc.RpcError as error:
                if timed_out(error) and patience < math.inf:  # on this connection; perhaps it is that
                    self._retire(connection)
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
            connection = self._connect()
            call = connection.begin(method, request)
            patience = attempts.first_patience
            try:
                with connection.watchdog.watching(call, patience):
                    first = something(call.next(), self.address, method)
                return Receiver(call, first, self.address, idle or self.timeout, self._is_closed, self._stall)
            except grpc.RpcError as error:
                _untie(error)
                if not connection.watchdog.overdue(call):
                    self._pause(attempts, error)
                    continue
            except BaseException:
                call.cancel()
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
            duplex = Duplex(self._connect(), method, self.address, attempts.patience, self._is_closed, self._stall)
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
            if self._connection is not None:
                self._retired.add(self._connection, self._connection.calls, 0)
                self._connection = None
            retired = self._retired.take_all()
        end([connection for connection, _ in retired])

    def require_own_loop(self) -> None:
        """Threads share it."""

    def _is_closed(self) -> bool:
        return self._closed

    def _stall(self, call: Call) -> None:
        """A call heard nothing for too long: the next ones get a new connection, in case it is that."""
        self._retire(call.connection)

    def _retire(self, connection: Connection) -> None:
        """The connection gets no new calls."""
        with self._lock:
            if connection is self._connection:
                self._retired.add(connection, connection.calls, self.timeout)
                self._connection = None

    def _tidy(self) -> None:
        with self._lock:
            idle = self._retired.take_idle()
        end(idle)

    def _pause(self, attempts: Attempts, error: grpc.RpcError) -> None:
        if self._closed:
            raise closed(self.address) from error
        time.sleep(attempts.pause(error))

    def _connect(self) -> Connection:
        with self._lock:
            if self._closed:
                raise closed(self.address)
            connection = self._connection
            if connection is None or connection.is_doubtful:
                if connection is not None:
                    self._retired.add(connection, connection.calls, self.timeout)
                    self._connection = None
                options = [*OPTIONS, *self._route.options]
                connection = self._connection = Connection(self.address, self._route.target, options)
            return connection

    def renew(self) -> None:
        """In a forked child: forgets everything that does not cross a fork."""
        for connection, _ in self._retired.take_all():
            connection.never_free()
        if self._connection is not None:
            self._connection.never_free()
        self._lock = threading.Lock()
        self._connection = None
        self._retired = Retired()


def _untie(error: grpc.RpcError) -> None:
    """Lets a stream that failed go with its last reference.

    gRPC raises the call itself, and by way of its traceback the call then holds itself. Left to the collector it may
    live until the interpreter ends; its `__del__` then waits for a lock that gRPC's own thread, stopped there, held.
    """
    error.__traceback__ = None
