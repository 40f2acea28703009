"""Following the feed: one watcher's place in it."""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from vault.store.contract import AsyncWatch
from vault.store.values import Change, Progress

from vault_server.storage.generic._async.protocols import AsyncCommitSignal, AsyncIndex

HEARTBEAT_SECONDS: Final = 2.0
"""How often an idle watcher is told the revision."""

PAGE: Final = 500
"""Changes read at a time."""


class AsyncWatched(Protocol):
    """What a watch needs of its store."""

    @property
    def index(self) -> AsyncIndex: ...

    @property
    def signal(self) -> AsyncCommitSignal: ...

    def require_open(self) -> None: ...


class AsyncIndexWatch(AsyncWatch):
    """Reads the index when the signal rings, and every HEARTBEAT_SECONDS."""

    def __init__(self, store: AsyncWatched, units: Sequence[str], since: int) -> None:
        self._store = store
        self._units = frozenset(units)
        self._revision = since
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[Change | Progress]:
        store, signal = self._store, self._store.signal
        await store.index.changes(self._revision, 1)  # raises when it cannot go on from there
        told_at = -HEARTBEAT_SECONDS
        while not self._closed:
            store.require_open()
            left = told_at + HEARTBEAT_SECONDS - time.monotonic()
            if left <= 0:
                told_at = time.monotonic()
                yield Progress(self._revision)
                continue
            rings = signal.rings
            until, changes = await store.index.changes(self._revision, PAGE)
            for change in changes:
                if self._closed:
                    return
                if not self._units or change.unit in self._units:
                    yield change
                    told_at = -HEARTBEAT_SECONDS  # a Progress follows when all are told
            if until == self._revision and not self._closed:
                await signal.wait(rings, left)
            self._revision = until

    async def close(self) -> None:
        self._closed = True
        self._store.signal.ring()
