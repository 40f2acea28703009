"""A store in memory, for as long as its process.

tables      its index; `places` the orders that it is listed in
engine      the index, the blobs and the signal as `generic` takes them; `_sync` is generated from `_async`
store       the Store made of them
opener      `memory://`
"""

from vault_server.storage.memory._async.store import AsyncMemoryStore
from vault_server.storage.memory._sync.store import MemoryStore

__all__ = ["AsyncMemoryStore", "MemoryStore"]
