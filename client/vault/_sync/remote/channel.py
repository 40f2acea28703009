# Generated from _async/remote/channel.py by scripts/unasync: DO NOT CHANGE.
"""Channel: calls of a server with deadlines, sent again while it is away, on one connection after another."""

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc

from vault._grpc import Call, Connection, Duplex, calls
from vault._grpc.address import parse_address
from vault._grpc.calls import Attempts, OverdueError
from vault._grpc.settings import OPTIONS
from vault._runtime.fork import renew_after_fork
from vault._runtime.sync_async import Affinity, Clock
from vault.errors import UnavailableError
from vault.store.connection import ConnectionSettings, check_connection
from vault.wire.status import error_from_rpc


class Channel:
    """The way to a server; a connection is made at the first call. Raises errors of `vault.errors` only.

    A call may go `timeout` seconds without progress: for a unary call that is its deadline, retries included; for a
    stream it is the longest wait for one message. What can be sent again (all of Vault's calls can: reads, and writes
    under a request id) is sent again while the server is away. When nothing came for a call for too long, the next ones
    get a connection of their own: the one that there is may be dead, with nobody to say so.
    """

    def __init__(self, address: str, connection: ConnectionSettings) -> None:
        """Does no I/O. Raises InvalidArgumentError: BAD_ADDRESS, BAD_PROXY, BAD_SETTING."""
        check_connection(connection)
        self._route = parse_address(address, connection.proxy)
        self.address = self._route.shown
        self.timeout = float(connection.timeout)
        self.patience = calls.patience_of(self.timeout)
        self._affinity = Affinity(f"the connection to {self.address}")
        self.is_closed = False
        self._begin()
        renew_after_fork(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._retired: list[tuple[Connection, float]] = []  # makes no new calls; until when it may have unary ones

    def unary(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """One request, one reply.

        Args:
            timeout: Seconds, if not those of every call.
        """
        attempts = Attempts(self.address, timeout or self.timeout)
        patience = attempts.first_patience
        while True:
            connection = self._connect()
            try:
                reply = connection.unary(method, request, min(patience, attempts.remaining))
                return calls.something(reply, self.address, method)
            except grpc.RpcError as error:
                if calls.timed_out(error) and patience < math.inf:  # on this connection; perhaps it is that
                    self._retire(connection)
                    patience = math.inf
                else:
                    self._pause(attempts, error)

    def stream(
        self, method: str, request: Any, *, idle: float | None = None, attempts: Attempts | None = None
    ) -> "Receiver":
        """One request, many replies; returns when the first is here.

        Args:
            idle: Seconds between two messages, where the stream has a pace of its own; the timeout otherwise.
            attempts: Those of the transfer that this stream goes on with.
        """
        attempts = attempts or Attempts(self.address, self.timeout)
        self._tidy()
        while True:
            call = self._connect().begin(method, request)
            patience = attempts.first_patience
            try:
                first = calls.something(call.next(patience), self.address, method)
                return Receiver(self, call, first, idle or self.timeout)
            except OverdueError:
                self.stall(call)
                Clock.sleep(attempts.wait(calls.stalled(self.address, patience)))
            except grpc.RpcError as error:
                calls.untie(error)
                self._pause(attempts, error)
            except BaseException:
                call.cancel()
                raise

    def duplex(self, method: str, start: Any, attempts: Attempts | None = None) -> tuple[Duplex, Any]:
        """Messages both ways; returns when the first reply to `start` is here, with that reply.

        Args:
            attempts: Those of the transfer that this call goes on with.
        """
        attempts = attempts or Attempts(self.address, self.timeout)
        self._tidy()
        while True:
            duplex = Duplex(self, self._connect(), method, attempts.patience)
            try:
                duplex.send(start)
                first = duplex.receive(attempts.first_patience)
                while calls.is_sign_of_life(first):
                    attempts.sign_of_life()
                    first = duplex.receive(attempts.first_patience)
                return duplex, calls.something(first, self.address, method)
            except UnavailableError as error:
                duplex.cancel()
                duplex.finish()
                Clock.sleep(attempts.wait(error))
            except BaseException:
                duplex.give_up()
                raise

    def close(self) -> None:
        """Ends every call that is running with ClosedError. Harmless when repeated.

        Raises:
            InvalidArgumentError: OTHER_LOOP, it is asynchronous and in use by another event loop, which is not closed.
        """
        self._affinity.require_closable()
        self.is_closed = True
        with self._lock:
            ending = [connection for connection, _ in self._retired]
            ending += [] if self._connection is None else [self._connection]
            self._connection, self._retired = None, []
        Connection.end_all(ending)

    def renew(self) -> None:
        """In a forked child: forgets the parent's connections."""
        for connection in (self._connection, *(each for each, _ in self._retired)):
            if connection is not None:
                connection.never_free()
        self._affinity.renew()
        self._begin()

    def require_own_loop(self) -> None:
        """Raises InvalidArgumentError, OTHER_LOOP, where it is asynchronous, on another event loop than at first."""
        self._affinity.require()

    def _connect(self) -> Connection:
        if self.is_closed:
            raise calls.closed(self.address)
        self.require_own_loop()
        with self._lock:
            if self.is_closed:  # meanwhile
                raise calls.closed(self.address)
            connection = self._connection
            if connection is None or connection.is_doubtful:
                if connection is not None:
                    self._retired.append((connection, time.monotonic() + self.timeout))
                    self._connection = None
                options = [*OPTIONS, *self._route.options]
                connection = self._connection = Connection(self.address, self._route.target, options)
            return connection

    def stall(self, call: Call) -> None:
        """Nothing came for a call for too long: the next ones get a new connection, in case it is that."""
        self._retire(call.connection)

    def _retire(self, connection: Connection) -> None:
        """The connection gets no new calls."""
        with self._lock:
            if connection is self._connection:
                self._retired.append((connection, time.monotonic() + self.timeout))
                self._connection = None

    def _tidy(self) -> None:
        """Closes the retired connections whose calls are over."""
        if self._retired:
            now = time.monotonic()
            with self._lock:
                idle = [each for each, until in self._retired if now >= until and each.is_idle()]
                self._retired = [entry for entry in self._retired if entry[0] not in idle]
            Connection.end_all(idle)

    def _pause(self, attempts: Attempts, error: grpc.RpcError) -> None:
        if self.is_closed:
            raise calls.closed(self.address) from error
        Clock.sleep(attempts.pause(error))


class Receiver:
    """The messages of a server's stream; iterate over it once."""

    def __init__(self, channel: Channel, call: Call, first: Any, idle: float) -> None:
        self.first = first
        self._channel = channel
        self._call = call
        self._idle = idle
        self._cancelled = False
        self._affinity = Affinity.here(f"the stream from {channel.address}")

    def __iter__(self) -> Iterator[Any]:
        message = self.first
        while message is not None:
            yield message
            message = self._receive()

    def _receive(self) -> Any:
        self._affinity.require()
        address = self._channel.address
        try:
            return calls.readable(self._call.next(self._idle), address)
        except OverdueError as error:
            self._channel.stall(self._call)
            raise calls.stalled(address, self._idle) from error
        except grpc.RpcError as error:
            calls.untie(error)
            if self._cancelled:
                return None
            if self._channel.is_closed:
                raise calls.closed(address) from error
            raise error_from_rpc(error, address=address) from error
        except BaseException:
            self._call.cancel()
            raise

    def cancel(self) -> None:
        """Ends the stream, also while somebody waits for it. Harmless when repeated, and in a forked child."""
        self._cancelled = True
        self._call.cancel()
