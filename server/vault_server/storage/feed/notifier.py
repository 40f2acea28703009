"""One thread that wakes event loops when the feed has moved, for however many watchers."""

import asyncio
import contextlib
import threading

from vault._runtime.sync_async import Background
from vault.errors import VaultError

from vault_server.storage.feed.feed import POLL_SECONDS, Feed


class Notifier:
    """Sets an event for each registered watcher. Its thread lives while there are watchers."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._mutex = threading.Lock()
        self._events: dict[asyncio.AbstractEventLoop, set[asyncio.Event]] = {}
        self._background: Background | None = None
        self._closed = False

    def add(self, loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
        """From now on the event is set, on its loop, whenever the feed has moved or ended.

        Raises:
            UnavailableError: OVERLOADED, the system has no thread left.
        """
        with self._mutex:
            if self._background is None:
                background = Background(self._run, "vault-notifier")
                background.start()
                self._background = background
            self._events.setdefault(loop, set()).add(event)

    def remove(self, loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
        """Ends it. Harmless when repeated."""
        with self._mutex:
            events = self._events.get(loop, set())
            events.discard(event)
            if not events:
                self._events.pop(loop, None)

    def close(self) -> None:
        """Ends the thread; sets every event once more."""
        with self._mutex:
            self._closed = True
            background = self._background
        self._feed.wake()
        if background is not None:
            background.stop()

    def _run(self) -> None:
        wakes, revision = self._feed.wait(-1, 0), -1
        while True:
            woken = self._feed.wait(wakes, POLL_SECONDS)
            now = revision
            # What goes wrong here goes wrong for the watchers too, who have somebody to raise it to.
            with contextlib.suppress(VaultError):
                now = self._feed.refresh()
            if woken != wakes or now != revision:
                self._set_all()
            wakes, revision = woken, now
            with self._mutex:
                if self._closed or self._feed.closed or not self._events:
                    self._background = None
                    break
        self._set_all()

    def _set_all(self) -> None:
        with self._mutex:
            waiting = [(loop, list(events)) for loop, events in self._events.items()]
        for loop, events in waiting:
            with contextlib.suppress(RuntimeError):  # a loop that closed with a watch open
                loop.call_soon_threadsafe(_set, events)


def _set(events: list[asyncio.Event]) -> None:
    for event in events:
        event.set()
