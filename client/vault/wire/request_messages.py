"""What is asked of a store as messages of vault.v1, and back: keys, ranges, orders, specs; in the way of `messages`.

What the messages of Upload, Update, SetMetadata and Delete can say of a write goes on travelling in those; what says
more, in those of Put, PutMany, SetMetadataMany and DeleteMany.
"""

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from vault.errors import InvalidArgumentError, ProtocolError
from vault.store.listing import Listing
from vault.store.specs import (
    CopySpec,
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    PutSpec,
    SmallObject,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    Times,
    UpdateSpec,
    UploadSpec,
)
from vault.store.values import Key, ListOrder, from_time
from vault.v1 import vault_pb2 as pb
from vault.wire.time_messages import duration, fill_timestamp, seconds_from_wire, time_from_wire

_TIMES: Final = ("created_at", "updated_at", "written_at")
_ORDERS: Final = {
    ListOrder.ID: pb.LIST_ORDER_ID,
    ListOrder.NAME: pb.LIST_ORDER_NAME,
    ListOrder.REVISION: pb.LIST_ORDER_REVISION,
}
_AFTER: Final = {ListOrder.ID: "after_id", ListOrder.NAME: "after_name", ListOrder.REVISION: "after_revision"}


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


def fill_ranges(wire: pb.ReadRequest, ranges: Iterable[tuple[int, int | None]]) -> None:
    for offset, length in ranges:
        wire.ranges.add(offset=offset, length=length)


def ranges_from_wire(wire: Iterable[pb.ReadRequest.Range]) -> list[tuple[int, int | None]]:
    return [(each.offset, each.length if each.HasField("length") else None) for each in wire]


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


def lease_request_to_wire(unit: str, name: str, holder: bytes, seconds: float) -> pb.AcquireLeaseRequest:
    return pb.AcquireLeaseRequest(unit=unit, name=name, holder=holder, duration=duration(seconds))


def fill_load_item(wire: pb.LoadManyRequest.Item, item: LoadItem) -> None:
    fill_key(wire.key, item.key)
    if item.if_generation_not_match is not None:
        wire.if_generation_not_match = item.if_generation_not_match


def load_item_from_wire(wire: pb.LoadManyRequest.Item) -> LoadItem:
    known = wire.if_generation_not_match if wire.HasField("if_generation_not_match") else None
    return LoadItem(key_from_wire(wire.key), known)


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


def says_more(spec: UpdateSpec | DeleteSpec | MetadataSpec) -> bool:
    """Whether a spec asks for what its first message cannot say."""
    if isinstance(spec, MetadataSpec):
        return spec.if_revision is not None or spec.replace or spec.expires_in is not None
    return spec.if_revision is not None or (isinstance(spec, UpdateSpec) and spec.tags is not None)


def fill_write(wire: Any, spec: PutSpec | UpdateSpec) -> None:
    """Fills the arm of a start, or of an item, that a spec goes into."""
    if isinstance(spec, UpdateSpec):
        _fill_replace(wire.replace, spec)
    else:
        _fill_put(wire.put, spec)


def write_from_wire(wire: Any) -> PutSpec | UpdateSpec:
    match wire.WhichOneof("write"):
        case "put":
            return _put_from_wire(wire.put)
        case "replace":
            return _replace_from_wire(wire.replace)
        case _:
            raise InvalidArgumentError("no write: set put or replace")


def fill_small_put(wire: pb.PutManyRequest.Item, item: SmallPut | SmallUpdate) -> None:
    fill_write(wire, item.spec)
    wire.data, wire.checksum = bytes(item.data), item.checksum


def small_put_from_wire(wire: pb.PutManyRequest.Item) -> SmallPut:
    return SmallObject(write_from_wire(wire), wire.data, wire.checksum)


def fill_copy(wire: pb.CopyRequest.Item, spec: CopySpec) -> None:
    fill_key(wire.key, spec.key)
    if spec.name is not None:
        wire.name = spec.name
    wire.data_id = spec.data_id
    wire.replace = spec.replace
    if spec.if_generation is not None:
        wire.if_generation = spec.if_generation
    wire.request_id = spec.request_id


def copy_from_wire(wire: pb.CopyRequest.Item) -> CopySpec:
    return CopySpec(
        key=key_from_wire(wire.key),
        name=wire.name if wire.HasField("name") else None,
        data_id=wire.data_id,
        replace=wire.replace,
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        request_id=wire.request_id,
    )


def fill_metadata_item(wire: pb.SetMetadataManyRequest.Item, spec: MetadataSpec) -> None:
    fill_key(wire.key, spec.key)
    if spec.name is not None:
        wire.name = spec.name
    wire.replace = spec.replace
    if spec.tags is not None:
        wire.tags.SetInParent()
        wire.tags.tags.update(spec.tags)
    if spec.if_generation is not None:
        wire.if_generation = spec.if_generation
    if spec.if_revision is not None:
        wire.if_revision = spec.if_revision
    if spec.expires_in == math.inf:
        wire.never_expires = True
    elif spec.expires_in is not None:
        fill_seconds(wire.expires_in, spec.expires_in)
    wire.request_id = spec.request_id


def metadata_item_from_wire(wire: pb.SetMetadataManyRequest.Item) -> MetadataSpec:
    expires_in = seconds_from_wire(wire.expires_in) if wire.HasField("expires_in") else None
    return MetadataSpec(
        key=key_from_wire(wire.key),
        name=wire.name if wire.HasField("name") else None,
        tags=dict(wire.tags.tags) if wire.HasField("tags") else None,
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        request_id=wire.request_id,
        if_revision=wire.if_revision if wire.HasField("if_revision") else None,
        replace=wire.replace,
        expires_in=math.inf if wire.never_expires else expires_in,
    )


def fill_delete_item(wire: pb.DeleteManyRequest.Item, spec: DeleteSpec) -> None:
    fill_delete_spec(wire, spec)
    if spec.if_revision is not None:
        wire.if_revision = spec.if_revision


def delete_item_from_wire(wire: pb.DeleteManyRequest.Item) -> DeleteSpec:
    return DeleteSpec(
        key=key_from_wire(wire.key),
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        request_id=wire.request_id,
        if_revision=wire.if_revision if wire.HasField("if_revision") else None,
    )


def _fill_put(wire: pb.PutSpec, spec: PutSpec) -> None:
    fill_upload_spec(wire, spec)
    if spec.if_generation is not None:
        wire.if_generation = spec.if_generation
    if spec.expires_in is not None:
        fill_seconds(wire.expires_in, spec.expires_in)
    if spec.times is not None:
        for name in _TIMES:
            fill_timestamp(getattr(wire, name), from_time(getattr(spec.times, name)))


def _put_from_wire(wire: pb.PutSpec) -> PutSpec:
    return PutSpec(
        name=wire.name if wire.HasField("name") else None,
        data_id=wire.data_id,
        tags=dict(wire.tags) if wire.tags else {},  # as in `upload_spec_from_wire`
        datatype=wire.datatype,
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        expires_in=seconds_from_wire(wire.expires_in) if wire.HasField("expires_in") else None,
        request_id=wire.request_id,
        times=_times(wire) if wire.HasField("created_at") else None,
    )


def _fill_replace(wire: pb.ReplaceSpec, spec: UpdateSpec) -> None:
    fill_update_spec(wire, spec)
    if spec.if_revision is not None:
        wire.if_revision = spec.if_revision
    if spec.tags is not None:
        wire.tags.SetInParent()
        wire.tags.tags.update(spec.tags)


def _replace_from_wire(wire: pb.ReplaceSpec) -> UpdateSpec:
    return UpdateSpec(
        key=key_from_wire(wire.key),
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        datatype=wire.datatype if wire.HasField("datatype") else None,
        request_id=wire.request_id,
        if_revision=wire.if_revision if wire.HasField("if_revision") else None,
        tags=dict(wire.tags.tags) if wire.HasField("tags") else None,
    )


def _times(wire: pb.PutSpec) -> Times:
    return Times(*(_moment(name, getattr(wire, name)) for name in _TIMES))


def _moment(name: str, wire: Timestamp) -> datetime:
    try:
        return time_from_wire(wire)
    except ProtocolError:
        raise InvalidArgumentError(
            f"bad {name}: {wire.seconds} s and {wire.nanos} ns since 1970", reason="BAD_TIME"
        ) from None


def fill_seconds(wire: Duration, seconds: float) -> None:
    wire.FromNanoseconds(round(seconds * 1e6) * 1000)
