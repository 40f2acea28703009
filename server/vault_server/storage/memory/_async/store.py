"""The Store in memory."""

from typing import ClassVar, cast

from vault_server.storage.generic._async.index_store import AsyncIndexStore
from vault_server.storage.generic._async.signal import AsyncSignal
from vault_server.storage.memory._async.engine import AsyncMemoryBlobs, AsyncMemoryIndex, AsyncMemoryLeases
from vault_server.storage.memory.tables import ClosedTables, MemoryTables
from vault_server.storage.options import DEFAULT_OPTIONS, StoreOptions


class AsyncMemoryStore(AsyncIndexStore):
    """Objects in memory, which end with the process or with `close`. Each is a store of its own.

    It promises what every Store does, as long as its process lives: `Capabilities.durability` is "none". In a forked
    child every call raises ClosedError.

    Args:
        options: Those that are about a directory do nothing here. Of generations that were replaced or deleted at most
            64 MiB are retained; what is due is freed by the next commit or load. Suspended writes hold at most 256 MiB.
    """

    local_feed: ClassVar[bool] = True

    index: AsyncMemoryIndex
    blobs: AsyncMemoryBlobs

    def __init__(self, options: StoreOptions = DEFAULT_OPTIONS) -> None:
        index = AsyncMemoryIndex(options.retained)
        super().__init__(index, AsyncMemoryBlobs(), AsyncSignal(), options, durability="none")
        index.tables.now = self.clock.now
        self.leases = AsyncMemoryLeases()

    @property
    def revision(self) -> int:
        self.require_open()
        return self.index.tables.revision

    async def end(self) -> None:
        await super().end()
        self.index.tables = cast("MemoryTables", ClosedTables())
        self.blobs.blobs = {}
