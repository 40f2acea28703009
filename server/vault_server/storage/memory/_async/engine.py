"""The engine of a store in memory: nothing here waits for anything but a turn, or for the next commit."""

import secrets
from collections import deque
from collections.abc import Mapping, Sequence

from vault._runtime.sync_async import AsyncEvent, AsyncLock
from vault.store.values import Change, Key

from vault_server.storage.decision.plan import Facts, Keep, Plan
from vault_server.storage.decision.rows import Row
from vault_server.storage.decision.writes import Asked
from vault_server.storage.generic.values import Claimed, Stored
from vault_server.storage.memory.tables import MemoryTables


class AsyncMemoryIndex:
    """MemoryTables as an index."""

    def __init__(self, keep: Keep) -> None:
        self.turn = AsyncLock()
        self.tables = MemoryTables()
        self._keep = keep

    async def identity(self) -> str:
        return self.tables.store_id

    async def facts(self, asked: Asked) -> Facts:
        return self.tables.facts(asked, self._keep)

    async def apply(self, plan: Plan) -> None:
        self.tables.apply(plan)

    async def find(self, unit: str, keys: Sequence[Key]) -> list[Row | None]:
        return self.tables.find(unit, keys)

    async def stored(self, unit: str, keys: Sequence[Key]) -> list[Stored | None]:
        return self.tables.stored(unit, keys)

    async def retained(self, unit: str, data_id: int, generation: int) -> Stored | None:
        return self.tables.retained(unit, data_id, generation)

    async def page(
        self, unit: str, prefix: str | None, tags: Mapping[str, str], after: Key | None, limit: int
    ) -> tuple[list[Row], Key | None]:
        return self.tables.page(unit, prefix, tags, after, limit)

    async def units(self) -> list[str]:
        return self.tables.units()

    async def changes(self, since: int, limit: int | None = None) -> tuple[int, list[Change]]:
        return self.tables.changes(since, limit)

    async def revision(self) -> int:
        return self.tables.revision

    async def claim(self, now: int, most: int) -> Claimed:
        return self.tables.claim(now, most)

    async def forget(self, files: Sequence[str]) -> None:
        self.tables.forget(files)


class AsyncMemoryBlob:
    """A blob as its blocks: staged, placed and open alike."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []

    async def append(self, data: bytes) -> None:
        self.blocks.append(data)

    async def discard(self) -> None:
        """It goes with the last who has it."""

    async def block(self, index: int) -> bytes:
        return self.blocks[index] if index < len(self.blocks) else b""

    async def close(self) -> None:
        """It stays the store's."""


class AsyncMemoryBlobs:
    """Blobs by their names."""

    def __init__(self) -> None:
        self.blobs: dict[str, AsyncMemoryBlob] = {}

    async def stage(self) -> AsyncMemoryBlob:
        return AsyncMemoryBlob()

    async def place(self, staged: AsyncMemoryBlob, unit: str, data_id: int, generation: int) -> str:
        file = f"{unit}/{data_id}.{generation}.{secrets.token_hex(8)}"
        self.blobs[file] = staged
        return file

    async def open(self, file: str) -> AsyncMemoryBlob | None:
        return self.blobs.get(file)

    async def remove(self, files: Sequence[str]) -> None:
        for file in files:
            self.blobs.pop(file, None)


class AsyncMemorySignal:
    """Wakes who waits in this process."""

    def __init__(self) -> None:
        self.rings = 0
        self._waiting: deque[AsyncEvent] = deque()

    def ring(self) -> None:
        self.rings += 1
        for event in tuple(self._waiting):
            event.set()

    async def wait(self, rings: int, timeout: float) -> None:
        event = AsyncEvent()
        self._waiting.append(event)
        try:
            if self.rings == rings:
                await event.wait(timeout)
        finally:
            self._waiting.remove(event)
