# Generated from _async/store.py by scripts/unasync: DO NOT CHANGE.
"""The Store in memory."""

from typing import ClassVar, cast

from vault_server.storage.generic._sync.index_store import IndexStore
from vault_server.storage.generic._sync.signal import Signal
from vault_server.storage.memory._sync.engine import MemoryBlobs, MemoryIndex, MemoryLeases
from vault_server.storage.memory.tables import ClosedTables, MemoryTables
from vault_server.storage.options import DEFAULT_OPTIONS, StoreOptions


class MemoryStore(IndexStore):
    """Objects in memory, which end with the process or with `close`. Each is a store of its own.

    It promises what every Store does, as long as its process lives: `Capabilities.durability` is "none". In a forked
    child every call raises ClosedError.

    Args:
        options: Those that are about a directory do nothing here. Of generations that were replaced or deleted at most
            64 MiB are retained; what is due is freed by the next commit or load. Suspended writes hold at most 256 MiB.
    """

    local_feed: ClassVar[bool] = True

    index: MemoryIndex
    blobs: MemoryBlobs

    def __init__(self, options: StoreOptions = DEFAULT_OPTIONS) -> None:
        index = MemoryIndex(options.retained)
        super().__init__(index, MemoryBlobs(), Signal(), options, durability="none")
        index.tables.now = self.clock.now
        self.leases = MemoryLeases()

    @property
    def revision(self) -> int:
        self.require_open()
        return self.index.tables.revision

    def end(self) -> None:
        super().end()
        self.index.tables = cast("MemoryTables", ClosedTables())
        self.blobs.blobs = {}
