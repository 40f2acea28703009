"""The entry point `memory` of the group `vault.stores`: `memory://` becomes a new store in memory."""

from typing import Final

from vault.errors import InvalidArgumentError

from vault_server.storage.memory._async.store import AsyncMemoryStore
from vault_server.storage.memory._sync.store import MemoryStore
from vault_server.storage.options import DEFAULT_OPTIONS, StoreOptions


class MemoryOpener:
    """Makes a store."""

    def open(self, location: str, options: StoreOptions = DEFAULT_OPTIONS) -> MemoryStore:
        _require_nameless(location)
        return MemoryStore(options)

    def open_async(self, location: str, options: StoreOptions = DEFAULT_OPTIONS) -> AsyncMemoryStore:
        _require_nameless(location)
        return AsyncMemoryStore(options)


def _require_nameless(location: str) -> None:
    if location:
        raise InvalidArgumentError(
            f"bad location 'memory://{location}': memory:// has no name behind it, each is a store of its own",
            reason="BAD_LOCATION",
        )


opener: Final = MemoryOpener()
