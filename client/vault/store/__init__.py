"""The Store contract: what every Store does, the values that cross it, and where Stores are found by location."""

# ruff: noqa: I001  # a statement for each module

from vault._runtime.lazy import lazy_names, public_names

TYPE_CHECKING = False  # typing's, without the time that importing it takes
if TYPE_CHECKING:  # `as` exports a name
    from vault.store.columns import LoadedObjects as LoadedObjects, LoadItems as LoadItems, ObjectInfos as ObjectInfos
    from vault.store.contract import (
        AsyncBlockReader as AsyncBlockReader,
        AsyncBlockWriter as AsyncBlockWriter,
        AsyncStore as AsyncStore,
        AsyncWatch as AsyncWatch,
        BlockReader as BlockReader,
        BlockWriter as BlockWriter,
        LoadResult as LoadResult,
        Store as Store,
        Watch as Watch,
    )
    from vault.store.limits import BLOCK_SIZE as BLOCK_SIZE
    from vault.store.progress import ProgressCallback as ProgressCallback
    from vault.store.registry import (
        StoreOpener as StoreOpener,
        open_async_store as open_async_store,
        open_store as open_store,
    )
    from vault.store.threaded import ThreadedStore as ThreadedStore
    from vault.store.specs import (
        CopySpec as CopySpec,
        DeleteSpec as DeleteSpec,
        LoadItem as LoadItem,
        MetadataSpec as MetadataSpec,
        PutSpec as PutSpec,
        SmallObject as SmallObject,
        SmallPut as SmallPut,
        SmallUpdate as SmallUpdate,
        SmallUpload as SmallUpload,
        Times as Times,
        UpdateSpec as UpdateSpec,
        UploadSpec as UploadSpec,
        new_data_id as new_data_id,
        new_request_id as new_request_id,
    )
    from vault.store.usage import (
        UnitInfo as UnitInfo,
        UnitLimits as UnitLimits,
        UnitPage as UnitPage,
        PrincipalInfo as PrincipalInfo,
        PrincipalLimits as PrincipalLimits,
        PrincipalPage as PrincipalPage,
    )
    from vault.store.values import (
        Block as Block,
        Capabilities as Capabilities,
        Change as Change,
        ChangeKind as ChangeKind,
        Key as Key,
        LoadedObject as LoadedObject,
        ListOrder as ListOrder,
        NotModified as NotModified,
        ObjectInfo as ObjectInfo,
        ObjectRanges as ObjectRanges,
        Page as Page,
        Progress as Progress,
        UploadedId as UploadedId,
        WriteStatus as WriteStatus,
        checksum as checksum,
    )
    from vault.store.wrapper import AsyncWrapperStore as AsyncWrapperStore, WrapperStore as WrapperStore
    from vault.store.write_columns import SmallPuts as SmallPuts, SmallUploads as SmallUploads

# By module, what is public of it. Nothing is imported before it is used.
_HOMES = {
    "columns": "LoadItems LoadedObjects ObjectInfos",
    "contract": (
        "AsyncBlockReader AsyncBlockWriter AsyncStore AsyncWatch BlockReader BlockWriter LoadResult Store Watch"
    ),
    "limits": "BLOCK_SIZE",
    "progress": "ProgressCallback",
    "registry": "StoreOpener open_async_store open_store",
    "specs": (
        "CopySpec DeleteSpec LoadItem MetadataSpec PutSpec SmallObject SmallPut SmallUpdate SmallUpload Times "
        "UpdateSpec UploadSpec new_data_id new_request_id"
    ),
    "threaded": "ThreadedStore",
    "usage": "PrincipalInfo PrincipalLimits PrincipalPage UnitInfo UnitLimits UnitPage",
    "values": (
        "Block Capabilities Change ChangeKind Key ListOrder LoadedObject NotModified ObjectInfo ObjectRanges Page "
        "Progress UploadedId WriteStatus checksum"
    ),
    "wrapper": "AsyncWrapperStore WrapperStore",
    "write_columns": "SmallPuts SmallUploads",
}

if not TYPE_CHECKING:  # to a type checker it would mean that the package has every name
    __all__ = list(public_names(_HOMES))
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
