"""Looking many objects up at once: one statement for all of them, whose rows become columns as they are."""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from operator import le
from typing import Any, Final

from vault.errors import CorruptionError
from vault.store.columns import LoadedObjects
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key, ObjectInfo

from vault_server.storage.decision.rows import LATEST, pack_checksums, sound_infos, unpack_tags
from vault_server.storage.index.expiring import LIVE
from vault_server.storage.index.objects import (
    INFO_COLUMNS,
    find_info,
    not_asked,
    verified,
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
# Of what fits a block only: those of a larger object have a checksum for each of its blocks.
_CONTENT: Final = f" LEFT JOIN contents c ON c.number = o.content AND o.size <= {BLOCK_SIZE}"
_VERIFIED: Final = (
    _by_key(verified("data_id", "o.data_id, o.name"), _CONTENT)[0],
    _by_key(verified("name", "o.data_id, o.name"), _CONTENT)[1],
)
_BYTES: Final = -2
_AT_ONCE: Final = 64
"""Of these, at most, the bytes are fetched before they are counted: no more than twice the room is taken."""

_MISSING: Final = (0, None, 0, 0, 0, "", None, 0, 0, 0, None, b"", b"", None)
"""In the place of the row of an object that is not there."""

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


def load_all(connection: sqlite3.Connection, unit: str, keys: Sequence[Key], room: int) -> LoadedObjects | None:
    """The objects with their bytes, None among them where there is none. None when one of them has its bytes elsewhere,
    or is damaged, or when they are more than `room`."""
    found: dict[Key, tuple[Any, ...]] = {}
    left = room
    try:
        for cursor in _asked(connection, _VERIFIED, unit, keys):
            while rows := cursor.fetchmany(_AT_ONCE):
                left -= sum([len(row[_BYTES]) for row in rows])
                if left < 0:
                    return None
                found |= {row[-1]: row for row in rows}
        loaded = _loaded(unit, [found.get(key) for key in keys])
    except (TypeError, ValueError, OverflowError):  # of bytes that are not here, and of what no column has
        return None
    return None if loaded is None or sum(loaded.sizes) > room else loaded  # a key may be there many times


def _loaded(unit: str, rows: Sequence[tuple[Any, ...] | None]) -> LoadedObjects | None:
    others = {at: None for at, row in enumerate(rows) if row is None}
    columns: Any = zip(*[row or _MISSING for row in rows] if others else rows, strict=True)
    (data_ids, names, generations, revisions, stored, datatypes, tags,
     created_at, updated_at, written_at, expires_at, blocks, data, _) = columns  # fmt: skip
    checksums = array("Q", array("q", stored).tobytes())
    sizes = [*map(len, data)]
    expiring = [moment for moment in expires_at if moment is not None]
    if (
        {*map(type, data)} != {bytes}
        or [*map(len, blocks)] != [8 if size else 0 for size in sizes]
        or b"".join(blocks) != pack_checksums(compress(checksums, sizes))
        or min(generations) < 0
        or generations.count(0) > len(others)
        or not all(map(le, generations, revisions))
        or min(created_at) < 0
        or not all(map(le, created_at, written_at))
        or not all(map(le, written_at, updated_at))
        or max(updated_at) > LATEST
        or (expiring and not 0 <= min(expiring) <= max(expiring) <= LATEST)
    ):
        return None
    if others:
        data = tuple(None if at in others else each for at, each in enumerate(data))
    number = len(rows)
    unpacked = [unpack_tags(packed) for packed in tags] if any(tags) else ({},) * number
    return LoadedObjects(
        ((unit,) * number, data_ids, generations, revisions, sizes, checksums, datatypes, names, unpacked,
         created_at, updated_at, written_at, expires_at, data), others,
    )  # fmt: skip


def _asked(
    connection: sqlite3.Connection, statements: tuple[Sequence[str], Sequence[str]], unit: str, keys: Sequence[Key]
) -> Iterator[sqlite3.Cursor]:
    """Cursors on what the ids lead to, and on what the names do."""
    by_id, by_name = statements
    names = [key for key in keys if isinstance(key, str)]
    ids = [key for key in keys if not isinstance(key, str)] if names else keys
    yield from selected(connection, by_id, ids, first=[unit])
    yield from selected(connection, by_name, names, first=[unit])


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
    for cursor in _asked(connection, statements, unit, keys):
        while rows := cursor.fetchmany(_AT_ONCE):
            place = name if isinstance(rows[0][-1], str) else 1
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
