"""Resumable writes: who has which, and those that nobody has, for a while."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from vault.errors import write_not_found
from vault.store.values import WriteStatus

from vault_server.storage.decision.refusals import other_write
from vault_server.storage.decision.writes import ContentWrite, RequestKey, request_hash
from vault_server.storage.generic._async.protocols import AsyncStaged
from vault_server.storage.generic._async.writer import AsyncStagedWriter
from vault_server.storage.uploads.incoming import Incoming
from vault_server.storage.uploads.suspended_limits import too_many

MOST_SUSPENDED: Final = 1000
MOST_BYTES: Final = 256 << 20
"""What suspended writes may hold, in number and bytes. Above either, those that wait longest go first, of the principal
who has most."""


@dataclass(frozen=True, slots=True)
class _Suspended:
    request: ContentWrite
    incoming: Incoming
    until: float


class AsyncSuspended:
    """The resumable writes of one open store, in memory. What is due is looked for when one comes, goes, or is asked
    for. Staged bytes are kept as they are.

    Args:
        window: Seconds that a write is kept after it was suspended.
    """

    def __init__(self, window: float, stage: Callable[[str], AsyncStaged]) -> None:
        self.window = window
        self._stage = stage
        self._held: WeakValueDictionary[RequestKey, AsyncStagedWriter] = WeakValueDictionary()
        self._suspended: dict[RequestKey, _Suspended] = {}  # in the order in which they were suspended

    async def acquire(self, writer: AsyncStagedWriter) -> None:
        await self._expire()
        key = writer.request_key
        previous, kept = self._held.get(key), self._suspended.get(key)
        for other in (None if previous is None else previous.request, None if kept is None else kept.request):
            if other is not None and request_hash(other) != writer.request_hash:
                raise other_write(writer.request.unit)
        self._held[key] = writer
        if previous is not None:
            await previous.hand_over()

    async def resume(self, writer: AsyncStagedWriter) -> Incoming | None:
        writer.raise_if_ended()
        kept = self._suspended.pop(writer.request_key, None)
        return None if kept is None else kept.incoming

    def stage(self, writer: AsyncStagedWriter) -> AsyncStaged:
        return self._stage(writer.request.unit)

    def release(self, writer: AsyncStagedWriter) -> None:
        if self._held.get(writer.request_key) is writer:
            self._held.pop(writer.request_key, None)

    async def suspend(self, writer: AsyncStagedWriter, incoming: Incoming) -> None:
        self.release(writer)
        if incoming.staged is not None:
            until = time.monotonic() + self.window
            self._suspended[writer.request_key] = _Suspended(writer.request, incoming, until)
        await self._expire()

    async def drop(self, key: RequestKey) -> None:
        kept = self._suspended.pop(key, None)
        if kept is not None:
            await kept.incoming.staged.discard()

    async def status(self, unit: str, key: RequestKey) -> WriteStatus:
        await self._expire()
        held, kept = self._held.get(key), self._suspended.get(key)
        if held is not None and held.request.unit == unit:
            return WriteStatus(held.persisted_size)
        if kept is not None and kept.request.unit == unit:
            return WriteStatus(kept.incoming.size)
        raise write_not_found(unit)

    async def abort(self, unit: str, key: RequestKey) -> None:
        held = self._held.get(key)
        if held is not None and held.request.unit == unit:
            await held.end(write_not_found(unit))
        kept = self._suspended.get(key)
        if kept is not None and kept.request.unit == unit:
            await self.drop(key)

    async def close(self) -> None:
        """Gives all of them up."""
        self._held.clear()
        for key in self._suspended.copy():
            await self.drop(key)

    async def _expire(self) -> None:
        now = time.monotonic()
        suspended = self._suspended.copy()  # another thread may change it meanwhile
        for key, kept in suspended.items():
            if kept.until > now:
                break
            await self.drop(key)
        told = ((key, key[0], kept.incoming.size) for key, kept in suspended.items() if kept.until > now)
        for key in too_many(told, MOST_SUSPENDED, MOST_BYTES):
            await self.drop(key)
