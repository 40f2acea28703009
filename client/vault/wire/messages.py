"""The values of `vault.model` as messages of vault.v1, and back.

`x_to_wire` trusts its argument. `x_from_wire` takes what a stranger sent: what is missing or cannot be is
InvalidArgumentError in a request, ProtocolError in a reply. The rules for units, names, ids and tags are
the model's; a Store checks them (`spec.validate()`), not this module. `revision` of a reply is its sender's
to set.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from vault.errors import InvalidArgumentError, ProtocolError, VaultError
from vault.model import (
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
)
from vault.store import LoadResult
from vault.v1 import vault_pb2 as pb
from vault.wire.reasons import item_error_from_wire, item_error_to_wire


def key_to_wire(key: Key) -> pb.Key:
    return pb.Key(name=key) if isinstance(key, str) else pb.Key(data_id=key)


def key_from_wire(wire: pb.Key) -> Key:
    match wire.WhichOneof("key"):
        case "data_id":
            return wire.data_id
        case "name":
            return wire.name
        case _:
            raise InvalidArgumentError("no key: set data_id or name", reason="BAD_ID")


def keys_from_wire(wire: Iterable[pb.Key]) -> list[Key]:
    return [key_from_wire(key) for key in wire]


def object_info_to_wire(info: ObjectInfo) -> pb.ObjectInfo:
    return pb.ObjectInfo(
        unit=info.unit,
        data_id=info.data_id,
        generation=info.generation,
        revision=info.revision,
        size=info.size,
        checksum=info.checksum,
        datatype=info.datatype,
        name=info.name,
        tags=info.tags,
        created_at=_timestamp(info.created_at),
        updated_at=_timestamp(info.updated_at),
    )


def object_info_from_wire(wire: pb.ObjectInfo) -> ObjectInfo:
    if not (wire.unit and wire.data_id and wire.generation and wire.HasField("created_at")):
        raise ProtocolError("the server sent an ObjectInfo without unit, data_id, generation or created_at")
    return ObjectInfo(
        unit=wire.unit,
        data_id=wire.data_id,
        generation=wire.generation,
        revision=wire.revision,
        size=wire.size,
        checksum=wire.checksum,
        datatype=wire.datatype,
        name=wire.name if wire.HasField("name") else None,
        tags=dict(wire.tags),
        created_at=_datetime(wire.created_at),
        updated_at=_datetime(wire.updated_at),
    )


def fill_block(wire: pb.Block, block: Block) -> None:
    """Fills the block of a larger message in its place: a message given to a constructor is copied, bytes and all."""
    wire.offset = block.offset
    wire.data = bytes(block.data)  # what is bytes already is not copied by this
    wire.checksum = block.checksum


def block_from_wire(wire: pb.Block) -> Block:
    """Not verified: that is for whoever keeps or shows the bytes."""
    return Block(wire.offset, wire.data, wire.checksum)


def not_modified_to_wire(value: NotModified) -> pb.NotModified:
    return pb.NotModified(generation=value.generation)


def not_modified_from_wire(wire: pb.NotModified) -> NotModified:
    return NotModified(wire.generation)


def loaded_object_to_wire(value: LoadedObject) -> pb.LoadedObject:
    return pb.LoadedObject(info=object_info_to_wire(value.info), data=value.data)


def loaded_object_from_wire(wire: pb.LoadedObject) -> LoadedObject:
    return LoadedObject(object_info_from_wire(wire.info), wire.data if wire.HasField("data") else None)


def load_item_to_wire(item: LoadItem) -> pb.LoadManyRequest.Item:
    return pb.LoadManyRequest.Item(key=key_to_wire(item.key), if_generation_not_match=item.if_generation_not_match)


def load_item_from_wire(wire: pb.LoadManyRequest.Item) -> LoadItem:
    return LoadItem(
        key_from_wire(wire.key),
        wire.if_generation_not_match if wire.HasField("if_generation_not_match") else None,
    )


def load_result_to_wire(result: LoadResult) -> pb.LoadManyResponse.Item:
    match result:
        case None:
            return pb.LoadManyResponse.Item()
        case LoadedObject():
            return pb.LoadManyResponse.Item(object=loaded_object_to_wire(result))
        case NotModified():
            return pb.LoadManyResponse.Item(not_modified=not_modified_to_wire(result))
        case VaultError():
            return pb.LoadManyResponse.Item(error=item_error_to_wire(result))


def load_result_from_wire(wire: pb.LoadManyResponse.Item) -> LoadResult:
    match wire.WhichOneof("result"):
        case "object":
            return loaded_object_from_wire(wire.object)
        case "not_modified":
            return not_modified_from_wire(wire.not_modified)
        case "error":
            return item_error_from_wire(wire.error)
        case _:
            return None


def upload_spec_to_wire(spec: UploadSpec) -> pb.UploadSpec:
    return pb.UploadSpec(
        data_id=spec.data_id, name=spec.name, tags=spec.tags, datatype=spec.datatype, request_id=spec.request_id
    )


def upload_spec_from_wire(wire: pb.UploadSpec) -> UploadSpec:
    return UploadSpec(
        data_id=wire.data_id,
        name=wire.name if wire.HasField("name") else None,
        tags=dict(wire.tags),
        datatype=wire.datatype,
        request_id=wire.request_id,
    )


def update_spec_to_wire(spec: UpdateSpec) -> pb.UpdateSpec:
    return pb.UpdateSpec(
        key=key_to_wire(spec.key),
        if_generation=spec.if_generation,
        datatype=spec.datatype,
        request_id=spec.request_id,
    )


def update_spec_from_wire(wire: pb.UpdateSpec) -> UpdateSpec:
    return UpdateSpec(
        key=key_from_wire(wire.key),
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        datatype=wire.datatype if wire.HasField("datatype") else None,
        request_id=wire.request_id,
    )


def delete_spec_to_wire(spec: DeleteSpec) -> pb.DeleteRequest.Item:
    return pb.DeleteRequest.Item(
        key=key_to_wire(spec.key), if_generation=spec.if_generation, request_id=spec.request_id
    )


def delete_spec_from_wire(wire: pb.DeleteRequest.Item) -> DeleteSpec:
    return DeleteSpec(
        key=key_from_wire(wire.key),
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        request_id=wire.request_id,
    )


def metadata_spec_to_wire(unit: str, spec: MetadataSpec) -> pb.SetMetadataRequest:
    return pb.SetMetadataRequest(
        unit=unit,
        key=key_to_wire(spec.key),
        name=spec.name,
        tags=None if spec.tags is None else pb.Tags(tags=spec.tags),
        if_generation=spec.if_generation,
        request_id=spec.request_id,
    )


def metadata_spec_from_wire(wire: pb.SetMetadataRequest) -> MetadataSpec:
    return MetadataSpec(
        key=key_from_wire(wire.key),
        name=wire.name if wire.HasField("name") else None,
        tags=dict(wire.tags.tags) if wire.HasField("tags") else None,
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        request_id=wire.request_id,
    )


def small_upload_to_wire(item: SmallUpload) -> pb.UploadManyRequest.Item:
    return pb.UploadManyRequest.Item(spec=upload_spec_to_wire(item.spec), data=item.data, checksum=item.checksum)


def small_upload_from_wire(wire: pb.UploadManyRequest.Item) -> SmallUpload:
    return SmallUpload(upload_spec_from_wire(wire.spec), wire.data, wire.checksum)


def small_update_to_wire(item: SmallUpdate) -> pb.UpdateManyRequest.Item:
    return pb.UpdateManyRequest.Item(spec=update_spec_to_wire(item.spec), data=item.data, checksum=item.checksum)


def small_update_from_wire(wire: pb.UpdateManyRequest.Item) -> SmallUpdate:
    return SmallUpdate(update_spec_from_wire(wire.spec), wire.data, wire.checksum)


def write_result_to_wire(result: ObjectInfo | VaultError) -> pb.WriteResult:
    if isinstance(result, VaultError):
        return pb.WriteResult(error=item_error_to_wire(result))
    return pb.WriteResult(info=object_info_to_wire(result))


def write_result_from_wire(wire: pb.WriteResult) -> ObjectInfo | VaultError:
    match wire.WhichOneof("result"):
        case "info":
            return object_info_from_wire(wire.info)
        case "error":
            return item_error_from_wire(wire.error)
        case _:
            raise ProtocolError("the server sent a write's result with neither info nor error")


def write_status_to_wire(status: WriteStatus) -> pb.GetWriteStatusResponse:
    if status.info is not None:
        return pb.GetWriteStatusResponse(info=object_info_to_wire(status.info))
    return pb.GetWriteStatusResponse(persisted_size=status.persisted_size)


def write_status_from_wire(wire: pb.GetWriteStatusResponse) -> WriteStatus:
    match wire.WhichOneof("status"):
        case "info":
            info = object_info_from_wire(wire.info)
            return WriteStatus(info.size, info)
        case "persisted_size":
            return WriteStatus(wire.persisted_size)
        case _:
            raise ProtocolError("the server sent a write's status with neither persisted_size nor info")


def delete_result_to_wire(result: int | VaultError) -> pb.DeleteResponse.Result:
    if isinstance(result, VaultError):
        return pb.DeleteResponse.Result(error=item_error_to_wire(result))
    return pb.DeleteResponse.Result(revision=result)


def delete_result_from_wire(wire: pb.DeleteResponse.Result) -> int | VaultError:
    return item_error_from_wire(wire.error) if wire.WhichOneof("result") == "error" else wire.revision


def stat_result_to_wire(info: ObjectInfo | None) -> pb.StatResponse.Item:
    return pb.StatResponse.Item(info=None if info is None else object_info_to_wire(info))


def stat_result_from_wire(wire: pb.StatResponse.Item) -> ObjectInfo | None:
    return object_info_from_wire(wire.info) if wire.HasField("info") else None


def page_to_wire(page: Page) -> pb.ListResponse:
    return pb.ListResponse(objects=map(object_info_to_wire, page.objects), next_page_token=page.next_page_token)


def page_from_wire(wire: pb.ListResponse) -> Page:
    return Page([object_info_from_wire(info) for info in wire.objects], wire.next_page_token)


def capabilities_to_wire(capabilities: Capabilities) -> pb.GetCapabilitiesResponse:
    return pb.GetCapabilitiesResponse(
        store_id=capabilities.store_id,
        server_version=capabilities.version,
        block_size=capabilities.block_size,
        max_message_size=capabilities.max_message_size,
        max_batch_items=capabilities.max_batch_items,
        allowed_units=capabilities.allowed_units,
        resume_window=_duration(capabilities.resume_window),
    )


def capabilities_from_wire(wire: pb.GetCapabilitiesResponse) -> Capabilities:
    if not (wire.store_id and wire.block_size and wire.max_batch_items):
        raise ProtocolError("the server sent capabilities without store_id, block_size or max_batch_items")
    return Capabilities(
        store_id=wire.store_id,
        version=wire.server_version,
        block_size=wire.block_size,
        max_message_size=wire.max_message_size,
        max_batch_items=wire.max_batch_items,
        allowed_units=tuple(wire.allowed_units),
        resume_window=wire.resume_window.ToNanoseconds() / 1e9,
    )


def change_to_wire(change: Change) -> pb.Change:
    return pb.Change(
        revision=change.revision,
        unit=change.unit,
        data_id=change.data_id,
        kind=_KIND_TO_WIRE[change.kind],
        generation=change.generation,
        name=change.name,
    )


def change_from_wire(wire: pb.Change) -> Change:
    kind = _KIND_FROM_WIRE.get(wire.kind)
    if kind is None:
        raise ProtocolError(f"the server sent a change of a kind unknown here: {wire.kind}")
    return Change(
        revision=wire.revision,
        unit=wire.unit,
        data_id=wire.data_id,
        kind=kind,
        generation=wire.generation,
        name=wire.name if wire.HasField("name") else None,
    )


def progress_to_wire(progress: Progress) -> pb.Progress:
    return pb.Progress(revision=progress.revision)


def progress_from_wire(wire: pb.Progress) -> Progress:
    return Progress(wire.revision)


def watch_event_to_wire(event: Change | Progress) -> pb.WatchResponse:
    if isinstance(event, Change):
        return pb.WatchResponse(change=change_to_wire(event))
    return pb.WatchResponse(progress=progress_to_wire(event))


def watch_event_from_wire(wire: pb.WatchResponse) -> Change | Progress:
    match wire.WhichOneof("event"):
        case "change":
            return change_from_wire(wire.change)
        case "progress":
            return progress_from_wire(wire.progress)
        case _:
            raise ProtocolError("the server sent a watch event with neither change nor progress")


_KIND_TO_WIRE: "Mapping[ChangeKind, pb.Change.Kind.ValueType]" = {
    ChangeKind.UPLOADED: pb.Change.KIND_UPLOADED,
    ChangeKind.UPDATED: pb.Change.KIND_UPDATED,
    ChangeKind.METADATA: pb.Change.KIND_METADATA,
    ChangeKind.DELETED: pb.Change.KIND_DELETED,
}
_KIND_FROM_WIRE: Mapping[int, ChangeKind] = {wire: kind for kind, wire in _KIND_TO_WIRE.items()}


def _duration(seconds: float) -> Duration:
    span = Duration()
    span.FromNanoseconds(round(seconds * 1e9))
    return span


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _datetime(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
