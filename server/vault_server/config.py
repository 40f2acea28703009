"""A server's settings, and what they come to as gRPC options."""

from dataclasses import dataclass
from typing import Final

from vault.errors import InvalidArgumentError
from vault.rules import BLOCK_SIZE, check_unit

DEFAULT_GRACE: Final = 10.0
"""Seconds that running transfers get to finish when a server stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What a server allows.

    Attributes:
        allowed_units: The only units it accepts; none: any.
        max_message_size: Bytes of one message, in either direction.
        max_concurrent_rpcs: RPCs that run at the same time, watches not counted; the next are answered
            OVERLOADED. None: no limit.
        keepalive: Seconds after which a silent connection is probed.
        keepalive_timeout: Seconds after which a probe without an answer ends the connection, and with it
            every write that runs over it.
        min_ping_interval: Seconds between a client's own probes, at least, while it has nothing to say.

    Raises:
        InvalidArgumentError: A value that cannot work.
    """

    allowed_units: tuple[str, ...] = ()
    max_message_size: int = 4 << 20
    max_concurrent_rpcs: int | None = None
    keepalive: float = 60.0
    keepalive_timeout: float = 20.0
    min_ping_interval: float = 30.0

    def __post_init__(self) -> None:
        for unit in self.allowed_units:
            check_unit(unit)
        if self.max_message_size < 2 * BLOCK_SIZE:
            raise InvalidArgumentError(
                f"max_message_size of {self.max_message_size} bytes: at least {2 * BLOCK_SIZE}, a block and its frame"
            )
        if self.max_concurrent_rpcs is not None and self.max_concurrent_rpcs < 1:
            raise InvalidArgumentError(f"max_concurrent_rpcs of {self.max_concurrent_rpcs}: at least 1, or None")
        for name in ("keepalive", "keepalive_timeout", "min_ping_interval"):
            if not getattr(self, name) > 0:
                raise InvalidArgumentError(f"{name} of {getattr(self, name)} seconds: more than 0")

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
            # How far a client may send ahead of the disk, each write: fixed, as for the client (vault.channel.calls).
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", 4 << 20),
            # A second server on the port is an error, not half of the connections.
            ("grpc.so_reuseport", 0),
        ]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
