"""The values of `vault.store.values` as messages of vault.v1, and back.

`fill_x` fills an empty message in its place, in the message that it is part of: one that is made apart is copied
into the other, bytes and all. `x_to_wire` makes one that is sent as it is. Both trust their argument.
`x_from_wire` takes what a stranger sent: what is missing or cannot be is InvalidArgumentError in a request,
ProtocolError in a reply. The rules for units, names, ids and tags are the model's; a Store checks them
(`spec.validate()`), not this module. `revision` of a reply is its sender's to set.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from vault.errors import CorruptionError, InvalidArgumentError, ProtocolError, VaultError
from vault.store.blocks import verified
from vault.store.columns import ObjectInfos, to_time
from vault.store.contract import LoadResult
from vault.store.limits import MAX_DATA_ID, MAX_DATATYPE, MAX_TAGS
from vault.store.listing import Listing
from vault.store.ranges import RangeAssembly
from vault.store.values import (
    Block,
    Capabilities,
    Change,
    ChangeKind,
    DeleteSpec,
    Key,
    ListOrder,
    LoadedObject,
    LoadItem,
    MetadataSpec,
    NotModified,
    ObjectInfo,
    ObjectRanges,
    Page,
    Progress,
    PutSpec,
    SmallObject,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
    checksum,
)
from vault.v1 import vault_pb2 as pb
from vault.wire.error_table import cut, item_error_from_wire, item_error_to_wire

_ORDERS: Final = {
    ListOrder.ID: pb.LIST_ORDER_ID,
    ListOrder.NAME: pb.LIST_ORDER_NAME,
    ListOrder.REVISION: pb.LIST_ORDER_REVISION,
}
_AFTER: Final = {ListOrder.ID: "after_id", ListOrder.NAME: "after_name", ListOrder.REVISION: "after_revision"}

Row = tuple[Any, ...]
"""An object's values, as `vault.store.columns` have them."""


def fill_key(wire: pb.Key, key: Key) -> None:
    if isinstance(key, str):
        wire.name = key
    else:
        wire.data_id = key


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


def fill_object_info(wire: pb.ObjectInfo, info: ObjectInfo | Row) -> None:
    (
        wire.unit,
        wire.data_id,
        wire.generation,
        wire.revision,
        wire.size,
        wire.checksum,
        wire.datatype,
        name,
        tags,
        created_at,
        updated_at,
        written_at,
        expires_at,
    ) = ObjectInfos.row_of(info) if isinstance(info, ObjectInfo) else info
    if name is not None:
        wire.name = name
    if tags:
        wire.tags.update(tags)
    fill_timestamp(wire.created_at, created_at)
    fill_timestamp(wire.updated_at, updated_at)
    if written_at is not None and (written_at != updated_at or wire.generation != wire.revision):
        fill_timestamp(wire.written_at, written_at)
    if expires_at is not None:
        fill_timestamp(wire.expires_at, expires_at)


def object_info_from_wire(wire: pb.ObjectInfo) -> ObjectInfo:
    unit, data_id, generation, revision, size = wire.unit, wire.data_id, wire.generation, wire.revision, wire.size
    checksum, datatype, tags = wire.checksum, wire.datatype, wire.tags
    if not (
        unit
        and 0 < data_id <= MAX_DATA_ID
        and 0 < generation <= revision <= MAX_DATA_ID
        and (0 < size <= MAX_DATA_ID or (size == 0 and checksum == _OF_NOTHING))
        and len(datatype) <= MAX_DATATYPE
        and len(tags) <= MAX_TAGS
        and wire.HasField("created_at")
    ):
        raise ProtocolError(
            f"the server sent an ObjectInfo that can be none: object {data_id} of unit {cut(unit, 200)!r}, generation "
            f"{generation}, revision {revision}, {size} bytes of checksum {checksum}, datatype "
            f"{cut(datatype, 200)!r}, {len(tags)} tags"
        )
    updated_at = _datetime(wire.updated_at)
    if wire.HasField("written_at"):
        written_at: datetime | None = _datetime(wire.written_at)
    else:
        written_at = updated_at if generation == revision else None
    return ObjectInfo(
        unit,
        data_id,
        generation,
        revision,
        size,
        checksum,
        datatype,
        wire.name if wire.HasField("name") else None,
        dict(tags) if tags else {},
        _datetime(wire.created_at),
        updated_at,
        written_at,
        _datetime(wire.expires_at) if wire.HasField("expires_at") else None,
    )


def not_modified_from_wire(wire: pb.NotModified) -> NotModified:
    return NotModified(wire.generation)


def fill_ranges(wire: pb.ReadRequest, ranges: Iterable[tuple[int, int | None]]) -> None:
    for offset, length in ranges:
        wire.ranges.add(offset=offset, length=length)


def ranges_from_wire(wire: Iterable[pb.ReadRequest.Range]) -> list[tuple[int, int | None]]:
    return [(each.offset, each.length if each.HasField("length") else None) for each in wire]


def fill_object_ranges(wire: pb.ReadResponse, found: ObjectRanges, assembly: RangeAssembly) -> None:
    fill_object_info(wire.info, found.info)
    for piece in assembly.pieces:
        data = found.parts[piece.part][piece.at : piece.at + piece.size]
        wire.parts.add(offset=piece.offset, data=data, checksum=checksum(data))
    for block in found.blocks:
        wire.blocks.add(offset=block.offset, data=bytes(block.data), checksum=block.checksum)


def object_ranges_from_wire(wire: pb.ReadResponse, assembly: RangeAssembly) -> ObjectRanges:
    """What was asked for, each part and each block verified.

    Raises:
        ProtocolError: Others came. CorruptionError: Their bytes are not those that their checksums are of.
    """
    info = assembly.info
    told = len(wire.parts), len(wire.blocks)
    due = len(assembly.pieces), len(assembly.whole)
    if told != due:
        raise ProtocolError(f"the server sent {told} parts and blocks of an object where {due} were due")
    for piece, part in zip(assembly.pieces, wire.parts, strict=True):
        data = part.data
        if (part.offset, len(data)) != (piece.offset, piece.size):
            raise ProtocolError(
                f"the server sent {len(data)} bytes at {part.offset} where {piece.size} at {piece.offset} were due"
            )
        if checksum(data) != part.checksum:
            raise CorruptionError(
                f"{len(data)} bytes at {part.offset} of object {info.data_id} in unit {info.unit!r} changed on the way",
                unit=info.unit,
                data_id=info.data_id,
                generation=info.generation,
                block=piece.block,
            )
        assembly.put(piece, data)
    blocks = []
    for index, sent in zip(assembly.whole, wire.blocks, strict=True):
        whole = verified(Block(sent.offset, sent.data, sent.checksum), info, index)
        assembly.take(index, whole)
        blocks.append(Block(sent.offset, whole, sent.checksum))
    return assembly.finish(blocks)


def fill_load_item(wire: pb.LoadManyRequest.Item, item: LoadItem) -> None:
    fill_key(wire.key, item.key)
    if item.if_generation_not_match is not None:
        wire.if_generation_not_match = item.if_generation_not_match


def load_item_from_wire(wire: pb.LoadManyRequest.Item) -> LoadItem:
    known = wire.if_generation_not_match if wire.HasField("if_generation_not_match") else None
    return LoadItem(key_from_wire(wire.key), known)


def fill_load_result(wire: pb.LoadManyResponse.Item, result: LoadResult | Row) -> None:
    match result:
        case tuple():
            fill_object_info(wire.object.info, result[:-1])
            if result[-1] is not None:
                wire.object.data = result[-1]
        case LoadedObject():
            fill_object_info(wire.object.info, result.info)
            if result.data is not None:
                wire.object.data = result.data
        case NotModified():
            wire.not_modified.generation = result.generation
        case VaultError():
            wire.error.CopyFrom(item_error_to_wire(result))


def load_result_from_wire(wire: pb.LoadManyResponse.Item) -> LoadResult:
    match wire.WhichOneof("result"):
        case "object":
            loaded = wire.object
            return LoadedObject(object_info_from_wire(loaded.info), loaded.data if loaded.HasField("data") else None)
        case "not_modified":
            return not_modified_from_wire(wire.not_modified)
        case "error":
            return item_error_from_wire(wire.error)
        case _:
            return None


def fill_upload_spec(wire: pb.UploadSpec | pb.PutSpec, spec: UploadSpec | PutSpec) -> None:
    wire.data_id = spec.data_id
    if spec.name is not None:
        wire.name = spec.name
    if spec.tags:
        wire.tags.update(spec.tags)
    wire.datatype = spec.datatype
    wire.request_id = spec.request_id


def upload_spec_from_wire(wire: pb.UploadSpec) -> UploadSpec:
    return UploadSpec(
        data_id=wire.data_id,
        name=wire.name if wire.HasField("name") else None,
        tags=dict(wire.tags) if wire.tags else {},  # a dict of an empty map takes twenty times as long
        datatype=wire.datatype,
        request_id=wire.request_id,
    )


def fill_update_spec(wire: pb.UpdateSpec | pb.ReplaceSpec, spec: UpdateSpec) -> None:
    fill_key(wire.key, spec.key)
    if spec.if_generation is not None:
        wire.if_generation = spec.if_generation
    if spec.datatype is not None:
        wire.datatype = spec.datatype
    wire.request_id = spec.request_id


def update_spec_from_wire(wire: pb.UpdateSpec) -> UpdateSpec:
    return UpdateSpec(
        key=key_from_wire(wire.key),
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        datatype=wire.datatype if wire.HasField("datatype") else None,
        request_id=wire.request_id,
    )


def fill_delete_spec(wire: pb.DeleteRequest.Item | pb.DeleteManyRequest.Item, spec: DeleteSpec) -> None:
    fill_key(wire.key, spec.key)
    if spec.if_generation is not None:
        wire.if_generation = spec.if_generation
    wire.request_id = spec.request_id


def delete_spec_from_wire(wire: pb.DeleteRequest.Item) -> DeleteSpec:
    return DeleteSpec(
        key=key_from_wire(wire.key),
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        request_id=wire.request_id,
    )


def metadata_spec_to_wire(unit: str, spec: MetadataSpec) -> pb.SetMetadataRequest:
    wire = pb.SetMetadataRequest(
        unit=unit,
        name=spec.name,
        tags=None if spec.tags is None else pb.Tags(tags=spec.tags),
        if_generation=spec.if_generation,
        request_id=spec.request_id,
    )
    fill_key(wire.key, spec.key)
    return wire


def metadata_spec_from_wire(wire: pb.SetMetadataRequest) -> MetadataSpec:
    return MetadataSpec(
        key=key_from_wire(wire.key),
        name=wire.name if wire.HasField("name") else None,
        tags=dict(wire.tags.tags) if wire.HasField("tags") else None,
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        request_id=wire.request_id,
    )


def fill_small_upload(wire: pb.UploadManyRequest.Item, item: SmallUpload) -> None:
    fill_upload_spec(wire.spec, item.spec)
    wire.data, wire.checksum = bytes(item.data), item.checksum


def small_upload_from_wire(wire: pb.UploadManyRequest.Item) -> SmallUpload:
    return SmallObject(upload_spec_from_wire(wire.spec), wire.data, wire.checksum)


def fill_small_update(wire: pb.UpdateManyRequest.Item, item: SmallUpdate) -> None:
    fill_update_spec(wire.spec, item.spec)
    wire.data, wire.checksum = bytes(item.data), item.checksum


def small_update_from_wire(wire: pb.UpdateManyRequest.Item) -> SmallUpdate:
    return SmallObject(update_spec_from_wire(wire.spec), wire.data, wire.checksum)


def fill_write_result(wire: pb.WriteResult, result: ObjectInfo | VaultError | Row) -> None:
    if isinstance(result, VaultError):
        wire.error.CopyFrom(item_error_to_wire(result))
    else:
        fill_object_info(wire.info, result)


def write_result_from_wire(wire: pb.WriteResult) -> ObjectInfo | VaultError:
    match wire.WhichOneof("result"):
        case "info":
            return object_info_from_wire(wire.info)
        case "error":
            return item_error_from_wire(wire.error)
        case _:
            raise ProtocolError("the server sent a write's result with neither info nor error")


def write_status_to_wire(status: WriteStatus) -> pb.GetWriteStatusResponse:
    if status.info is None:
        return pb.GetWriteStatusResponse(persisted_size=status.persisted_size)
    wire = pb.GetWriteStatusResponse()
    fill_object_info(wire.info, status.info)
    return wire


def write_status_from_wire(wire: pb.GetWriteStatusResponse) -> WriteStatus:
    match wire.WhichOneof("status"):
        case "info":
            info = object_info_from_wire(wire.info)
            return WriteStatus(info.size, info)
        case "persisted_size":
            return WriteStatus(wire.persisted_size)
        case _:
            raise ProtocolError("the server sent a write's status with neither persisted_size nor info")


def fill_delete_result(wire: pb.DeleteResponse.Result, result: int | VaultError) -> None:
    if isinstance(result, VaultError):
        wire.error.CopyFrom(item_error_to_wire(result))
    else:
        wire.revision = result


def delete_result_from_wire(wire: pb.DeleteResponse.Result) -> int | VaultError:
    match wire.WhichOneof("result"):
        case "error":
            return item_error_from_wire(wire.error)
        case "revision":
            return wire.revision
        case _:
            raise ProtocolError("the server sent a deletion's result with neither revision nor error")


def fill_stat_result(wire: pb.StatResponse.Item, info: ObjectInfo | Row | None) -> None:
    if info is not None:
        fill_object_info(wire.info, info)


def stat_result_from_wire(wire: pb.StatResponse.Item) -> ObjectInfo | None:
    return object_info_from_wire(wire.info) if wire.HasField("info") else None


def listing_to_wire(listing: Listing, page_size: int, page_token: str) -> pb.ListRequest:
    wire = pb.ListRequest(
        unit=listing.unit, prefix=listing.prefix, tags=listing.tags, page_size=page_size, page_token=page_token
    )
    if listing.is_plain:
        return wire
    wire.order = _ORDERS[listing.order]
    wire.descending = listing.descending
    wire.delimiter = listing.delimiter or ""
    if listing.after is not None:
        setattr(wire, _AFTER[listing.order], listing.after)
    return wire


def order_from_wire(wire: pb.ListRequest) -> dict[str, Any]:
    """The options of `list_page` for an order, as far as they are set."""
    options: dict[str, Any] = {}
    if wire.order:
        try:
            options["order"] = ListOrder(wire.order)
        except ValueError:
            raise InvalidArgumentError(f"no order is {wire.order}", reason="BAD_ORDER") from None
    if wire.descending:
        options["descending"] = True
    if wire.delimiter:
        options["delimiter"] = wire.delimiter
    if after := wire.WhichOneof("start_after"):
        if (after == "after_revision") != (wire.order == pb.LIST_ORDER_REVISION):
            raise InvalidArgumentError(
                "after_revision is for an order by revision, and that takes no other", reason="BAD_ORDER"
            )
        options["after"] = getattr(wire, after)
    return options


def page_to_wire(page: Page) -> pb.ListResponse:
    wire = pb.ListResponse(next_page_token=page.next_page_token, prefixes=page.prefixes, ordered=True)
    for info in page.objects:
        fill_object_info(wire.objects.add(), info)
    return wire


def page_from_wire(wire: pb.ListResponse) -> Page:
    return Page([object_info_from_wire(info) for info in wire.objects], wire.next_page_token, list(wire.prefixes))


def capabilities_to_wire(capabilities: Capabilities) -> pb.GetCapabilitiesResponse:
    return pb.GetCapabilitiesResponse(
        store_id=capabilities.store_id,
        server_version=capabilities.version,
        block_size=capabilities.block_size,
        max_message_size=capabilities.max_message_size,
        max_batch_items=capabilities.max_batch_items,
        allowed_units=capabilities.allowed_units,
        resume_window=_duration(capabilities.resume_window),
        durability=_DURABILITY_TO_WIRE.get(capabilities.durability),
    )


def capabilities_from_wire(wire: pb.GetCapabilitiesResponse) -> Capabilities:
    if not (wire.store_id and len(wire.store_id) <= _MOST_STORE_ID and wire.block_size and wire.max_batch_items):
        raise ProtocolError("the server sent capabilities without store_id, block_size or max_batch_items")
    return Capabilities(
        store_id=wire.store_id,
        version=wire.server_version,
        block_size=wire.block_size,
        max_message_size=wire.max_message_size,
        max_batch_items=wire.max_batch_items,
        allowed_units=tuple(wire.allowed_units),
        resume_window=wire.resume_window.ToNanoseconds() / 1e9,
        durability=_DURABILITY_FROM_WIRE.get(wire.durability),
    )


def change_to_wire(change: Change) -> pb.Change:
    kind: Any = change.kind.value
    revision, unit, generation = change.revision, change.unit, change.generation
    return pb.Change(
        revision=revision, unit=unit, data_id=change.data_id, kind=kind, generation=generation, name=change.name
    )


def change_from_wire(wire: pb.Change) -> Change:
    kind = _KINDS.get(wire.kind)
    if kind is None:
        raise ProtocolError(f"the server sent a change of a kind unknown here: {wire.kind}")
    wrote = kind in (ChangeKind.UPLOADED, ChangeKind.UPDATED)
    if not (
        wire.unit
        and 0 < wire.data_id <= MAX_DATA_ID
        and 0 < wire.generation <= wire.revision
        and (wire.generation == wire.revision) == wrote  # a generation is the revision at which it was written
    ):
        raise ProtocolError(f"the server sent a change that can be none: of object {wire.data_id}")
    return Change(
        revision=wire.revision,
        unit=wire.unit,
        data_id=wire.data_id,
        kind=kind,
        generation=wire.generation,
        name=wire.name if wire.HasField("name") else None,
    )


def watch_event_to_wire(event: Change | Progress) -> pb.WatchResponse:
    if isinstance(event, Change):
        return pb.WatchResponse(change=change_to_wire(event))
    return pb.WatchResponse(progress=pb.Progress(revision=event.revision))


def watch_group_to_wire(changes: Iterable[Change]) -> pb.WatchResponse:
    return pb.WatchResponse(changes=map(change_to_wire, changes))


def watch_events_from_wire(wire: pb.WatchResponse) -> list[Change | Progress]:
    """What the message tells: one event, or the changes of a group."""
    event = wire.WhichOneof("event")
    if (event is None) == (not wire.changes):
        raise ProtocolError("the server sent a watch event with none or several of change, progress and changes")
    match event:
        case "change":
            return [change_from_wire(wire.change)]
        case "progress":
            return [Progress(wire.progress.revision)]
        case _:
            return list(map(change_from_wire, wire.changes))


_KINDS: Mapping[int, ChangeKind] = {kind.value: kind for kind in ChangeKind}
_DURABILITY_FROM_WIRE: Mapping[int, Any] = {
    pb.DURABILITY_NONE: "none",
    pb.DURABILITY_RELAXED: "relaxed",
    pb.DURABILITY_FULL: "full",
}
_DURABILITY_TO_WIRE: Mapping[str | None, Any] = {told: wire for wire, told in _DURABILITY_FROM_WIRE.items()}


def lease_to_wire(remaining: float, seconds: float) -> pb.AcquireLeaseResponse:
    """Who asked for so many seconds has the lease (0.0), or somebody else has it for the remaining ones."""
    return pb.AcquireLeaseResponse(acquired=not remaining, remaining=_duration(remaining or seconds))


def lease_request_to_wire(unit: str, name: str, holder: bytes, seconds: float) -> pb.AcquireLeaseRequest:
    return pb.AcquireLeaseRequest(unit=unit, name=name, holder=holder, duration=_duration(seconds))


def seconds_from_wire(span: Duration) -> float:
    """A time in seconds, whatever the sender made of it."""
    return span.seconds + span.nanos / 1e9


def _duration(seconds: float) -> Duration:
    span = Duration()
    span.FromNanoseconds(round(seconds * 1e9))
    return span


_MOST_STORE_ID: Final = 256  # characters

_OF_NOTHING: Final = 0x2D06800538D394C2  # XXH3-64 of no bytes
_SECOND: Final = 1_000_000_000  # nanoseconds


def fill_timestamp(wire: Timestamp, moment: int) -> None:
    wire.seconds, microseconds = divmod(moment, 1_000_000)
    wire.nanos = microseconds * 1000


def _datetime(wire: Timestamp) -> datetime:
    seconds, nanos = wire.seconds, wire.nanos
    try:
        if 0 <= nanos < _SECOND:
            return to_time(seconds * 1_000_000 + nanos // 1000)
    except OverflowError:
        pass
    raise ProtocolError(f"the server sent a time that can be none: {seconds} s and {nanos} ns since 1970")
