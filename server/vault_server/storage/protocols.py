"""What an engine is: an Index, a BlobStore and a CommitSignal, sync and async. `generic` makes a Store of them."""

from vault_server.storage.decision.stored import Claimed, Stored
from vault_server.storage.generic._async.protocols import (
    AsyncBlob,
    AsyncBlobs,
    AsyncBlobStore,
    AsyncCommitSignal,
    AsyncCommitting,
    AsyncIndex,
    AsyncStaged,
    AsyncWritableIndex,
)
from vault_server.storage.generic._sync.protocols import (
    Blob,
    Blobs,
    BlobStore,
    CommitSignal,
    Committing,
    Index,
    Staged,
    WritableIndex,
)

__all__ = [
    "AsyncBlob",
    "AsyncBlobStore",
    "AsyncBlobs",
    "AsyncCommitSignal",
    "AsyncCommitting",
    "AsyncIndex",
    "AsyncStaged",
    "AsyncWritableIndex",
    "Blob",
    "BlobStore",
    "Blobs",
    "Claimed",
    "CommitSignal",
    "Committing",
    "Index",
    "Staged",
    "Stored",
    "WritableIndex",
]
