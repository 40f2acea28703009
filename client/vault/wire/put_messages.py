"""The specs of Put, PutMany, SetMetadataMany and DeleteMany as messages, and back; in the way of `vault.wire.messages`.

What the messages of Upload, Update, SetMetadata and Delete can say goes on travelling in those.
"""

import math
from datetime import datetime
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from vault.errors import InvalidArgumentError
from vault.store.columns import from_time, to_time
from vault.store.values import (
    CopySpec,
    DeleteSpec,
    MetadataSpec,
    PutSpec,
    SmallObject,
    SmallPut,
    SmallUpdate,
    Times,
    UpdateSpec,
)
from vault.v1 import vault_pb2 as pb
from vault.wire.messages import fill_delete_spec, fill_key, fill_update_spec, fill_upload_spec, key_from_wire

_SECOND: Final = 1_000_000_000  # nanoseconds
_TIMES: Final = ("created_at", "updated_at", "written_at")


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
        _fill_seconds(wire.expires_in, spec.expires_in)
    wire.request_id = spec.request_id


def metadata_item_from_wire(wire: pb.SetMetadataManyRequest.Item) -> MetadataSpec:
    expires_in = _seconds(wire.expires_in) if wire.HasField("expires_in") else None
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
        _fill_seconds(wire.expires_in, spec.expires_in)
    if spec.times is not None:
        for name in _TIMES:
            moment = from_time(getattr(spec.times, name))
            time: Timestamp = getattr(wire, name)
            time.seconds, microseconds = divmod(moment, 1_000_000)
            time.nanos = microseconds * 1000


def _put_from_wire(wire: pb.PutSpec) -> PutSpec:
    return PutSpec(
        name=wire.name if wire.HasField("name") else None,
        data_id=wire.data_id,
        tags=dict(wire.tags) if wire.tags else {},  # as in `upload_spec_from_wire`
        datatype=wire.datatype,
        if_generation=wire.if_generation if wire.HasField("if_generation") else None,
        expires_in=_seconds(wire.expires_in) if wire.HasField("expires_in") else None,
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
        if 0 <= wire.nanos < _SECOND:
            return to_time(wire.seconds * 1_000_000 + wire.nanos // 1000)
    except OverflowError:
        pass
    raise InvalidArgumentError(f"bad {name}: {wire.seconds} s and {wire.nanos} ns since 1970", reason="BAD_TIME")


def _fill_seconds(wire: Duration, seconds: float) -> None:
    wire.FromNanoseconds(round(seconds * 1e6) * 1000)


def _seconds(wire: Duration) -> float:
    return wire.seconds + wire.nanos / _SECOND
