"""A row of an index as a value: the one place where rows become the contract's values, and the other way round."""

import json
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import le
from typing import Any, Final, NamedTuple, cast

from vault.errors import CorruptionError
from vault.store.columns import ObjectInfos
from vault.store.values import ObjectInfo, from_time, info_of_row, to_time


class Row(NamedTuple):
    """An object at one generation, as an index holds it: the columns of `objects`, but for its row number.

    Times are microseconds since 1970.

    Attributes:
        checksum: As a signed number.
        tags: A JSON object; None: there are none.
        principal: Who is charged for it; empty: nobody was named.
        content: The number of its bytes: the generation that wrote them.
    """

    unit: str
    data_id: int
    generation: int
    revision: int
    size: int
    checksum: int
    datatype: str
    name: str | None
    tags: str | None
    created_at: int
    updated_at: int
    written_at: int
    expires_at: int | None = None
    principal: str = ""
    content: int = 0


LATEST: Final = from_time(datetime.max.replace(tzinfo=UTC))
"""The last of all times."""

SHOWN: Final = 13
"""So many columns are in an ObjectInfo."""

INFO_COLUMNS: Final = Row._fields[:SHOWN]
"""Those, which objects, changes and retired generations have alike."""

CHANGE_COLUMNS: Final = (
    "revision",
    "unit",
    "data_id",
    "generation",
    *INFO_COLUMNS[4:],
    "kind",
    "committed_at",
    "principal",
    "request_id",
    "request_hash",
)
RETIRED_COLUMNS: Final = (
    "generation",
    "unit",
    "data_id",
    "revision",
    *INFO_COLUMNS[4:],
    "content",
    "retired_by",
    "retired_at",
    "collect_at",
)


def change_row(
    row: Row, revision: int, kind: int, committed_at: int, request: tuple[str, bytes | None, int | None]
) -> tuple[Any, ...]:
    """The row of `changes` for a change of an object.

    Args:
        row: The object after it; of a deletion: before it.
        request: Whose it is, its id and its hash.
    """
    return (revision, row.unit, row.data_id, row.generation, *row[4:13], kind, committed_at, *request)


def retired_row(row: Row, retired_by: int, retired_at: int, collect_at: int) -> tuple[Any, ...]:
    """The row of `retired` for an object's generation that is replaced or deleted."""
    return (
        row.generation,
        row.unit,
        row.data_id,
        row.revision,
        *row[4:13],
        row.content,
        retired_by,
        retired_at,
        collect_at,
    )


def to_info(row: tuple[Any, ...]) -> ObjectInfo:
    """The ObjectInfo of a row that begins with INFO_COLUMNS.

    Raises:
        CorruptionError: No object has such a row.
    """
    (unit, data_id, generation, revision, size, checksum, datatype, name, packed,
     created_at, updated_at, written_at, expires_at) = row[:SHOWN]  # fmt: skip
    try:
        if size < 0 or not 0 < generation <= revision:
            raise ValueError(f"size {size}, generation {generation}, revision {revision}")  # noqa: TRY301  # told below
        if not (0 <= created_at <= written_at <= updated_at <= LATEST and 0 <= (expires_at or 0) <= LATEST):
            for moment in (created_at, updated_at, written_at, expires_at or 0):
                to_time(moment)
        return info_of_row(
            unit,
            data_id,
            generation,
            revision,
            size,
            checksum + (1 << 64) if checksum < 0 else checksum,  # as `unsigned`
            datatype,
            name,
            unpack_tags(packed) if packed else {},
            created_at,
            updated_at,
            written_at,
            expires_at,
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise CorruptionError(
            f"the register's row of object {data_id} in unit {unit!r} is damaged: {error}", unit=unit, data_id=data_id
        ) from error


def sound_infos(rows: Sequence[tuple[Any, ...] | None]) -> Sequence[ObjectInfo | None]:
    """Each row's object, None where there is no row. Raises as `to_info`."""
    if len(rows) == 1:  # columns of one take longer
        return [None if row is None else to_info(row) for row in rows]
    infos = to_infos(rows)
    for other in infos.others.values():
        if other is not None:
            raise other
    return cast("ObjectInfos[None]", infos)


def to_infos(rows: Sequence[tuple[Any, ...] | None]) -> ObjectInfos[CorruptionError | None]:
    """The columns of rows that begin as `to_info` takes them; None where there is no row, and the error of `to_info`
    where no object has such a row."""
    try:
        return _columns(rows)
    except (ValueError, TypeError, OverflowError):
        return ObjectInfos.of([None if row is None else _info_or_error(row) for row in rows])


def _columns(rows: Sequence[tuple[Any, ...] | None]) -> ObjectInfos[CorruptionError | None]:
    others = {at: None for at, row in enumerate(rows) if row is None}
    known = [row or ObjectInfos.FILLER for row in rows] if others else rows
    columns = list(zip(*known, strict=False))[:SHOWN]  # a filler has no more
    _, _, generations, revisions, sizes, checksums, _, _, packed, *times, expires_at = columns
    if min(sizes) < 0 or min(generations) < 0 or not all(map(le, generations, revisions)):
        raise ValueError
    if generations.count(0) > len(others):
        raise ValueError
    if expires_at.count(None) < len(expires_at):
        times.append([moment for moment in expires_at if moment is not None])
    for moments in times:
        to_time(min(moments))
        to_time(max(moments))
    columns[5] = array("Q", array("q", checksums).tobytes())
    columns[8] = [unpack_tags(tags) for tags in packed] if any(packed) else ({},) * len(packed)
    return ObjectInfos(columns, others)


def _info_or_error(row: tuple[Any, ...]) -> ObjectInfo | CorruptionError:
    try:
        return to_info(row)
    except CorruptionError as error:
        return error


def signed(checksum: int) -> int:
    """A 64-bit checksum as an index holds it."""
    return checksum - (1 << 64) if checksum >> 63 else checksum


def all_signed(checksums: Iterable[int]) -> "array[int]":
    """Several, likewise."""
    return array("q", array("Q", checksums).tobytes())


def unsigned(stored: int) -> int:
    """The inverse of `signed`."""
    return stored + (1 << 64) if stored < 0 else stored


def pack_checksums(checksums: Iterable[int]) -> bytes:
    """Checksums as 8 bytes each, little-endian."""
    packed = array("Q", checksums)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_checksums(packed: bytes) -> "array[int]":
    """The inverse of `pack_checksums`."""
    checksums = array("Q", packed[: len(packed) // 8 * 8])  # what a damaged row cuts short is missing to its reader
    if sys.byteorder == "big":
        checksums.byteswap()
    return checksums


def pack_tags(tags: Mapping[str, str]) -> str | None:
    """Tags as an index holds them."""
    return json.dumps(dict(tags), ensure_ascii=False, separators=(",", ":")) if tags else None


def unpack_tags(packed: str | None) -> dict[str, str]:
    """The inverse of `pack_tags`; raises ValueError for what it did not make."""
    if not packed:
        return {}
    tags: object = json.loads(packed)
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise ValueError(f"{packed!r:.80} is not text to text")
    return tags
