# Generated from _async/remote/channel.py by scripts/unasync: DO NOT CHANGE.
"""Channel: calls of a server with deadlines, sent again while it is away, on one connection after another."""

import math
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Final

import grpc

from vault._grpc import Call, Connection, Duplex, calls, handshake
from vault._grpc.address import parse_address
from vault._grpc.calls import Attempts, OverdueError
from vault._grpc.certificates import Certificates
from vault._grpc.credentials import Credentials, Metadata
from vault._grpc.distance import MOST_CONNECTIONS, NEAR, Distance
from vault._grpc.settings import FURTHER_OPTIONS, OPTIONS
from vault._runtime.blocking import Blocking
from vault._runtime.elapsed import elapsed
from vault._runtime.fork import renew_after_fork
from vault._runtime.sync_async import Affinity, Clock, Lock
from vault.errors import UnauthenticatedError, UnavailableError, UntrustedError, VaultError
from vault.store.connection import ConnectionSettings, check_connection
from vault.v1 import vault_pb2 as pb
from vault.wire.status import error_from_rpc

MOST_SPREAD: Final = 2
"""Transfers that have several connections at a time: two take all that two cores carry, and a server bounds how many
streams a caller has."""

_EXAMINED: Final = 1.0
"""Seconds for which what an examined handshake has shown is believed."""


class Channel:
    """The way to a server; a connection is made at the first call. Raises errors of `vault.errors` only.

    A call may go `timeout` seconds without progress: for a unary call that is its deadline, retries included; for a
    stream it is the longest wait for one message. What can be sent again (all of Vault's calls can: reads, and writes
    under a request id) is sent again while the server is away. When nothing came for a call for too long, the next ones
    get a connection of their own: the one that there is may be dead, with nobody to say so. So they do when the files
    of certificates have changed. A call that is refused with a token that has changed since is sent once more.

    A large transfer over a distance gets further connections, each in a place of its own.

    Attributes:
        distance: What is known of how far away the server is.
        spread: The transfers that have several connections.
    """

    def __init__(self, address: str, connection: ConnectionSettings) -> None:
        """Reads the files that are named in `connection`. Raises InvalidArgumentError: BAD_ADDRESS, BAD_PROXY,
        BAD_SETTING."""
        check_connection(connection)
        self._route = parse_address(address, connection.proxy)
        self._credentials = Credentials(self._route, connection)
        self.address = self._route.shown
        self.timeout = float(connection.timeout)
        self.patience = calls.patience_of(self.timeout)
        self.distance = Distance()
        self.spread: weakref.WeakSet[Any] = weakref.WeakSet()
        self._for_transfer = connection.connections
        self._affinity = Affinity(f"the connection to {self.address}")
        self.is_closed = False
        self._begin()
        renew_after_fork(self)

    def _begin(self) -> None:
        self.lacking: set[str] = set()  # methods that the server which is connected to was found not to have
        self._lock = threading.Lock()
        self._examining = Lock()
        self._examined: tuple[float, Certificates | None, str | None] | None = None
        self._connections: list[Connection | None] = [None] * (1 + MOST_CONNECTIONS)
        self._retired: list[tuple[Connection, float]] = []  # makes no new calls; until when it may have unary ones

    def unary(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """One request, one reply.

        Args:
            timeout: Seconds, if not those of every call.
        """
        timeout = timeout or self.timeout
        attempts: Attempts | None = None  # made when one has failed, which next to none does
        began = time.monotonic()
        patience = seconds = calls.patience_of(timeout)
        if self._retired:
            self._tidy()
        while True:
            connection, metadata = self._connect(), self._credentials.metadata()
            try:
                reply = connection.unary(method, request, seconds, metadata)
                return calls.something(reply, self.address, method)
            except grpc.RpcError as error:
                if attempts is None:
                    attempts = Attempts(self.address, timeout, began)
                if calls.timed_out(error) and patience < math.inf:  # on this connection; perhaps it is that
                    self._retire(connection)
                    patience = math.inf
                else:
                    self._pause(attempts, error, metadata)
                seconds = min(patience, attempts.remaining)

    def stream(
        self,
        method: str,
        request: Any,
        *,
        idle: float | None = None,
        attempts: Attempts | None = None,
        place: int = 0,
    ) -> "Receiver":
        """One request, many replies; returns when the first is here.

        Args:
            idle: Seconds between two messages, where the stream has a pace of its own; the timeout otherwise.
            attempts: Those of the transfer that this stream goes on with.
            place: Of the connection.
        """
        attempts = attempts or Attempts(self.address, self.timeout)
        self._tidy()
        while True:
            call = self.begin(method, request, place)
            patience = attempts.first_patience
            try:
                first = calls.something(call.next(patience), self.address, method)
                return Receiver(self, call, first, idle or self.timeout)
            except OverdueError:
                self.stall(call)
                Clock.sleep(attempts.wait(calls.stalled(self.address, patience)))
            except grpc.RpcError as error:
                calls.untie(error)
                self._pause(attempts, error, call.metadata)
            except BaseException:
                call.cancel()
                raise

    def begin(self, method: str, request: Any, place: int) -> Call:
        """Sends a request on the connection in that place, once, and waits for nothing."""
        return self._connect(place).begin(method, request, metadata=self._credentials.metadata())

    def connections_for_transfer(self, began_in: float) -> int:
        """How many a large transfer gets; asks the server for nothing but a reply, if none has come of late.

        Args:
            began_in: Seconds that the transfer took to begin. Nothing lay before that in its connection, while a call
                that is made now waits for the transfer's blocks, by which a near server may seem far.
        """
        if self._for_transfer == 1 or self.distance.is_refused or len(self.spread) >= MOST_SPREAD:
            return 1
        if self._for_transfer is not None:
            return self._for_transfer
        if not self.distance.is_known and began_in > NEAR:
            sent = elapsed()
            self.unary("GetCapabilities", pb.GetCapabilitiesRequest(), timeout=min(self.patience, 2.0))
            self.distance.see(elapsed() - sent)
        self.distance.see(began_in)
        return self.distance.connections

    def is_bounded_by_distance(self, rate: float) -> bool:
        """Whether several connections are worth it for a transfer that moved so many bytes a second by one."""
        return self._for_transfer is not None or self.distance.bounds(rate)

    def duplex(self, method: str, start: Any, attempts: Attempts | None = None) -> tuple[Duplex, Any]:
        """Messages both ways; returns when the first reply to `start` is here, with that reply.

        Args:
            attempts: Those of the transfer that this call goes on with.
        """
        attempts = attempts or Attempts(self.address, self.timeout)
        self._tidy()
        while True:
            duplex = Duplex(self, self._connect(), method, attempts.patience, self._credentials.metadata())
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
                self._examine(error, attempts.remaining)
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
            ending += [connection for connection in self._connections if connection is not None]
            self._connections, self._retired = [None] * (1 + MOST_CONNECTIONS), []
        Connection.end_all(ending)

    def renew(self) -> None:
        """In a forked child: forgets the parent's connections."""
        for connection in (*self._connections, *(each for each, _ in self._retired)):
            if connection is not None:
                connection.never_free()
        self._affinity.renew()
        self._credentials.renew()
        self._begin()

    def require_own_loop(self) -> None:
        """Raises InvalidArgumentError, OTHER_LOOP, where it is asynchronous, on another event loop than at first."""
        self._affinity.require()

    def _connect(self, place: int = 0) -> Connection:
        if self.is_closed:
            raise calls.closed(self.address)
        self.require_own_loop()
        certificates = self._credentials.certificates()
        connection = self._connections[place]
        if connection is not None and not connection.is_doubtful and connection.certificates is certificates:
            return connection
        with self._lock:
            if self.is_closed:  # meanwhile
                raise calls.closed(self.address)
            connection = self._connections[place]
            if connection is None or connection.is_doubtful or connection.certificates is not certificates:
                if connection is not None:
                    self._retired.append((connection, time.monotonic() + self.timeout))
                    self._connections[place] = None
                options = [*OPTIONS, *self._credentials.options, *(FURTHER_OPTIONS if place else ())]
                connection = Connection(self.address, self._route.target, options, certificates)
                self._connections[place] = connection
                self.lacking = set()
            return connection

    def stall(self, call: Call) -> None:
        """Nothing came for a call for too long: the next ones get a new connection, in case it is that."""
        self._retire(call.connection)

    def _retire(self, connection: Connection) -> None:
        """The connection gets no new calls."""
        with self._lock:
            if connection in self._connections:
                self._retired.append((connection, time.monotonic() + self.timeout))
                self._connections[self._connections.index(connection)] = None

    def _tidy(self) -> None:
        """Closes the retired connections whose calls are over."""
        if self._retired:
            now = time.monotonic()
            with self._lock:
                idle = [each for each, until in self._retired if now >= until and each.is_idle()]
                self._retired = [entry for entry in self._retired if entry[0] not in idle]
            Connection.end_all(idle)

    def error_of(self, failure: grpc.RpcError, metadata: Metadata | None) -> VaultError:
        """What the failure of a call that was sent with this metadata comes to; of UnavailableErrors, it may be sent
        again."""
        if isinstance(failure, calls.LostError):
            return UnavailableError(failure.details(), reason=calls.FORKED, address=self.address)
        error = error_from_rpc(failure, address=self.address)
        if isinstance(error, UnauthenticatedError) and self._credentials.has_changed(metadata):
            return calls.token_changed(error)
        return error

    def _pause(self, attempts: Attempts, failure: grpc.RpcError, metadata: Metadata | None) -> None:
        """Waits until the next attempt; raises what the failure comes to when there is none."""
        if self.is_closed:
            raise calls.closed(self.address) from failure
        error = self.error_of(failure, metadata)
        if not isinstance(error, UnavailableError):
            raise error from failure
        error.__cause__ = failure
        self._examine(error, attempts.remaining)
        Clock.sleep(attempts.wait(error, over=error.reason in ("TIMEOUT", "CANCELLED")))

    def _examine(self, error: UnavailableError, seconds: float) -> None:
        """Raises UntrustedError when no connection could be made because one side does not trust the other."""
        if not handshake.is_suspicious(error):
            return
        certificates = self._credentials.certificates()
        with self._examining:  # once for all who fail at the same time
            until, examined, why = self._examined or (0.0, None, None)
            if time.monotonic() >= until or examined is not certificates:
                why = Blocking.run(handshake.mistrust, self._route, certificates, error.message, seconds)
                self._examined = time.monotonic() + _EXAMINED, certificates, why
        if why is not None:
            raise UntrustedError(f"no connection to {self.address}: {why}", address=self.address) from error.__cause__


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
            message = self.receive()

    def receive(self, seconds: float | None = None) -> Any:
        """The next message, within so many seconds, if not those of every one; None at the end."""
        self._affinity.require()
        address, seconds = self._channel.address, seconds or self._idle
        try:
            return calls.readable(self._call.next(seconds), address)
        except OverdueError as error:
            self._channel.stall(self._call)
            raise calls.stalled(address, seconds) from error
        except grpc.RpcError as error:
            calls.untie(error)
            if self._cancelled:
                return None
            if self._channel.is_closed:
                raise calls.closed(address) from error
            raise self._channel.error_of(error, self._call.metadata) from error
        except BaseException:
            self._call.cancel()
            raise

    def cancel(self) -> None:
        """Ends the stream, also while somebody waits for it. Harmless when repeated, and in a forked child."""
        self._cancelled = True
        self._call.cancel()
