"""Vault: typed Python objects and large files in units, embedded or on a storage host."""

# ruff: noqa: I001  # a statement for each module

import sys

if sys.platform == "win32":
    raise ImportError("Vault needs fork, flock and POSIX files: it runs on Linux and macOS, and on Windows within WSL")

from vault._runtime.lazy import lazy_names, public_names

TYPE_CHECKING = False  # typing's, without the time that importing it takes
__all__: list[str]
if TYPE_CHECKING:  # `as` exports a name
    from vault._async.feed.subscription import AsyncSubscription as AsyncSubscription
    from vault._async.files.object_reader import AsyncObjectReader as AsyncObjectReader
    from vault._async.files.object_writer import AsyncObjectWriter as AsyncObjectWriter
    from vault._async.objects.ticket import AsyncTicket as AsyncTicket
    from vault._async.remote.store import AsyncRemoteStore as AsyncRemoteStore
    from vault._async.vault.facade import AsyncVault as AsyncVault
    from vault._async.vault.remote_vault import AsyncRemoteVault as AsyncRemoteVault
    from vault._async.vault.computing import AsyncMemoized as AsyncMemoized
    from vault._async.vault.typed_unit import AsyncUnit as AsyncUnit
    from vault._cache.cache import CacheStats as CacheStats
    from vault._runtime.allocator import tune_allocator as tune_allocator
    from vault._runtime.version import __version__ as __version__
    from vault._sync.feed.subscription import Subscription as Subscription
    from vault._sync.files.object_reader import ObjectReader as ObjectReader
    from vault._sync.files.object_writer import ObjectWriter as ObjectWriter
    from vault._sync.objects.ticket import Ticket as Ticket
    from vault._sync.remote.store import RemoteStore as RemoteStore
    from vault._sync.vault.facade import Vault as Vault
    from vault._sync.vault.remote_vault import RemoteVault as RemoteVault
    from vault._sync.vault.computing import Memoized as Memoized
    from vault._sync.vault.typed_unit import Unit as Unit
    from vault.datatype import Datatype as Datatype, ObjectStream as ObjectStream
    from vault.errors import (
        AlreadyExistsError as AlreadyExistsError,
        BatchError as BatchError,
        ChecksumError as ChecksumError,
        ClosedError as ClosedError,
        ConflictError as ConflictError,
        CorruptionError as CorruptionError,
        DatatypeError as DatatypeError,
        DecodeError as DecodeError,
        EncodeError as EncodeError,
        FeedError as FeedError,
        InvalidArgumentError as InvalidArgumentError,
        NotFoundError as NotFoundError,
        ProtocolError as ProtocolError,
        RevisionCompactedError as RevisionCompactedError,
        SlowConsumerError as SlowConsumerError,
        StorageError as StorageError,
        StorageFullError as StorageFullError,
        UnavailableError as UnavailableError,
        UnknownUnitError as UnknownUnitError,
        UnsupportedError as UnsupportedError,
        VaultError as VaultError,
    )
    from vault.store.connection import ConnectionSettings as ConnectionSettings
    from vault.store.contract import AsyncStore as AsyncStore, Store as Store
    from vault.store.listing import Level as Level
    from vault.store.values import Change as Change, ChangeKind as ChangeKind, Key as Key, ObjectInfo as ObjectInfo
    from vault.unit import UnitSettings as UnitSettings
    from vault.wrappers import (
        BytesWrapper as BytesWrapper,
        JsonDatatype as JsonDatatype,
        JsonWrapper as JsonWrapper,
        PickleDatatype as PickleDatatype,
        PickleWrapper as PickleWrapper,
        TextWrapper as TextWrapper,
        Wrapper as Wrapper,
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
    "_async.vault.computing": "AsyncMemoized",
    "_async.vault.typed_unit": "AsyncUnit",
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
    "_sync.vault.computing": "Memoized",
    "_sync.vault.typed_unit": "Unit",
    "datatype": "Datatype ObjectStream",
    "errors": (
        "AlreadyExistsError BatchError ChecksumError ClosedError ConflictError CorruptionError "
        "DatatypeError DecodeError EncodeError FeedError InvalidArgumentError NotFoundError ProtocolError "
        "RevisionCompactedError SlowConsumerError StorageError StorageFullError UnavailableError "
        "UnknownUnitError UnsupportedError VaultError"
    ),
    "store.connection": "ConnectionSettings",
    "store.contract": "AsyncStore Store",
    "store.listing": "Level",
    "store.values": "Change ChangeKind Key ObjectInfo",
    "unit": "UnitSettings",
    "wrappers": "BytesWrapper JsonDatatype JsonWrapper PickleDatatype PickleWrapper TextWrapper Wrapper",
}

if not TYPE_CHECKING:  # to a type checker it would mean that the package has every name
    __all__ = list(public_names(_HOMES))
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
