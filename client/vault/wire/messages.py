"""What a store answers, and what its feed tells, as messages of vault.v1, and back.

`fill_x` fills an empty message in its place, in the message that it is part of: one that is made apart is copied
into the other, bytes and all. `x_to_wire` makes one that is sent as it is. Both trust their argument.
`x_from_wire` takes what a stranger sent: what is missing or cannot be is InvalidArgumentError in a request,
ProtocolError in a reply. The rules for units, names, ids and tags are the model's; a Store checks them
(`spec.validate()`), not this module. `revision` of a reply is its sender's to set.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from vault.errors import CorruptionError, ProtocolError, VaultError
from vault.store.blocks import verified
from vault.store.columns import ObjectInfos
from vault.store.contract import LoadResult
from vault.store.limits import MAX_DATA_ID, MAX_DATATYPE, MAX_TAGS
from vault.store.ranges import RangeAssembly
from vault.store.values import (
    Block,
    Capabilities,
    Change,
    ChangeKind,
    LoadedObject,
    NotModified,
    ObjectInfo,
    ObjectRanges,
    Page,
    Progress,
    WriteStatus,
    checksum,
)
from vault.v1 import vault_pb2 as pb
from vault.wire.error_table import cut, item_error_from_wire, item_error_to_wire
from vault.wire.time_messages import duration, fill_timestamp, time_from_wire

Row = tuple[Any, ...]
"""An object's values, as `vault.store.columns` have them."""


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
    updated_at = time_from_wire(wire.updated_at)
    if wire.HasField("written_at"):
        written_at: datetime | None = time_from_wire(wire.written_at)
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
        time_from_wire(wire.created_at),
        updated_at,
        written_at,
        time_from_wire(wire.expires_at) if wire.HasField("expires_at") else None,
    )


def not_modified_from_wire(wire: pb.NotModified) -> NotModified:
    return NotModified(wire.generation)


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
        resume_window=duration(capabilities.resume_window),
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
    return pb.AcquireLeaseResponse(acquired=not remaining, remaining=duration(remaining or seconds))


_MOST_STORE_ID: Final = 256  # characters

_OF_NOTHING: Final = 0x2D06800538D394C2  # XXH3-64 of no bytes
