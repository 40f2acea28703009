"""Following the feed: one watcher's place in it."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

from vault._runtime.sync_async import AsyncAffinity
from vault.store.contract import AsyncWatch
from vault.store.limits import WATCH_HEARTBEAT
from vault.store.values import Change, Progress

from vault_server.storage.generic._async.protocols import AsyncCommitSignal, AsyncIndex

PAGE: Final = 500
"""Changes read at a time, so that a watcher far behind costs little memory."""


class AsyncWatched(Protocol):
    """What a watch needs of its store."""

    @property
    def index(self) -> AsyncIndex: ...

    @property
    def signal(self) -> AsyncCommitSignal: ...

    def require_open(self) -> None: ...


class AsyncIndexWatch(AsyncWatch):
    """Reads on when the signal rings, and every WATCH_HEARTBEAT."""

    def __init__(self, store: AsyncWatched, units: Sequence[str], since: int) -> None:
        self._store = store
        self._signal = store.signal
        self._units = tuple(dict.fromkeys(units))
        self._revision = since
        self._affinity = AsyncAffinity.here("the watch")
        self._waiting = False
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[Change | Progress]:
        async with aclosing(self.groups()) as groups:
            async for events in groups:
                for event in events:
                    if self._closed:
                        return
                    yield event
                    self._affinity.require()

    async def groups(self) -> AsyncGenerator[Sequence[Change | Progress], None]:
        self._affinity.require()
        index, signal = self._store.index, self._signal
        await index.changes(self._revision, 1)  # raises when it cannot go on from there
        yield [Progress(self._revision)]
        told_at = time.monotonic()
        while not self._closed:
            self._affinity.require()
            self._store.require_open()
            rings = signal.rings
            self._revision, changes = await index.changes(self._revision, PAGE, self._units)
            left = told_at + WATCH_HEARTBEAT - time.monotonic()
            if changes:
                told_at = -WATCH_HEARTBEAT  # a Progress follows when all are told
                yield changes
            elif left <= 0:
                told_at = time.monotonic()
                yield [Progress(self._revision)]
            else:
                self._waiting = True
                if not self._closed:
                    await signal.wait(rings, left)
                self._waiting = False

    async def close(self) -> None:
        self._affinity.require_closable()
        self._closed = True
        if self._waiting and not self._affinity.is_inherited and not self._affinity.is_foreign:
            self._signal.ring()
