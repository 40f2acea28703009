"""An end to waits that gRPC's sync streams do not limit: one thread for those of a connection."""

import contextlib
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from vault._runtime.sync_async import Background


class Watchdog:
    """Cancels the streams that waited too long for a message. One thread, while any stream is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[Any, float] = {}  # call -> when its wait is over
        self._background: Background | None = None
        self._overdue: weakref.WeakSet[Any] = weakref.WeakSet()

    @contextlib.contextmanager
    def watching(self, call: Any, seconds: float) -> Iterator[None]:
        """
        Raises:
            UnavailableError: OVERLOADED, the system has no thread left.
        """
        with self._lock:
            if self._background is None:
                background = Background(self._run, "vault-watchdog")
                background.start()
                self._background = background
            self._waits[call] = time.monotonic() + seconds
        try:
            yield
        finally:
            self._waits.pop(call, None)

    def overdue(self, call: Any) -> bool:
        return call in self._overdue

    def _run(self) -> None:
        idle = 0
        while True:
            with self._lock:
                now = time.monotonic()
                over = [call for call, until in self._waits.items() if until <= now]
                for call in over:
                    self._overdue.add(call)
                    self._waits.pop(call, None)
                idle = 0 if self._waits or over else idle + 1
                if idle == 2:
                    self._background = None
                    return
                nearest = min(self._waits.values(), default=now + 1.0)
            while over:
                over.pop().cancel_aside()
            time.sleep(min(max(nearest - now, 0.01), 0.5))
