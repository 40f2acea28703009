"""What the index knows of what a group of writes is about: one statement for each table, however many they are."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from vault.errors import CorruptionError, VaultError
from vault.store.limits import MAX_BATCH_ITEMS
from vault.store.values import ChangeKind, Key, ObjectInfo

from vault_server.storage.decision.plan import Answer, Facts, Found, Keep, Usage
from vault_server.storage.decision.rows import Row, to_info
from vault_server.storage.decision.writes import Write, asked
from vault_server.storage.index.objects import require_asked

_SIZES: Final = (*(1 << power for power in range(13)), MAX_BATCH_ITEMS)
"""Keys in a statement: a list is filled up with NULL, which finds nothing, so that few statements are prepared."""

_ROW: Final = ", ".join(f"o.{column}" for column in Row._fields)
_OBJECTS: Final = (
    # The row is read by its number, not with the index that found it: what it says of itself must not come from there.
    "WITH k (unit, key) AS (VALUES {marks}) "  # noqa: S608  # only names of columns and marks are put in
    f"SELECT k.unit, k.key, {_ROW}, c.file FROM k CROSS JOIN objects i ON i.unit = k.unit AND i.{{column}} = k.key "
    "CROSS JOIN objects o ON o.number = i.number LEFT JOIN contents c ON c.number = o.content"
)
_BY_ID: Final = [_OBJECTS.format(marks=", ".join(["(?, ?)"] * size), column="data_id") for size in _SIZES]
_BY_NAME: Final = [_OBJECTS.format(marks=", ".join(["(?, ?)"] * size), column="name") for size in _SIZES]
_CHANGE: Final = ", ".join(Row._fields[:13])
_ANSWERS: Final = [
    f"SELECT principal, request_id, kind, request_hash, {_CHANGE} FROM changes "  # noqa: S608  # only names of columns
    f"WHERE request_id IN ({', '.join('?' * size)})"
    for size in _SIZES
]
_UNITS: Final = [
    f"SELECT unit, objects, bytes, revision FROM units WHERE unit IN ({', '.join('?' * size)})"  # noqa: S608  # marks
    for size in _SIZES
]


def facts(connection: sqlite3.Connection, writes: Sequence[Write], keep: Keep) -> Facts:
    """What there is to know to decide on the writes, in the caller's transaction."""
    wanted = asked(writes)
    revision, clock, floor = connection.execute("SELECT revision, clock, feed_floor FROM meta").fetchone()
    found = Facts(revision, clock, floor)
    damaged: dict[tuple[str, Key], VaultError] = {}
    for statements, keys in ((_BY_ID, wanted.ids), (_BY_NAME, wanted.names)):
        for unit, key, *columns, file in _select(connection, statements, keys, 2):
            row = Row(*columns)
            try:
                require_asked(unit, key, row.unit, row.data_id, row.name)
                to_info(row)
            except CorruptionError as error:
                damaged[unit, key] = error
            else:
                found.rows[row.unit, row.data_id] = Found(row, file)
    found.damaged = damaged
    for principal, request_id, kind, hashed, *columns in _select(
        connection, _ANSWERS, [(request_id,) for request_id in wanted.requests], 1
    ):
        found.answers[principal, request_id] = Answer(kind, hashed, Row(*columns))
    for row in _select(connection, _UNITS, [(unit,) for unit in wanted.units], 1):
        found.units[row[0]] = Usage(*row)
    if revision - keep.history >= floor + keep.step:
        bounds = (revision - keep.history, floor + keep.step)
        found.floors = [(bound, _committed_at(connection, bound)) for bound in bounds]
    return found


def _select(
    connection: sqlite3.Connection, statements: Sequence[str], keys: Sequence[tuple[Any, ...]], width: int
) -> Iterator[Any]:
    for start in range(0, len(keys), MAX_BATCH_ITEMS):
        some = keys[start : start + MAX_BATCH_ITEMS]
        which = next(number for number, size in enumerate(_SIZES) if size >= len(some))
        arguments = [value for key in some for value in key] + [None] * (width * (_SIZES[which] - len(some)))
        yield from connection.execute(statements[which], arguments)


def _committed_at(connection: sqlite3.Connection, revision: int) -> int:
    """When the last change up to this revision was committed; 0: there is none."""
    found = connection.execute(
        "SELECT committed_at FROM changes WHERE revision <= ? ORDER BY revision DESC LIMIT 1", (revision,)
    ).fetchone()
    return int(found[0]) if found else 0


def find_written(connection: sqlite3.Connection, unit: str, request_id: bytes) -> ObjectInfo | None:
    """What an upload or update with this id in this unit was answered; None when there was none."""
    kinds = (ChangeKind.UPLOADED.value, ChangeKind.UPDATED.value)
    for principal, _, kind, _, *columns in connection.execute(_ANSWERS[0], (request_id,)):
        if not principal and kind in kinds and columns[0] == unit:
            return to_info(tuple(columns))
    return None
