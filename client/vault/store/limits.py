"""What a caller may ask for: limits, and a check for each kind of argument, the same in every Store. No I/O."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from vault._escaping import holds_hidden
from vault.errors import InvalidArgumentError

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

WATCH_HEARTBEAT: Final = 2.0
"""Seconds after which an idle watch says that nothing happened."""

WATCH_LEASE: Final = 15.0
"""Seconds without an event after which a watch shows nothing as current any more, and its stream counts as lost."""

MAX_SECONDS: Final = 366 * 86400.0
"""The longest time that a setting may give, a year: waits of the system hold that, and not inf."""

MAX_GRPC_SECONDS: Final = 2_147_483.0
"""The longest time that gRPC holds, 24 days: it counts milliseconds in 32 bits."""

_MOST_SHOWN: Final = 80  # characters of a value in an error

_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_MAX_BYTES: Final = (1 << 63) - 1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # no datatype ever had one, and a class learns of it when it is defined
_NO_HIDDEN: Final = "control, formatting and line-separating characters are not for new ones"


def check_unit(unit: str) -> None:
    """Raises InvalidArgumentError unless `unit` may name a unit."""
    if not isinstance(unit, str) or _UNIT.fullmatch(unit) is None:
        raise InvalidArgumentError(
            f"bad unit name {shown(unit)}: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit",
            reason="BAD_UNIT",
        )


def check_data_id(data_id: int) -> None:
    """Raises InvalidArgumentError unless `data_id` is an int from 1 to 2^63 - 1."""
    if isinstance(data_id, bool) or not isinstance(data_id, int) or not 1 <= data_id <= MAX_DATA_ID:
        raise InvalidArgumentError(f"bad id {shown(data_id)}: a whole number from 1 to 2^63 - 1", reason="BAD_ID")


def check_name(name: str) -> None:
    """Raises InvalidArgumentError unless an object may be asked for by `name`: `check_new` says what new ones hold."""
    if not isinstance(name, str) or not _text_fits(name, 1, MAX_NAME_BYTES):
        raise InvalidArgumentError(
            f"bad name {shown(name)}: text of 1 to {MAX_NAME_BYTES} UTF-8 bytes", reason="BAD_NAME"
        )


def check_key(key: int | str) -> None:
    """Raises InvalidArgumentError unless `key` is a valid id or name."""
    if type(key) is int and 1 <= key <= MAX_DATA_ID:  # most keys
        return
    if isinstance(key, str):
        check_name(key)
    elif isinstance(key, int):
        check_data_id(key)
    else:
        raise InvalidArgumentError(
            f"bad key {shown(key)}: an id (int) or a name (str), not {type(key).__name__}", reason="BAD_ID"
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
                f"bad tag {shown(key)}: a key is text of 1 to {MAX_TAG_KEY} UTF-8 bytes", reason="BAD_TAGS"
            )
        if not isinstance(value, str) or not _text_fits(value, 0, MAX_TAG_VALUE):
            raise InvalidArgumentError(
                f"bad value of tag {key!r}, {shown(value)}: text of at most {MAX_TAG_VALUE} UTF-8 bytes",
                reason="BAD_TAGS",
            )


def check_datatype(tag: str) -> None:
    """Raises InvalidArgumentError unless `tag` may tag an object's datatype, as far as `check_new` allows new ones."""
    if not isinstance(tag, str) or not _text_fits(tag, 0, MAX_DATATYPE) or _CONTROL.search(tag):
        raise InvalidArgumentError(
            f"bad datatype tag {shown(tag)}: text of at most {MAX_DATATYPE} UTF-8 bytes without control characters",
            reason="BAD_DATATYPE",
        )


def check_new(*, name: str | None = None, tags: Mapping[str, str] = MappingProxyType({}), datatype: str = "") -> None:
    """Raises InvalidArgumentError where something new that an object is given, and that fits, holds what is hidden.

    What objects have is not asked again: they stay within reach under it, and keep it when something else is changed.
    """
    if name and holds_hidden(name):
        raise InvalidArgumentError(f"bad name {shown(name)}: {_NO_HIDDEN}", reason="BAD_NAME")
    for key, value in tags.items():
        if holds_hidden(key):
            raise InvalidArgumentError(f"bad tag {shown(key)}: {_NO_HIDDEN}", reason="BAD_TAGS")
        if holds_hidden(value):
            raise InvalidArgumentError(f"bad value of tag {key!r}, {shown(value)}: {_NO_HIDDEN}", reason="BAD_TAGS")
    if datatype and holds_hidden(datatype):
        raise InvalidArgumentError(f"bad datatype tag {shown(datatype)}: {_NO_HIDDEN}", reason="BAD_DATATYPE")


def check_generation(generation: int | None) -> None:
    """Raises InvalidArgumentError unless `generation` is None or a whole number from 0."""
    if generation is None:
        return
    if isinstance(generation, bool) or not isinstance(generation, int) or not 0 <= generation <= MAX_DATA_ID:
        raise InvalidArgumentError(
            f"bad generation {shown(generation)}: a whole number from 0 to 2^63 - 1", reason="BAD_GENERATION"
        )


def check_range(offset: int, length: int | None, size: int | None = None) -> None:
    """Raises InvalidArgumentError unless the range starts within an object of `size` bytes.

    A range may start at the very end, and may end after it: what is there is read.
    """
    for what, value in (("offset", offset), ("length", 0 if length is None else length)):
        if not _is_whole(value, _MAX_BYTES):
            raise InvalidArgumentError(
                f"bad {what} {shown(value)}: a whole number of bytes from 0 to 2^63 - 1", reason="BAD_RANGE"
            )
    if size is not None and offset > size:
        raise InvalidArgumentError(
            f"offset {offset} is past the end of an object of {size} bytes", reason="BAD_RANGE", size=size
        )


def check_prefix(prefix: str) -> None:
    """Raises InvalidArgumentError unless names may begin with `prefix`; the empty one is valid."""
    if not isinstance(prefix, str) or not _text_fits(prefix, 0, MAX_NAME_BYTES):
        raise InvalidArgumentError(
            f"bad prefix {shown(prefix)}: text of at most {MAX_NAME_BYTES} UTF-8 bytes", reason="BAD_NAME"
        )


def check_page_size(page_size: int) -> None:
    """Raises InvalidArgumentError unless `page_size` is a whole number from 0 to MAX_PAGE_SIZE."""
    if isinstance(page_size, bool) or not isinstance(page_size, int) or not 0 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidArgumentError(
            f"bad page size {shown(page_size)}: 1 to {MAX_PAGE_SIZE}, or 0 for the store's choice",
            reason="BAD_PAGE_SIZE",
        )


def check_block(offset: int, data: bytes | bytearray | memoryview, checksum: int) -> None:
    """Raises InvalidArgumentError unless these could be a block of an object, somewhere."""
    _check_bytes(data)
    size = memoryview(data).nbytes
    if not 1 <= size <= BLOCK_SIZE:
        raise InvalidArgumentError(f"a block of {size} bytes: 1 to {BLOCK_SIZE}", reason="BAD_SIZE")
    if not _is_whole(offset, _MAX_BYTES):
        raise InvalidArgumentError(
            f"bad offset {shown(offset)} of a block: bytes, from 0 to 2^63 - 1", reason="BAD_OFFSET"
        )
    _check_checksum(checksum)


def check_commit(size: int, checksum: int | None) -> None:
    """Raises InvalidArgumentError unless an object could have this size and checksum."""
    if not _is_whole(size, _MAX_BYTES):
        raise InvalidArgumentError(f"bad size {shown(size)}: bytes, from 0 to 2^63 - 1", reason="BAD_SIZE")
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


def check_resumable(resumable: bool) -> None:  # noqa: FBT001  # what is checked
    """Raises InvalidArgumentError unless it is True or False."""
    if not isinstance(resumable, bool):
        raise InvalidArgumentError(f"resumable is True or False, not {resumable!r}", reason="INVALID_ARGUMENT")


def _check_bytes(data: object) -> None:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidArgumentError(f"an object's data is bytes, not {type(data).__name__}", reason="BAD_DATA")


def _check_checksum(checksum: int) -> None:
    if not _is_whole(checksum, (1 << 64) - 1):
        raise InvalidArgumentError(
            f"bad checksum {shown(checksum)}: a whole number from 0 to 2^64 - 1", reason="BAD_CHECKSUM"
        )


def check_number(
    name: str, value: object, least: float, most: float, *, whole: bool = False, reason: str = "BAD_SETTING"
) -> None:
    """Raises InvalidArgumentError unless a setting is a number, or a whole one, from `least` to `most`."""
    kinds = int if whole else (int, float)
    # Both ways round: nan is neither.
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        raise InvalidArgumentError(
            f"bad {name} {shown(value)}: a {'whole ' if whole else ''}number from {least:.10g} to {most:.10g}",
            reason=reason,
        )


def check_seconds(
    name: str, value: object, *, zero: bool = False, most: float = MAX_SECONDS, reason: str = "BAD_SETTING"
) -> None:
    """Raises InvalidArgumentError unless a setting is a number of seconds: above 0, or with `zero` 0 too."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 < value <= most or (zero and value == 0))
    ):
        raise InvalidArgumentError(
            f"bad {name} {shown(value)}: seconds, {'from' if zero else 'above'} 0, at most {most:.0f}", reason=reason
        )


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _text_fits(text: str, least: int, most: int) -> bool:
    try:
        return least <= len(text.encode()) <= most
    except UnicodeEncodeError:
        return False


def shown(value: object) -> str:
    """A value as an error shows it: its repr, cut where it is long."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  # whatever its __repr__ does; an int may have too many digits for it
        text = f"a value whose repr raises {type(error).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
