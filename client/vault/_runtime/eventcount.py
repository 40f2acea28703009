"""Waiting for another thread, such that no exception, wherever it lands, leaves anything locked or anybody asleep.

An interrupt (KeyboardInterrupt, or whatever a signal's handler or PyThreadState_SetAsyncExc raises) may come between
any two calls of Python code: threading's Condition, Event and Future are written in Python, and one that comes as
they enter or leave their lock leaves it locked for ever. So here waiting takes C locks only, `with lock` on a
threading.Lock is the one way in which locks are held, and a wait looks up by itself from time to time.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

LOOK: Final = 1.0
"""Seconds after which a waiter looks by itself: whoever was to wake it may have been interrupted in that."""


class EventCount:
    """Counts what happens, and lets threads wait for more of it."""

    def __init__(self) -> None:
        self._count = 0
        self._waiters: deque[Any] = deque()

    @property
    def count(self) -> int:
        return self._count

    def advance(self) -> None:
        """Something happened: wakes everybody who waits."""
        self._count += 1  # at once, for other threads and for interrupts: no call is made in between
        while self._waiters:
            try:
                waiter = self._waiters.popleft()
            except IndexError:  # another thread woke the last one
                return
            waiter.release()

    def wait(self, seen: int, timeout: float) -> int:
        """Waits until more than `seen` things have happened, for `timeout` seconds at most; how many have."""
        waiter = threading.Lock()
        waiter.acquire()
        self._waiters.append(waiter)
        if self._count <= seen and not waiter.acquire(timeout=min(max(timeout, 0), threading.TIMEOUT_MAX)):
            with contextlib.suppress(ValueError):  # woken just now
                self._waiters.remove(waiter)
        return self._count

    def wait_for(self, ready: Callable[[], object], timeout: float | None = None) -> bool:
        """Waits until `ready()`, which things that happen may make true; whether it is."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            seen = self._count
            if ready():
                return True
            left = LOOK if deadline is None else min(LOOK, deadline - time.monotonic())
            if left <= 0:
                return False
            self.wait(seen, left)
