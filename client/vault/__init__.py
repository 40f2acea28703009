"""Vault: typed Python objects and large files in units, embedded or on a storage host."""

import sys

if sys.platform == "win32":
    raise ImportError("Vault needs fork, flock and POSIX files: it runs on Linux and macOS, and on Windows within WSL")

from vault.lazy import lazy_names

TYPE_CHECKING = False  # typing's, without the time that importing it takes
if TYPE_CHECKING:
    from vault._async.files import AsyncObjectReader, AsyncObjectWriter
    from vault._async.remote import AsyncRemoteStore
    from vault._async.remote_vault import AsyncRemoteVault
    from vault._async.subscription import AsyncSubscription
    from vault._async.ticket import AsyncTicket
    from vault._async.vault import AsyncVault
    from vault._sync.files import ObjectReader, ObjectWriter
    from vault._sync.remote import RemoteStore
    from vault._sync.remote_vault import RemoteVault
    from vault._sync.subscription import Subscription
    from vault._sync.ticket import Ticket
    from vault._sync.vault import Vault
    from vault.allocator import tune_allocator
    from vault.cache import CacheStats
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
    from vault.model import Change, ChangeKind, Key, ObjectInfo
    from vault.store import AsyncStore, Store
    from vault.structure import Unit
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
    "AsyncObjectReader": "_async.files",
    "AsyncObjectWriter": "_async.files",
    "AsyncRemoteVault": "_async.remote_vault",
    "AsyncSubscription": "_async.subscription",
    "AsyncTicket": "_async.ticket",
    "AsyncVault": "_async.vault",
    "CacheStats": "cache",
    "Change": "model",
    "ChangeKind": "model",
    "Key": "model",
    "ObjectInfo": "model",
    "ObjectReader": "_sync.files",
    "ObjectWriter": "_sync.files",
    "RemoteVault": "_sync.remote_vault",
    "Subscription": "_sync.subscription",
    "Ticket": "_sync.ticket",
    "Unit": "structure",
    "Vault": "_sync.vault",
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
    "AsyncRemoteStore": "_async.remote",
    "AsyncStore": "store",
    "RemoteStore": "_sync.remote",
    "Store": "store",
    # The process
    "tune_allocator": "allocator",
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
