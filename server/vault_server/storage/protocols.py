"""What an engine is: an Index, a BlobStore and a CommitSignal, sync and async. `generic` makes a Store of them."""

from vault_server.storage.generic._async.protocols import (
    AsyncBlob,
    AsyncBlobStore,
    AsyncCommitSignal,
    AsyncIndex,
    AsyncStaged,
)
from vault_server.storage.generic._sync.protocols import Blob, BlobStore, CommitSignal, Index, Staged
from vault_server.storage.generic.values import Claimed, Stored

__all__ = [
    "AsyncBlob",
    "AsyncBlobStore",
    "AsyncCommitSignal",
    "AsyncIndex",
    "AsyncStaged",
    "Blob",
    "BlobStore",
    "Claimed",
    "CommitSignal",
    "Index",
    "Staged",
    "Stored",
]
