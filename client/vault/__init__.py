"""Vault: typed Python objects and large files in units, embedded or on a storage host."""

import sys

if sys.platform == "win32":
    raise ImportError("Vault needs fork, flock and POSIX files: it runs on Linux and macOS, and on Windows within WSL")

from vault._runtime.lazy import lazy_names

TYPE_CHECKING = False  # typing's, without the time that importing it takes
if TYPE_CHECKING:
    from vault._async.feed.subscription import AsyncSubscription
    from vault._async.files.object_files import AsyncObjectReader, AsyncObjectWriter
    from vault._async.objects.ticket import AsyncTicket
    from vault._async.remote.store import AsyncRemoteStore
    from vault._async.vault.facade import AsyncVault
    from vault._async.vault.remote_vault import AsyncRemoteVault
    from vault._cache.cache import CacheStats
    from vault._runtime.allocator import tune_allocator
    from vault._sync.feed.subscription import Subscription
    from vault._sync.files.object_files import ObjectReader, ObjectWriter
    from vault._sync.objects.ticket import Ticket
    from vault._sync.remote.store import RemoteStore
    from vault._sync.vault.facade import Vault
    from vault._sync.vault.remote_vault import RemoteVault
    from vault.datatype import Datatype, ObjectStream
    from vault.errors import (
        AlreadyExistsError,
        BatchError,
        ChecksumError,
        ClosedError,
        ConflictError,
        CorruptionError,
        DatatypeError,
        DecodeError,
        EncodeError,
        FeedError,
        InvalidArgumentError,
        NotFoundError,
        ProtocolError,
        RevisionCompactedError,
        SlowConsumerError,
        StorageError,
        StorageFullError,
        UnavailableError,
        UnknownUnitError,
        VaultError,
    )
    from vault.store.contract import AsyncStore, Store
    from vault.store.values import Change, ChangeKind, Key, ObjectInfo
    from vault.unit import Unit
    from vault.wrappers import (
        BytesWrapper,
        JsonDatatype,
        JsonWrapper,
        PickleDatatype,
        PickleWrapper,
        TextWrapper,
        Wrapper,
    )

# By the module a name lives in. Nothing is imported before it is used: embedded vaults do without gRPC.
_HOMES = {
    # Vaults and what they hand out
    "AsyncObjectReader": "_async.files.object_files",
    "AsyncObjectWriter": "_async.files.object_files",
    "AsyncRemoteVault": "_async.vault.remote_vault",
    "AsyncSubscription": "_async.feed.subscription",
    "AsyncTicket": "_async.objects.ticket",
    "AsyncVault": "_async.vault.facade",
    "CacheStats": "_cache.cache",
    "Change": "store.values",
    "ChangeKind": "store.values",
    "Key": "store.values",
    "ObjectInfo": "store.values",
    "ObjectReader": "_sync.files.object_files",
    "ObjectWriter": "_sync.files.object_files",
    "RemoteVault": "_sync.vault.remote_vault",
    "Subscription": "_sync.feed.subscription",
    "Ticket": "_sync.objects.ticket",
    "Unit": "unit",
    "Vault": "_sync.vault.facade",
    # Datatypes
    "BytesWrapper": "wrappers",
    "Datatype": "datatype",
    "JsonDatatype": "wrappers",
    "JsonWrapper": "wrappers",
    "ObjectStream": "datatype",
    "PickleDatatype": "wrappers",
    "PickleWrapper": "wrappers",
    "TextWrapper": "wrappers",
    "Wrapper": "wrappers",
    # Stores
    "AsyncRemoteStore": "_async.remote.store",
    "AsyncStore": "store.contract",
    "RemoteStore": "_sync.remote.store",
    "Store": "store.contract",
    # The process
    "tune_allocator": "_runtime.allocator",
    # Errors
    "AlreadyExistsError": "errors",
    "BatchError": "errors",
    "ChecksumError": "errors",
    "ClosedError": "errors",
    "ConflictError": "errors",
    "CorruptionError": "errors",
    "DatatypeError": "errors",
    "DecodeError": "errors",
    "EncodeError": "errors",
    "FeedError": "errors",
    "InvalidArgumentError": "errors",
    "NotFoundError": "errors",
    "ProtocolError": "errors",
    "RevisionCompactedError": "errors",
    "SlowConsumerError": "errors",
    "StorageError": "errors",
    "StorageFullError": "errors",
    "UnavailableError": "errors",
    "UnknownUnitError": "errors",
    "VaultError": "errors",
}

__all__ = [
    "AlreadyExistsError",
    "AsyncObjectReader",
    "AsyncObjectWriter",
    "AsyncRemoteStore",
    "AsyncRemoteVault",
    "AsyncStore",
    "AsyncSubscription",
    "AsyncTicket",
    "AsyncVault",
    "BatchError",
    "BytesWrapper",
    "CacheStats",
    "Change",
    "ChangeKind",
    "ChecksumError",
    "ClosedError",
    "ConflictError",
    "CorruptionError",
    "Datatype",
    "DatatypeError",
    "DecodeError",
    "EncodeError",
    "FeedError",
    "InvalidArgumentError",
    "JsonDatatype",
    "JsonWrapper",
    "Key",
    "NotFoundError",
    "ObjectInfo",
    "ObjectReader",
    "ObjectStream",
    "ObjectWriter",
    "PickleDatatype",
    "PickleWrapper",
    "ProtocolError",
    "RemoteStore",
    "RemoteVault",
    "RevisionCompactedError",
    "SlowConsumerError",
    "StorageError",
    "StorageFullError",
    "Store",
    "Subscription",
    "TextWrapper",
    "Ticket",
    "UnavailableError",
    "Unit",
    "UnknownUnitError",
    "Vault",
    "VaultError",
    "Wrapper",
    "tune_allocator",
]

if not TYPE_CHECKING:  # to a type checker it would mean that the package has every name
    __getattr__, __dir__ = lazy_names(__name__, {name: f"{__name__}.{home}" for name, home in _HOMES.items()})
