"""The values that cross the Store contract, and the rules for what a caller may put into them."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

import xxhash

from vault.errors import CorruptionError, InvalidArgumentError

BLOCK_SIZE: Final = 1 << 20
"""Bytes in a block of an object; only the last may be shorter."""

MAX_DATA_ID: Final = (1 << 63) - 1
MAX_NAME_BYTES: Final = 1024
MAX_TAGS: Final = 64
MAX_TAG_KEY: Final = 128
MAX_TAG_VALUE: Final = 1024
MAX_DATATYPE: Final = 128
MAX_BATCH_ITEMS: Final = 10_000
MAX_PAGE_SIZE: Final = 1000

Key = int | str
"""An object's id, or its name."""

_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_MAX_BYTES: Final = (1 << 63) - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
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

    @property
    def block_count(self) -> int:
        """How many blocks its bytes are in; 0 when it is empty."""
        return -(-self.size // BLOCK_SIZE)


@dataclass(frozen=True, slots=True)
class Block:
    """At most BLOCK_SIZE bytes of an object, with their checksum (XXH3-64)."""

    offset: int
    data: bytes | bytearray | memoryview
    checksum: int

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
    return secrets.token_bytes(16)


def new_data_id() -> int:
    """A random id, 1 to 2^63 - 1."""
    return secrets.randbelow(MAX_DATA_ID) + 1


@dataclass(frozen=True, slots=True)
class UploadSpec:
    """A new object, but for its bytes. Validate with `validate()` before any I/O."""

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


@dataclass(frozen=True, slots=True)
class UpdateSpec:
    """New bytes for an object. `if_generation` None: whatever generation it is at."""

    key: Key
    if_generation: int | None = None
    datatype: str | None = None
    request_id: bytes = field(default_factory=new_request_id)

    def validate(self) -> None:
        check_key(self.key)
        check_generation(self.if_generation)
        if self.datatype is not None:
            check_datatype(self.datatype)
        check_request_id(self.request_id)


@dataclass(frozen=True, slots=True)
class DeleteSpec:
    """One object to delete. `if_generation` None: whatever generation it is at."""

    key: Key
    if_generation: int | None = None
    request_id: bytes = field(default_factory=new_request_id)

    def validate(self) -> None:
        check_key(self.key)
        check_generation(self.if_generation)
        check_request_id(self.request_id)


@dataclass(frozen=True, slots=True)
class MetadataSpec:
    """A change of metadata. None leaves a field as it is; an empty name or empty tags clear it."""

    key: Key
    name: str | None = None
    tags: Mapping[str, str] | None = None
    if_generation: int | None = None
    request_id: bytes = field(default_factory=new_request_id)

    def validate(self) -> None:
        check_key(self.key)
        if self.name:
            check_name(self.name)
        elif self.name is not None and not isinstance(self.name, str):
            raise InvalidArgumentError(f"a name is text or None, not {type(self.name).__name__}", reason="BAD_NAME")
        if self.tags is not None:
            check_tags(self.tags)
        check_generation(self.if_generation)
        check_request_id(self.request_id)


@dataclass(frozen=True, slots=True)
class SmallUpload:
    """A new object of at most one block, whole."""

    spec: UploadSpec
    data: bytes
    checksum: int

    def validate(self) -> None:
        self.spec.validate()
        check_small(self.data, self.checksum)


@dataclass(frozen=True, slots=True)
class SmallUpdate:
    """New bytes for an object, at most one block."""

    spec: UpdateSpec
    data: bytes
    checksum: int

    def validate(self) -> None:
        self.spec.validate()
        check_small(self.data, self.checksum)


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing; `next_page_token` is empty on the last page."""

    objects: list[ObjectInfo]
    next_page_token: str


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
    """

    store_id: str
    version: str
    block_size: int = BLOCK_SIZE
    max_message_size: int = 0
    max_batch_items: int = MAX_BATCH_ITEMS
    allowed_units: tuple[str, ...] = ()


class ChangeKind(Enum):
    """What happened to an object. Values are those of vault.v1.Change.Kind."""

    UPLOADED = 1
    UPDATED = 2
    METADATA = 3
    DELETED = 4


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


def check_unit(unit: str) -> None:
    """Raises InvalidArgumentError unless `unit` may name a unit."""
    if not isinstance(unit, str) or _UNIT.fullmatch(unit) is None:
        raise InvalidArgumentError(
            f"bad unit name {_shown(unit)}: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit",
            reason="BAD_UNIT",
        )


def check_data_id(data_id: int) -> None:
    """Raises InvalidArgumentError unless `data_id` is an int from 1 to 2^63 - 1."""
    if isinstance(data_id, bool) or not isinstance(data_id, int) or not 1 <= data_id <= MAX_DATA_ID:
        raise InvalidArgumentError(f"bad id {_shown(data_id)}: a whole number from 1 to 2^63 - 1", reason="BAD_ID")


def check_name(name: str) -> None:
    """Raises InvalidArgumentError unless `name` may name an object."""
    if not isinstance(name, str) or not _text_fits(name, 1, MAX_NAME_BYTES):
        raise InvalidArgumentError(
            f"bad name {_shown(name)}: text of 1 to {MAX_NAME_BYTES} UTF-8 bytes without control characters",
            reason="BAD_NAME",
        )


def check_key(key: Key) -> None:
    """Raises InvalidArgumentError unless `key` is a valid id or name."""
    if isinstance(key, str):
        check_name(key)
    elif isinstance(key, int):
        check_data_id(key)
    else:
        raise InvalidArgumentError(
            f"bad key {_shown(key)}: an id (int) or a name (str), not {type(key).__name__}", reason="BAD_ID"
        )


def check_tags(tags: Mapping[str, str]) -> None:
    """Raises InvalidArgumentError unless `tags` are few and short enough."""
    if not isinstance(tags, Mapping):
        raise InvalidArgumentError(f"tags are a mapping of text to text, not {type(tags).__name__}", reason="BAD_TAGS")
    if len(tags) > MAX_TAGS:
        raise InvalidArgumentError(f"{len(tags)} tags: at most {MAX_TAGS} are allowed", reason="BAD_TAGS")
    for key, value in tags.items():
        if not isinstance(key, str) or not _text_fits(key, 1, MAX_TAG_KEY):
            raise InvalidArgumentError(
                f"bad tag {_shown(key)}: a key is text of 1 to {MAX_TAG_KEY} UTF-8 bytes without control characters",
                reason="BAD_TAGS",
            )
        if not isinstance(value, str) or not _text_fits(value, 0, MAX_TAG_VALUE):
            raise InvalidArgumentError(
                f"bad value of tag {key!r}, {_shown(value)}: text of at most {MAX_TAG_VALUE} UTF-8 bytes "
                "without control characters",
                reason="BAD_TAGS",
            )


def check_datatype(tag: str) -> None:
    """Raises InvalidArgumentError unless `tag` may tag an object's datatype."""
    if not isinstance(tag, str) or not _text_fits(tag, 0, MAX_DATATYPE):
        raise InvalidArgumentError(
            f"bad datatype tag {_shown(tag)}: text of at most {MAX_DATATYPE} UTF-8 bytes without control characters",
            reason="BAD_DATATYPE",
        )


def check_generation(generation: int | None) -> None:
    """Raises InvalidArgumentError unless `generation` is None or a whole number from 0."""
    if generation is None:
        return
    if isinstance(generation, bool) or not isinstance(generation, int) or not 0 <= generation <= MAX_DATA_ID:
        raise InvalidArgumentError(
            f"bad generation {_shown(generation)}: a whole number from 0 to 2^63 - 1", reason="BAD_GENERATION"
        )


def check_range(offset: int, length: int | None, size: int | None = None) -> None:
    """Raises InvalidArgumentError unless the range starts within an object of `size` bytes.

    A range may start at the very end, and may end after it: what is there is read.
    """
    for what, value in (("offset", offset), ("length", 0 if length is None else length)):
        if not _is_whole(value, _MAX_BYTES):
            raise InvalidArgumentError(
                f"bad {what} {_shown(value)}: a whole number of bytes from 0 to 2^63 - 1", reason="BAD_RANGE"
            )
    if size is not None and offset > size:
        raise InvalidArgumentError(
            f"offset {offset} is past the end of an object of {size} bytes", reason="BAD_RANGE", size=size
        )


def check_prefix(prefix: str) -> None:
    """Raises InvalidArgumentError unless names may begin with `prefix`; the empty one is valid."""
    if not isinstance(prefix, str) or not _text_fits(prefix, 0, MAX_NAME_BYTES):
        raise InvalidArgumentError(
            f"bad prefix {_shown(prefix)}: text of at most {MAX_NAME_BYTES} UTF-8 bytes without control characters",
            reason="BAD_NAME",
        )


def check_page_size(page_size: int) -> None:
    """Raises InvalidArgumentError unless `page_size` is a whole number from 0 to MAX_PAGE_SIZE."""
    if isinstance(page_size, bool) or not isinstance(page_size, int) or not 0 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidArgumentError(
            f"bad page size {_shown(page_size)}: 1 to {MAX_PAGE_SIZE}, or 0 for the store's choice",
            reason="BAD_PAGE_SIZE",
        )


def check_block(block: Block) -> None:
    """Raises InvalidArgumentError unless `block` could be one of an object's, somewhere."""
    _check_bytes(block.data)
    size = memoryview(block.data).nbytes
    if not 1 <= size <= BLOCK_SIZE:
        raise InvalidArgumentError(f"a block of {size} bytes: 1 to {BLOCK_SIZE}", reason="BAD_SIZE")
    if not _is_whole(block.offset, _MAX_BYTES):
        raise InvalidArgumentError(
            f"bad offset {_shown(block.offset)} of a block: bytes, from 0 to 2^63 - 1", reason="BAD_OFFSET"
        )
    _check_checksum(block.checksum)


def check_commit(size: int, checksum: int | None) -> None:
    """Raises InvalidArgumentError unless an object could have this size and checksum."""
    if not _is_whole(size, _MAX_BYTES):
        raise InvalidArgumentError(f"bad size {_shown(size)}: bytes, from 0 to 2^63 - 1", reason="BAD_SIZE")
    if checksum is not None:
        _check_checksum(checksum)


def check_small(data: bytes, checksum: int) -> None:
    """Raises InvalidArgumentError unless these could be the bytes and the checksum of an item of a batch."""
    _check_bytes(data)
    _check_checksum(checksum)
    if len(data) > BLOCK_SIZE:
        raise InvalidArgumentError(
            f"{len(data)} bytes in one item of a batch: at most {BLOCK_SIZE}, more is streamed", reason="BAD_SIZE"
        )


def check_batch(items: int) -> None:
    """Raises InvalidArgumentError when a batch has too many items."""
    if items > MAX_BATCH_ITEMS:
        raise InvalidArgumentError(
            f"{items} items in one batch: at most {MAX_BATCH_ITEMS} are allowed", reason="BATCH_TOO_LARGE"
        )


def check_request_id(request_id: bytes) -> None:
    """Raises InvalidArgumentError unless `request_id` is 16 bytes."""
    if not isinstance(request_id, bytes) or len(request_id) != 16:
        raise InvalidArgumentError("a request id is 16 bytes", reason="BAD_REQUEST_ID")


def _check_bytes(data: object) -> None:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidArgumentError(f"an object's data is bytes, not {type(data).__name__}", reason="BAD_DATA")


def _check_checksum(checksum: int) -> None:
    if not _is_whole(checksum, (1 << 64) - 1):
        raise InvalidArgumentError(
            f"bad checksum {_shown(checksum)}: a whole number from 0 to 2^64 - 1", reason="BAD_CHECKSUM"
        )


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _text_fits(text: str, least: int, most: int) -> bool:
    if _CONTROL.search(text):
        return False
    try:
        return least <= len(text.encode()) <= most
    except UnicodeEncodeError:
        return False


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
