"""The numbers of gRPC that client and server share, and the settings of a client's channel."""

from typing import Any, Final

MAX_MESSAGE_SIZE: Final = 4 << 20
"""Bytes in one message, each way: gRPC's usual limit."""

KEEPALIVE: Final = 60.0
"""Seconds after which a silent connection is probed."""

KEEPALIVE_TIMEOUT: Final = 20.0
"""Seconds after which a probe without an answer ends the connection."""

WINDOW: Final = 4 << 20
"""Bytes that the other side of a stream may send ahead of its reader."""

FLOW_CONTROL: Final[list[tuple[str, Any]]] = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", WINDOW)]
"""How far the other side of a stream may send ahead of its reader: 4 MiB, fixed.

Left to itself gRPC doubles this window for as long as the connection carries it, and on a busy machine, where
round trips look long, it held 50 MiB of one download (10 GiB on loopback, 2 cores; VmHWM 105 MB against 61 MB
with the fixed window). 4 MiB was no slower there, 1 MiB was by a third. Over a network it bounds one stream to
4 MiB a round trip, 400 MB/s at 10 ms, so a large download has several connections there: see `distance`. A larger
window on one of them was no faster.
"""


def milliseconds(seconds: float) -> int:
    """As gRPC counts them: 1 at least."""
    return max(1, round(seconds * 1000))


OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.max_send_message_length", MAX_MESSAGE_SIZE),
    ("grpc.max_receive_message_length", MAX_MESSAGE_SIZE),
    ("grpc.keepalive_time_ms", milliseconds(KEEPALIVE)),
    ("grpc.keepalive_timeout_ms", milliseconds(KEEPALIVE_TIMEOUT)),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    *FLOW_CONTROL,
    # A proxy is for who asks for one: http_proxy of the environment is meant for the web, not for a storage host.
    ("grpc.enable_http_proxy", 0),
    # Two clients in one process must not share a connection: its flow control would couple them, and
    # closing one would not close it.
    ("grpc.use_local_subchannel_pool", 1),
    # What can be sent again is sent again by `Attempts`, which knows the whole deadline; gRPC's own
    # retries below it would multiply with those.
    ("grpc.enable_retries", 0),
]

FURTHER_OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.client_idle_timeout_ms", milliseconds(KEEPALIVE)),
    # Whoever reads the streams serves their sockets, and no thread of gRPC's for each connection: a fork while several
    # of those ran ended the child (gRPC's epoll1 polling engine, a failed check; one thread does no harm).
    ("SingleThreadedUnaryStream", 1),  # grpc.experimental.ChannelOptions; grpc.aio has no such threads
]
"""Of the connections beside a channel's first one, for large transfers: they end when there is none."""
