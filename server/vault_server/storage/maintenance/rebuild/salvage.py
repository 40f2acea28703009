"""What can still be read of a damaged register, gathered in a database of its own to choose from.

SQLite reads whole what it can. Where it cannot, or where its log has lost changes, every page is read by itself
(`pages`), which may bring up rows that were deleted or replaced, too: choosing among them is `resolve`'s.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from vault_server.storage.maintenance import rules
from vault_server.storage.maintenance.rebuild.pages import read_pages

TABLES: Final = ("meta", "objects", "contents", "changes", "retired", "units")
"""Those that cannot be made of the others; of `units` that is the limits."""

_INDEXES: Final = (
    "objects_by_id ON objects (unit, data_id)",
    "changes_by_id ON changes (unit, data_id)",
    "changes_by_revision ON changes (revision)",
    "contents_by_number ON contents (number)",
    "contents_by_file ON contents (file)",
    "retired_by_content ON retired (content)",
)
_KINDS: Final[dict[str, type]] = {"INTEGER": int, "TEXT": str, "BLOB": bytes}


class Column(NamedTuple):
    name: str
    kind: type
    nullable: bool
    is_key: bool


Tables = Mapping[str, Sequence[Column]]


@dataclass(slots=True)
class Salvage:
    """Rows in `work`, in tables named and made as the register's, without its constraints.

    Attributes:
        complete: Everything that was committed is there, and nothing else.
        faults: What stood in the way, for people.
    """

    work: sqlite3.Connection
    complete: bool = True
    faults: list[str] = field(default_factory=list)


def columns_of(register: sqlite3.Connection) -> Tables:
    """The columns of the tables that a register of this version has."""
    tables: dict[str, list[Column]] = {}
    for table in TABLES:
        for _, name, kind, required, _, key in register.execute(f"PRAGMA table_info({table})"):
            column = Column(name, _KINDS[kind], not required and not key, bool(key))
            tables.setdefault(table, []).append(column)
    return tables


def salvage(database: Path, noted: int, tables: Tables, work: sqlite3.Connection) -> Salvage:
    """Gathers what can be read.

    Args:
        database: A copy of the register, with its log beside it; SQLite changes both.
        noted: The revision that was acknowledged; see `revision_note`.
        tables: See `columns_of`.
        work: An empty database.
    """
    found = Salvage(work)
    log = database.with_name(f"{database.name}-wal")
    # Read before SQLite empties the log.
    pages = read_pages(database, log)
    for table, columns in tables.items():
        work.execute(f"CREATE TABLE {table} ({', '.join(column.name for column in columns)})")
    if pages.broken:
        found.faults.append(f"{pages.broken} pages in the write-ahead log are damaged")
    if not database.exists():
        found.faults.append("it is missing")
    else:
        found.faults += _by_sqlite(database, tables, work)
    if work.execute("SELECT 1 FROM objects GROUP BY unit, data_id HAVING count(*) > 1").fetchone():
        found.faults.append("there are two rows for one object")
    revision = work.execute("SELECT max(revision) FROM meta").fetchone()[0]
    if not found.faults and (revision is None or revision < noted):
        found.faults.append(f"it is at revision {revision}, and {noted} was acknowledged")
    if found.faults:
        found.complete = False
        _by_page(pages.rows(), tables, work)
    for index in _INDEXES:
        work.execute(f"CREATE INDEX {index}")
    return found


def _by_sqlite(database: Path, tables: Tables, work: sqlite3.Connection) -> list[str]:
    faults: list[str] = []
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA cell_size_check=ON")
            for table, columns in tables.items():
                try:
                    _read_table(connection, table, columns, work)
                except (sqlite3.Error, ValueError, OverflowError) as error:
                    faults.append(f"{table}: {error}")
            found = rules.integrity(connection, full=True)
            faults += [fault for fault in found if not rules.is_of_an_index(fault)]
    except (sqlite3.Error, ValueError) as error:
        faults.append(str(error))
    return faults


def _read_table(
    connection: sqlite3.Connection, table: str, columns: Sequence[Column], work: sqlite3.Connection
) -> None:
    names = ", ".join(column.name for column in columns)
    insert = _insert(table, columns)
    damaged = 0
    for row in connection.execute(f"SELECT {names} FROM {table} NOT INDEXED"):  # noqa: S608  # names of our own
        if _fits(row, columns):
            work.execute(insert, row)  # all that comes before the damage
        else:
            damaged += 1
    if damaged:
        raise ValueError(f"{damaged} rows are damaged")


def _by_page(found: Any, tables: Tables, work: sqlite3.Connection) -> None:
    # Tables are told apart by how many columns they have, and of what kinds.
    by_width = {len(columns): table for table, columns in tables.items()}
    for row_id, row in found:
        table = by_width.get(len(row))
        if table is None:
            continue
        columns = tables[table]
        if columns[0].is_key:
            if row[0] is not None:
                continue
            row = (row_id, *row[1:])  # noqa: PLW2901  # the row id is the key, and is not stored twice
        if _fits(row, columns):
            work.execute(_insert(table, columns), row)


def _fits(row: Sequence[Any], columns: Sequence[Column]) -> bool:
    return all(
        column.nullable if value is None else isinstance(value, column.kind)
        for value, column in zip(row, columns, strict=True)
    )


def _insert(table: str, columns: Sequence[Column]) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  # names of our own
