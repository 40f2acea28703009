"""Looking many objects up at once: one statement for all of them, whose rows become columns as they are."""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import Any, Final

from vault.errors import CorruptionError
from vault.store.columns import LoadedObjects
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key, ObjectInfo

from vault_server.storage.decision.rows import SHOWN, pack_checksums, sound_infos, to_infos
from vault_server.storage.index.expiring import LIVE
from vault_server.storage.index.objects import (
    DATA,
    INFO_COLUMNS,
    find_info,
    not_asked,
)
from vault_server.storage.index.padded import for_sizes, selected

Rows = dict[Key, tuple[Any, ...] | CorruptionError | None]
"""What was found, by key: a row, what is wrong with it, or None."""


def _by_key(columns: str, join: str = "") -> tuple[Sequence[str], Sequence[str]]:
    """The statements by ids, and by names. Rows end with the key."""
    # The row is read by its number, not with the index that found it: what it says of itself must not come from there.
    statement = (
        "SELECT {columns}, i.{key} FROM objects i CROSS JOIN objects o ON o.number = i.number{join} "
        "WHERE i.unit = ? AND i.{key} IN ({{values}}){live}"
    )
    by_id, by_name = (statement.format(columns=columns, key=key, join=join, live=LIVE) for key in ("data_id", "name"))
    return for_sizes(by_id), for_sizes(by_name)


_GENERATIONS: Final = _by_key("o.unit, o.data_id, o.generation, o.name")
_INFOS: Final = _by_key(INFO_COLUMNS)
# The contents of what fits a block only: those of a larger object have a checksum for each of its blocks.
_SMALL: Final = _by_key(
    f"{INFO_COLUMNS}, c.file, c.data, c.blocks, c.checksum",
    f" LEFT JOIN contents c ON c.number = o.content AND o.size <= {BLOCK_SIZE}",
)
_AT_ONCE: Final = 64
"""Of these, at most, the bytes are fetched before they are counted: no more than twice the room is taken."""

_MISSING: Final = (None, b"", b"", 0)
"""In the place of the contents of an object that is not there."""

_SOUND: Final = frozenset({tuple, type(None)})


def find_generations(connection: sqlite3.Connection, unit: str, keys: Sequence[Key]) -> list[int]:
    """Each object's generation, 0 where there is none."""
    rows = _ordered(_found(connection, _GENERATIONS, unit, keys, name=3), keys)
    return [0 if row is None else int(row[2]) for row in rows]


def find_infos(connection: sqlite3.Connection, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
    """Each object, None where there is none."""
    if len(keys) == 1:  # columns of one take longer
        return [find_info(connection, unit, keys[0])]
    return sound_infos(_ordered(_found(connection, _INFOS, unit, keys), keys))


def find_all_small(connection: sqlite3.Connection, unit: str, keys: Sequence[Key], room: int) -> Rows | None:
    """What is known of each object, and of one of at most a block, its contents. None when their bytes that are in the
    register are more than `room`."""
    found: Rows = {}
    for part in _found(connection, _SMALL, unit, keys):
        found |= part
        room -= sum([len(row[DATA] or b"") for row in part.values() if isinstance(row, tuple)])
        if room < 0:
            return None
    return found


def to_loaded(found: Rows, keys: Sequence[Key], room: int) -> LoadedObjects | None:
    """The objects with their bytes, None among them where there is none. None when one of them has its bytes elsewhere,
    or is damaged, or when they are more than `room`: a key may be there many times."""
    rows: list[Any] = list(map(found.get, keys))
    if not _SOUND.issuperset(map(type, rows)):
        return None
    try:
        return _all_loaded(rows, room)
    except (TypeError, ValueError, OverflowError):  # of what no column has
        return None


def _all_loaded(rows: Sequence[Any], room: int) -> LoadedObjects | None:
    infos = to_infos(rows)
    if any(infos.others.values()) or sum(infos.sizes) > room:
        return None
    contents = [_MISSING if row is None else row[SHOWN:-1] for row in rows]
    files, data, blocks, checksums = zip(*contents, strict=True)
    if (
        files.count(None) < len(files)
        or {*map(type, data)} != {bytes}
        or [*map(len, data)] != [*infos.sizes]
        or array("Q", array("q", checksums).tobytes()) != infos.checksums
        or [*map(len, blocks)] != [8 if size else 0 for size in infos.sizes]
        or b"".join(blocks) != pack_checksums(compress(infos.checksums, infos.sizes))
    ):
        return None
    if infos.others:
        data = tuple(None if at in infos.others else each for at, each in enumerate(data))
    return LoadedObjects((*infos.columns, data), infos.others)


def _found(
    connection: sqlite3.Connection,
    statements: tuple[Sequence[str], Sequence[str]],
    unit: str,
    keys: Sequence[Key],
    name: int = 7,
) -> Iterator[Rows]:
    """What the keys lead to, some of it at a time.

    Args:
        name: The place of an object's name in a row.
    """
    by_id, by_name = statements
    names = [key for key in keys if isinstance(key, str)]
    ids = [key for key in keys if not isinstance(key, str)] if names else keys
    for statement, asked, place in ((by_id, ids, 1), (by_name, names, name)):
        for cursor in selected(connection, statement, asked, first=[unit]):
            while rows := cursor.fetchmany(_AT_ONCE):
                found: Rows = {row[-1]: row for row in rows if row[0] == unit and row[place] == row[-1]}
                if len(found) < len(rows):
                    for row in rows:
                        if row[-1] not in found:
                            found[row[-1]] = not_asked(unit, row[-1], row[0], row[1], row[name])
                yield found


def _ordered(parts: Iterable[Rows], keys: Sequence[Key]) -> list[Any]:
    """The rows, in order, None where there is none. Raises CorruptionError where one is another's."""
    found: Rows = {}
    for part in parts:
        found |= part
    rows = list(map(found.get, keys))
    if not _SOUND.issuperset(map(type, rows)):
        raise next(row for row in rows if isinstance(row, CorruptionError))
    return rows
