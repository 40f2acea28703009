"""Times and spans of time as messages, and back; as `messages` has it of all else."""

from datetime import datetime
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from vault.errors import ProtocolError
from vault.store.values import to_time

_SECOND: Final = 1_000_000_000  # nanoseconds


def fill_timestamp(wire: Timestamp, moment: int) -> None:
    wire.seconds, microseconds = divmod(moment, 1_000_000)
    wire.nanos = microseconds * 1000


def time_from_wire(wire: Timestamp) -> datetime:
    seconds, nanos = wire.seconds, wire.nanos
    try:
        if 0 <= nanos < _SECOND:
            return to_time(seconds * 1_000_000 + nanos // 1000)
    except OverflowError:
        pass
    raise ProtocolError(f"the server sent a time that can be none: {seconds} s and {nanos} ns since 1970")


def duration(seconds: float) -> Duration:
    span = Duration()
    span.FromNanoseconds(round(seconds * 1e9))
    return span


def seconds_from_wire(span: Duration) -> float:
    """A time in seconds, whatever the sender made of it."""
    return span.seconds + span.nanos / 1e9
