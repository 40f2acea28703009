"""Batches of uploads and puts as WriteColumns has them, and what they came to; in the way of `messages`."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from vault.errors import InvalidArgumentError, ProtocolError, VaultError
from vault.store.columns import ObjectInfos
from vault.store.limits import MAX_DATA_ID, check_batch
from vault.store.values import to_time
from vault.store.write_columns import SmallPuts, SmallUploads
from vault.v1 import vault_pb2 as pb
from vault.wire.error_table import item_error_from_wire, item_error_to_wire
from vault.wire.packed import one_each, pack, split, unpack
from vault.wire.request_messages import fill_seconds
from vault.wire.time_messages import seconds_from_wire

_REQUEST_ID: Final = 16
_ITEM: Final = 64
"""Bytes of a request for an object beside its data, name and tags, at most."""

_CHARACTER: Final = 4
"""Bytes of a character of text, at most."""

_TEXT: Final = 8
"""Bytes of a text's tag and length, at most."""


def can_say(items: SmallUploads | SmallPuts) -> bool:
    """Whether a WriteColumns can say all that is asked for."""
    if isinstance(items, SmallUploads):
        return True
    return items.if_generations.count(None) == len(items) and len(set(items.expires_in)) == 1


def sizes_of(items: SmallUploads | SmallPuts) -> list[int]:
    """Bytes of a request that each item takes, at most."""
    sizes = [len(data) + _ITEM for data in items.data]
    if any(items.names) or any(items.tags) or len(set(items.datatypes)) > 1:
        for at, (name, tags, datatype) in enumerate(zip(items.names, items.tags, items.datatypes, strict=True)):
            texts = (name or "", datatype, *tags, *tags.values())
            sizes[at] += sum(_CHARACTER * len(text) + _TEXT for text in texts)
    return sizes


def write_columns_to_wire(unit: str, items: SmallUploads | SmallPuts) -> pb.WriteColumnsRequest:
    """The request for items that are valid, and of which `can_say` holds."""
    kind = pb.WriteColumnsRequest.KIND_UPLOAD if isinstance(items, SmallUploads) else pb.WriteColumnsRequest.KIND_PUT
    alike = len(set(items.datatypes)) == 1
    wire = pb.WriteColumnsRequest(
        unit=unit,
        kind=kind,
        data_ids=pack(items.data_ids),
        request_ids=b"".join(items.request_ids),
        sizes=pack(map(len, items.data)),
        checksums=pack(items.checksums),
        data=b"".join(items.data),
        datatypes=items.datatypes[:1] if alike else items.datatypes,
    )
    if any(items.names):
        wire.names.extend([name or "" for name in items.names])
    if any(items.tags):
        for tags in items.tags:
            wire.tags.add().tags.update(tags)
    if isinstance(items, SmallPuts) and items.expires_in[0] is not None:
        fill_seconds(wire.expires_in, items.expires_in[0])
    return wire


def write_columns_from_wire(wire: pb.WriteColumnsRequest) -> SmallUploads | SmallPuts:
    """The items that a request is about. InvalidArgumentError, which names the column, for what cannot be."""
    number = len(wire.data_ids) // 8
    check_batch(range(number))
    data_ids = unpack("data_ids", wire.data_ids, number, InvalidArgumentError)
    checksums = unpack("checksums", wire.checksums, number, InvalidArgumentError)
    sizes = unpack("sizes", wire.sizes, number, InvalidArgumentError)
    requests = wire.request_ids
    if len(requests) != _REQUEST_ID * number:
        raise InvalidArgumentError(f"request_ids has {len(requests)} bytes where {_REQUEST_ID * number} are due")
    datatypes: Sequence[str] = list(wire.datatypes)
    if len(datatypes) == 1:
        datatypes = (datatypes[0],) * number
    one_each("datatypes", datatypes, number, InvalidArgumentError)
    names: Sequence[str | None] = (None,) * number
    if wire.names:
        one_each("names", wire.names, number, InvalidArgumentError)
        names = [name or None for name in wire.names]
    tags: Sequence[Mapping[str, str]] = ({},) * number
    if wire.tags:
        one_each("tags", wire.tags, number, InvalidArgumentError)
        tags = [dict(each.tags) for each in wire.tags]
    columns = (
        data_ids,
        names,
        tags,
        datatypes,
        [requests[start : start + _REQUEST_ID] for start in range(0, len(requests), _REQUEST_ID)],
        split(wire.data, sizes, InvalidArgumentError),
        checksums,
    )
    if wire.kind == pb.WriteColumnsRequest.KIND_PUT:
        expires_in = seconds_from_wire(wire.expires_in) if wire.HasField("expires_in") else None
        return SmallPuts((*columns, (None,) * number, (expires_in,) * number))
    if wire.kind != pb.WriteColumnsRequest.KIND_UPLOAD:
        raise InvalidArgumentError(f"no kind of write is {wire.kind}: set KIND_UPLOAD or KIND_PUT")
    if wire.HasField("expires_in"):
        raise InvalidArgumentError("expires_in is for what is put")
    return SmallUploads(columns)


def add_outcomes(wire: pb.WriteColumnsResponse, outcomes: ObjectInfos[VaultError]) -> None:
    """Appends what some of the items came to, which follow those before."""
    before = len(wire.data_ids) // 8
    wire.data_ids += pack(outcomes.data_ids)
    wire.generations += pack(outcomes.generations)
    wire.checksums += pack(outcomes.checksums)
    wire.created_at += pack(outcomes.created_at, signed=True)
    wire.updated_at += pack(outcomes.updated_at, signed=True)
    if wire.expires_at or outcomes.expires_at.count(None) < len(outcomes):
        wire.expires_at += bytes(8 * before - len(wire.expires_at))
        wire.expires_at += pack([moment or 0 for moment in outcomes.expires_at], signed=True)
    for at, error in sorted(outcomes.others.items()):
        wire.failed.append(before + at)
        wire.errors.add().CopyFrom(item_error_to_wire(error))


def outcomes_from_wire(
    wire: pb.WriteColumnsResponse, unit: str, items: SmallUploads | SmallPuts
) -> ObjectInfos[VaultError]:
    """What the items of a request came to, held against what was asked for. ProtocolError for what cannot be."""
    number = len(items)
    one_each("errors", wire.errors, len(wire.failed), _wrong)
    failed = list(wire.failed)
    if any(one >= other for one, other in pairwise(failed)) or (failed and failed[-1] >= number):
        raise _wrong(f"failed are {failed[:10]} of {number}, out of order or of no item")
    data_ids = unpack("data_ids", wire.data_ids, number, _wrong)
    generations = unpack("generations", wire.generations, number, _wrong)
    checksums = unpack("checksums", wire.checksums, number, _wrong)
    created_at = unpack("created_at", wire.created_at, number, _wrong, signed=True)
    updated_at = unpack("updated_at", wire.updated_at, number, _wrong, signed=True)
    expires_at: Sequence[int | None] = (None,) * number
    if wire.expires_at:
        moments = unpack("expires_at", wire.expires_at, number, _wrong, signed=True)
        expires_at = [moment or None for moment in moments]
    for at in failed:  # as if each were right: it is looked at as a whole
        data_ids[at], generations[at], checksums[at] = items.data_ids[at], 1, items.checksums[at]
    if number > len(failed) and not 0 < min(generations) <= max(generations) <= min(wire.revision, MAX_DATA_ID):
        raise _wrong("there is a generation that can be none")
    if list(checksums) != list(items.checksums):
        raise _wrong("there is an object with other bytes than were sent; what it stored is not known")
    _check_ids(data_ids, items)
    expires = isinstance(items, SmallPuts) and items.expires_in[0] is not None
    if expires_at.count(None) != (len(failed) if expires else number):
        raise _wrong("there is an object with another expiry than was asked for")
    try:
        for moments in (created_at, updated_at):
            to_time(min(moments, default=0)), to_time(max(moments, default=0))
        to_time(max((moment for moment in expires_at if moment is not None), default=0))
        to_time(min((moment for moment in expires_at if moment is not None), default=0))
    except OverflowError as error:
        raise _wrong("there is a time that can be none") from error
    for at in failed:
        generations[at] = 0
    return ObjectInfos(
        (
            (unit,) * number,
            data_ids,
            generations,
            generations,
            list(map(len, items.data)),
            checksums,
            items.datatypes,
            items.names,
            items.tags,
            created_at,
            updated_at,
            updated_at,
            expires_at,
        ),
        dict(zip(failed, map(item_error_from_wire, wire.errors), strict=True)),
    )


def _check_ids(data_ids: Sequence[int], items: SmallUploads | SmallPuts) -> None:
    """Raises where an object has another id than was asked for: what bore the name of one that is put keeps its own."""
    asked = items.data_ids
    if list(data_ids) == list(asked):
        return
    if isinstance(items, SmallUploads):
        raise _wrong("there is an object with another id than was asked for")
    if not 0 < min(data_ids) <= max(data_ids) <= MAX_DATA_ID:
        raise _wrong("there is an id that can be none")
    for data_id, wanted, name in zip(data_ids, asked, items.names, strict=True):
        if name is None and data_id != wanted:
            raise _wrong("there is an object with another id than was asked for")


def _wrong(what: str) -> ProtocolError:
    return ProtocolError(f"the server answered a batch of writes so: {what}")


def first_keys(wire: pb.WriteColumnsRequest | pb.LoadColumnsRequest, most: int) -> list[str | int]:
    """The names, or the ids of those without, of the first objects of a request, whatever was sent."""
    number = min(most, len(wire.data_ids) // 8)
    ids = unpack("data_ids", wire.data_ids[: 8 * number], number, InvalidArgumentError)
    names = wire.names[:number]
    return [name or data_id for name, data_id in zip(names, ids, strict=True)] if len(names) == number else list(ids)
