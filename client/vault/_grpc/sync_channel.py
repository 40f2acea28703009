"""A connection to a server for threads, and its calls, over grpc."""

import math
import threading
import time
from typing import Any

import grpc

from vault._grpc.address import parse_address
from vault._grpc.calls import (
    Attempts,
    Retired,
    closed,
    is_sign_of_life,
    patience_of,
    something,
    stalled,
    timed_out,
)
from vault._grpc.connection import Call, Connection, end
from vault._grpc.settings import OPTIONS
from vault._grpc.sync_streams import Duplex, Receiver, untie
from vault._runtime.fork import renew_after_fork
from vault.errors import UnavailableError
from vault.store.connection import ConnectionSettings, check_connection


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
                untie(error)
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
        """Nothing came for a call for too long: the next ones get a new connection, in case it is that."""
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
