"""Looking objects up: the reads that everything else is made of.

Every function takes a connection and does one or two indexed lookups; transactions are the caller's.
"""

import sqlite3
from array import array
from dataclasses import dataclass
from typing import Any, Final

from vault.errors import CorruptionError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key, ObjectInfo

from vault_server.storage.decision.rows import SHOWN, Row, to_info, unpack_checksums, unsigned
from vault_server.storage.files.blobs import blob_id, unit_folder

INFO_COLUMNS: Final = ", ".join(f"o.{column}" for column in Row._fields[:SHOWN])
"""What `to_info` takes."""

_FILE, _DATA, _BLOCKS, _CHECKSUM = range(SHOWN + 1, SHOWN + 5)

_SELECT: Final = f"SELECT {INFO_COLUMNS}, o.content FROM objects o"  # noqa: S608  # only names of columns are put in
# The row is read by its number, not with the index that found it: what it says of itself must not come from there.
_NUMBER_BY_ID: Final = "(SELECT i.number FROM objects i WHERE i.unit = ? AND i.data_id = ?)"
_NUMBER_BY_NAME: Final = "(SELECT i.number FROM objects i WHERE i.unit = ? AND i.name = ?)"
_SELECT_BY_ID: Final = f"{_SELECT} WHERE o.number = {_NUMBER_BY_ID}"
_SELECT_BY_NAME: Final = f"{_SELECT} WHERE o.number = {_NUMBER_BY_NAME}"
# The contents of what fits a block only: those of a larger object have a checksum for each of its blocks.
_SELECT_SMALL: Final = (
    f"SELECT {INFO_COLUMNS}, o.content, c.file, c.data, c.blocks, c.checksum FROM objects o "  # noqa: S608  # likewise
    f"LEFT JOIN contents c ON c.number = o.content AND o.size <= {BLOCK_SIZE}"
)
_SELECT_SMALL_BY_ID: Final = f"{_SELECT_SMALL} WHERE o.number = {_NUMBER_BY_ID}"
_SELECT_SMALL_BY_NAME: Final = f"{_SELECT_SMALL} WHERE o.number = {_NUMBER_BY_NAME}"


@dataclass(frozen=True, slots=True)
class Known:
    """An object, and the number of its contents."""

    info: ObjectInfo
    content: int


@dataclass(frozen=True, slots=True)
class StoredContents:
    """Where an object's bytes are: in `data`, or in a file; and its blocks' checksums.

    Attributes:
        checksum: Of the whole.
        retired: They are of a generation that was replaced or deleted, and is kept for a while.
    """

    file: str | None
    data: bytes | None
    blocks: "array[int]"
    checksum: int
    retired: bool = False


def find_row(connection: sqlite3.Connection, unit: str, key: Key) -> Known | None:
    """The object's row, None when there is none."""
    statement = _SELECT_BY_NAME if isinstance(key, str) else _SELECT_BY_ID
    found = connection.execute(statement, (unit, key)).fetchone()
    if found is None:
        return None
    require_asked(unit, key, found[0], found[1], found[7])
    return Known(to_info(found), found[SHOWN])


def find_small(connection: sqlite3.Connection, unit: str, key: Key) -> tuple[Known, StoredContents | None] | None:
    """`find_row`, and `find_contents` of an object of at most a block, in one statement."""
    statement = _SELECT_SMALL_BY_NAME if isinstance(key, str) else _SELECT_SMALL_BY_ID
    found = connection.execute(statement, (unit, key)).fetchone()
    if found is None:
        return None
    require_asked(unit, key, found[0], found[1], found[7])
    return to_small(found)


def to_small(found: tuple[Any, ...]) -> tuple[Known, StoredContents | None]:
    """What a row of `find_small` says, unverified."""
    contents = stored_contents(found) if found[_BLOCKS] is not None else None
    return Known(to_info(found), found[SHOWN]), contents


def stored_contents(found: tuple[Any, ...], *, retired: bool = False) -> StoredContents:
    """The contents of a row of what is shown, the number of its contents, and their file, data, blocks and checksum."""
    blocks = unpack_checksums(found[_BLOCKS])
    return StoredContents(found[_FILE], found[_DATA], blocks, unsigned(found[_CHECKSUM]), retired)


def require_asked(unit: str, key: Key, of_unit: str, data_id: int, name: str | None) -> None:
    """Raises CorruptionError when a damaged index, or row, led to another object."""
    if (of_unit, name if isinstance(key, str) else data_id) != (unit, key):
        raise not_asked(unit, key, of_unit, data_id, name)


def not_asked(unit: str, key: Key, of_unit: str, data_id: int, name: str | None) -> CorruptionError:
    """The error of `require_asked`."""
    about = {"name": key} if isinstance(key, str) else {"data_id": key}
    return CorruptionError(
        f"the register is damaged: asked for {key!r} of unit {unit!r} it has {data_id}, {name!r}, of {of_unit!r}",
        unit=unit,
        **about,
    )


def find_contents(connection: sqlite3.Connection, number: int) -> StoredContents | None:
    """Where the bytes with this number are."""
    statement = "SELECT file, data, blocks, checksum FROM contents WHERE number = ?"
    found = connection.execute(statement, (number,)).fetchone()
    return StoredContents(found[0], found[1], unpack_checksums(found[2]), unsigned(found[3])) if found else None


def require_sound(info: ObjectInfo, contents: StoredContents | None) -> StoredContents:
    """The contents, when they can be this generation's; CorruptionError for a damaged register's.

    Every block has its checksum; this is against the rows themselves having been mixed up.
    """
    if contents is None:
        fault = "nothing says where its bytes are"
    elif contents.file is not None and not is_file_of(info, contents.file):
        fault = f"its bytes are said to be in {contents.file!r}"
    elif contents.checksum != info.checksum:
        fault = "its checksum and that of its bytes differ"
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
    """Whether an object's file may have this name, whatever its generation and its random part."""
    folder, _, name = file.partition("/")
    return folder == unit_folder(info.unit) and blob_id(name) == info.data_id


def file_is_referenced(connection: sqlite3.Connection, file: str) -> bool:
    """Whether the bytes of an object, or of a generation that is retained, are in this file."""
    return connection.execute("SELECT 1 FROM contents WHERE file = ?", (file,)).fetchone() is not None


def has_trash(connection: sqlite3.Connection) -> bool:
    """Whether there is any file to be removed."""
    return connection.execute("SELECT 1 FROM trash LIMIT 1").fetchone() is not None


def is_trash(connection: sqlite3.Connection, file: str) -> bool:
    """Whether this file is to be removed."""
    return connection.execute("SELECT 1 FROM trash WHERE file = ?", (file,)).fetchone() is not None
