"""Applying a plan: one statement for each kind of row that it changes, however many there are."""

import sqlite3
from collections.abc import Sequence
from itertools import compress
from typing import Any, Final

from vault_server.storage.decision.plan import Plan
from vault_server.storage.decision.rows import CHANGE_COLUMNS, RETIRED_COLUMNS, Row, signed
from vault_server.storage.failpoints import reached
from vault_server.storage.index.principals import charge

_UNTAG: Final = "DELETE FROM tags WHERE unit = ? AND key = ? AND value = ? AND data_id = ?"
_TAG: Final = "INSERT INTO tags VALUES (?, ?, ?, ?)"
_DELETE: Final = "DELETE FROM objects WHERE unit = ? AND data_id = ?"
_UNNAME: Final = "UPDATE objects SET name = NULL WHERE unit = ? AND data_id = ?"
_CHANGED: Final = Row._fields[2:]
_UPDATE: Final = f"UPDATE objects SET {' = ?, '.join(_CHANGED)} = ? WHERE unit = ? AND data_id = ?"  # noqa: S608  # names


_SEVERAL: Final = 8
"""Rows from which it pays to look at their columns first; of one, it takes 6 µs more."""


def _insert(table: str, columns: Sequence[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  # names


class _Inserts:
    """INSERT of many rows, without the columns that are NULL in all of them: sqlite3 takes 0.8 µs to bind a None, as it
    looks for an adapter each time, and 0.1 for an int: of a thousand new objects a quarter of all."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        self._table = table
        self._columns = columns
        self._whole = _insert(table, columns)
        self._statements: dict[tuple[bool, ...], str] = {}

    def run(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Inserts the rows."""
        if len(rows) < _SEVERAL:
            connection.executemany(self._whole, rows)
            return
        values = list(zip(*rows, strict=True))
        given = tuple([each[0] is not None or each.count(None) < len(each) for each in values])
        statement = self._statements.get(given)
        if statement is None:
            statement = self._statements[given] = _insert(self._table, list(compress(self._columns, given)))
        connection.executemany(statement, zip(*compress(values, given), strict=True))


INSERT: Final = _insert("objects", Row._fields)
_OBJECTS: Final = _Inserts("objects", Row._fields)
_CONTENTS: Final = _Inserts("contents", ("number", "checksum", "file", "blocks", "data"))
_CHANGES: Final = _Inserts("changes", CHANGE_COLUMNS)
_RETIRE: Final = f"INSERT INTO retired VALUES ({', '.join('?' * len(RETIRED_COLUMNS))})"  # noqa: S608  # marks
_DROP: Final = "DELETE FROM contents WHERE number = ?"
_TRASH: Final = "INSERT OR REPLACE INTO trash VALUES (?, ?)"
_COUNT: Final = (
    "INSERT INTO units (unit, objects, bytes, revision, when_full) VALUES (?, ?, ?, ?, 0) ON CONFLICT (unit) DO UPDATE "
    "SET objects = excluded.objects, bytes = excluded.bytes, revision = excluded.revision"
)


def apply(connection: sqlite3.Connection, plan: Plan) -> None:
    """Changes the index as planned, in the caller's transaction, in which the facts were asked for."""
    if plan.charges:
        charge(connection, plan.charges)
        reached("principals charged")
    if plan.untagged:
        connection.executemany(_UNTAG, plan.untagged)
        reached("tags deleted")
    if plan.deleted:
        connection.executemany(_DELETE, plan.deleted)
        reached("object deleted")
    if plan.unnamed:
        connection.executemany(_UNNAME, plan.unnamed)
        reached("name given up")
    if plan.updated:
        connection.executemany(_UPDATE, [(*row[2:], *row[:2]) for row in plan.updated])
        reached("object written")
    if plan.contents:
        kept = [(number, signed(new.checksum), new.file, new.blocks, new.data) for number, _, _, new in plan.contents]
        _CONTENTS.run(connection, kept)
        reached("contents written")
    if plan.inserted:
        _OBJECTS.run(connection, plan.inserted)
        reached("object written")
    if plan.tagged:
        connection.executemany(_TAG, plan.tagged)
        reached("tags written")
    if plan.retired:
        reached("before retirement")
        connection.executemany(_RETIRE, plan.retired)
        reached("retired")
    if plan.dropped:
        connection.executemany(_DROP, [(number,) for number in plan.dropped])
        reached("contents deleted")
        connection.executemany(_TRASH, [(file, plan.revision) for file in plan.trash])
    if plan.changes:
        reached("before the change is recorded")
        _CHANGES.run(connection, plan.changes)
        reached("change recorded")
        connection.executemany(_COUNT, [usage[:4] for usage in plan.units])
        connection.execute("UPDATE meta SET revision = ?, clock = ?", (plan.revision, plan.clock))
        if plan.feed_floor is not None:
            connection.execute("DELETE FROM changes WHERE revision <= ?", (plan.feed_floor,))
            connection.execute("UPDATE meta SET feed_floor = ?", (plan.feed_floor,))
        reached("revision kept")
