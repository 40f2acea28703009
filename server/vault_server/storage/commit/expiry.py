"""Deleting what has expired: within a second, in this process's writer, whichever process has stored it.

Reads leave it out by themselves from its moment on. That it is deleted is for the feed, and for the room that it takes.
A process knows when something expires from its own commits and from the feed, which others' come by; where nobody
follows the feed nor writes, nobody misses the deletion until somebody opens the store, which looks, too.
"""

import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Final

from vault_server.storage.clock import StoreClock
from vault_server.storage.decision.quota import MOST_EVICTED
from vault_server.storage.decision.writes import Write, drop
from vault_server.storage.index.expiring import find_expired, next_expiry

_APART: Final = 0.25
"""Seconds between two looks at least, so that a stream of objects that expire is deleted in a few transactions."""

_LONGEST: Final = 30.0
"""Seconds after which a look is worth it in any case, while something expires: the clock may have been set."""

_RETRY_SECONDS: Final = 30.0


class Expiry:
    """What the writer has to delete, and when. `expect` is safe from any thread; the rest is the writer's.

    Args:
        wake: Called when the next look is sooner than it was.
    """

    def __init__(self, clock: StoreClock, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._lock = threading.Lock()
        self._due: float | None = None
        self._not_before = 0.0
        self._taken = False

    def expect(self, moment: int | None) -> None:
        """Something expires then, in microseconds since 1970; None: nothing more is known of."""
        if moment is None:
            return
        seconds = min(max((moment - self._clock.now()) / 1e6, 0.0), _LONGEST)
        due = max(time.monotonic() + seconds, self._not_before)
        with self._lock:
            sooner = self._due is None or due < self._due
            if sooner:
                self._due = due
        if sooner:
            self._wake()

    @property
    def wait(self) -> float | None:
        """Seconds until a look is worth it; None: nothing is known to expire."""
        due = self._due
        return None if due is None else max(due - time.monotonic(), 0.0)

    @property
    def is_due(self) -> bool:
        due = self._due
        return due is not None and time.monotonic() >= due

    def look(self, connection: sqlite3.Connection) -> bool:
        """Whether something has expired, when it is due; what comes next is expected."""
        now = self._clock.now()
        if find_expired(connection, now, 1):
            return True
        self._expect_next(connection, now)
        return False

    def take(self, connection: sqlite3.Connection) -> list[Write]:
        """What has expired, to be deleted in this transaction: so much as one holds."""
        now = self._clock.now()
        rows = find_expired(connection, now, MOST_EVICTED)
        full = len(rows) == MOST_EVICTED
        self._taken = True
        self._expect_next(connection, 0 if full else now, apart=0.0 if full else _APART)
        return [drop(row) for row in rows]

    def committed(self, moment: int | None) -> None:
        """The transaction is durable; of what it stored something expires then, None: nothing does."""
        self._taken = False
        self.expect(moment)

    def failed(self) -> None:
        """The transaction, or the look, has failed. What was to be deleted in it is not tried again at once, so that a
        full disk is not hammered; what was not is due when it was."""
        with self._lock:
            if self._taken or self.is_due:
                self._due = time.monotonic() + _RETRY_SECONDS
            self._taken = False

    def _expect_next(self, connection: sqlite3.Connection, after: int, *, apart: float = _APART) -> None:
        moment = next_expiry(connection, after)
        with self._lock:
            self._due = None
            self._not_before = time.monotonic() + apart
        self.expect(moment)
