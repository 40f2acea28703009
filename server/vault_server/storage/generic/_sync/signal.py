# Generated from _async/signal.py by scripts/unasync: DO NOT CHANGE.
"""Wakes who waits for the next commit in this process: tasks of one asynchronous store, or threads."""

from collections import deque

from vault._runtime.sync_async import Event


class Signal:
    """See CommitSignal."""

    def __init__(self) -> None:
        self.notifications = 0
        self._waiting: deque[Event] = deque()

    def notify(self) -> None:
        self.notifications += 1
        for event in tuple(self._waiting):
            event.set()

    def wait(self, notifications: int, timeout: float) -> object:
        event = Event()
        self._waiting.append(event)
        try:
            return self.notifications == notifications and event.wait(timeout)
        finally:
            self._waiting.remove(event)
