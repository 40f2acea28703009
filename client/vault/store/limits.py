"""What a caller may ask for: limits, and a check for each kind of argument, the same in every Store. No I/O.

Every `check_…` raises InvalidArgumentError, whose text says what is allowed.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

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

MAX_EXPIRES_IN: Final = 100 * 366 * 86400.0
"""The longest time to live, in seconds: a hundred years."""

MAX_LEASE: Final = 60.0
"""The longest lease, in seconds."""

MAX_RANGES: Final = 1000
"""Ranges in one read."""

EXACT_BELOW: Final = BLOCK_SIZE // 4
"""Wanted bytes of a block below which a read moves these alone, and not all of the block, if not told otherwise."""

MAX_READ_BYTES: Final = 64 << 20
"""Bytes in the answer to one read, if not told otherwise."""

_MOST_SHOWN: Final = 80  # characters of a value in an error
_BYTES: Final = (bytes, bytearray, memoryview)  # a union would be made at each call

_MOST_OF_UNIT: Final = 128  # characters
_UNIT = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_MOST_OF_UNIT - 1}}}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # no datatype ever had one, and a class learns of it when it is defined
_NO_HIDDEN: Final = "control, formatting and line-separating characters are not for new ones"


@lru_cache(maxsize=1024)
def _is_unit(name: str) -> bool:
    """Every call begins with this; most are about few units. Not for long texts, which would be kept."""
    return _UNIT.fullmatch(name) is not None


def check_unit(unit: str) -> None:
    """A unit's name."""
    if not isinstance(unit, str) or len(unit) > _MOST_OF_UNIT or not _is_unit(unit):
        raise _bad("unit name", unit, "1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit", "BAD_UNIT")


def check_data_id(data_id: int) -> None:
    """An object's id."""
    if not _is_whole(data_id, MAX_DATA_ID, least=1):
        raise _bad("id", data_id, "a whole number from 1 to 2^63 - 1", "BAD_ID")


def check_name(name: str) -> None:
    """A name that an object may be asked for by: `check_new` says what new ones hold."""
    if not _text_fits(name, 1, MAX_NAME_BYTES):
        raise _bad("name", name, f"text of 1 to {MAX_NAME_BYTES} UTF-8 bytes", "BAD_NAME")


def check_key(key: int | str) -> None:
    """An id or a name."""
    if type(key) is int and 1 <= key <= MAX_DATA_ID:  # most keys
        return
    if isinstance(key, str):
        check_name(key)
    elif isinstance(key, int):
        check_data_id(key)
    else:
        raise _bad("key", key, f"an id (int) or a name (str), not {type(key).__name__}", "BAD_ID")


def check_keys(keys: Sequence[int | str]) -> None:
    """Ids and names."""
    if len(keys) > 1 and set(map(type, keys)) == {int} and min(keys) >= 1 and max(keys) <= MAX_DATA_ID:  # type: ignore[operator]  # numbers
        return
    for key in keys:
        check_key(key)


def check_tags(tags: Mapping[str, str]) -> None:
    """Tags: few and short enough."""
    if type(tags) is not dict and not isinstance(tags, Mapping):
        raise InvalidArgumentError(f"tags are a mapping of text to text, not {type(tags).__name__}", reason="BAD_TAGS")
    if len(tags) > MAX_TAGS:
        raise InvalidArgumentError(f"{len(tags)} tags: at most {MAX_TAGS} are allowed", reason="BAD_TAGS")
    for key, value in tags.items():
        if not _text_fits(key, 1, MAX_TAG_KEY):
            raise _bad("tag", key, f"a key is text of 1 to {MAX_TAG_KEY} UTF-8 bytes", "BAD_TAGS")
        if not _text_fits(value, 0, MAX_TAG_VALUE):
            allowed = f"text of at most {MAX_TAG_VALUE} UTF-8 bytes"
            raise _bad(f"value of tag {key!r},", value, allowed, "BAD_TAGS")


def check_datatype(tag: str) -> None:
    """The tag of an object's datatype, as far as `check_new` allows new ones."""
    if not _text_fits(tag, 0, MAX_DATATYPE) or _CONTROL.search(tag):
        allowed = f"text of at most {MAX_DATATYPE} UTF-8 bytes without control characters"
        raise _bad("datatype tag", tag, allowed, "BAD_DATATYPE")


def check_new(*, name: str | None = None, tags: Mapping[str, str] = MappingProxyType({}), datatype: str = "") -> None:
    """What a new object is given, and that fits, holds nothing that is hidden.

    What objects have is not asked again: they stay within reach under it, and keep it when something else is changed.
    """
    if name and holds_hidden(name):
        raise _bad("name", name, _NO_HIDDEN, "BAD_NAME")
    for key, value in tags.items():
        if holds_hidden(key):
            raise _bad("tag", key, _NO_HIDDEN, "BAD_TAGS")
        if holds_hidden(value):
            raise _bad(f"value of tag {key!r},", value, _NO_HIDDEN, "BAD_TAGS")
    if datatype and holds_hidden(datatype):
        raise _bad("datatype tag", datatype, _NO_HIDDEN, "BAD_DATATYPE")


def check_generation(generation: int | None) -> None:
    """A generation or a revision, or None."""
    if generation is not None and not _is_whole(generation, MAX_DATA_ID):
        raise _bad("generation", generation, "a whole number from 0 to 2^63 - 1", "BAD_GENERATION")


def check_range(offset: int, length: int | None, size: int | None = None) -> None:
    """A range that starts within an object of `size` bytes.

    It may start at the very end, and may end after it: what is there is read.
    """
    for what, value in (("offset", offset), ("length", 0 if length is None else length)):
        if not _is_whole(value, MAX_DATA_ID):
            raise _bad(what, value, "a whole number of bytes from 0 to 2^63 - 1", "BAD_RANGE")
    if size is not None and offset > size:
        raise InvalidArgumentError(
            f"offset {offset} is past the end of an object of {size} bytes", reason="BAD_RANGE", size=size
        )


def check_prefix(prefix: str) -> None:
    """What names may begin with; also nothing."""
    if not _text_fits(prefix, 0, MAX_NAME_BYTES):
        raise _bad("prefix", prefix, f"text of at most {MAX_NAME_BYTES} UTF-8 bytes", "BAD_NAME")


def check_page_size(page_size: int) -> None:
    """Objects in a page, 0 for the store's choice."""
    if not _is_whole(page_size, MAX_PAGE_SIZE):
        raise _bad("page size", page_size, f"1 to {MAX_PAGE_SIZE}, or 0 for the store's choice", "BAD_PAGE_SIZE")


def check_block(offset: int, data: bytes | bytearray | memoryview, checksum: int) -> None:
    """A block of an object, somewhere."""
    _check_bytes(data)
    size = memoryview(data).nbytes
    if not 1 <= size <= BLOCK_SIZE:
        raise InvalidArgumentError(f"a block of {size} bytes: 1 to {BLOCK_SIZE}", reason="BAD_SIZE")
    if not _is_whole(offset, MAX_DATA_ID):
        raise InvalidArgumentError(
            f"bad offset {shown(offset)} of a block: bytes, from 0 to 2^63 - 1", reason="BAD_OFFSET"
        )
    _check_checksum(checksum)


def check_commit(size: int, checksum: int | None) -> None:
    """An object's size and checksum."""
    if not _is_whole(size, MAX_DATA_ID):
        raise _bad("size", size, "bytes, from 0 to 2^63 - 1", "BAD_SIZE")
    if checksum is not None:
        _check_checksum(checksum)


def check_small(data: bytes, checksum: int) -> None:
    """The bytes and the checksum of an item of a batch."""
    _check_bytes(data)
    _check_checksum(checksum)
    if len(data) > BLOCK_SIZE:
        raise InvalidArgumentError(
            f"{len(data)} bytes in one item of a batch: at most {BLOCK_SIZE}, more is streamed", reason="BAD_SIZE"
        )


def check_type(what: str, value: object, kind: type | tuple[type, ...]) -> None:
    """A value of a type of `vault.store`, or of one of several."""
    if not isinstance(value, kind):
        allowed = " or ".join(each.__name__ for each in _several(kind))
        raise InvalidArgumentError(f"{what} is of type {allowed}, not {shown(value)}")


def check_spec(spec: Any, kind: type | tuple[type, ...]) -> None:
    """A spec of a type of `vault.store`, and valid."""
    check_type("a spec", spec, kind)
    spec.validate()


def check_batch(items: Sequence[object], kind: type | tuple[type, ...] | None = None) -> None:
    """The items of a batch: a sequence, not too long, and all of a type, or of several, where one is given."""
    if type(items) is not list:  # as most are, and asking the abstract class takes a hundred times as long
        check_type("a batch", items, Sequence)
    elif len(items) == 1 and type(items[0]) is kind:
        return
    if len(items) > MAX_BATCH_ITEMS:
        raise InvalidArgumentError(
            f"{len(items)} items in one batch: at most {MAX_BATCH_ITEMS} are allowed", reason="BATCH_TOO_LARGE"
        )
    if kind is None:
        return
    kinds = {*map(type, items)}
    if kinds != {kind} and not kinds.issubset(_several(kind)):
        for index, item in enumerate(items):
            check_type(f"item {index} of the batch", item, kind)


def check_request_id(request_id: bytes) -> None:
    """16 bytes."""
    if not isinstance(request_id, bytes) or len(request_id) != 16:
        raise InvalidArgumentError("a request id is 16 bytes", reason="BAD_REQUEST_ID")


def check_flag(name: str, value: object) -> None:
    """True or False."""
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{name} is True or False, not {shown(value)}")


def check_resumable(resumable: bool) -> None:  # noqa: FBT001  # what is checked
    """Whether a write is resumable."""
    check_flag("resumable", resumable)


def check_expires_in(seconds: object) -> None:
    """A time to live."""
    check_seconds("expires_in", seconds, most=MAX_EXPIRES_IN, reason="BAD_EXPIRY")


def check_times(created_at: datetime, updated_at: datetime, written_at: datetime) -> None:
    """The times of an object, in order, each with a time zone, from 1971 on."""
    for name, moment in (("created_at", created_at), ("updated_at", updated_at), ("written_at", written_at)):
        if (
            not isinstance(moment, datetime)
            or moment.tzinfo is None
            or moment.utcoffset() is None
            or moment.year < 1971
        ):
            raise _bad(name, moment, "a datetime with a time zone, from 1971 on", "BAD_TIME")
    if not created_at <= written_at <= updated_at:
        raise InvalidArgumentError(
            "times out of order: created_at is at most written_at, and that at most updated_at", reason="BAD_TIME"
        )


def check_unit_limits(max_objects: int | None, max_bytes: int | None, when_full: str) -> None:
    """How much a unit may hold."""
    for name, most in (("max_objects", max_objects), ("max_bytes", max_bytes)):
        if most is not None and not _is_whole(most, MAX_DATA_ID):
            raise _bad(name, most, "a whole number from 0 to 2^63 - 1, or None for no limit", "BAD_LIMIT")
    if when_full not in ("refuse", "evict"):
        raise _bad("when_full", when_full, '"refuse" or "evict"', "BAD_LIMIT")


def check_principal(principal: str) -> None:
    """The name of who writes: as a unit's."""
    if not isinstance(principal, str) or _UNIT.fullmatch(principal) is None:
        expected = "1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit"
        raise _bad("principal", principal, expected, "BAD_PRINCIPAL")


def check_ranges(
    ranges: Sequence[tuple[int, int | None]], exact_below: int = EXACT_BELOW, max_bytes: int = MAX_READ_BYTES
) -> None:
    """Parts of an object to read: (offset, length); a negative offset counts from the end, no length is to the end."""
    for what, value in (("exact_below", exact_below), ("max_bytes", max_bytes)):
        if not _is_whole(value, MAX_DATA_ID):
            raise _bad(what, value, "a whole number of bytes from 0 to 2^63 - 1", "BAD_RANGE")
    check_type("ranges", ranges, Sequence)
    if not 1 <= len(ranges) <= MAX_RANGES:
        raise InvalidArgumentError(f"{len(ranges)} ranges: 1 to {MAX_RANGES} are allowed", reason="BAD_RANGE")
    for each in ranges:
        if not isinstance(each, tuple) or len(each) != 2:
            raise _bad("range", each, "an offset and a length, or None for all that follows", "BAD_RANGE")
        offset, length = each
        if isinstance(offset, bool) or not isinstance(offset, int) or abs(offset) > MAX_DATA_ID:
            raise _bad("offset", offset, "a whole number of bytes; negative: from the end", "BAD_RANGE")
        if length is not None and not _is_whole(length, MAX_DATA_ID):
            raise _bad("length", length, "a whole number of bytes from 0 to 2^63 - 1", "BAD_RANGE")


def check_lease(holder: bytes, seconds: float) -> None:
    """Whose lease it is, and for how long."""
    if not isinstance(holder, bytes) or len(holder) != 16:
        raise InvalidArgumentError("a lease's holder is 16 bytes", reason="BAD_LEASE")
    check_seconds("lease", seconds, most=MAX_LEASE, reason="BAD_LEASE")


def check_delimiter(delimiter: str | None) -> None:
    """What ends a level of names; None: nothing does."""
    if delimiter is not None and not _text_fits(delimiter, 1, MAX_NAME_BYTES):
        raise _bad("delimiter", delimiter, f"text of 1 to {MAX_NAME_BYTES} UTF-8 bytes", "BAD_DELIMITER")


def check_number(
    name: str, value: object, least: float, most: float, *, whole: bool = False, reason: str = "BAD_SETTING"
) -> None:
    """A setting that is a number, or a whole one, from `least` to `most`."""
    kinds = int if whole else (int, float)
    # Both ways round: nan is neither.
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        allowed = f"a {'whole ' if whole else ''}number from {least:.10g} to {most:.10g}"
        raise _bad(name, value, allowed, reason)


def check_seconds(
    name: str, value: object, *, zero: bool = False, most: float = MAX_SECONDS, reason: str = "BAD_SETTING"
) -> None:
    """A setting that is a number of seconds: above 0, or with `zero` 0 too."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 < value <= most or (zero and value == 0))
    ):
        raise _bad(name, value, f"seconds, {'from' if zero else 'above'} 0, at most {most:.0f}", reason)


def shown(value: object) -> str:
    """A value as an error shows it: its repr, cut where it is long."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  # whatever its __repr__ does; an int may have too many digits for it
        text = f"a value whose repr raises {type(error).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _several(kind: type | tuple[type, ...]) -> tuple[type, ...]:
    return kind if isinstance(kind, tuple) else (kind,)


def _bad(what: str, value: object, allowed: str, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"bad {what} {shown(value)}: {allowed}", reason=reason)


def _check_bytes(data: object) -> None:
    if not isinstance(data, _BYTES):
        raise InvalidArgumentError(f"an object's data is bytes, not {type(data).__name__}", reason="BAD_DATA")


def _check_checksum(checksum: int) -> None:
    if not _is_whole(checksum, (1 << 64) - 1):
        raise _bad("checksum", checksum, "a whole number from 0 to 2^64 - 1", "BAD_CHECKSUM")


def _is_whole(value: object, most: int, *, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _text_fits(text: object, least: int, most: int) -> bool:
    try:
        return isinstance(text, str) and least <= len(text.encode()) <= most
    except UnicodeEncodeError:
        return False
