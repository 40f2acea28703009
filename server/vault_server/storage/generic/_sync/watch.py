# Generated from _async/watch.py by scripts/unasync: DO NOT CHANGE.
"""Following the feed: one watcher's place in it."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from vault._runtime.sync_async import Affinity
from vault.errors import UnavailableError
from vault.store.contract import Watch
from vault.store.limits import WATCH_HEARTBEAT
from vault.store.values import Change, Progress

from vault_server.storage.generic._sync.protocols import CommitSignal, Committing, Index

PAGE: Final = 500
"""Changes read at a time, so that a watcher far behind costs little memory."""


class Watched(Protocol):
    """What a watch needs of its store."""

    @property
    def index(self) -> Index: ...

    @property
    def signal(self) -> CommitSignal: ...

    @property
    def commits(self) -> Committing: ...

    def require_open(self) -> None: ...


class IndexWatch(Watch):
    """Reads on when the signal is notified, and every WATCH_HEARTBEAT."""

    def __init__(self, store: Watched, units: Sequence[str], since: int) -> None:
        self._store = store
        self._signal = store.signal
        self._units = tuple(dict.fromkeys(units))
        self._revision = since
        self._told_at: float | None = None
        self._affinity = Affinity.here("the watch")
        self._waiting = False
        self._closed = False

    def __iter__(self) -> Iterator[Change | Progress]:
        while events := self._next_events():
            for event in events:
                if self._closed:
                    return
                yield event
                self._affinity.require()

    def groups(self) -> Iterator[Sequence[Change | Progress]]:
        while events := self._next_events():
            yield events

    def _next_events(self) -> Sequence[Change | Progress]:
        """Waits for the next ones; none: it was closed."""
        index, signal = self._store.index, self._signal
        self._affinity.require()
        if self._told_at is None:
            index.changes(self._revision, 1)  # raises when it cannot go on from there
            return self._progress()
        while not self._closed:
            self._affinity.require()
            notifications = signal.notifications  # first: closing the store notifies, too
            self._store.require_open()
            expires = self._expire()
            self._revision, changes = index.changes(self._revision, PAGE, self._units)
            if changes:
                self._told_at = -WATCH_HEARTBEAT  # a Progress follows when all are told
                return changes
            left = self._told_at + WATCH_HEARTBEAT - time.monotonic()
            if left <= 0:
                return self._progress()
            self._waiting = True
            if not self._closed:
                signal.wait(notifications, min(left, expires))
            self._waiting = False
        return ()

    def _expire(self) -> float:
        """Has deleted what has expired, where nobody else does; the seconds until the next does."""
        try:
            expires = self._store.commits.expire()
        except UnavailableError:  # it may have been
            expires = None
        return math.inf if expires is None else expires

    def _progress(self) -> Sequence[Progress]:
        self._told_at = time.monotonic()
        return [Progress(self._revision)]

    def close(self) -> None:
        self._affinity.require_closable()
        self._closed = True
        if self._waiting and not self._affinity.is_inherited and not self._affinity.is_foreign:
            self._signal.notify()
