"""Resumable writes: who has which, and those that nobody has, for a while."""

import time
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from vault.errors import write_not_found
from vault.store.values import WriteStatus

from vault_server.storage.decision.refusals import other_write
from vault_server.storage.generic._async.writer import AsyncIncoming, AsyncStagedWriter

MOST_SUSPENDED: Final = 1000
MOST_BYTES: Final = 256 << 20
"""What suspended writes may hold, in number and bytes. Above either, those that wait longest go first."""


@dataclass(frozen=True, slots=True)
class _Suspended:
    unit: str
    request_hash: int
    incoming: AsyncIncoming
    until: float


class AsyncSuspended:
    """The resumable writes of one open store. What is due is looked for when one comes, goes, or is asked for.

    Args:
        window: Seconds that a write is kept after it was suspended.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._held: WeakValueDictionary[bytes, AsyncStagedWriter] = WeakValueDictionary()
        self._kept: dict[bytes, _Suspended] = {}  # in the order in which they were suspended

    async def enter(self, writer: AsyncStagedWriter) -> AsyncIncoming | None:
        """The writer has the write from now on; what there is of it.

        Raises:
            InvalidArgumentError: BAD_REQUEST_ID, it was begun with another spec.
        """
        await self._expire()
        request_id = writer.request_id
        previous, kept = self._held.get(request_id), self._kept.get(request_id)
        for other in (previous, kept):
            if other is not None and other.request_hash != writer.request_hash:
                raise other_write(writer.unit)
        self._held[request_id] = writer
        if previous is not None:
            return await previous.give_way()
        return None if self._kept.pop(request_id, None) is None or kept is None else kept.incoming

    def leave(self, writer: AsyncStagedWriter) -> None:
        """The writer is done with it. Harmless when another one has it."""
        if self._held.get(writer.request_id) is writer:
            del self._held[writer.request_id]

    async def keep(self, writer: AsyncStagedWriter, incoming: AsyncIncoming) -> None:
        """Nobody has it for now."""
        self.leave(writer)
        until = time.monotonic() + self.window
        self._kept[writer.request_id] = _Suspended(writer.unit, writer.request_hash, incoming, until)
        await self._expire()

    async def status(self, unit: str, request_id: bytes) -> WriteStatus:
        """See `Store.write_status`, of a write that is not committed."""
        await self._expire()
        held, kept = self._held.get(request_id), self._kept.get(request_id)
        if held is not None and held.unit == unit:
            return WriteStatus(held.persisted_size)
        if kept is not None and kept.unit == unit:
            return WriteStatus(kept.incoming.size)
        raise write_not_found(unit)

    async def abort(self, unit: str, request_id: bytes) -> None:
        """See `Store.abort_write`."""
        held, kept = self._held.get(request_id), self._kept.get(request_id)
        if held is not None and held.unit == unit:
            await held.end(write_not_found(unit))
        if kept is not None and kept.unit == unit and self._kept.pop(request_id, None) is not None:
            await kept.incoming.discard()

    async def close(self) -> None:
        """Gives all of them up."""
        self._held.clear()
        while self._kept:
            _, kept = self._kept.popitem()
            await kept.incoming.discard()

    async def _expire(self) -> None:
        now = time.monotonic()
        held = sum(kept.incoming.size for kept in self._kept.values())
        for request_id, kept in tuple(self._kept.items()):
            if kept.until > now and len(self._kept) <= MOST_SUSPENDED and held <= MOST_BYTES:
                return
            held -= kept.incoming.size
            if self._kept.pop(request_id, None) is not None:
                await kept.incoming.discard()
