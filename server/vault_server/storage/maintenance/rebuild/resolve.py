"""From rows and files that survived to what a new register holds.

Of an object the newest generation wins that is known of, by a row, by the feed, or by a file's name. Where the rows
are complete they are all there is, and other files are what commits left that never were. Otherwise a file that
no row is left of becomes an object again: an upload that was acknowledged comes back, and so may one that was under
way, or deleted, within what the register has lost.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from vault.errors import CorruptionError, InvalidArgumentError
from vault.store.limits import check_principal, check_unit
from vault.store.progress import Meter
from vault.store.values import ChangeKind

from vault_server.storage.clock import wall_clock
from vault_server.storage.decision.rows import (
    CHANGE_COLUMNS,
    INFO_COLUMNS,
    RETIRED_COLUMNS,
    Row,
    pack_checksums,
    signed,
    to_info,
)
from vault_server.storage.decision.writes import NOTHING, Content
from vault_server.storage.maintenance.rebuild.contents import IMPLAUSIBLE, Contents, Key, Left
from vault_server.storage.maintenance.rebuild.salvage import Salvage
from vault_server.storage.maintenance.report import Problem, ProblemKind, Repair
from vault_server.storage.maintenance.rules import RULES

MARGIN: Final = 1_000_000
"""Revisions left out after the highest that is known of: as many commits may have left no trace, and no generation
may come to stand for two contents, or caches would be wrong."""

_DAY: Final = 86_400_000_000
_OBJECT: Final = ", ".join(Row._fields)
_OWNER: Final = "coalesce((SELECT w.principal FROM changes w WHERE w.revision = c.generation), '')"
_OF_CHANGE: Final = ", ".join((*INFO_COLUMNS, _OWNER, "generation"))
"""What a change says of an object is its row: its bytes have its generation's number, and are charged to whoever
wrote them."""


class LastChange(NamedTuple):
    """The last change that the feed knows of an object. `row` is None where what it says of it cannot be read."""

    revision: int
    kind: int
    row: Row | None


def newest_row(own: Row | None, last: LastChange | None) -> tuple[Row | None, int]:
    """The row of an object with this one and this last change; and, where it has none, when it was deleted, or 0."""
    if last is None or (own is not None and own.revision >= last.revision):
        return own, 0
    if last.kind == ChangeKind.DELETED.value:
        return None, last.revision
    return last.row or own, 0


def newer_files(files: Iterable[Left], row: Row | None, deleted_at: int) -> list[str]:
    """The files that may be of a generation which no row or change tells of, the newest first."""
    known = row.generation if row is not None else deleted_at
    newer = [
        left
        for left in files
        # Of the plain name nothing is known but that it is of an object that once was new.
        if known < left.generation < IMPLAUSIBLE or (left.generation == 0 and known == 0)
    ]
    return [left.file for left in sorted(newer, reverse=True)]


@dataclass(slots=True)
class Resolution:
    """What was done, what is lost, and the revision that the new register is at."""

    revision: int = 0
    repairs: list[Repair] = field(default_factory=list)
    lost: list[Problem] = field(default_factory=list)


class Resolver:
    """Fills a new register, in the caller's transaction.

    Args:
        root: The store's directory.
        salvaged: What could be read of the old register.
        noted: The revision that was acknowledged; see `revision_note`.
        register: The new one, empty.
        meter: Told of the bytes that have to be read.
    """

    def __init__(self, root: Path, salvaged: Salvage, noted: int, register: sqlite3.Connection, meter: Meter) -> None:
        self._work = salvaged.work
        self._complete = salvaged.complete
        self._register = register
        self._contents = Contents(root, salvaged, register, meter)
        if not self._complete:
            meter.size(self._contents.size)
        self._known = max(noted, self._contents.newest, *self._revisions())
        self._outcome = Resolution(self._known + MARGIN)
        self._names: set[tuple[str, str]] = set()
        self._from_rows = self._from_files = 0

    def run(self) -> Resolution:
        if not self._complete:
            self._drop_damaged_ids()
        for key in dict.fromkeys(self._keys()):
            if key.is_valid:
                self._settle(key)
        self._keep_retired()
        self._keep_changes()
        self._finish_meta()
        kept = f"{self._from_rows} objects from its rows, {self._from_files} from files alone"
        made = f"the register is made anew: {kept}; it goes on at revision {self._outcome.revision}"
        self._outcome.repairs.insert(0, Repair(made))
        self._tell_unknown()
        return self._outcome

    def _revisions(self) -> Iterator[int]:
        for table, column in (
            ("meta", "revision"),
            ("objects", "revision"),
            ("objects", "generation"),
            ("changes", "revision"),
            ("retired", "retired_by"),
        ):
            query = f"SELECT max({column}) FROM {table} WHERE {column} < ?"  # noqa: S608  # names from above
            yield self._work.execute(query, (IMPLAUSIBLE,)).fetchone()[0] or 0

    def _keys(self) -> Iterator[Key]:
        """Every object that a row, the feed or a file's name knows of; the newest rows first, for their names."""
        yield from map(Key._make, self._work.execute("SELECT unit, data_id FROM objects ORDER BY revision DESC"))
        if not self._complete:
            yield from map(Key._make, self._work.execute("SELECT DISTINCT unit, data_id FROM changes"))
            yield from list(self._contents.files)

    def _drop_damaged_ids(self) -> None:
        """Takes out rows, or changes, whose id is damaged: of one revision they name two objects.

        It is that by whose damage alone all that is there can be explained; where either may be it, both stay.
        """
        disputed = self._work.execute(
            "SELECT o.rowid, c.rowid, o.revision, o.unit, o.data_id, c.unit, c.data_id FROM objects o "
            "JOIN changes c ON c.revision = o.revision WHERE o.unit <> c.unit OR o.data_id <> c.data_id"
        ).fetchall()
        for row, change, revision, *ids in disputed:
            by_row, by_change = ids[:2], ids[2:]
            has_row_elsewhere = self._find("objects", by_row, "<>", revision)
            last_elsewhere = self._find("changes", by_row, "<>", revision)
            damaged = None
            if has_row_elsewhere or self._find("objects", by_change, "=", revision):
                damaged = "objects" if has_row_elsewhere or last_elsewhere else None
            elif self._find("objects", by_change, "<>", revision):
                damaged = "changes"
            elif last_elsewhere is not None:
                ended = last_elsewhere[0] > revision or last_elsewhere[1] == ChangeKind.DELETED.value
                damaged = "objects" if ended else "changes"
            if damaged is not None:
                number = row if damaged == "objects" else change
                self._work.execute(f"DELETE FROM {damaged} WHERE rowid = ?", (number,))  # noqa: S608  # one of two

    def _find(self, table: str, by: list[Any], relation: str, revision: int) -> tuple[int, int] | None:
        """Revision and kind of the newest row or change of an object that is of this revision, or of any other."""
        kind = "kind" if table == "changes" else "0"
        found: tuple[int, int] | None = self._work.execute(
            f"SELECT revision, {kind} FROM {table} WHERE unit = ? AND data_id = ? AND revision {relation} ? "  # noqa: S608  # names
            "ORDER BY revision DESC",
            (*by, revision),
        ).fetchone()
        return found

    def _settle(self, key: Key) -> None:
        """Brings in what an object is by now, if it is."""
        row = self._row(key)
        if not self._complete:
            row, deleted_at = newest_row(row, self._last_change(key))
            for file in newer_files(self._contents.files.get(key, ()), row, deleted_at):
                if not self._contents.is_known(file, row):
                    self._bring_in_file(key, file, row)
                    return
        if row is not None:
            self._from_rows += 1
            found = self._contents.find(row)
            if found is NOTHING:
                detail = "its bytes were in the register alone, and are lost"
                self._outcome.lost.append(Problem(ProblemKind.LOST_OBJECT, detail, *key))
            self._insert(row, found)

    def _row(self, key: Key) -> Row | None:
        found = self._work.execute(
            f"SELECT {_OBJECT} FROM objects WHERE unit = ? AND data_id = ? ORDER BY revision DESC, generation DESC",  # noqa: S608  # names of columns
            key,
        ).fetchall()
        return next((row for row in map(Row._make, found) if _is_sound(row)), None)

    def _last_change(self, key: Key) -> LastChange | None:
        found = self._work.execute(
            f"SELECT kind, {_OF_CHANGE} FROM changes c WHERE unit = ? AND data_id = ? "  # noqa: S608  # names of columns
            "AND revision < ? AND kind BETWEEN 1 AND 4 ORDER BY revision DESC",
            (*key, IMPLAUSIBLE),
        ).fetchone()
        if found is None:
            return None
        row = Row._make(found[1:])
        return LastChange(row.revision, found[0], row if _is_sound(row) else None)

    def _bring_in_file(self, key: Key, file: str, former: Row | None) -> None:
        measured = self._contents.measure(file)
        self._outcome.revision += 1
        revision = self._outcome.revision  # the number in its name may be another generation's, which a cache may have
        written = max(measured.modified, 0)
        content = Content(measured.size, measured.checksum, pack_checksums(measured.blocks), None, file)
        known = former or Row(*key, 0, 0, 0, 0, "", None, None, written, 0, 0)
        row = known._replace(
            generation=revision,
            revision=revision,
            size=content.size,
            checksum=signed(content.checksum),
            created_at=min(known.created_at, written),
            updated_at=written,
            written_at=written,
            content=revision,
        )
        self._insert(row, content)
        self._from_files += 1
        kept = "name, tags and datatype are its older row's" if former else "its name, tags and datatype are not known"
        self._outcome.repairs.append(Repair(f"an object again, from {file}; {kept}", *key))

    def _insert(self, row: Row, found: Content) -> None:
        if row.name is not None and (row.unit, row.name) in self._names:
            detail = f"its name, {row.name!r}, belongs to another object by now"
            self._outcome.repairs.append(Repair(detail, row.unit, row.data_id))
            row = row._replace(name=None)
        if row.name is not None:
            self._names.add((row.unit, row.name))
        if not self._contents.insert(row, found):
            self._outcome.revision += 1
            self._contents.insert(row._replace(content=self._outcome.revision), found)

    def _keep_retired(self) -> None:
        columns = ", ".join((*INFO_COLUMNS, "'' AS principal", "content", *RETIRED_COLUMNS))
        for found in self._work.execute(f"SELECT {columns} FROM retired").fetchall():  # noqa: S608  # names of columns
            row, kept = Row._make(found[: len(Row._fields)]), found[len(Row._fields) :]
            if Key(row.unit, row.data_id).is_valid and _is_sound(row) and self._contents.keep(row):
                self._register.execute(_insert("retired", RETIRED_COLUMNS), kept)

    def _keep_changes(self) -> None:
        """For retries that are still on their way; below the floor nobody follows them."""
        found = self._work.execute(
            f"SELECT {', '.join(CHANGE_COLUMNS)} FROM changes WHERE revision BETWEEN 1 AND ? ORDER BY revision DESC",  # noqa: S608  # names
            (self._known,),
        )
        self._register.executemany(_insert("changes", CHANGE_COLUMNS), found)

    def _finish_meta(self) -> None:
        now = wall_clock()
        clock = self._work.execute("SELECT max(clock) FROM meta WHERE clock < ?", (now + _DAY,)).fetchone()[0] or 0
        revision = self._outcome.revision
        meta = revision, revision, max(clock, now)
        self._register.execute("UPDATE meta SET revision = ?, feed_floor = ?, clock = ?", meta)
        store_id = self._work.execute("SELECT store_id FROM meta WHERE length(store_id) = 32").fetchone()
        if store_id is not None:
            self._register.execute("UPDATE meta SET store_id = ?", store_id)
        self._restore_limits()
        for rule in RULES:
            rule.apply(self._register)
        self._register.execute("UPDATE units SET revision = ?", (revision,))

    def _restore_limits(self) -> None:
        """Of units without an object, too, and of principals without one."""
        known = self._work.execute(
            "SELECT unit, max_objects, max_bytes, when_full FROM units "
            "WHERE max_objects IS NOT NULL OR max_bytes IS NOT NULL ORDER BY revision"
        )
        for unit, *limits in known.fetchall():
            with contextlib.suppress(InvalidArgumentError):  # what was salvaged may be anything
                check_unit(unit)
                self._register.execute(_LIMIT, (unit, *limits))
        of_principals = self._work.execute(
            "SELECT principal, max_objects, max_bytes FROM principals "
            "WHERE max_objects IS NOT NULL OR max_bytes IS NOT NULL ORDER BY rowid"
        )
        for principal, *limits in of_principals.fetchall():
            with contextlib.suppress(InvalidArgumentError):
                check_principal(principal)
                self._register.execute(_LIMIT_OF, (principal, *limits))

    def _tell_unknown(self) -> None:
        """What cannot even be named: revisions of which nothing is left."""
        if self._complete:
            return
        (count, first) = self._register.execute(
            "SELECT count(*), min(revision) FROM changes WHERE revision <= ?", (self._known,)
        ).fetchone()
        missing = self._known - (first or self._known + 1) + 1 - count if count else self._known
        if missing > 0:
            detail = (
                f"of {missing} of the {self._known} revisions nothing is left in the feed: objects that were in the "
                "register alone and were written by them may be lost, and deleted ones may be back"
            )
            self._outcome.lost.append(Problem(ProblemKind.LOST_OBJECT, detail))


def _is_sound(row: Row) -> bool:
    try:
        to_info(row)
    except CorruptionError:
        return False
    return row.revision < IMPLAUSIBLE


_LIMIT: Final = (
    "INSERT INTO units (unit, objects, bytes, revision, max_objects, max_bytes, when_full) "
    "VALUES (?, 0, 0, 0, ?, ?, ?) "
    "ON CONFLICT (unit) DO UPDATE SET max_objects = excluded.max_objects, max_bytes = excluded.max_bytes, "
    "when_full = excluded.when_full"
)

# Of several rows what SQLite could read came first.
_LIMIT_OF: Final = (
    "INSERT INTO principals (principal, objects, bytes, max_objects, max_bytes) VALUES (?, 0, 0, ?, ?) "
    "ON CONFLICT (principal) DO NOTHING"
)


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
