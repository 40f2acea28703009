"""Looking many objects up at once: one statement for all of them, whose rows become columns as they are."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from vault.errors import CorruptionError
from vault.store.columns import LoadedObjects
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key, ObjectInfo

from vault_server.storage.decision.rows import pack_checksums, sound_infos, to_infos
from vault_server.storage.decision.writes import Content
from vault_server.storage.index.expiring import LIVE
from vault_server.storage.index.objects import (
    BLOCKS,
    CHECKSUM,
    DATA,
    FILE,
    INFO_COLUMNS,
    find_info,
    not_asked,
    to_small,
)
from vault_server.storage.index.padded import for_sizes, select

Rows = dict[Key, tuple[Any, ...] | CorruptionError]
"""What was found, by key: a row, or what is wrong with it."""


def _by_key(columns: str, join: str = "") -> tuple[Sequence[str], Sequence[str]]:
    """The statements by ids, and by names. Rows end with the key."""
    # The row is read by its number, not with the index that found it: what it says of itself must not come from there.
    statement = (
        "SELECT {columns}, i.{key} FROM objects i CROSS JOIN objects o ON o.number = i.number{join} "
        "WHERE i.unit = ? AND i.{key} IN ({{values}}){live}"
    )
    by_id, by_name = (statement.format(columns=columns, key=key, join=join, live=LIVE) for key in ("data_id", "name"))
    return for_sizes(by_id), for_sizes(by_name)


_GENERATIONS: Final = _by_key("o.unit, o.data_id, o.generation, 0, 0, 0, 0, o.name")
_INFOS: Final = _by_key(INFO_COLUMNS)
# The contents of what fits a block only: those of a larger object have a checksum for each of its blocks.
_SMALL: Final = _by_key(
    f"{INFO_COLUMNS}, c.file, c.data, c.blocks, c.checksum",
    f" LEFT JOIN contents c ON c.number = o.content AND o.size <= {BLOCK_SIZE}",
)
_SMALL_AT_ONCE: Final = 64
"""Of these, at most, the bytes are fetched before they are counted: no more than twice the room is taken."""


def find_generations(connection: sqlite3.Connection, unit: str, keys: Sequence[Key]) -> list[int]:
    """Each object's generation, 0 where there is none."""
    rows = _ordered(_rows(connection, _GENERATIONS, unit, keys), keys)
    return [0 if row is None else int(row[2]) for row in rows]


def find_infos(connection: sqlite3.Connection, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
    """Each object, None where there is none."""
    if len(keys) == 1:  # columns of one take longer
        return [find_info(connection, unit, keys[0])]
    return sound_infos(_ordered(_rows(connection, _INFOS, unit, keys), keys))


def find_all_small(connection: sqlite3.Connection, unit: str, keys: Sequence[Key], room: int) -> Rows | None:
    """What is known of each object, and of one of at most a block, its contents. None when their bytes that are in the
    register are more than `room`."""
    found: Rows = {}
    for start in range(0, len(keys), _SMALL_AT_ONCE):
        rows = _rows(connection, _SMALL, unit, keys[start : start + _SMALL_AT_ONCE])
        room -= sum(len(row[DATA] or b"") for row in rows.values() if isinstance(row, tuple))
        if room < 0:
            return None
        found |= rows
    return found


def take_small(found: Rows, key: Key) -> tuple[ObjectInfo, Content | None] | None:
    """As `find_small` of one object, of what `find_all_small` found."""
    row = found.get(key)
    if isinstance(row, CorruptionError):
        raise row
    return None if row is None else to_small(row)


def to_loaded(found: Rows, keys: Sequence[Key], room: int) -> LoadedObjects | None:
    """The objects with their bytes, None among them where there is none. None when one of them has its bytes elsewhere,
    or is damaged, or when they are more than `room`: a key may be there many times."""
    rows: list[Any] = [found.get(key) for key in keys]
    if any(isinstance(row, CorruptionError) for row in rows):
        return None
    infos = to_infos(rows)
    if any(infos.others.values()) or sum(infos.sizes) > room:
        return None
    blocks = pack_checksums(infos.checksums)
    data: list[bytes | None] = []
    for at, (row, size) in enumerate(zip(rows, infos.sizes, strict=True)):
        if row is None:
            data.append(None)
            continue
        held = row[DATA]
        if (
            row[FILE] is not None
            or not isinstance(held, bytes)
            or len(held) < size
            or row[CHECKSUM] != row[5]
            or row[BLOCKS] != (blocks[8 * at : 8 * at + 8] if size else b"")
        ):
            return None
        data.append(held[:size])
    return LoadedObjects((*infos.columns, data), infos.others)


def _rows(
    connection: sqlite3.Connection, statements: tuple[Sequence[str], Sequence[str]], unit: str, keys: Sequence[Key]
) -> Rows:
    by_id, by_name = statements
    names = [key for key in keys if isinstance(key, str)]
    ids = [key for key in keys if not isinstance(key, str)] if names else keys
    found: Rows = {}
    for statement, asked, place in ((by_id, ids, 1), (by_name, names, 7)):
        for row in select(connection, statement, asked, first=[unit]):
            key = row[-1]
            found[key] = row if (row[0], row[place]) == (unit, key) else not_asked(unit, key, row[0], row[1], row[7])
    return found


def _ordered(found: Rows, keys: Sequence[Key]) -> list[tuple[Any, ...] | None]:
    rows = []
    for key in keys:
        row = found.get(key)
        if isinstance(row, CorruptionError):
            raise row
        rows.append(row)
    return rows
