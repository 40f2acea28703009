"""What a storage host runs: the server, and embedded storage under it."""

from typing import TYPE_CHECKING

from vault._runtime.lazy import lazy_names

if TYPE_CHECKING:
    from vault_server.access.settings import AccessSettings
    from vault_server.rpc.running_server import Service
    from vault_server.server import AsyncServer, Server
    from vault_server.settings import ServerSettings
    from vault_server.storage import AsyncEmbeddedStore, AsyncMemoryStore, EmbeddedStore, MemoryStore, StoreOptions

__all__ = [
    "AccessSettings",
    "AsyncEmbeddedStore",
    "AsyncMemoryStore",
    "AsyncServer",
    "EmbeddedStore",
    "MemoryStore",
    "Server",
    "ServerSettings",
    "Service",
    "StoreOptions",
]

_HOMES = {
    "access.settings": "AccessSettings",
    "rpc.running_server": "Service",
    "server": "AsyncServer Server",
    "settings": "ServerSettings",
    "storage": "AsyncEmbeddedStore AsyncMemoryStore EmbeddedStore MemoryStore StoreOptions",
}

if not TYPE_CHECKING:  # to a type checker it would mean that the package has every name
    # Nothing is imported before it is used: embedded storage does without gRPC.
    __getattr__, __dir__ = lazy_names(__name__, _HOMES, needs="server")
