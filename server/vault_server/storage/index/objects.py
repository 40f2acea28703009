"""Looking objects up: the reads that everything else is made of.

Every function takes a connection and does one or two indexed lookups; transactions are the caller's.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from vault.errors import CorruptionError, VaultError
from vault.store.limits import BLOCK_SIZE, check_key
from vault.store.specs import LoadItem
from vault.store.values import Key, LoadedObject, LoadResult, ObjectInfo, info_of_row

from vault_server.storage.decision.rows import LATEST, SHOWN, Row, to_info, unpack_tags, unsigned
from vault_server.storage.decision.stored import Stored, load_small
from vault_server.storage.decision.writes import Content
from vault_server.storage.files.blobs import blob_id, unit_folder
from vault_server.storage.index.connections import GIVEN, RegisterConnection
from vault_server.storage.index.expiring import LIVE

INFO_COLUMNS: Final = ", ".join(f"o.{column}" for column in Row._fields[:SHOWN])
"""What `to_info` takes."""

FILE, DATA, BLOCKS, CHECKSUM = range(SHOWN, SHOWN + 4)
"""What follows them, where an object is selected with its content."""

# The row is read by its number, not with the index that found it: what it says of itself must not come from there.
_WHERE: Final = (
    f" WHERE o.number = (SELECT i.number FROM objects i WHERE i.unit = ? AND i.data_id = ?){LIVE}",  # noqa: S608  # a constant
    f" WHERE o.number = (SELECT i.number FROM objects i WHERE i.unit = ? AND i.name = ?){LIVE}",  # noqa: S608  # likewise
)


def _by_key(select: str) -> Sequence[str]:
    """The statement by an id, and by a name."""
    return [select + where for where in _WHERE]


_STORED: Final = (
    f"SELECT {INFO_COLUMNS}, c.file, c.data, c.blocks, c.checksum FROM objects o "  # noqa: S608  # names of columns
    "LEFT JOIN contents c ON c.number = o.content"
)
_SELECT_INFO: Final = _by_key(f"SELECT {INFO_COLUMNS} FROM objects o")  # noqa: S608  # likewise
_SELECT_STORED: Final = _by_key(_STORED)
# The contents of what fits a block only: those of a larger object have a checksum for each of its blocks.
_SELECT_SMALL: Final = _by_key(f"{_STORED} AND o.size <= {BLOCK_SIZE}")


def verified(asked: str, known: str) -> str:
    """The columns, from objects `i`, of which the index found `asked`, their rows `o` and contents `c`, that an object
    is made of, its bytes at the end: where the row is the one that the index means, and they belong to it.

    Each column takes 0.4 µs, a comparison a tenth of that; of columns that are wanted all the same Python compares
    faster.

    Args:
        known: The columns that come first.
    """
    return (
        f"{known}, o.generation, o.revision, o.checksum, o.datatype, o.tags, "
        "o.created_at, o.updated_at, o.written_at, o.expires_at, c.blocks, "
        f"CASE WHEN o.unit = i.unit AND o.{asked} = i.{asked} AND c.file IS NULL AND c.checksum = o.checksum "
        "AND length(c.data) = o.size THEN c.data END"
    )


_VERIFIED: Final = [
    f"SELECT {GIVEN}({verified(asked, other)}) FROM objects i CROSS JOIN objects o ON o.number = i.number "  # noqa: S608  # names of columns
    f"LEFT JOIN contents c ON c.number = o.content AND o.size <= {BLOCK_SIZE} WHERE i.unit = ? AND i.{asked} = ?{LIVE}"
    for asked, other in (("data_id", "o.name"), ("name", "o.data_id"))
]


def load_one(connection: RegisterConnection, unit: str, item: LoadItem, room: int) -> LoadResult | Stored:
    """`load_small` of one item: most are here, and sound."""
    key: Any = item.key
    if item.if_generation_not_match is None:
        try:
            check_key(key)
            by_name = isinstance(key, str)
            found = connection.only(_VERIFIED[by_name], (unit, key))
            if found is None:
                return None
            (other, generation, revision, checksum, datatype, tags,
             created_at, updated_at, written_at, expires_at, blocks, data) = found  # fmt: skip
            if checksum < 0:  # as `unsigned`
                checksum += 1 << 64
            if (
                type(data) is bytes
                and len(data) <= room
                and blocks == (checksum.to_bytes(8, "little") if data else b"")
                and 0 < generation <= revision
                and 0 <= created_at <= written_at <= updated_at <= LATEST
                and (expires_at is None or 0 <= expires_at <= LATEST)
            ):
                data_id, name = (other, key) if by_name else (key, other)
                info = info_of_row(
                    unit, data_id, generation, revision, len(data), checksum, datatype, name,
                    unpack_tags(tags) if tags else {}, created_at, updated_at, written_at, expires_at,
                )  # fmt: skip
                return LoadedObject(info, data)
        except VaultError as error:
            return error
        except sqlite3.Error as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
        except (TypeError, ValueError, OverflowError):  # of a damaged row
            pass
    (result,) = load_small([item], room, partial(find_small, connection, unit), require_sound)
    return result


def find_info(connection: sqlite3.Connection, unit: str, key: Key) -> ObjectInfo | None:
    """The object, None when there is none."""
    found = _find(connection, _SELECT_INFO, unit, key)
    return None if found is None else to_info(found)


def find_stored(connection: sqlite3.Connection, unit: str, key: Key) -> Stored | None:
    """The object, and where its bytes are, in one statement."""
    found = _find(connection, _SELECT_STORED, unit, key)
    return None if found is None else to_stored(found)


def find_small(connection: sqlite3.Connection, unit: str, key: Key) -> tuple[ObjectInfo, Content | None] | None:
    """The object, and of one of at most a block its content, unverified; in one statement."""
    found = _find(connection, _SELECT_SMALL, unit, key)
    return None if found is None else (to_info(found), _content(found))


def to_stored(found: tuple[Any, ...], *, retired: bool = False) -> Stored:
    """That of a row of what is shown, and the file, data, blocks and checksum of its contents."""
    info = to_info(found)
    return Stored(info, require_sound(info, _content(found)), retired)


def _find(connection: sqlite3.Connection, statements: Sequence[str], unit: str, key: Key) -> tuple[Any, ...] | None:
    by_name = isinstance(key, str)
    found: tuple[Any, ...] | None = connection.execute(statements[by_name], (unit, key)).fetchone()
    if found is not None and (found[0] != unit or found[7 if by_name else 1] != key):
        raise not_asked(unit, key, found[0], found[1], found[7])
    return found


def _content(found: tuple[Any, ...]) -> Content | None:
    if found[BLOCKS] is None:
        return None
    return Content(found[4], unsigned(found[CHECKSUM]), found[BLOCKS], found[DATA], found[FILE])


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


def require_sound(info: ObjectInfo, content: Content | None) -> Content:
    """The content, when it can be this generation's; CorruptionError for a damaged register's.

    Every block has its checksum; this is against the rows themselves having been mixed up.
    """
    if content is None:
        fault = "nothing says where its bytes are"
    elif content.file is not None and not is_file_of(info, content.file):
        fault = f"its bytes are said to be in {content.file!r}"
    elif content.checksum != info.checksum:
        fault = "its checksum and that of its bytes differ"
    elif info.size <= BLOCK_SIZE and content.blocks != (info.checksum.to_bytes(8, "little") if info.size else b""):
        fault = "its checksum and that of its one block differ"
    else:
        return content
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
