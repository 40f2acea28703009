"""Batches of loads as LoadColumns has them, and the objects that they bring; in the way of `messages`."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from vault.errors import InvalidArgumentError, ProtocolError, UnavailableError
from vault.store.columns import LoadedObjects, ObjectInfos
from vault.store.limits import BLOCK_SIZE, MAX_DATA_ID, MAX_DATATYPE, MAX_TAGS
from vault.store.values import Key, LoadedObject, checksum, to_time
from vault.v1 import vault_pb2 as pb
from vault.wire.error_table import item_error_from_wire, item_error_to_wire
from vault.wire.packed import one_each, pack, split, unpack

_NOT_KNOWN: Final = -(1 << 63)
_OF_NOTHING: Final = checksum(b"")

_ROW: Final = 80
"""Bytes of a reply for an object beside its texts and its bytes, at most: nine numbers, and its places."""

_TEXT: Final = 8
"""Bytes of a text's tag and length, at most."""

_HEAD: Final = 256
"""Bytes of the tags and lengths of all columns, at most."""

_FULL: Final = UnavailableError("the object did not fit the reply; ask for it again", reason="OVERLOADED")
_LEFT_OUT: Final = item_error_to_wire(_FULL).ByteSize() + _TEXT

KEY_BYTES: Final = 8
"""Bytes of a request for an item beside its name."""


def keys_to_wire(unit: str, keys: Sequence[Key]) -> pb.LoadColumnsRequest:
    """The request for these objects."""
    if not any(isinstance(key, str) for key in keys):
        return pb.LoadColumnsRequest(unit=unit, data_ids=pack(keys))  # type: ignore[arg-type]  # ids all
    return pb.LoadColumnsRequest(
        unit=unit,
        data_ids=pack(0 if isinstance(key, str) else key for key in keys),
        names=[key if isinstance(key, str) else "" for key in keys],
    )


def keys_from_wire(wire: pb.LoadColumnsRequest) -> Sequence[Key]:
    """What is asked for. Raises InvalidArgumentError for columns that do not go together."""
    number = len(wire.data_ids) // 8
    data_ids = unpack("data_ids", wire.data_ids, number, InvalidArgumentError)
    if not wire.names:
        return data_ids.tolist()
    one_each("names", wire.names, number, InvalidArgumentError)
    if any(name and data_id for name, data_id in zip(wire.names, data_ids, strict=True)):
        raise InvalidArgumentError("an item has an id and a name: give one of the two")
    return [name or data_id for name, data_id in zip(wire.names, data_ids, strict=True)]


def fill_loaded(wire: pb.LoadColumnsResponse, loaded: LoadedObjects, limit: int) -> None:
    """Writes the objects, at once: a message is copied whenever a column of it grows. Without the bytes that a reply of
    `limit` bytes has no room for, and an error that says to ask again for what does not fit at all. First come, first
    served."""
    loaded = fitting(loaded, limit - wire.ByteSize())
    others = loaded.others
    wire.data_ids = pack(loaded.data_ids)
    wire.generations = pack(loaded.generations)
    wire.revisions = pack(loaded.revisions)
    wire.sizes = pack(loaded.sizes)
    wire.checksums = pack(loaded.checksums)
    wire.created_at = pack(loaded.created_at, signed=True)
    wire.updated_at = pack(loaded.updated_at, signed=True)
    written_at = list(loaded.written_at)
    if written_at != list(loaded.updated_at):
        known = [_NOT_KNOWN if moment is None else moment for moment in written_at]
        wire.written_at = pack(known, signed=True)
    if loaded.expires_at.count(None) < len(loaded):
        wire.expires_at = pack([moment or 0 for moment in loaded.expires_at], signed=True)
    alike = set(loaded.datatypes)
    if others:
        alike = {datatype for at, datatype in enumerate(loaded.datatypes) if at not in others}
    wire.datatypes.extend(alike if len(alike) <= 1 else loaded.datatypes)
    if any(loaded.names):
        wire.names.extend([name or "" for name in loaded.names])
    if any(loaded.tags):
        wire.tags.extend([pb.Tags(tags=tags) for tags in loaded.tags])
    if None in loaded.data:
        wire.not_sent.extend(at for at, data in enumerate(loaded.data) if data is None and at not in others)
    wire.data = b"".join(filter(None, loaded.data))
    for at, error in sorted(others.items()):
        if error is not None:
            wire.failed.append(at)
            wire.errors.add().CopyFrom(item_error_to_wire(error))


def loaded_from_wire(wire: pb.LoadColumnsResponse, unit: str, keys: Sequence[Key]) -> LoadedObjects:
    """The objects that a request has brought, held against what was asked for; those without their bytes are among the
    others. ProtocolError for what cannot be."""
    number = len(keys)
    data_ids = unpack("data_ids", wire.data_ids, number, _wrong)
    generations = unpack("generations", wire.generations, number, _wrong)
    revisions = unpack("revisions", wire.revisions, number, _wrong)
    sizes = unpack("sizes", wire.sizes, number, _wrong)
    checksums = unpack("checksums", wire.checksums, number, _wrong)
    created_at = unpack("created_at", wire.created_at, number, _wrong, signed=True)
    updated_at = unpack("updated_at", wire.updated_at, number, _wrong, signed=True)
    written_at: Sequence[int | None] = updated_at
    if wire.written_at:
        moments = unpack("written_at", wire.written_at, number, _wrong, signed=True)
        written_at = [None if moment == _NOT_KNOWN else moment for moment in moments]
    expires_at: Sequence[int | None] = (None,) * number
    if wire.expires_at:
        moments = unpack("expires_at", wire.expires_at, number, _wrong, signed=True)
        expires_at = [moment or None for moment in moments]
    datatypes: Sequence[str] = wire.datatypes
    if len(datatypes) <= 1:
        datatypes = (datatypes[0] if datatypes else "",) * number
    else:
        one_each("datatypes", datatypes, number, _wrong)
        datatypes = list(datatypes)
    names: Sequence[str | None] = (None,) * number
    if wire.names:
        one_each("names", wire.names, number, _wrong)
        names = [name or None for name in wire.names]
    tags: Sequence[dict[str, str]] = ({},) * number
    if wire.tags:
        one_each("tags", wire.tags, number, _wrong)
        tags = [dict(each.tags) for each in wire.tags]
    others: dict[int, Any] = {}
    if 0 in data_ids:
        others = {at: None for at, data_id in enumerate(data_ids) if not data_id}
    one_each("errors", wire.errors, len(wire.failed), _wrong)
    for at in _places("failed", wire.failed, number):
        if at not in others:
            raise _wrong(f"item {at} failed and is there")
    there = range(number) if not others else [at for at in range(number) if at not in others]
    _check(unit, keys, there, (data_ids, generations, revisions, sizes, checksums, datatypes, names, tags))
    _check_times(created_at, updated_at, written_at, expires_at)
    others |= zip(wire.failed, map(item_error_from_wire, wire.errors), strict=True)
    infos: tuple[Sequence[Any], ...] = (
        *((unit,) * number, data_ids, generations, revisions, sizes, checksums, datatypes, names, tags),
        *(created_at, updated_at, written_at, expires_at),
    )
    not_sent = list(_places("not_sent", wire.not_sent, number))
    if any(at in others for at in not_sent):
        raise _wrong("an object that is not there comes without its bytes")
    for at in not_sent:
        others[at] = LoadedObject(ObjectInfos.item_of(*[column[at] for column in infos]), None)
    if not others:
        if number and max(sizes) > BLOCK_SIZE:
            raise _wrong(f"an object of {max(sizes)} bytes came with them, of which a block has at most {BLOCK_SIZE}")
        return LoadedObjects((*infos, split(wire.data, sizes, _wrong)))
    sent = [at for at in range(number) if at not in others]
    if any(sizes[at] > BLOCK_SIZE for at in sent):
        raise _wrong(f"an object came with its bytes, which are more than the {BLOCK_SIZE} of a block")
    data: list[bytes | None] = [None] * number
    for at, part in zip(sent, split(wire.data, [sizes[at] for at in sent], _wrong), strict=True):
        data[at] = part
    return LoadedObjects((*infos, data), others)


def bytes_of(loaded: LoadedObjects) -> int:
    """Of all the objects."""
    return sum(map(len, filter(None, loaded.data)))


def fitting(loaded: LoadedObjects, room: int) -> LoadedObjects:
    """The objects as far as there is room for them; a text takes up to four bytes a character."""
    number = len(loaded)
    room -= _HEAD + number * _ROW
    texts = [0] * number
    if any(loaded.names) or any(loaded.tags) or len(set(loaded.datatypes)) > 1:
        for at, (name, tags, datatype) in enumerate(zip(loaded.names, loaded.tags, loaded.datatypes, strict=True)):
            texts[at] = sum(4 * len(text) + _TEXT for text in (name or "", datatype, *tags, *tags.values()))
    elif number:
        room -= 4 * len(loaded.datatypes[0]) + _TEXT
    for at, error in loaded.others.items():
        if error is not None:
            texts[at] += item_error_to_wire(error).ByteSize() + _TEXT
    if sum(texts) + bytes_of(loaded) <= room:
        return loaded
    columns = [list(column) for column in loaded.columns]
    data = columns[-1]
    others = dict(loaded.others)
    room -= sum(min(text, _LEFT_OUT) for text in texts)  # what comes in vain takes as much
    for at in range(number):
        if texts[at] - _LEFT_OUT > max(room, 0):
            others[at] = _FULL
            for column, value in zip(columns, LoadedObjects.FILLER, strict=True):
                column[at] = value
            continue
        room -= max(texts[at] - _LEFT_OUT, 0)
        size = len(data[at] or b"")
        if size > room:
            data[at] = None
        else:
            room -= size
    return LoadedObjects(columns, others)


def _places(name: str, places: Sequence[int], number: int) -> Sequence[int]:
    if any(one >= other for one, other in pairwise(places)) or (places and places[-1] >= number):
        raise _wrong(f"{name} are {list(places[:10])} of {number}, out of order or of no item")
    return places


def _check(unit: str, keys: Sequence[Key], there: Sequence[int], columns: Sequence[Sequence[Any]]) -> None:
    """Raises where an object that is there can be none, or none that was asked for."""
    if not there:
        return
    some = columns if len(there) == len(keys) else [[column[at] for at in there] for column in columns]
    asked = keys if len(there) == len(keys) else [keys[at] for at in there]
    data_ids, generations, revisions, sizes, checksums, datatypes, names, tags = some
    if list(data_ids) != list(asked):
        for key, data_id, name in zip(asked, data_ids, names, strict=True):
            if key not in (data_id, name):
                raise _wrong(f"object {data_id} ({name!r}) of unit {unit!r} came, and {key!r} was asked for")
    if not (
        0 < min(data_ids) <= max(data_ids) <= MAX_DATA_ID
        and min(generations) > 0
        and max(revisions) <= MAX_DATA_ID
        and all(generation <= revision for generation, revision in zip(generations, revisions, strict=True))
        and max(sizes) <= MAX_DATA_ID
        and max(map(len, datatypes)) <= MAX_DATATYPE
        and max(map(len, tags)) <= MAX_TAGS
        and (min(sizes) or all(size or found == _OF_NOTHING for size, found in zip(sizes, checksums, strict=True)))
    ):
        raise _wrong("there is an object that can be none")


def _check_times(*columns: Sequence[int | None]) -> None:
    try:
        for column in columns:
            moments = [moment for moment in column if moment is not None]
            to_time(min(moments, default=0)), to_time(max(moments, default=0))
    except OverflowError as error:
        raise _wrong("there is a time that can be none") from error


def _wrong(what: str) -> ProtocolError:
    return ProtocolError(f"the server answered a batch of loads so: {what}")
