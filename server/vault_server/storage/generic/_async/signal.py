"""Wakes who waits for the next commit in this process: tasks of one asynchronous store, or threads."""

from collections import deque

from vault._runtime.sync_async import AsyncEvent


class AsyncSignal:
    """See AsyncCommitSignal."""

    def __init__(self) -> None:
        self.notifications = 0
        self._waiting: deque[AsyncEvent] = deque()

    def notify(self) -> None:
        self.notifications += 1
        for event in tuple(self._waiting):
            event.set()

    async def wait(self, notifications: int, timeout: float) -> object:
        event = AsyncEvent()
        self._waiting.append(event)
        try:
            return self.notifications == notifications and await event.wait(timeout)
        finally:
            self._waiting.remove(event)
