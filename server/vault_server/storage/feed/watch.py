"""Following the change feed: the position of one watcher, and a watcher for threads."""

import time
from collections.abc import Iterator, Sequence

from vault._runtime.fork import fork_count, is_inherited, refuse_inherited
from vault.store.contract import Watch
from vault.store.limits import WATCH_HEARTBEAT
from vault.store.values import Change, Progress

from vault_server.storage.feed.feed import POLL_SECONDS, Feed


class Position:
    """How far one watcher is. Sees what the feed knew at its last refresh, which is the caller's to do."""

    def __init__(self, feed: Feed, units: Sequence[str], since: int | None) -> None:
        self._feed = feed
        self._units = tuple(dict.fromkeys(units))
        now = feed.refresh()
        self._revision = now if since is None else since
        self._started = False
        self._sent_at = 0.0

    @property
    def is_near(self) -> bool:
        """Whether what comes next is in memory."""
        return self._feed.holds(self._revision)

    def next_events(self, now: float) -> list[Change | Progress]:
        """The next events, a page at most. Empty: none, until the feed wakes."""
        if not self._started:
            self._started = True
            self._feed.page(self._revision, ())  # raises when it cannot go on from there
            return self._progress(now)
        self._revision, changes = self._feed.page(self._revision, self._units)
        if changes:
            self._sent_at = 0.0  # a Progress follows them
            return list(changes)
        if now - self._sent_at >= WATCH_HEARTBEAT:
            return self._progress(now)
        return []

    def _progress(self, now: float) -> list[Change | Progress]:
        self._sent_at = now
        return [Progress(self._revision)]


class StoredWatch(Watch):
    """Blocks the iterating thread until there is an event; other processes' commits are polled for."""

    def __init__(self, feed: Feed, units: Sequence[str], since: int | None) -> None:
        self._feed = feed
        self._position = Position(feed, units, since)
        self._closed = False
        self._forks = fork_count()

    def __iter__(self) -> Iterator[Change | Progress]:
        for events in self.groups():
            for event in events:
                if self._closed:
                    return
                yield event
                refuse_inherited(self._forks, "the watch")

    def groups(self) -> Iterator[Sequence[Change | Progress]]:
        wakes = 0
        while not self._closed:
            refuse_inherited(self._forks, "the watch")
            self._feed.require_open()
            self._feed.refresh()
            events = self._position.next_events(time.monotonic())
            if events:
                yield events
            else:
                wakes = self._feed.wait(wakes, POLL_SECONDS)

    def close(self) -> None:
        self._closed = True
        if not is_inherited(self._forks):
            self._feed.wake()
