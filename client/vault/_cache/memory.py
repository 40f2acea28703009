"""The memory watermark: a limit on the process's memory, kept by evicting from the cache."""

import threading
import time
from collections.abc import Callable
from typing import Final

from vault._runtime.memory import give_back, resident
from vault.store.limits import check_number

_MEGABYTE: Final = 1 << 20
_LIMITS: Final = (1e-6, 1e12)  # from about a byte on, in MiB
_NOTICE: Final = 8 * _MEGABYTE  # taken in since the last look; a look takes some 20 µs
_PAUSE: Final = 1.0  # seconds until inserts cause another attempt, when nothing was left to put out
_SHARE: Final = 0.125  # of what may go, at least, at a time: objects take more in memory than their bytes say


class MemoryWatermark:
    """Keeps the process's resident memory (RSS) below a limit, as far as something can be put out.

    Safe to share between threads.
    """

    def __init__(self, megabytes: float) -> None:
        """
        Args:
            megabytes: The limit, in MiB of the whole process's RSS.

        Raises:
            InvalidArgumentError: BAD_LIMIT.
        """
        check_number("max_memory_used, in MiB,", megabytes, *_LIMITS, reason="BAD_LIMIT")
        self._limit = int(megabytes * _MEGABYTE)
        self._busy = threading.Lock()
        self._taken = 0
        self._not_before = 0.0

    def took(self, size: int) -> bool:
        """An object of `size` bytes was taken in. Returns whether `relieve` should be called."""
        self._taken += size  # threads may lose an addition here; it is a hint
        if self._taken < _NOTICE or time.monotonic() < self._not_before:
            return False
        self._taken = 0
        return resident() > self._limit

    def relieve(self, shed: Callable[[int, float], int]) -> None:
        """Above the limit, puts things out until below, or until nothing more goes. Does nothing below it.

        Args:
            shed: Puts out at least so many bytes and at least this share of what may go; says how many went.
        """
        if self._busy.locked():
            return  # another thread is at it
        with self._busy:
            while (excess := resident() - self._limit) > 0 and shed(excess, _SHARE):
                give_back()
            if excess > 0:
                give_back()
                self._not_before = time.monotonic() + _PAUSE
