"""What a storage host runs: the server, and embedded storage under it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vault_server.app import AsyncServer, Server, Service
    from vault_server.config import ServerSettings
    from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore

__all__ = ["AsyncEmbeddedStore", "AsyncServer", "EmbeddedStore", "Server", "ServerSettings", "Service"]

_HOMES = {
    "AsyncEmbeddedStore": "vault_server.storage",
    "AsyncServer": "vault_server.app",
    "EmbeddedStore": "vault_server.storage",
    "Server": "vault_server.app",
    "ServerSettings": "vault_server.config",
    "Service": "vault_server.app",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first used: embedded storage does without gRPC."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
