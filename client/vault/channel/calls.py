"""What every call goes by, sync or async: gRPC's settings, deadlines, when to try again, what to say."""

import math
import random
import time
from typing import Any, Final

import grpc

from vault.errors import ClosedError, InvalidArgumentError, ProtocolError, UnavailableError, VaultError
from vault.wire.status import error_from_rpc

MAX_MESSAGE_SIZE: Final = 4 << 20
"""Bytes in one message, each way: gRPC's usual limit."""

FLOW_CONTROL: Final[list[tuple[str, Any]]] = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 4 << 20)]
"""How far the other side of a stream may send ahead of its reader: 4 MiB, fixed.

Left to itself gRPC doubles this window for as long as the connection carries it, and on a busy machine, where
round trips look long, it held 50 MiB of one download (10 GiB on loopback, 2 cores; VmHWM 105 MB against 61 MB
with the fixed window). 4 MiB was no slower there, 1 MiB was by a third. Over a network it bounds one stream to
4 MiB a round trip: 400 MB/s at 10 ms.
"""

OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.max_send_message_length", MAX_MESSAGE_SIZE),
    ("grpc.max_receive_message_length", MAX_MESSAGE_SIZE),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    *FLOW_CONTROL,
    # Two clients in one process must not share a connection: its flow control would couple them, and
    # closing one would not close it.
    ("grpc.use_local_subchannel_pool", 1),
    # What can be sent again is sent again by `Attempts`, which knows the whole deadline; gRPC's own
    # retries below it would multiply with those.
    ("grpc.enable_retries", 0),
]

_FIRST_BACKOFF: Final = 0.1
_LAST_BACKOFF: Final = 1.0


def check_timeout(timeout: float) -> float:
    """`timeout`, when it is a number of seconds above 0; InvalidArgumentError when not."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < math.inf:
        raise InvalidArgumentError(f"bad timeout {timeout!r}: seconds, above 0", reason="BAD_TIMEOUT")
    return float(timeout)


class Attempts:
    """When to try a call again, and what to say when trying is over. No I/O."""

    def __init__(self, address: str, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._backoff = _FIRST_BACKOFF
        self._cause: VaultError | None = None

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; never 0, which gRPC would take for none."""
        return max(self._deadline - time.monotonic(), 0.001)

    def pause(self, failure: grpc.RpcError) -> float:
        """Seconds to wait before the next attempt; raises what the failure comes to when there is none."""
        error = error_from_rpc(failure, address=self._address)
        if not isinstance(error, UnavailableError):
            raise error from failure
        over = error.reason in ("TIMEOUT", "CANCELLED")
        if self._cause is None or not over:  # that time is over says less than why the attempts before it failed
            self._cause = error
        jitter = random.uniform(0.5, 1.5)  # noqa: S311  # so that many clients do not come back at once
        wait: float = max(error.context.get("retry_after", 0.0), self._backoff * jitter)
        self._backoff = min(self._backoff * 2, _LAST_BACKOFF)
        if over or time.monotonic() + wait >= self._deadline:
            raise UnavailableError(
                f"no answer from {self._address} within {self._timeout:g} s: {self._cause.message}",
                reason=self._cause.reason,
                address=self._address,
            ) from failure
        return wait


def stalled(address: str, timeout: float) -> UnavailableError:
    """The error for a stream that waited too long for a message."""
    return UnavailableError(f"{address} made no progress for {timeout:g} s", reason="TIMEOUT", address=address)


def something(reply: Any, address: str, method: str) -> Any:
    """A stream's first reply; ProtocolError when it ended without one."""
    if reply is None:
        raise ProtocolError(f"{address} answered {method} with nothing", address=address)
    return reply


def closed(address: str) -> ClosedError:
    """The error for a call on a closed channel."""
    return ClosedError(f"the connection to {address} is closed", address=address)
