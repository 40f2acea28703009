"""A server's settings, and what they come to as gRPC options."""

from dataclasses import dataclass
from typing import Final

from vault.store.limits import BLOCK_SIZE, MAX_GRPC_SECONDS, check_number, check_seconds, check_unit

from vault_server.process_limits import most_connections, most_transfers

DEFAULT_GRACE: Final = 10.0
"""Seconds that running transfers get to finish when a server stops."""

DEFAULT_CONNECTION_AGE: Final = 1800.0
"""Seconds after which a client is asked to connect anew, so that a load balancer can send it elsewhere."""

DEFAULT_IDLE_TIMEOUT: Final = 300.0
"""Seconds that a call may wait for its client. Over a line that carries 3.5 KB a second a block is through in them."""

DEFAULT_HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds that a new connection may be silent."""

_UNUSED: Final = 20.0
"""Seconds after which a connection without calls ends. Its client makes a new one for the next call."""

DEFAULT_STREAMS: Final = 1000
"""Calls of one connection at the same time; a client's next ones wait for these."""

MAX_NUMBER: Final = (1 << 31) - 1
"""The largest number that gRPC holds, which to it is no limit."""
_SECONDS: Final = (
    "keepalive", "keepalive_timeout", "min_ping_interval", "max_connection_age", "slow_watcher", "handshake_timeout",
    "idle_timeout",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server allows.

    Attributes:
        allowed_units: The only units it accepts; none: any.
        max_message_size: Bytes of one message, in either direction.
        max_concurrent_rpcs: RPCs that run at the same time, watches not counted; the next are answered
            OVERLOADED. Uploads and downloads get three quarters of them at most. None: no limit.
        max_transfers: Uploads and downloads that run at the same time; the next are answered OVERLOADED. None: what
            the process's file descriptors and the machine's memory are enough for. Where all run that may, one
            that has not moved for 10 seconds gives way; its client goes on with it later.
        max_connections: Connections at the same time; the next are closed at once. None: what a quarter of the
            file descriptors is enough for. When nearly all are in use, those end that have not moved for 10 seconds.
        max_streams: RPCs that one connection carries at the same time, watches counted; the client's next wait.
        handshake_timeout: Seconds for a new connection to say that it speaks HTTP/2.
        idle_timeout: Seconds that an RPC may wait for its client: for the next message of an upload, or for a reply
            to be taken (a watch's: see slow_watcher). Then it ends with UNAVAILABLE; uploads and downloads go on
            from where they were, when their client goes on. A connection without RPCs ends after a minute of them.
        keepalive: Seconds after which a silent connection is probed.
        keepalive_timeout: Seconds after which a probe without an answer ends the connection, and with it
            every write that runs over it.
        min_ping_interval: Seconds between a client's own probes, at least, while it has nothing to say.
        max_connection_age: Seconds, more or less a tenth, after which a client is told to connect anew for its
            next calls. Running transfers and watches stay where they are, without a limit. None: never.
        slow_watcher: Seconds that one event may wait for a watcher to take it; then the watch ends with
            SLOW_CONSUMER, and the watcher may go on from the last revision it has seen.
        share_port: Other servers, by the same user, may listen on the same port; the kernel spreads the
            connections. For the workers of one server, on one store.
        group_access: The group of a unix socket may connect, too (0660); otherwise its owner alone (0600).

    Raises:
        InvalidArgumentError: A value that cannot work.
    """

    allowed_units: tuple[str, ...] = ()
    max_message_size: int = 4 << 20
    max_concurrent_rpcs: int | None = None
    max_transfers: int | None = None
    max_connections: int | None = None
    max_streams: int = DEFAULT_STREAMS
    handshake_timeout: float = DEFAULT_HANDSHAKE_TIMEOUT
    idle_timeout: float = DEFAULT_IDLE_TIMEOUT
    keepalive: float = 60.0
    keepalive_timeout: float = 20.0
    min_ping_interval: float = 30.0
    max_connection_age: float | None = DEFAULT_CONNECTION_AGE
    slow_watcher: float = 30.0
    share_port: bool = False
    group_access: bool = False

    def __post_init__(self) -> None:
        for unit in self.allowed_units:
            check_unit(unit)
        # At least a block and its frame; at most what gRPC holds.
        check_number("max_message_size", self.max_message_size, 2 * BLOCK_SIZE, MAX_NUMBER, whole=True)
        for name in ("max_concurrent_rpcs", "max_transfers", "max_connections", "max_streams"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), 1, MAX_NUMBER, whole=True)
        for name in _SECONDS:
            if getattr(self, name) is None and name == "max_connection_age":
                continue
            check_seconds(name, getattr(self, name), most=MAX_GRPC_SECONDS)

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
            ("grpc.keepalive_time_ms", _milliseconds(self.keepalive)),
            ("grpc.keepalive_timeout_ms", _milliseconds(self.keepalive_timeout)),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(self.min_ping_interval)),
            # How far a client may send ahead of the disk, each write: fixed, as for the client (vault._grpc.calls).
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", 4 << 20),
            # Calls that arrive faster than they are begun wait. gRPC cancels some of them from 1,000 on, and all from
            # 3,000, without a reason that would let a client wait and ask again: max_concurrent_rpcs gives one.
            ("grpc.server.max_pending_requests", MAX_NUMBER),
            ("grpc.server.max_pending_requests_hard_limit", MAX_NUMBER),
            ("grpc.server_handshake_timeout_ms", _milliseconds(self.handshake_timeout)),
            ("grpc.max_connection_idle_ms", _milliseconds(min(self.idle_timeout, _UNUSED))),
            ("grpc.max_concurrent_streams", self.max_streams),
            ("grpc.max_allowed_incoming_connections", self.connections),
            # A second server on the port is an error, not half of the connections, unless it is meant to be.
            ("grpc.so_reuseport", int(self.share_port)),
            *self._age(),
        ]

    def _age(self) -> list[tuple[str, int]]:
        if self.max_connection_age is None:
            return []
        # The grace after it is without end unless it is set (max_connection_age_grace_ms), so what runs is never cut.
        return [("grpc.max_connection_age_ms", _milliseconds(self.max_connection_age))]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
