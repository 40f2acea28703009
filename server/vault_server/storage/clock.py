"""The store's time: what expires, and when it was written, goes by it. It never goes back, though this machine's may.

It is the later of this machine's clock and the time of the last commit, which the index keeps; so processes on one
directory, whose clock is the same, agree on it as far as anything was committed.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

DAY: Final = 86_400_000_000
"""Microseconds."""


def wall_clock() -> int:
    """This machine's clock: microseconds since 1970."""
    return time.time_ns() // 1000


def sound_clock(clock: Any, committed_at: Any) -> int:
    """The time that an index keeps, where it can be right. One that is far ahead of this machine's, or none at all, is
    right only if the last change was committed then; otherwise it is that change's time, or, where that cannot be
    right either, 0.

    Args:
        committed_at: When the last change was committed.
    """
    latest = wall_clock() + DAY
    if clock == committed_at or _is_time(clock, latest):
        return clock if isinstance(clock, int) else 0
    return committed_at if _is_time(committed_at, latest) else 0


def _is_time(moment: Any, end: int) -> bool:
    return isinstance(moment, int) and 0 <= moment < end


class StoreClock:
    """The store's time as one process knows it. Safe to share between threads."""

    def __init__(self, wall: Callable[[], int] = wall_clock, *, since: int = 0) -> None:
        """
        Args:
            since: The latest time that this process has seen.
        """
        self.wall = wall
        self.latest = since
        self._lock = threading.Lock()

    def now(self) -> int:
        """Microseconds since 1970; never less than before."""
        return self.raise_to(self.wall())

    def raise_to(self, moment: int) -> int:
        """The store's time is at least this."""
        with self._lock:
            if moment > self.latest:
                self.latest = moment
            return self.latest

    def seen(self, clock: Any, committed_at: Any) -> int:
        """What an index keeps, and when its last change was committed; the time now."""
        self.raise_to(sound_clock(clock, committed_at))
        return self.now()
