"""The values that cross the Store contract. What may be put into them is in `vault.store.limits`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import xxhash

from vault._display import ShownAsFields, ShownAsRows
from vault._frozen import made_fast, thawed
from vault.errors import CorruptionError, VaultError
from vault.store.limits import (
    BLOCK_SIZE,
    MAX_BATCH_ITEMS,
    check_block,
)

Key = int | str
"""An object's id, or its name."""


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_time(microseconds: int) -> datetime:
    """A time as columns and rows have it; exact, unlike `datetime.fromtimestamp` of a float."""
    return _EPOCH + timedelta(0, 0, microseconds)


def from_time(moment: datetime) -> int:
    """The inverse of `to_time`."""
    return (moment - _EPOCH) // _MICROSECOND


class _TimesWhenLookedAt:
    """An ObjectInfo of a row has numbers, of which its times are made when somebody looks: few do, and they take longer
    to make than all the rest of it."""

    __slots__ = ("_moments",)

    _moments: tuple[int, int, int | None, int | None]

    if not TYPE_CHECKING:  # it would take every name for one of a field

        def __getattr__(self, name: str) -> Any:
            if name not in _TIMES:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            created_at, updated_at, written_at, _ = self._moments
            created = to_time(created_at)
            updated = created if updated_at == created_at else to_time(updated_at)
            written = updated if written_at == updated_at else None if written_at is None else to_time(written_at)
            for field_name, moment in zip(_TIMES, (created, updated, written), strict=True):
                object.__setattr__(self, field_name, moment)
            return object.__getattribute__(self, name)


_TIMES: Final = ("created_at", "updated_at", "written_at")


@made_fast
@dataclass(frozen=True, slots=True)
class ObjectInfo(ShownAsFields, _TimesWhenLookedAt):
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


_UNTIMED: Final = attrgetter(*ObjectInfo.__slots__[:-4])
_THAWED: Final = thawed(ObjectInfo)


def info_of_row(
    unit: str,
    data_id: int,
    generation: int,
    revision: int,
    size: int,
    checksum: int,
    datatype: str,
    name: str | None,
    tags: Mapping[str, str],
    created_at: int,
    updated_at: int,
    written_at: int | None,
    expires_at: int | None,
) -> ObjectInfo:
    """The ObjectInfo of these, its times given in microseconds since 1970; that they are some is the caller's to see
    to."""
    info: Any = object.__new__(_THAWED)
    info.unit = unit
    info.data_id = data_id
    info.generation = generation
    info.revision = revision
    info.size = size
    info.checksum = checksum
    info.datatype = datatype
    info.name = name
    info.tags = dict(tags)
    info._moments = created_at, updated_at, written_at, expires_at  # noqa: SLF001  # of this module
    info.expires_at = None if expires_at is None else to_time(expires_at)  # a cache looks at it
    info.__class__ = ObjectInfo
    made: ObjectInfo = info
    return made


def row_of_info(item: Any) -> tuple[Any, ...]:
    """The inverse of `info_of_row`."""
    try:
        moments = item._moments  # noqa: SLF001  # of this module
    except AttributeError:  # it was made of times
        written_at, expires_at = item.written_at, item.expires_at
        updated = from_time(item.updated_at)
        moments = (
            from_time(item.created_at),
            updated,
            updated if written_at is item.updated_at else None if written_at is None else from_time(written_at),
            None if expires_at is None else from_time(expires_at),
        )
    return *_UNTIMED(item), *moments


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


@made_fast
@dataclass(frozen=True, slots=True)
class LoadedObject:
    """One object of a batch; `data` is None when it is too large for one and must be streamed."""

    info: ObjectInfo
    data: bytes | None


LoadResult = LoadedObject | NotModified | VaultError | None
"""What a batch has of one object; None: there is none."""


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
