"""What was replaced or deleted goes when its time has come: out of the index first, then its bytes."""

import logging
from collections.abc import Callable
from typing import Final

from vault._runtime.sync_async import AsyncLock
from vault.errors import VaultError

from vault_server.storage.decision.plan import Plan
from vault_server.storage.decision.stored import Purged
from vault_server.storage.generic._async.protocols import AsyncBlobStore, AsyncWritableIndex

_log = logging.getLogger(__name__)

MOST_RETAINED: Final = 64 << 20
"""Bytes of generations that are retained, above which the oldest go before their time."""

_RETRY: Final = 1_000_000
"""Microseconds until what could not be collected is tried again."""

_SIZE: Final = 4
_COLLECT_AT: Final = -1
"""Columns of `retired`."""


class AsyncCollection:
    """Collects what is due, as far as is known here: what others retained is seen with the next of one's own."""

    def __init__(self, index: AsyncWritableIndex, blobs: AsyncBlobStore, clock: Callable[[], int]) -> None:
        self._index = index
        self._blobs = blobs
        self._clock = clock
        self._most = MOST_RETAINED
        self._lock = AsyncLock()
        self._due: int | None = 0  # an earlier process may have left something
        self._retained = 0

    def note(self, plan: Plan) -> None:
        """A plan was applied."""
        for row in plan.retired:
            self._retained += row[_SIZE]
            self._due = row[_COLLECT_AT] if self._due is None else min(self._due, row[_COLLECT_AT])
        if plan.trash or self._retained > self._most:
            self._due = 0

    @property
    def is_due(self) -> bool:
        return self._due is not None and self._due <= self._clock()

    async def collect(self) -> None:
        """Removes what is due, unless somebody does already. What cannot be removed now is tried again later: it comes
        after a commit, or before a read, which it is no part of."""
        if self._lock.locked() or not self.is_due:
            return
        async with self._lock:
            await self._collect()

    async def purge(self, unit: str | None) -> Purged:
        """Removes all that is retained, of one unit or of all, whether it is due or not."""
        async with self._lock:
            purged = await self._index.purge(unit)
            await self._collect()
        return purged

    async def _collect(self) -> None:
        due, self._due = self._due, None  # what is noted meanwhile is not lost
        try:
            files, then, self._retained = await self._index.claim(self._clock(), self._most)
            await self._blobs.remove(files)
            await self._index.forget(files)
        except VaultError as error:
            _log.warning("what is to be collected is left for later: %s", error)
            then = self._clock() + _RETRY
        except BaseException:
            self._due = due
            raise
        if then is not None:
            self._due = then if self._due is None else min(self._due, then)
