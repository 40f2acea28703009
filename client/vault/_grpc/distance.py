"""How far away a server is, and how many connections a large transfer over that distance is worth. No I/O."""

import math
import time
from typing import Final

from vault._grpc.settings import WINDOW

MOST_CONNECTIONS: Final = 8

_RATE: Final = 800e6
"""Bytes a second that there is to be room for: twice what two cores carry, since a window is opened again only when
half of it was read. So one connection is enough for 5 ms, and four for 20."""

NEAR: Final = WINDOW / _RATE
"""Seconds there and back for which one connection is enough."""

_NEARLY: Final = 4  # parts of a window, of which a stream that is bounded by it moves one, at least, each round trip
_RECENT: Final = 60.0  # seconds for which a round trip is remembered, once or twice over
_ALONE: Final = 60.0  # seconds without another try, after several connections did not work


class Distance:
    """The shortest round trip of late: what is longer was the server's work, or its queue. Threads may share it."""

    def __init__(self) -> None:
        self._least = self._before = math.inf
        self._until = self._alone_until = 0.0

    def see(self, seconds: float) -> None:
        """A small call took so long."""
        now = time.monotonic()
        if now >= self._until:
            self._before = self._least if now < self._until + _RECENT else math.inf
            self._least, self._until = math.inf, now + _RECENT
        self._least = min(self._least, seconds)

    @property
    def is_known(self) -> bool:
        return time.monotonic() < self._until

    @property
    def connections(self) -> int:
        """How many a large transfer is worth: 1 where one stream's window is enough."""
        seconds = min(self._least, self._before)
        return 1 if seconds == math.inf else min(MOST_CONNECTIONS, max(1, math.ceil(seconds * _RATE / WINDOW)))

    def bounds(self, rate: float) -> bool:
        """Whether it is the distance that bounds a stream of so many bytes a second: a slow line, or a busy server,
        is no faster by several."""
        return rate * min(self._least, self._before) > WINDOW / _NEARLY

    def refused(self) -> None:
        """Several connections did not work, or the server knows nothing of them: there is one for a while."""
        self._alone_until = time.monotonic() + _ALONE

    @property
    def is_refused(self) -> bool:
        return time.monotonic() < self._alone_until
