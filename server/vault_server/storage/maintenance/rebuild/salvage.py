"""What can still be read of a damaged register, gathered in a database of its own to choose from.

SQLite reads whole what it can. Where it cannot, or where its log has lost changes, every page is read by itself
(`pages`), which may bring up rows that were deleted or replaced, too: choosing among them is `resolve`'s.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vault_server.storage.maintenance import rules
from vault_server.storage.maintenance.rebuild.pages import Pages

_TABLES: Final = ("meta", "objects", "contents", "changes", "retired", "units", "principals")
"""Those that cannot be made of the others; of `units` and `principals` that is the limits."""

_INDEXES: Final = (
    "objects_by_id ON objects (unit, data_id)",
    "changes_by_id ON changes (unit, data_id)",
    "changes_by_revision ON changes (revision)",
    "contents_by_number ON contents (number)",
    "contents_by_file ON contents (file)",
    "retired_by_content ON retired (content)",
)
_KEY: Final = "INTEGER PRIMARY KEY"


@dataclass(slots=True)
class Salvage:
    """Rows in `work`, in tables with the register's names and columns, where nothing is unique.

    Attributes:
        complete: Everything that was committed is there, and nothing else.
        faults: What stood in the way, for people.
    """

    work: sqlite3.Connection
    complete: bool = True
    faults: list[str] = field(default_factory=list)


def salvage(database: Path, noted: int, register: sqlite3.Connection, work: sqlite3.Connection) -> Salvage:
    """Gathers what can be read.

    Args:
        database: A copy of the register, with its log beside it, as far as they are there; SQLite changes both.
        noted: The revision that was acknowledged; see `revision_note`.
        register: One of this version.
        work: An empty database.
    """
    found = Salvage(work)
    log = database.with_name(f"{database.name}-wal")
    # Read before SQLite empties the log.
    pages = Pages(*(path.read_bytes() if path.exists() else b"" for path in (database, log)))
    if pages.broken:
        found.faults.append(f"{pages.broken} pages in the write-ahead log are damaged")
    tables = {name: _Table(name, register, work) for name in _TABLES}
    if not database.exists():
        found.faults.append("it is missing")
    else:
        found.faults += _by_sqlite(database, tables.values())
    if work.execute("SELECT 1 FROM objects GROUP BY unit, data_id HAVING count(*) > 1").fetchone():
        found.faults.append("there are two rows for one object")
    revision = work.execute("SELECT max(revision) FROM meta").fetchone()[0]
    if not found.faults and (revision is None or revision < noted):
        found.faults.append(f"it is at revision {revision}, and {noted} was acknowledged")
    if found.faults:
        found.complete = False
        # Tables are told apart by how many columns they have, and of what kinds.
        by_width = {table.width: table for table in tables.values()}
        for row_id, row in pages.rows():
            table = by_width.get(len(row))
            if table is not None and table.is_keyed:
                if row[0] is None:  # the row id is the key, and is not stored twice
                    table.insert((row_id, *row[1:]))
            elif table is not None:
                table.insert(row)
    for index in _INDEXES:
        work.execute(f"CREATE INDEX {index}")
    return found


class _Table:
    """A table of `work`: it takes what the register's would, but for its constraints on several rows."""

    def __init__(self, name: str, register: sqlite3.Connection, work: sqlite3.Connection) -> None:
        (made,) = register.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
        work.execute(made.replace(_KEY, "INTEGER NOT NULL"))
        self.name = name
        self.is_keyed = _KEY in made
        self.width = len(work.execute(f"SELECT * FROM {name}").description)  # noqa: S608  # a name from above
        self._work = work
        self._insert = f"INSERT INTO {name} VALUES ({', '.join('?' * self.width)})"  # noqa: S608  # likewise

    def insert(self, row: tuple[Any, ...]) -> bool:
        """Whether its columns are of the kinds that they should be."""
        try:
            self._work.execute(self._insert, row)
        except sqlite3.IntegrityError:
            return False
        return True


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone() is not None


def _by_sqlite(database: Path, tables: Iterable[_Table]) -> list[str]:
    faults: list[str] = []
    try:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA cell_size_check=ON")
            for table in tables:
                if table.name == "principals" and not _has(connection, table.name):
                    continue  # it was made before there were any
                damaged = 0
                try:
                    for row in connection.execute(f"SELECT * FROM {table.name} NOT INDEXED"):  # noqa: S608  # likewise
                        damaged += not table.insert(row)
                except (sqlite3.Error, ValueError, OverflowError) as error:  # what comes before the damage is there
                    faults.append(f"{table.name}: {error}")
                if damaged:
                    faults.append(f"{table.name}: {damaged} rows are damaged")
            faults += [each for each in rules.integrity(connection, full=True) if not rules.is_of_an_index(each)]
    except (sqlite3.Error, ValueError) as error:
        faults.append(str(error))
    return faults
