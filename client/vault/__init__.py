"""Vault: typed Python objects and large files in units, embedded or on a storage host."""

import sys

if sys.platform == "win32":
    raise ImportError("Vault needs fork, flock and POSIX files: it runs on Linux and macOS, and on Windows within WSL")

from vault._runtime.lazy import lazy_names

TYPE_CHECKING = False  # typing's, without the time that importing it takes
if TYPE_CHECKING:
    from vault._async.feed.subscription import AsyncSubscription
    from vault._async.files.object_reader import AsyncObjectReader
    from vault._async.files.object_writer import AsyncObjectWriter
    from vault._async.objects.ticket import AsyncTicket
    from vault._async.remote.store import AsyncRemoteStore
    from vault._async.vault.facade import AsyncVault
    from vault._async.vault.remote_vault import AsyncRemoteVault
    from vault._cache.cache import CacheStats
    from vault._runtime.allocator import tune_allocator
    from vault._runtime.version import __version__ as __version__
    from vault._sync.feed.subscription import Subscription
    from vault._sync.files.object_reader import ObjectReader
    from vault._sync.files.object_writer import ObjectWriter
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
        UnsupportedError,
        VaultError,
    )
    from vault.store.connection import ConnectionSettings
    from vault.store.contract import AsyncStore, Store
    from vault.store.values import Change, ChangeKind, Key, ObjectInfo
    from vault.unit import UnitSettings
    from vault.wrappers import (
        BytesWrapper,
        JsonDatatype,
        JsonWrapper,
        PickleDatatype,
        PickleWrapper,
        TextWrapper,
        Wrapper,
    )

# By module, what is public of it. Nothing is imported before it is used: embedded vaults do without gRPC.
_HOMES = {
    "_async.feed.subscription": "AsyncSubscription",
    "_async.files.object_reader": "AsyncObjectReader",
    "_async.files.object_writer": "AsyncObjectWriter",
    "_async.objects.ticket": "AsyncTicket",
    "_async.remote.store": "AsyncRemoteStore",
    "_async.vault.facade": "AsyncVault",
    "_async.vault.remote_vault": "AsyncRemoteVault",
    "_cache.cache": "CacheStats",
    "_runtime.allocator": "tune_allocator",
    "_runtime.version": "__version__",
    "_sync.feed.subscription": "Subscription",
    "_sync.files.object_reader": "ObjectReader",
    "_sync.files.object_writer": "ObjectWriter",
    "_sync.objects.ticket": "Ticket",
    "_sync.remote.store": "RemoteStore",
    "_sync.vault.facade": "Vault",
    "_sync.vault.remote_vault": "RemoteVault",
    "datatype": "Datatype ObjectStream",
    "errors": (
        "AlreadyExistsError BatchError ChecksumError ClosedError ConflictError CorruptionError "
        "DatatypeError DecodeError EncodeError FeedError InvalidArgumentError NotFoundError ProtocolError "
        "RevisionCompactedError SlowConsumerError StorageError StorageFullError UnavailableError "
        "UnknownUnitError UnsupportedError VaultError"
    ),
    "store.connection": "ConnectionSettings",
    "store.contract": "AsyncStore Store",
    "store.values": "Change ChangeKind Key ObjectInfo",
    "unit": "UnitSettings",
    "wrappers": "BytesWrapper JsonDatatype JsonWrapper PickleDatatype PickleWrapper TextWrapper Wrapper",
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
    "ConnectionSettings",
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
    "UnitSettings",
    "UnknownUnitError",
    "UnsupportedError",
    "Vault",
    "VaultError",
    "Wrapper",
    "tune_allocator",
]

if not TYPE_CHECKING:  # to a type checker it would mean that the package has every name
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
