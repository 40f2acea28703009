"""An end to waits that gRPC's sync streams do not limit: one thread for all of them."""

import contextlib
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any


class Watchdog:
    """Cancels the streams that waited too long for a message. One thread, while any stream is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[Any, float] = {}  # call -> when its wait is over
        self._running = False
        self._overdue: weakref.WeakSet[Any] = weakref.WeakSet()
        self._wake = threading.Condition(self._lock)

    @contextlib.contextmanager
    def watching(self, call: Any, seconds: float) -> Iterator[None]:
        with self._lock:
            self._waits[call] = time.monotonic() + seconds
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="vault-watchdog", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                del self._waits[call]

    def overdue(self, call: Any) -> bool:
        return call in self._overdue

    def _run(self) -> None:
        with self._lock:
            idle = 0
            while idle < 2:
                now = time.monotonic()
                late = [call for call, until in self._waits.items() if until <= now]
                for call in late:
                    self._overdue.add(call)
                    self._waits[call] = float("inf")
                    call.cancel()
                idle = 0 if self._waits else idle + 1
                nearest = min(self._waits.values(), default=now + 1.0)
                self._wake.wait(min(max(nearest - now, 0.01), 0.5))
            self._running = False
