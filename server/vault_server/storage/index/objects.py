"""Rows of the register as values of the model, and the reads that everything else is made of.

Every function takes a connection and does one or two indexed lookups; transactions are the caller's.
"""

import json
import sqlite3
import sys
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from vault.errors import ConflictError, CorruptionError, NotFoundError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key, ObjectInfo

from vault_server.storage.files.blobs import blob_id, unit_folder

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

INFO_COLUMNS: Final = (
    "o.unit, o.data_id, o.generation, o.revision, o.size, o.checksum, o.datatype, o.name, o.tags, "
    "o.created_at, o.updated_at"
)
_SELECT: Final = f"SELECT {INFO_COLUMNS}, o.number FROM objects o"  # noqa: S608  # only names of columns are put in
# The row is read by its number, not with the index that found it: what it says of itself must not come from there.
_NUMBER_BY_ID: Final = "(SELECT i.number FROM objects i WHERE i.unit = ? AND i.data_id = ?)"
_NUMBER_BY_NAME: Final = "(SELECT i.number FROM objects i WHERE i.unit = ? AND i.name = ?)"
_SELECT_BY_ID: Final = f"{_SELECT} WHERE o.number = {_NUMBER_BY_ID}"
_SELECT_BY_NAME: Final = f"{_SELECT} WHERE o.number = {_NUMBER_BY_NAME}"
# The contents of what fits a block only: those of a larger object have a checksum for each of its blocks.
_SELECT_SMALL: Final = (
    f"SELECT {INFO_COLUMNS}, o.number, c.number, c.file, c.data, c.blocks FROM objects o "  # noqa: S608  # likewise
    f"LEFT JOIN contents c ON c.number = o.number AND o.size <= {BLOCK_SIZE}"
)
_SELECT_SMALL_BY_ID: Final = f"{_SELECT_SMALL} WHERE o.number = {_NUMBER_BY_ID}"
_SELECT_SMALL_BY_NAME: Final = f"{_SELECT_SMALL} WHERE o.number = {_NUMBER_BY_NAME}"
_GENERATION: Final = "SELECT o.generation, o.unit, o.data_id, o.name FROM objects o"
_GENERATION_BY_ID: Final = f"{_GENERATION} WHERE o.number = {_NUMBER_BY_ID}"
_GENERATION_BY_NAME: Final = f"{_GENERATION} WHERE o.number = {_NUMBER_BY_NAME}"


@dataclass(frozen=True, slots=True)
class Row:
    """An object's row, with the number that ties it to its contents."""

    info: ObjectInfo
    number: int


@dataclass(frozen=True, slots=True)
class StoredContents:
    """Where an object's bytes are: in `data`, or in a file; and its blocks' checksums.

    Attributes:
        retired: They are of a generation that was replaced or deleted, and is kept for a while.
    """

    file: str | None
    data: bytes | None
    blocks: "array[int]"
    retired: bool = False


def signed(checksum: int) -> int:
    """A 64-bit checksum as SQLite holds it."""
    return checksum - (1 << 64) if checksum >> 63 else checksum


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
    """Tags as the register holds them."""
    return json.dumps(dict(tags), ensure_ascii=False, separators=(",", ":")) if tags else None


def unpack_tags(packed: str | None) -> dict[str, str]:
    """The inverse of `pack_tags`."""
    return json.loads(packed) if packed else {}


def to_time(microseconds: int) -> datetime:
    """A stored time; exact, unlike `datetime.fromtimestamp` of a float."""
    return EPOCH + timedelta(microseconds=microseconds)


def from_time(moment: datetime) -> int:
    """The inverse of `to_time`."""
    return (moment - EPOCH) // MICROSECOND


def to_info(row: tuple[Any, ...]) -> ObjectInfo:
    """The ObjectInfo of a row that begins with INFO_COLUMNS."""
    unit, data_id, generation, revision, size, checksum, datatype, name, tags, created_at, updated_at = row[:11]
    try:
        if size < 0 or not 0 < generation <= revision:
            raise ValueError(f"size {size}, generation {generation}, revision {revision}")  # noqa: TRY301  # told below
        created = to_time(created_at)
        return ObjectInfo(
            unit=unit,
            data_id=data_id,
            generation=generation,
            revision=revision,
            size=size,
            checksum=unsigned(checksum),
            datatype=datatype,
            name=name,
            tags=unpack_tags(tags),
            created_at=created,
            updated_at=created if updated_at == created_at else to_time(updated_at),
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise CorruptionError(
            f"the register's row of object {data_id} in unit {unit!r} is damaged: {error}", unit=unit, data_id=data_id
        ) from error


def find_row(connection: sqlite3.Connection, unit: str, key: Key) -> Row | None:
    """The object's row, None when there is none."""
    statement = _SELECT_BY_NAME if isinstance(key, str) else _SELECT_BY_ID
    found = connection.execute(statement, (unit, key)).fetchone()
    if found is None:
        return None
    _require_asked(unit, key, found[0], found[1], found[7])
    return Row(to_info(found), found[11])


def find_small(connection: sqlite3.Connection, unit: str, key: Key) -> tuple[Row, StoredContents | None] | None:
    """`find_row`, and `find_contents` of an object of at most a block, in one statement."""
    statement = _SELECT_SMALL_BY_NAME if isinstance(key, str) else _SELECT_SMALL_BY_ID
    found = connection.execute(statement, (unit, key)).fetchone()
    if found is None:
        return None
    _require_asked(unit, key, found[0], found[1], found[7])
    contents = StoredContents(found[13], found[14], unpack_checksums(found[15])) if found[12] is not None else None
    return Row(to_info(found), found[11]), contents


def find_generation(connection: sqlite3.Connection, unit: str, key: Key) -> int:
    """The object's generation, 0 when there is none."""
    statement = _GENERATION_BY_NAME if isinstance(key, str) else _GENERATION_BY_ID
    found = connection.execute(statement, (unit, key)).fetchone()
    if found is None:
        return 0
    _require_asked(unit, key, *found[1:])
    return int(found[0])


def _require_asked(unit: str, key: Key, of_unit: str, data_id: int, name: str | None) -> None:
    """Raises CorruptionError when a damaged index, or row, led to another object."""
    if (of_unit, name if isinstance(key, str) else data_id) != (unit, key):
        about = {"name": key} if isinstance(key, str) else {"data_id": key}
        raise CorruptionError(
            f"the register is damaged: asked for {key!r} of unit {unit!r} it has {data_id}, {name!r}, of {of_unit!r}",
            unit=unit,
            **about,
        )


def find_contents(connection: sqlite3.Connection, number: int) -> StoredContents | None:
    """Where the bytes of the object with this row number are."""
    found = connection.execute("SELECT file, data, blocks FROM contents WHERE number = ?", (number,)).fetchone()
    return StoredContents(found[0], found[1], unpack_checksums(found[2])) if found else None


def find_file(connection: sqlite3.Connection, number: int) -> str | None:
    """The file with the bytes of the object with this row number; None when they are in the register."""
    found = connection.execute("SELECT file FROM contents WHERE number = ?", (number,)).fetchone()
    return found[0] if found else None


def require_sound(info: ObjectInfo, contents: StoredContents | None) -> StoredContents:
    """The contents, when they can be this generation's; CorruptionError for a damaged register's.

    Every block has its checksum; this is against the rows themselves having been mixed up.
    """
    if contents is None:
        fault = "nothing says where its bytes are"
    elif contents.file is not None and not is_file_of(info, contents.file):
        fault = f"its bytes are said to be in {contents.file!r}"
    elif info.size <= BLOCK_SIZE and list(contents.blocks) != ([info.checksum] if info.size else []):
        fault = "its checksum and that of its one block differ"
    else:
        return contents
    raise CorruptionError(
        f"object {info.data_id} in unit {info.unit!r} is damaged in the register: {fault}",
        unit=info.unit,
        data_id=info.data_id,
        generation=info.generation,
    )


def is_file_of(info: ObjectInfo, file: str) -> bool:
    """Whether an object's file may have this name.

    The number in it is only where to begin: it is higher where a name was taken (`Blobs.choose`), and lower
    where a rebuilt register knew the file by its name alone.
    """
    folder, _, name = file.partition("/")
    return folder == unit_folder(info.unit) and blob_id(name) == info.data_id


def require_row(connection: sqlite3.Connection, unit: str, key: Key) -> Row:
    """The object's row; NotFoundError when there is none."""
    row = find_row(connection, unit, key)
    if row is None:
        which = f"named {key!r}" if isinstance(key, str) else f"with id {key}"
        about = {"name": key} if isinstance(key, str) else {"data_id": key}
        raise NotFoundError(f"unit {unit!r} has no object {which}", unit=unit, **about)
    return row


def require_generation(info: ObjectInfo, wanted: int | None) -> None:
    """Raises ConflictError when a generation is wanted and the object is at another."""
    if wanted is not None and info.generation != wanted:
        raise ConflictError(
            f"object {info.data_id} in unit {info.unit!r} is at generation {info.generation}, not {wanted}",
            unit=info.unit,
            data_id=info.data_id,
            generation=info.generation,
            wanted=wanted,
        )


def file_is_referenced(connection: sqlite3.Connection, file: str) -> bool:
    """Whether the bytes of an object, or of a generation that is retained, are in this file."""
    found = connection.execute(
        "SELECT 1 FROM contents WHERE file = ? UNION ALL SELECT 1 FROM retired WHERE file = ?", (file, file)
    )
    return found.fetchone() is not None


def has_trash(connection: sqlite3.Connection) -> bool:
    """Whether there is any file to be removed."""
    return connection.execute("SELECT 1 FROM trash LIMIT 1").fetchone() is not None


def is_trash(connection: sqlite3.Connection, file: str) -> bool:
    """Whether this file is to be removed."""
    return connection.execute("SELECT 1 FROM trash WHERE file = ?", (file,)).fetchone() is not None
