"""The values that cross the Store contract. What may be put into them is in `vault.store.limits`."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar

import xxhash

from vault._display import ShownAsFields, ShownAsRows
from vault._frozen import made_fast
from vault.errors import CorruptionError, InvalidArgumentError, VaultError
from vault.store.limits import (
    BLOCK_SIZE,
    MAX_BATCH_ITEMS,
    MAX_DATA_ID,
    check_batch,
    check_block,
    check_data_id,
    check_datatype,
    check_expires_in,
    check_flag,
    check_generation,
    check_key,
    check_name,
    check_request_id,
    check_small,
    check_spec,
    check_tags,
    check_times,
    check_unit_limits,
)

Key = int | str
"""An object's id, or its name."""


@made_fast
@dataclass(frozen=True, slots=True)
class ObjectInfo(ShownAsFields):
    """What a store knows of an object.

    Attributes:
        unit: The unit it is in.
        data_id: Its id, 1 to 2^63 - 1.
        generation: The revision at which its bytes were last written.
        revision: The revision at which anything of it last changed.
        size: Bytes.
        checksum: XXH3-64 (seed 0) of all its bytes.
        datatype: The tag of the Datatype that wrote it; empty when unknown.
        name: Unique in its unit, or None.
        tags: Text to text.
        created_at: When it was uploaded, UTC, by the store's clock.
        updated_at: When its bytes or metadata last changed, UTC.
        written_at: When its bytes last changed, UTC. None: an older server does not say.
        expires_at: From then on it is absent, UTC, by the store's clock; None: it never expires.
    """

    unit: str
    data_id: int
    generation: int
    revision: int
    size: int
    checksum: int
    datatype: str
    name: str | None
    tags: Mapping[str, str]
    created_at: datetime
    updated_at: datetime
    written_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def block_count(self) -> int:
        """How many blocks its bytes are in; 0 when it is empty."""
        return -(-self.size // BLOCK_SIZE)

    @property
    def checksum_hex(self) -> str:
        """The checksum in 16 hexadecimal digits, as the command shows it and `xxhsum -H3 FILE` prints it."""
        return f"{self.checksum:016x}"

    @property
    def etag(self) -> str:
        """A strong ETag of its bytes, in its quotes, as HTTP's headers have it: another whenever they are written.

        Made of generation and checksum, so that it is another, too, in a store that was put back to an older copy.
        What only changes name, tags or expiry leaves it as it is.
        """
        return f'"{self.generation}-{self.checksum_hex}"'


class UploadedId(int):
    """The id of an object that was uploaded: a number like any other.

    Attributes:
        info: What is known of the object, as it was stored; its `etag`, for one.
    """

    info: ObjectInfo

    def __new__(cls, info: ObjectInfo) -> Self:
        uploaded = int.__new__(cls, info.data_id)
        uploaded.info = info
        return uploaded

    def __getnewargs__(self) -> tuple[ObjectInfo]:  # type: ignore[override]  # what copies and pickles are made of
        return (self.info,)


@made_fast
@dataclass(frozen=True, slots=True)
class Block:
    """At most BLOCK_SIZE bytes of an object, with their checksum (XXH3-64)."""

    offset: int
    data: bytes | bytearray | memoryview
    checksum: int

    def validate(self) -> None:
        check_block(self.offset, self.data, self.checksum)

    def verify(self, info: ObjectInfo) -> None:
        """Raises CorruptionError when the bytes do not match the stored checksum."""
        if checksum(self.data) != self.checksum:
            index = self.offset // BLOCK_SIZE
            raise CorruptionError(
                f"block {index} of object {info.data_id} in unit {info.unit!r} does not match its stored checksum",
                unit=info.unit,
                data_id=info.data_id,
                generation=info.generation,
                block=index,
            )


@dataclass(frozen=True, slots=True)
class NotModified:
    """The object is still at the generation that the caller holds."""

    generation: int


@dataclass(frozen=True, slots=True)
class LoadedObject:
    """One object of a batch; `data` is None when it is too large for one and must be streamed."""

    info: ObjectInfo
    data: bytes | None


LoadResult = LoadedObject | NotModified | VaultError | None
"""What a batch has of one object; None: there is none."""


@dataclass(frozen=True, slots=True)
class LoadItem:
    """One object wanted from a batch."""

    key: Key
    if_generation_not_match: int | None = None

    def validate(self) -> None:
        check_key(self.key)
        check_generation(self.if_generation_not_match)


def new_request_id() -> bytes:
    """16 random bytes: a write that is sent again under the same id is applied once."""
    return os.urandom(16)


def new_data_id() -> int:
    """A random id, 1 to 2^63 - 1."""
    return int.from_bytes(os.urandom(8), "little") % MAX_DATA_ID + 1


@made_fast
@dataclass(frozen=True, slots=True)
class UploadSpec:
    """A new object, but for its bytes. Validate with `validate()` before any I/O.

    A store also holds it against `rules.check_new`, once it knows that the request is none which it answered before
    the rule was there.
    """

    data_id: int
    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    datatype: str = ""
    request_id: bytes = field(default_factory=new_request_id)

    def validate(self) -> None:
        check_data_id(self.data_id)
        if self.name is not None:
            check_name(self.name)
        check_tags(self.tags)
        check_datatype(self.datatype)
        check_request_id(self.request_id)


@made_fast
@dataclass(frozen=True, slots=True)
class UpdateSpec:
    """New bytes for an object, which keeps its id, name and expiry.

    Attributes:
        if_generation: Only in the place of this generation; None: of any.
        datatype: None: as it is.
        if_revision: Only when nothing of the object, metadata too, has changed since this revision; None: whatever has.
        tags: All that it has then; None: as they are.
    """

    key: Key
    if_generation: int | None = None
    datatype: str | None = None
    request_id: bytes = field(default_factory=new_request_id)
    if_revision: int | None = None
    tags: Mapping[str, str] | None = None

    def validate(self) -> None:
        check_key(self.key)
        check_generation(self.if_generation)
        check_generation(self.if_revision)
        if self.datatype is not None:
            check_datatype(self.datatype)
        if self.tags is not None:
            check_tags(self.tags)
        check_request_id(self.request_id)


@dataclass(frozen=True, slots=True)
class Times:
    """The times of an object that is taken over from another store. None of them becomes later than the store's time.

    They are as ObjectInfo has them; without a time zone they are refused.
    """

    created_at: datetime
    updated_at: datetime
    written_at: datetime

    def validate(self) -> None:
        check_times(self.created_at, self.updated_at, self.written_at)


@made_fast
@dataclass(frozen=True, slots=True)
class PutSpec:
    """An object, new or in the place of another, but for its bytes. Which of the two is decided at the commit.

    Attributes:
        name: The object that bears it is replaced, and keeps its id; when nobody does, a new one gets it. None: the
            object with `data_id` is replaced, or made without a name.
        data_id: Of a new object.
        tags: All that it has then.
        datatype: Likewise.
        if_generation: Only in the place of this generation; 0: only as a new object; None: either.
        expires_in: Seconds; None: it never expires.
        times: None: the store's time; but for `created_at` of an object that is replaced, which stays.
    """

    name: str | None
    data_id: int = field(default_factory=new_data_id)
    tags: Mapping[str, str] = field(default_factory=dict)
    datatype: str = ""
    if_generation: int | None = None
    expires_in: float | None = None
    request_id: bytes = field(default_factory=new_request_id)
    times: Times | None = None

    def validate(self) -> None:
        if self.name is not None:
            check_name(self.name)
        check_data_id(self.data_id)
        check_tags(self.tags)
        check_datatype(self.datatype)
        check_generation(self.if_generation)
        if self.expires_in is not None:
            check_expires_in(self.expires_in)
        check_request_id(self.request_id)
        if self.times is not None:
            check_spec(self.times, Times)


@dataclass(frozen=True, slots=True)
class CopySpec:
    """A copy of an object within its unit or into another: its bytes, datatype, tags and expiry.

    Attributes:
        key: Of the source.
        name: Of the copy; None: it has none.
        data_id: Of the copy, where it is a new object.
        replace: The object that bears the name gets the bytes, as a put gives them; else it is NAME_TAKEN.
        if_generation: The source must be at it; None: it may be at any.
    """

    key: Key
    name: str | None = None
    data_id: int = field(default_factory=new_data_id)
    replace: bool = False
    if_generation: int | None = None
    request_id: bytes = field(default_factory=new_request_id)

    def validate(self) -> None:
        check_key(self.key)
        if self.name is not None:
            check_name(self.name)
        check_data_id(self.data_id)
        check_flag("replace", self.replace)
        if self.replace and self.name is None:
            raise InvalidArgumentError("replace is for a copy with a name: a new id is nobody's", reason="BAD_NAME")
        check_generation(self.if_generation)
        check_request_id(self.request_id)


@made_fast
@dataclass(frozen=True, slots=True)
class DeleteSpec:
    """One object to delete. Preconditions as those of UpdateSpec; None: whatever it is at."""

    key: Key
    if_generation: int | None = None
    request_id: bytes = field(default_factory=new_request_id)
    if_revision: int | None = None

    def validate(self) -> None:
        check_key(self.key)
        check_generation(self.if_generation)
        check_generation(self.if_revision)
        check_request_id(self.request_id)


@made_fast
@dataclass(frozen=True, slots=True)
class MetadataSpec:
    """A change of metadata. None leaves a field as it is; an empty name or empty tags clear it.

    Attributes:
        if_generation: As that of UpdateSpec; `if_revision` likewise.
        replace: The object that bears the name is deleted for it, in the same commit; else it is NAME_TAKEN.
        expires_in: Seconds from now; `math.inf`: it never expires.
    """

    key: Key
    name: str | None = None
    tags: Mapping[str, str] | None = None
    if_generation: int | None = None
    request_id: bytes = field(default_factory=new_request_id)
    if_revision: int | None = None
    replace: bool = False
    expires_in: float | None = None

    def validate(self) -> None:
        check_key(self.key)
        if self.name:
            check_name(self.name)
        elif self.name is not None and not isinstance(self.name, str):
            raise InvalidArgumentError(f"a name is text or None, not {type(self.name).__name__}", reason="BAD_NAME")
        if self.tags is not None:
            check_tags(self.tags)
        check_generation(self.if_generation)
        check_generation(self.if_revision)
        check_flag("replace", self.replace)
        if self.replace and not self.name:
            raise InvalidArgumentError("replace is for a new name: there is none", reason="BAD_NAME")
        if self.expires_in is not None and self.expires_in != math.inf:
            check_expires_in(self.expires_in)
        check_request_id(self.request_id)


WriteSpec = UploadSpec | UpdateSpec | PutSpec
"""What is to become of bytes."""

SpecT_co = TypeVar("SpecT_co", bound=WriteSpec, covariant=True)


@made_fast
@dataclass(frozen=True, slots=True)
class SmallObject(Generic[SpecT_co]):
    """An object of at most one block, whole, and what is to become of it."""

    spec: SpecT_co
    data: bytes
    checksum: int

    def validate(self) -> None:
        self.spec.validate()
        check_small(self.data, self.checksum)


if TYPE_CHECKING:
    SmallUpload = SmallObject[UploadSpec]
    """A new object."""

    SmallUpdate = SmallObject[UpdateSpec]
    """New bytes for an object."""

    SmallPut = SmallObject[PutSpec | UpdateSpec]
    """To be put, or with an UpdateSpec, new bytes for one that is there."""

    SmallWrite = SmallObject[WriteSpec]
    """Any of these."""
else:  # with a parameter it would note that on each object that it makes, which a frozen one refuses
    SmallUpload = SmallUpdate = SmallPut = SmallWrite = SmallObject


def check_small_batch(items: Sequence[SmallWrite], spec: type | tuple[type, ...]) -> None:
    """The items of a batch of writes, and the type of their specs."""
    check_batch(items, SmallObject)
    check_batch([item.spec for item in items], spec)


@dataclass(frozen=True, slots=True, repr=False)
class Page(ShownAsRows):
    """Part of a listing; `next_page_token` is empty on the last page.

    Attributes:
        prefixes: Of a listing with a delimiter: the beginnings of names that go on below this level, each once, with
            the delimiter at their end.
    """

    objects: list[ObjectInfo]
    next_page_token: str
    prefixes: list[str] = field(default_factory=list)

    def _shown(self) -> tuple[list[ObjectInfo], dict[str, object]]:
        return self.objects, {"prefixes": self.prefixes, "next_page_token": self.next_page_token}


class ListOrder(Enum):
    """How a listing is ordered. Values are those of vault.v1.ListOrder."""

    ID = 1
    NAME = 2
    REVISION = 3
    """Of the last change of anything of the object."""


@dataclass(frozen=True, slots=True)
class UnitLimits:
    """How much a unit may hold: current generations, none that are retained or staged.

    Attributes:
        max_objects: None: no limit.
        max_bytes: Likewise.
        when_full: "refuse": what would go over a limit is refused, StorageFullError QUOTA. "evict": what was stored
            longest ago is deleted first; this may delete acknowledged objects.
    """

    max_objects: int | None = None
    max_bytes: int | None = None
    when_full: Literal["refuse", "evict"] = "refuse"

    @property
    def are_set(self) -> bool:
        """Whether there is any."""
        return self.max_objects is not None or self.max_bytes is not None

    def validate(self) -> None:
        check_unit_limits(self.max_objects, self.max_bytes, self.when_full)


@dataclass(frozen=True, slots=True)
class UnitInfo(ShownAsFields):
    """What a unit holds.

    Attributes:
        objects: How many.
        bytes: Of their current generations.
        revision: Of its last change; 0: there was none.
        limits: As they are set; by default there is none.
    """

    unit: str
    objects: int = 0
    bytes: int = 0
    revision: int = 0
    limits: UnitLimits = UnitLimits()


@dataclass(frozen=True, slots=True)
class UnitPage:
    """Some of the units; `next_page_token` is empty on the last page."""

    units: list[UnitInfo]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class PrincipalLimits:
    """How much may be charged to a principal: the current generations that it wrote, in all units together.

    Attributes:
        max_objects: None: no limit.
        max_bytes: Likewise.
    """

    max_objects: int | None = None
    max_bytes: int | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is any."""
        return self.max_objects is not None or self.max_bytes is not None

    def validate(self) -> None:
        check_unit_limits(self.max_objects, self.max_bytes, "refuse")


@dataclass(frozen=True, slots=True)
class PrincipalInfo(ShownAsFields):
    """What is charged to a principal.

    Attributes:
        objects: How many current generations it wrote.
        bytes: Of these.
        limits: As they are set; by default there is none.
    """

    principal: str
    objects: int = 0
    bytes: int = 0
    limits: PrincipalLimits = PrincipalLimits()


@dataclass(frozen=True, slots=True)
class PrincipalPage:
    """Some of the principals; `next_page_token` is empty on the last page."""

    principals: list[PrincipalInfo]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class ObjectRanges:
    """Parts of one generation of an object.

    Attributes:
        info: The object, as of the generation that was read.
        parts: The bytes of each range asked for, verified; shorter where the object ends.
        blocks: Those that were moved whole, verified, in order, with the checksums that their writer made.
    """

    info: ObjectInfo
    parts: list[bytes]
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can do, and who it is.

    Attributes:
        store_id: Random, made with the store; the same for every server in front of it.
        version: Of the software that answers.
        block_size: Bytes.
        max_message_size: Bytes of one message on the wire; 0 where there is no wire.
        max_batch_items: Items in one batch.
        allowed_units: The only units accepted; empty: any.
        resume_window: Seconds that a resumable write is kept after its last byte; 0: none is.
        durability: What an acknowledged write survives. "full": the end of the process and of the machine; "relaxed":
            that of the process, and of the machine but for the last writes; "none": neither, the objects are in
            memory. None: an older server does not say.
    """

    store_id: str
    version: str
    block_size: int = BLOCK_SIZE
    max_message_size: int = 0
    max_batch_items: int = MAX_BATCH_ITEMS
    allowed_units: tuple[str, ...] = ()
    resume_window: float = 0.0
    durability: Literal["none", "relaxed", "full"] | None = None


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """How far a resumable write has come.

    Attributes:
        persisted_size: Bytes that the store has of it.
        info: What it was answered, when it was committed.
    """

    persisted_size: int
    info: ObjectInfo | None = None


class ChangeKind(Enum):
    """What happened to an object. Values are those of vault.v1.Change.Kind."""

    UPLOADED = 1
    UPDATED = 2
    METADATA = 3
    DELETED = 4


@made_fast
@dataclass(frozen=True, slots=True)
class Change:
    """One committed change of one object.

    Attributes:
        generation: The object's, after the change; of a deleted object, its last.
        name: The object's, after the change (of a deleted object, its last).
    """

    revision: int
    unit: str
    data_id: int
    kind: ChangeKind
    generation: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Every change up to this revision has been delivered."""

    revision: int


def checksum(data: bytes | bytearray | memoryview) -> int:
    """XXH3-64 (seed 0), the checksum of blocks and of whole objects.

    https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
    """
    return xxhash.xxh3_64_intdigest(data)
