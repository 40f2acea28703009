"""What units hold, and their limits: the rows of `units`."""

import contextlib
import heapq
import sqlite3
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final, TypeVar

from vault.errors import CorruptionError
from vault.store.limits import MAX_DATA_ID
from vault.store.usage import UnitInfo, UnitLimits

from vault_server.storage.decision.listing import MOST_SCANNED, prefix_end
from vault_server.storage.decision.plan import Found, Oldest, Usage
from vault_server.storage.decision.rows import Row, to_info
from vault_server.storage.index.expiring import NOW
from vault_server.storage.index.schema import BY_GENERATION

InfoT = TypeVar("InfoT")

_MOST_BYTES: Final = 1 << 62
_NO_LIMITS: Final = Usage("")[4:]

TOTAL_SIZE: Final = "coalesce(CAST(sum(size >> 32) * 4294967296 + sum(size & 4294967295) AS INTEGER), 0)"
"""Bytes of all rows of a group. Exact, as `total(size)` is not above 2^53, and no error, as `sum(size)` is above 2^63:
a damaged row may have any size."""

_COLUMNS: Final = ", ".join(Usage._fields)
_MARKS: Final = ", ".join("?" * len(Usage._fields))
_SELECT: Final = f"SELECT {_COLUMNS} FROM units WHERE unit"  # noqa: S608  # names of columns

_STORED: Final = (
    f"SELECT {', '.join(f'o.{column}' for column in Row._fields)}, c.file "  # noqa: S608  # likewise
    "FROM objects o LEFT JOIN contents c ON c.number = o.content WHERE o.unit = ? "
)
_COUNTED: Final = f"SELECT count(*), {TOTAL_SIZE} FROM objects WHERE unit = ?"  # noqa: S608  # likewise
_EXPIRED: Final = (
    f"SELECT count(*), {TOTAL_SIZE} FROM objects INDEXED BY objects_by_expiry "  # noqa: S608  # likewise
    f"WHERE expires_at <= {NOW} AND unit = ?"
)
_AS_WRITTEN: Final = f"{_STORED} ORDER BY o.revision"
_CHANGED: Final = f"{_STORED} AND o.generation <> o.revision ORDER BY o.generation"


def usage_of(connection: sqlite3.Connection, unit: str, objects: Any, size: Any, revision: int, *limits: Any) -> Usage:
    """What a row says: counted, where what it says of objects cannot be right; without a limit that can be none."""
    if not (is_count(objects) and is_count(size)):
        objects, size = count(connection, _COUNTED, unit)
    if limits == _NO_LIMITS:
        return Usage(unit, objects, size, revision)
    return Usage(unit, objects, size, revision, limit_of(limits[0]), limit_of(limits[1]), int(limits[2] == 1))


def is_count(number: Any) -> bool:
    """Whether a number that may be damaged can be one of objects, or of bytes."""
    return isinstance(number, int) and 0 <= number < _MOST_BYTES


def limit_of(number: Any) -> int | None:
    """A limit that may be damaged; None for what can be none."""
    return number if isinstance(number, int) and 0 <= number <= MAX_DATA_ID else None


def count(connection: sqlite3.Connection, query: str, name: str) -> tuple[int, int]:
    """The objects and the bytes that a query counts of a unit, or of a principal."""
    objects, total = connection.execute(query, (name,)).fetchone()
    return objects, max(0, min(total, _MOST_BYTES))


def find_units(connection: sqlite3.Connection, units: Sequence[str]) -> list[UnitInfo]:
    """What each unit holds, and its limits."""
    return [_live(connection, _find(connection, unit)).info() for unit in units]


def unit_page(
    connection: sqlite3.Connection, prefix: str, after: str | None, limit: int
) -> tuple[list[UnitInfo], str | None]:
    """Units with a prefix that hold an object or have limits, after one, at most `limit`; and the unit after which the
    next page begins, None: there is none."""

    def info_of(*row: Any) -> UnitInfo | None:
        info = _live(connection, usage_of(connection, *row)).info()
        return info if info.objects or info.limits.are_set else None

    return named_page(connection, _SELECT, prefix, after, limit, info_of)


def named_page(
    connection: sqlite3.Connection,
    select: str,
    prefix: str,
    after: str | None,
    limit: int,
    info_of: Callable[..., InfoT | None],
) -> tuple[list[InfoT], str | None]:
    """What there is to tell of names with a prefix, in alphabetical order.

    Args:
        select: A query of rows that begin with the name, up to where their condition has it.
        after: A name; None: from the first one on.
        limit: At most so many.
        info_of: What is told of a row; None: nothing is.

    Returns:
        Also the name after which the next page begins; None: there is none.
    """
    name = select.rpartition(" ")[2]
    condition, arguments = (" >= ?", [prefix]) if after is None else (" > ?", [after])
    end = prefix_end(prefix)
    if end is not None:
        condition += f" AND {name} < ?"
        arguments.append(end)
    found: list[InfoT] = []
    last = None
    rows = connection.execute(f"{select}{condition} ORDER BY {name} LIMIT ?", (*arguments, MOST_SCANNED)).fetchall()
    for row in rows:
        if len(found) == limit:
            return found, last
        if (info := info_of(*row)) is not None:
            found.append(info)
            last = row[0]
    return found, rows[-1][0] if len(rows) == MOST_SCANNED else None


def set_limits(connection: sqlite3.Connection, unit: str, limits: UnitLimits) -> UnitInfo:
    """Sets a unit's limits, in the caller's transaction; what it holds then, and they."""
    usage = _find(connection, unit).limited(limits)
    connection.execute(
        f"INSERT INTO units ({_COLUMNS}) VALUES ({_MARKS}) ON CONFLICT (unit) DO UPDATE SET "  # noqa: S608  # likewise
        "max_objects = excluded.max_objects, max_bytes = excluded.max_bytes, when_full = excluded.when_full",
        usage,
    )
    if limits.when_full == "evict":
        connection.execute(BY_GENERATION)  # registers that were made before there was one
    return _live(connection, usage).info()


def oldest(connection: sqlite3.Connection, unit: str, most: int) -> Oldest:
    """So many objects, at most, that were stored in a unit longest ago."""
    # Rows whose metadata was changed have an index of their own, in the order in which they were stored. In that by
    # revision they come later, and are passed over.
    as_written = ((row[3], row) for row in connection.execute(_AS_WRITTEN, (unit,)) if row[2] == row[3])
    changed = ((row[2], row) for row in connection.execute(_CHANGED, (unit,)))
    found: list[Found] = []
    for _, (*columns, file) in heapq.merge(as_written, changed, key=itemgetter(0)):
        if len(found) == most:
            return Oldest(found, complete=False)
        row = Row._make(columns)
        with contextlib.suppress(CorruptionError):  # it can be deleted by nobody
            to_info(row)
            found.append(Found(row, file))
    return Oldest(found, complete=True)


def _find(connection: sqlite3.Connection, unit: str) -> Usage:
    row = connection.execute(f"{_SELECT} = ?", (unit,)).fetchone()
    return Usage(unit) if row is None else usage_of(connection, *row)


def _live(connection: sqlite3.Connection, usage: Usage) -> Usage:
    """Without what has expired and is still counted."""
    objects, size = connection.execute(_EXPIRED, (usage.unit,)).fetchone()
    if not objects:
        return usage
    return usage._replace(objects=max(0, usage.objects - objects), bytes=max(0, usage.bytes - size))
