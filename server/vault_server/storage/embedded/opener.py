"""The entry point `file` of the group `vault.stores`: a location becomes an embedded store."""

from typing import Final

from vault_server.storage.embedded.async_store import AsyncEmbeddedStore
from vault_server.storage.embedded.store import EmbeddedStore
from vault_server.storage.options import DEFAULT_OPTIONS, StoreOptions


class FileOpener:
    """Opens a directory."""

    def open(self, location: str, options: StoreOptions = DEFAULT_OPTIONS) -> EmbeddedStore:
        return EmbeddedStore(location, options)

    def open_async(self, location: str, options: StoreOptions = DEFAULT_OPTIONS) -> AsyncEmbeddedStore:
        return AsyncEmbeddedStore(location, options)


opener: Final = FileOpener()
