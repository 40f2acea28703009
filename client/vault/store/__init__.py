"""The Store contract: what every Store does, the values that cross it, and where Stores are found by location."""

from vault._runtime.lazy import lazy_names

TYPE_CHECKING = False  # typing's, without the time that importing it takes
if TYPE_CHECKING:
    from vault.store.columns import LoadedObjects, LoadItems, ObjectInfos
    from vault.store.contract import (
        AsyncBlockReader,
        AsyncBlockWriter,
        AsyncStore,
        AsyncWatch,
        BlockReader,
        BlockWriter,
        LoadResult,
        Store,
        Watch,
    )
    from vault.store.limits import BLOCK_SIZE
    from vault.store.progress import ProgressCallback
    from vault.store.registry import StoreOpener, open_async_store, open_store
    from vault.store.threaded import ThreadedStore
    from vault.store.values import (
        Block,
        Capabilities,
        Change,
        ChangeKind,
        DeleteSpec,
        Key,
        LoadedObject,
        LoadItem,
        MetadataSpec,
        NotModified,
        ObjectInfo,
        Page,
        Progress,
        SmallUpdate,
        SmallUpload,
        UpdateSpec,
        UploadSpec,
        WriteStatus,
        checksum,
        new_data_id,
        new_request_id,
    )
    from vault.store.wrapper import AsyncWrapperStore, WrapperStore

# By module, what is public of it. Nothing is imported before it is used.
_HOMES = {
    "columns": "LoadItems LoadedObjects ObjectInfos",
    "contract": (
        "AsyncBlockReader AsyncBlockWriter AsyncStore AsyncWatch BlockReader BlockWriter LoadResult Store Watch"
    ),
    "limits": "BLOCK_SIZE",
    "progress": "ProgressCallback",
    "registry": "StoreOpener open_async_store open_store",
    "threaded": "ThreadedStore",
    "values": (
        "Block Capabilities Change ChangeKind DeleteSpec Key LoadItem LoadedObject MetadataSpec NotModified "
        "ObjectInfo Page Progress SmallUpdate SmallUpload UpdateSpec UploadSpec WriteStatus checksum "
        "new_data_id new_request_id"
    ),
    "wrapper": "AsyncWrapperStore WrapperStore",
}

__all__ = [
    "BLOCK_SIZE",
    "AsyncBlockReader",
    "AsyncBlockWriter",
    "AsyncStore",
    "AsyncWatch",
    "AsyncWrapperStore",
    "Block",
    "BlockReader",
    "BlockWriter",
    "Capabilities",
    "Change",
    "ChangeKind",
    "DeleteSpec",
    "Key",
    "LoadItem",
    "LoadItems",
    "LoadResult",
    "LoadedObject",
    "LoadedObjects",
    "MetadataSpec",
    "NotModified",
    "ObjectInfo",
    "ObjectInfos",
    "Page",
    "Progress",
    "ProgressCallback",
    "SmallUpdate",
    "SmallUpload",
    "Store",
    "StoreOpener",
    "ThreadedStore",
    "UpdateSpec",
    "UploadSpec",
    "Watch",
    "WrapperStore",
    "WriteStatus",
    "checksum",
    "new_data_id",
    "new_request_id",
    "open_async_store",
    "open_store",
]

if not TYPE_CHECKING:  # to a type checker it would mean that the package has every name
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
