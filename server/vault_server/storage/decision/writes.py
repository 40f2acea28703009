"""What callers ask a commit for, and what has to be known to decide on it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, ClassVar, Final, overload

import xxhash
from vault.store.specs import CopySpec, DeleteSpec, MetadataSpec, PutSpec, UpdateSpec, UploadSpec
from vault.store.values import ChangeKind, Key, ObjectInfo, from_time
from vault.store.write_columns import SmallPuts, SmallUploads

from vault_server.storage.decision.rows import Row, all_signed, signed


@dataclass(slots=True, eq=False)
class Content:
    """Bytes to commit: in `data`, or in a blob.

    Attributes:
        blocks: As `pack_checksums` packs the blocks' checksums.
        data: None: they are in a blob.
        file: The blob's name, from the moment that it has one.
        staged: The blob before that; its engine's.
    """

    size: int
    checksum: int
    blocks: bytes
    data: bytes | None
    file: str | None = None
    staged: Any = None


NOTHING: Final = Content(0, 0, b"", None)
"""In place of bytes that are not there yet, where they are not looked at."""


@dataclass(slots=True, eq=False)
class Upload:
    """Makes a new object. `principal`, of each write: whose request it is; empty: nobody's by name."""

    kind: ClassVar = ChangeKind.UPLOADED.value
    unit: str
    spec: UploadSpec
    content: Content
    principal: str = ""


@dataclass(slots=True, eq=False)
class Update:
    """Replaces an object's bytes."""

    kind: ClassVar = ChangeKind.UPDATED.value
    unit: str
    spec: UpdateSpec
    content: Content
    principal: str = ""


@dataclass(slots=True, eq=False)
class Put:
    """Makes a new object, or replaces one: what it comes to is decided. `kind` is of the request, and of no change."""

    kind: ClassVar = 0
    unit: str
    spec: PutSpec
    content: Content
    principal: str = ""


@dataclass(slots=True, eq=False)
class Copy:
    """Makes a new object of another's bytes, or replaces one by them. `kind` as that of Put.

    Attributes:
        from_unit: The source's; `unit` is the copy's.
        source: What was read of it, and `content` of its bytes. None: it is not there, and only an answer that was
            given before is asked for.
    """

    kind: ClassVar = -1
    unit: str
    spec: CopySpec
    from_unit: str
    source: ObjectInfo | None = None
    content: Content = NOTHING
    principal: str = ""


@dataclass(slots=True, eq=False)
class Delete:
    """Deletes an object."""

    kind: ClassVar = ChangeKind.DELETED.value
    unit: str
    spec: DeleteSpec
    principal: str = ""


@dataclass(slots=True, eq=False)
class Drop:
    """Deletes an object, which nobody asked for: its unit has no room, or it has expired. Nobody knows its request id,
    which is kept nowhere."""

    kind: ClassVar = ChangeKind.DELETED.value
    unit: str
    spec: DeleteSpec
    principal: str = ""


@dataclass(slots=True, eq=False)
class SetMetadata:
    """Changes an object's name, tags or expiry."""

    kind: ClassVar = ChangeKind.METADATA.value
    unit: str
    spec: MetadataSpec
    principal: str = ""


ContentWrite = Upload | Update | Put
"""Those whose bytes their callers bring."""

PlacingWrite = ContentWrite | Copy
"""Those with bytes."""

Write = PlacingWrite | Delete | Drop | SetMetadata


class Batch(Sequence[Upload | Put]):
    """Valid uploads, or puts, of one caller into one unit, as columns. A write is made when it is looked at, each time
    anew.

    Attributes:
        contents: The bytes of each.
    """

    __slots__ = ("contents", "items", "principal", "unit")

    def __init__(
        self, unit: str, items: SmallUploads | SmallPuts, contents: Sequence[Content], principal: str = ""
    ) -> None:
        self.unit = unit
        self.items = items
        self.contents = contents
        self.principal = principal

    @property
    def kind(self) -> type[Upload | Put]:
        """What its writes are."""
        return Upload if isinstance(self.items, SmallUploads) else Put

    def __len__(self) -> int:
        return len(self.contents)

    @overload
    def __getitem__(self, index: int) -> Upload | Put: ...

    @overload
    def __getitem__(self, index: slice) -> "list[Upload | Put]": ...

    def __getitem__(self, index: int | slice) -> "Upload | Put | list[Upload | Put]":
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        spec: Any = self.items[index].spec
        return self.kind(self.unit, spec, self.contents[index], self.principal)


RequestKey = tuple[str, bytes]
"""What a request is known by: the principal whose it is, and its id."""


def drop(row: Row, principal: str = "") -> Drop:
    """Deletes an object as long as nothing of it has changed since."""
    return Drop(row.unit, DeleteSpec(row.data_id, if_revision=row.revision), principal)


def request_hash(write: Write) -> int:
    """What is kept of a request, to tell whether another under its id is the same. Signed, as an index holds it.

    Of its kind, unit and spec. The size and the checksum of its bytes stand beside it, in its answer: so one that is
    begun again can be told before its bytes are there.
    """
    spec = write.spec
    if isinstance(spec, UploadSpec):
        text = f"{spec.data_id:d} {_text(spec.name)} {_text(spec.datatype)}{_tags(spec.tags)}"
    elif isinstance(spec, PutSpec):
        times = spec.times
        moments = times and (from_time(times.created_at), from_time(times.updated_at), from_time(times.written_at))
        text = f"{spec.data_id:d} {_text(spec.name)} {spec.if_generation} {_seconds(spec.expires_in)} {moments} "
        text += f"{_text(spec.datatype)}{_tags(spec.tags)}"
    elif isinstance(write, Copy):
        text = f"{write.from_unit} {_key(write.spec.key)} {write.spec.if_generation} "
        text += f"{write.spec.data_id:d} {_text(write.spec.name)} {write.spec.replace:d}"
    else:
        text = f"{_key(spec.key)} {spec.if_generation}"
        if isinstance(spec, UpdateSpec):
            text += f" {_text(spec.datatype)}{'' if spec.tags is None else f' {_tags(spec.tags)}'}"
        elif isinstance(spec, MetadataSpec):
            text += f" {_text(spec.name)}{'' if spec.tags is None else f' {_tags(spec.tags)}'}"
            if spec.replace or spec.expires_in is not None:
                text += f" replace={spec.replace:d} expires_in={_seconds(spec.expires_in)}"
        if not isinstance(spec, CopySpec) and spec.if_revision is not None:
            text += f" if_revision={spec.if_revision}"
    return signed(xxhash.xxh3_64_intdigest(f"{write.kind} {write.unit} {text}".encode()))


def request_hashes(batch: Batch) -> Sequence[int]:
    """`request_hash` of each write."""
    ids, names, tags, datatypes = batch.items.columns[:4]
    ends: Iterable[str]
    if names.count(None) == len(names) and not any(tags) and len(set(datatypes)) == 1:  # what is alike is made once
        ends = repeat(_text(datatypes[0]), len(ids))
        middles: Iterable[str] = repeat("-", len(ids))
    else:
        ends = map("".join, zip(map(_text, datatypes), map(_tags, tags), strict=True))
        middles = map(_text, names)
    begin = f"{batch.kind.kind} {batch.unit} "
    if isinstance(batch.items, SmallPuts):
        conditions = zip(batch.items.if_generations, batch.items.expires_in, strict=True)
        ends = [f"{when} {_seconds(until)} None {end}" for (when, until), end in zip(conditions, ends, strict=True)]
    hashes = [
        xxhash.xxh3_64_intdigest(f"{begin}{data_id} {middle} {end}".encode())
        for data_id, middle, end in zip(ids, middles, ends, strict=True)
    ]
    return all_signed(hashes)


def _key(key: Key) -> str:
    return _text(key) if isinstance(key, str) else f"{key:d}"


def _text(text: str | None) -> str:
    """With its length, so that no two lists of texts look alike."""
    return "-" if text is None else f"{len(text)}:{text}"


def _seconds(seconds: float | None) -> str:
    """With the precision that times are kept with: it does not matter whether it has come over the wire."""
    return "-" if seconds is None else "never" if seconds == math.inf else f"{round(seconds * 1e6)}"


def _tags(tags: Mapping[str, str]) -> str:
    return "".join(f" {_text(key)}={_text(value)}" for key, value in sorted(tags.items())) if tags else ""


@dataclass(slots=True)
class Asked:
    """What an index is asked for, to decide on writes. Something may be in it twice.

    Attributes:
        ids: Units and ids of objects that are written to; `names`: units and names.
        new_ids: Ids that objects are to get, and that are none's, as a rule; `new_names`: likewise.
        principals: Whose requests they are, as far as anybody was named.
    """

    ids: list[tuple[str, int]]
    names: list[tuple[str, str]]
    new_ids: list[tuple[str, int]]
    new_names: list[tuple[str, str]]
    requests: list[bytes]
    units: set[str]
    principals: set[str]


def asked(writes: Iterable[Write]) -> Asked:
    """What has to be known to decide on these writes."""
    if type(writes) is Batch:
        return _asked_by(writes)
    found = Asked([], [], [], [], [], set(), set())
    for write in writes:
        unit, spec = write.unit, write.spec
        found.units.add(unit)
        found.requests.append(spec.request_id)
        if write.principal:
            found.principals.add(write.principal)
        if isinstance(spec, UploadSpec):
            found.new_ids.append((unit, spec.data_id))
            if spec.name:
                found.new_names.append((unit, spec.name))
        elif isinstance(spec, (PutSpec, CopySpec)):
            found.new_ids.append((unit, spec.data_id))
            if spec.name is not None:
                found.names.append((unit, spec.name))
        elif isinstance(spec.key, str):
            found.names.append((unit, spec.key))
        else:
            found.ids.append((unit, spec.key))
        if isinstance(spec, MetadataSpec) and spec.name:
            found.new_names.append((unit, spec.name))
    return found


def _asked_by(batch: Batch) -> Asked:
    unit = batch.unit
    ids = [(unit, data_id) for data_id in batch.items.data_ids]
    names = [(unit, name) for name in batch.items.names if name is not None]
    principals = {batch.principal} if batch.principal else set()
    told = ([], names) if batch.kind is Upload else (names, [])
    return Asked([], told[0], ids, told[1], list(batch.items.request_ids), {unit}, principals)
