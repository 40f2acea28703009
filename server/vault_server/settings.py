"""A server's settings, and what they come to as gRPC options."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from vault._grpc.settings import FLOW_CONTROL, KEEPALIVE, KEEPALIVE_TIMEOUT, MAX_MESSAGE_SIZE, milliseconds
from vault.store.limits import BLOCK_SIZE, MAX_GRPC_SECONDS
from vault.store.setting import check_settings, seconds, switch, units, whole

from vault_server.access.budgets import DEFAULT_BUDGET, Budget
from vault_server.process_limits import most_connections, most_transfers

DEFAULT_GRACE: Final = 10.0
"""Seconds that running transfers get to finish when a server stops."""

_UNUSED: Final = 20.0
"""Seconds after which a connection without calls ends. Its client makes a new one for the next call."""

MAX_NUMBER: Final = (1 << 31) - 1
"""The largest number that gRPC holds, which to it is no limit."""

_MOST_PENDING: Final = 8192
"""Calls that wait to be begun. They take 16 KiB each; without a limit rapid resets took 8 GiB in some seconds."""

_limit = partial(whole, least=1, most=MAX_NUMBER)
_time = partial(seconds, most=MAX_GRPC_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server allows. The help beside a field is that of its flag of `vault-grpc serve`; 0 there is None here.

    Attributes:
        allowed_units: The only units it accepts; none: any.
        max_message_size: Bytes of one message, in either direction.
        keepalive: Seconds after which a silent connection is probed.
        keepalive_timeout: Seconds after which a probe without an answer ends the connection, and with it
            every write that runs over it.
        min_ping_interval: Seconds between a client's own probes, at least, while it has nothing to say.
        slow_watcher: Seconds that one event may wait for a watcher to take it; then the watch ends with
            SLOW_CONSUMER, and the watcher may go on from the last revision it has seen.
        budget: What each caller may use.
        share_port: Other servers, by the same user, may listen on the same port; the kernel spreads the
            connections. For the workers of one server, on one store.
        worker: Which of the workers of one server it is, from 0; None: there is only one.
        workers_folder: Where the sockets are by which these ask each other; nobody else may get in.
        group_access: The group of a unix socket may connect, too (0660); otherwise its owner alone (0600).

    Raises:
        InvalidArgumentError: A value that cannot work.
    """

    allowed_units: tuple[str, ...] = units()
    # At least a block and its frame.
    max_message_size: int = whole(MAX_MESSAGE_SIZE, least=2 * BLOCK_SIZE, most=MAX_NUMBER)
    max_concurrent_rpcs: int | None = _limit(
        None,
        "Calls that may run at the same time, watches not counted; others are answered OVERLOADED. Uploads and "
        "downloads get three quarters of them at most. Without it: any number.",
    )
    max_transfers: int | None = _limit(
        None,
        "Uploads and downloads that may run at the same time; others are answered OVERLOADED, but one that has not "
        "moved for 10 s gives way to them. Without it: what descriptors and memory are enough for.",
    )
    max_connections: int | None = _limit(
        None,
        "Connections at the same time; others are closed at once. When nearly all are in use, those end that have not "
        "moved for 10 s. Without it: what a quarter of the descriptors is enough for.",
    )
    max_streams: int = _limit(1000, "Calls of one connection at the same time, watches counted; its next ones wait.")
    handshake_timeout: float = _time(
        10.0, "How long a new connection may take for TLS, and to say that it speaks HTTP/2."
    )
    # Over a line that carries 3.5 KB a second a block is through in them.
    idle_timeout: float = _time(
        300.0,
        "How long an upload may bring nothing, and a download not be read. Clients go on from where they were.",
    )
    keepalive: float = _time(KEEPALIVE)
    keepalive_timeout: float = _time(KEEPALIVE_TIMEOUT)
    min_ping_interval: float = _time(30.0)
    max_connection_age: float | None = _time(
        1800.0,
        "When clients are asked to connect anew, more or less a tenth, for load balancers; what runs is not cut. "
        "0: never.",
        optional=True,
    )
    slow_watcher: float = _time(30.0)
    budget: Budget = DEFAULT_BUDGET
    share_port: bool = switch()
    worker: int | None = None
    workers_folder: str | None = None
    group_access: bool = switch()

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def transfers(self) -> int:
        """Uploads and downloads that may run at the same time: other calls keep a share of what may."""
        most = self.max_transfers or most_transfers()
        limit = self.max_concurrent_rpcs
        return most if limit is None else min(most, limit - limit // 4)

    @property
    def connections(self) -> int:
        """Connections that there may be at the same time."""
        return min(self.max_connections or most_connections(), MAX_NUMBER - 1)  # of the next number gRPC itself dies

    def options(self) -> list[tuple[str, int]]:
        """Channel arguments. gRPC ignores a name that it does not know, so a test checks each of them.

        https://github.com/grpc/grpc/blob/master/include/grpc/impl/channel_arg_names.h
        """
        return [
            ("grpc.max_receive_message_length", self.max_message_size),
            ("grpc.max_send_message_length", -1),
            ("grpc.keepalive_time_ms", milliseconds(self.keepalive)),
            ("grpc.keepalive_timeout_ms", milliseconds(self.keepalive_timeout)),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", milliseconds(self.min_ping_interval)),
            *FLOW_CONTROL,  # how far a client may send ahead of the disk, each write
            # Calls that arrive faster than they are begun wait, in memory: also those that are taken back at once, of
            # which max_concurrent_streams counts none. Beyond this gRPC cancels them, and says no reason that would let
            # a client wait and ask again, so that it is above what honest ones have.
            ("grpc.server.max_pending_requests", _MOST_PENDING),
            ("grpc.server.max_pending_requests_hard_limit", _MOST_PENDING),
            ("grpc.server_handshake_timeout_ms", milliseconds(self.handshake_timeout)),
            ("grpc.max_connection_idle_ms", milliseconds(min(self.idle_timeout, _UNUSED))),
            ("grpc.max_concurrent_streams", self.max_streams),
            ("grpc.max_allowed_incoming_connections", self.connections),
            # A second server on the port is an error, not half of the connections, unless it is meant to be.
            ("grpc.so_reuseport", int(self.share_port)),
            # The grace after it is without end unless it is set (max_connection_age_grace_ms): what runs is never cut.
            *([("grpc.max_connection_age_ms", milliseconds(age))] if (age := self.max_connection_age) else []),
        ]
