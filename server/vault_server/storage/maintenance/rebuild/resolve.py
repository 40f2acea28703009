"""From rows and files that survived to what a new register holds.

Of an object the newest generation wins that is known of, by a row, by the feed, or by a file's name. Where the rows
are complete they are all there is, and other files are what commits left that never were. Otherwise a file that
no row is left of becomes an object again: an upload that was acknowledged comes back, and so may one that was under
way, or deleted, within what the register has lost.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vault.errors import CorruptionError
from vault.store.progress import Meter
from vault.store.values import ChangeKind, ObjectInfo, checksum

from vault_server.storage.commit.commands import insert_object
from vault_server.storage.files.blobs import blob_files, blob_generation, blob_id, folder_unit
from vault_server.storage.files.measure import Measured, measure
from vault_server.storage.index.objects import INFO_COLUMNS, is_file_of, pack_checksums, to_info, to_time
from vault_server.storage.maintenance.rebuild.fate import Fate, Key, is_key, told_by
from vault_server.storage.maintenance.rebuild.salvage import Salvage, Tables
from vault_server.storage.maintenance.report import Problem, ProblemKind, Repair
from vault_server.storage.os_errors import storing

MARGIN: Final = 1_000_000
"""Revisions left out after the highest that is known of: as many commits may have left no trace, and no generation
may come to stand for two contents, or caches would be wrong."""

_IMPLAUSIBLE: Final = 1 << 53
"""No store comes to such a revision; a damaged row does."""

_COLUMNS: Final = INFO_COLUMNS.replace("o.", "")


@dataclass(slots=True)
class Resolution:
    """What was done, what is lost, and the revision that the new register is at."""

    revision: int = 0
    repairs: list[Repair] = field(default_factory=list)
    lost: list[Problem] = field(default_factory=list)


def resolve(
    root: Path, salvaged: Salvage, noted: int, tables: Tables, register: sqlite3.Connection, meter: Meter
) -> Resolution:
    """Fills a new register, in the caller's transaction.

    Args:
        root: The store's directory.
        salvaged: What could be read of the old register.
        noted: The revision that was acknowledged; see `revision_note`.
        tables: Of the new register.
        register: The new one, empty.
        meter: Told of the bytes that have to be read.
    """
    return _Resolver(root, salvaged, noted, register, meter).run(tables)


class _Resolver:
    def __init__(self, root: Path, salvaged: Salvage, noted: int, register: sqlite3.Connection, meter: Meter) -> None:
        self._root = root
        self._work = salvaged.work
        self._complete = salvaged.complete
        self._register = register
        self._meter = meter
        self._files: dict[Key, list[str]] = defaultdict(list)
        self._names: set[tuple[str, str]] = set()
        self._outcome = Resolution()
        self._look_through_files()
        self._known = self._highest(noted)
        self._outcome.revision = self._known + MARGIN
        self._tally = {"kept": 0, "from files": 0}

    def run(self, tables: Tables) -> Resolution:
        done: set[Key] = set()
        for key in self._keys():
            if key not in done:
                done.add(key)
                self._decide(key)
        if "retired" in tables:
            self._keep_retired(len(tables["retired"]))
        # For retries that are still on their way; below the floor nobody follows them.
        self._register.execute("DELETE FROM changes")
        for row in self._work.execute("SELECT * FROM changes ORDER BY revision DESC"):
            if self._is_change(row):
                self._register.execute("INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        store_id = self._work.execute("SELECT store_id FROM meta WHERE length(store_id) = 32").fetchone()
        revision = self._outcome.revision
        self._register.execute("UPDATE meta SET revision = ?, feed_floor = ?", (revision, revision))
        if store_id is not None:
            self._register.execute("UPDATE meta SET store_id = ?", store_id)
        kept = f"{self._tally['kept']} objects from its rows, {self._tally['from files']} from files alone"
        self._outcome.repairs.insert(0, Repair(f"the register is made anew: {kept}; it goes on at revision {revision}"))
        self._tell_unknown()
        return self._outcome

    def _look_through_files(self) -> None:
        size = 0
        with storing("look through the store's directory"):
            for files in blob_files(self._root):
                for file in files:
                    folder, name = file.split("/")
                    data_id = blob_id(name)
                    if data_id is not None:
                        self._files[Key(folder_unit(folder), data_id)].append(file)
                        size += (self._root / file).stat().st_size
        if not self._complete:
            self._meter.size(size)

    def _highest(self, noted: int) -> int:
        highest = noted
        for table, column in (
            ("meta", "revision"),
            ("objects", "revision"),
            ("objects", "generation"),
            ("changes", "revision"),
            ("retired", "generation"),
        ):
            if self._has(table):
                query = f"SELECT max({column}) FROM {table} WHERE {column} < ?"  # noqa: S608  # names from above
                highest = max(highest, self._work.execute(query, (_IMPLAUSIBLE,)).fetchone()[0] or 0)
        for files in self._files.values():
            generations = [blob_generation(file) or 0 for file in files]
            highest = max([highest, *(number for number in generations if number < _IMPLAUSIBLE)])
        return highest

    def _has(self, table: str) -> bool:
        found = self._work.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        return found is not None

    def _keys(self) -> Iterator[Key]:
        """Every object that a row, the feed or a file's name knows of; the newest rows first, for their names."""
        self._work.execute("CREATE INDEX objects_by_id ON objects (unit, data_id)")
        self._work.execute("CREATE INDEX changes_by_id ON changes (unit, data_id)")
        for unit, data_id in self._work.execute("SELECT unit, data_id FROM objects ORDER BY revision DESC"):
            yield Key(unit, data_id)
        if not self._complete:
            for unit, data_id in self._work.execute("SELECT DISTINCT unit, data_id FROM changes"):
                yield Key(unit, data_id)
            yield from list(self._files)

    def _decide(self, key: Key) -> None:
        if not is_key(key):
            return
        row = self._row(key)
        fate = None if self._complete else self._fate(key)
        if row is not None and fate is not None and fate.revision > row[0].revision:
            if fate.kind == ChangeKind.DELETED.value:
                row = None
            elif (told := told_by(key, fate)) is not None:
                # The feed has the object as it was then; its row is older.
                row = told, self._number_of(fate)
        if row is None and fate is not None and fate.kind != ChangeKind.DELETED.value:
            told = told_by(key, fate)
            row = (told, self._number_of(fate)) if told is not None else None
        deleted_at = fate.revision if fate is not None and fate.kind == ChangeKind.DELETED.value else 0
        file = None if self._complete else self._newer_file(key, row, deleted_at)
        if file is not None:
            self._from_file(key, file, row[0] if row else None)
        elif row is not None:
            self._from_row(*row)

    def _row(self, key: Key) -> tuple[ObjectInfo, int | None] | None:
        found = self._work.execute(
            f"SELECT {_COLUMNS}, number FROM objects WHERE unit = ? AND data_id = ? "  # noqa: S608  # names of columns
            "ORDER BY revision DESC, generation DESC",
            key,
        )
        for row in found:
            try:
                info = to_info(row)
            except CorruptionError:
                continue
            if info.revision < _IMPLAUSIBLE and not self._is_anothers(key, info):
                return info, row[11]
        return None

    def _is_anothers(self, key: Key, info: ObjectInfo) -> bool:
        """Whether a damaged id makes this row look like one of this object: the feed has it for another one."""
        query = "SELECT unit, data_id FROM changes WHERE revision = ?"
        said = self._work.execute(query, (info.revision,)).fetchone()
        if said is None or said == key:
            return False
        # Or it is the feed's id that is damaged; then nothing else is known of this object.
        for table in ("objects", "changes"):
            query = f"SELECT 1 FROM {table} WHERE unit = ? AND data_id = ? AND revision <> ?"  # noqa: S608  # as above
            if self._work.execute(query, (*key, info.revision)).fetchone():
                return True
        return False

    def _number_of(self, fate: Fate) -> int | None:
        """The number of the row that this change wrote, whatever else is left of it."""
        found = self._work.execute("SELECT number FROM objects WHERE revision = ?", (fate.revision,)).fetchone()
        return int(found[0]) if found else None

    def _fate(self, key: Key) -> Fate | None:
        found = self._work.execute(
            "SELECT revision, kind, generation, name, answer FROM changes WHERE unit = ? AND data_id = ? "
            "AND revision < ? AND kind BETWEEN 1 AND 4 ORDER BY revision DESC",
            (*key, _IMPLAUSIBLE),
        ).fetchone()
        return Fate(*found) if found else None

    def _newer_file(self, key: Key, row: tuple[ObjectInfo, int | None] | None, deleted_at: int) -> str | None:
        """The file of a generation that no row or change tells of.

        A file's number is its generation's, or the next that was free.
        """
        best: tuple[int, str] | None = None
        for file in self._files.get(key, ()):
            number = blob_generation(file) or 0
            newest = row[0].generation if row is not None else deleted_at
            # Of the plain name nothing is known but that it is of an object that once was new.
            newer = number > newest or (number == 0 and row is None and not deleted_at)
            if not newer or number >= _IMPLAUSIBLE or self._is_retired(key, file):
                continue
            if row is None or not self._is_own(file, *row):
                best = max(best or (0, file), (number, file))
        return best[1] if best else None

    def _is_own(self, file: str, info: ObjectInfo, number: int | None) -> bool:
        """Whether this is the file of the generation that the row is of."""
        query = "SELECT 1 FROM contents WHERE number = ? AND file = ?"
        if number is not None and self._work.execute(query, (number, file)).fetchone():
            return True
        if (self._root / file).stat().st_size != info.size:
            return False
        return self._measure(file).checksum == info.checksum

    def _is_retired(self, key: Key, file: str) -> bool:
        if not self._has("retired"):
            return False
        query = "SELECT 1 FROM retired WHERE unit = ? AND data_id = ? AND file = ?"
        return self._work.execute(query, (*key, file)).fetchone() is not None

    def _from_file(self, key: Key, file: str, former: ObjectInfo | None) -> None:
        measured = self._measure(file)
        self._outcome.revision += 1
        revision = self._outcome.revision
        written = to_time(max(measured.modified, 0))
        info = ObjectInfo(
            unit=key.unit,
            data_id=key.data_id,
            generation=revision,  # the number in its name may be another generation's, which a cache may have
            revision=revision,
            size=measured.size,
            checksum=measured.checksum,
            datatype=former.datatype if former else "",
            name=former.name if former else None,
            tags=former.tags if former else {},
            created_at=min(former.created_at, written) if former else written,
            updated_at=written,
        )
        self._insert(info, file, None, pack_checksums(measured.blocks))
        self._tally["from files"] += 1
        kept = "name, tags and datatype are its older row's" if former else "its name, tags and datatype are not known"
        self._outcome.repairs.append(Repair(f"an object again, from {file}; {kept}", key.unit, key.data_id))

    def _from_row(self, info: ObjectInfo, number: int | None) -> None:
        self._tally["kept"] += 1
        candidates = (
            []
            if number is None
            else self._work.execute(
                "SELECT DISTINCT file, data, blocks FROM contents WHERE number = ?", (number,)
            ).fetchall()
        )
        for file, data, blocks in candidates:
            if self._fits(info, file, data, blocks):
                self._insert(info, file, data, blocks)
                return
        # Its file may be there though nothing says so, and be known by the checksum of the whole.
        damaged = None
        for file in self._files.get(Key(info.unit, info.data_id), ()):
            if is_file_of(info, file):
                measured = self._measure(file)
                if (measured.size, measured.checksum) == (info.size, info.checksum):
                    self._insert(info, file, None, pack_checksums(measured.blocks))
                    return
                damaged = damaged or (file, measured)
        # It stays, as an object whose bytes are gone or damaged: reading it says so.
        for file, data, blocks in candidates:
            if len(blocks) == 8 * info.block_count and (file is None or is_file_of(info, file)):
                self._insert(info, file, data if file is None else None, blocks)
                return
        if damaged is not None:
            file, measured = damaged
            # Which of its blocks is not what was stored cannot be told, so none may pass for it.
            refused = [block ^ 1 for block in measured.blocks][: info.block_count]
            self._insert(info, file, None, pack_checksums(refused))
        else:
            self._insert(info, None, None, b"")
            detail = "its bytes were in the register alone, and are lost"
            self._outcome.lost.append(Problem(ProblemKind.LOST_OBJECT, detail, info.unit, info.data_id))

    def _fits(self, info: ObjectInfo, file: str | None, data: bytes | None, blocks: bytes) -> bool:
        """Whether these contents are this generation's; a damaged file's, whose blocks tell, are too."""
        if len(blocks) != 8 * info.block_count:
            return False
        if file is None:
            return data is not None and len(data) == info.size and checksum(data) == info.checksum
        if data is not None or not is_file_of(info, file) or not (self._root / file).is_file():
            return False
        if self._complete:
            return True
        measured = self._measure(file)
        return (measured.size, measured.checksum, pack_checksums(measured.blocks)) == (info.size, info.checksum, blocks)

    def _measure(self, file: str) -> Measured:
        with storing(f"read {file}"):
            return measure(self._root / file, self._meter)

    def _insert(self, info: ObjectInfo, file: str | None, data: bytes | None, blocks: bytes) -> None:
        if info.name is not None and (info.unit, info.name) in self._names:
            detail = f"its name, {info.name!r}, belongs to another object by now"
            self._outcome.repairs.append(Repair(detail, info.unit, info.data_id))
            info = replace(info, name=None)
        if info.name is not None:
            self._names.add((info.unit, info.name))
        insert_object(self._register, info, file=file, data=data, blocks=blocks)

    def _keep_retired(self, width: int) -> None:
        if not self._has("retired"):
            return
        seen: set[tuple[Any, ...]] = set()
        for row in self._work.execute("SELECT * FROM retired"):
            named = dict(zip(self._columns("retired"), row, strict=True))
            which = named["unit"], named["data_id"], named["generation"]
            file = named["file"]
            current = self._register.execute(
                "SELECT 1 FROM objects JOIN contents USING (number) "
                "WHERE (unit = ? AND data_id = ? AND generation = ?) OR file = ?",
                (*which, file),
            ).fetchone()
            there = (self._root / file).is_file() if file is not None else named["data"] is not None
            if which not in seen and current is None and there and is_key(Key(*which[:2])):
                seen.add(which)
                marks = ", ".join("?" * width)
                self._register.execute(f"INSERT OR IGNORE INTO retired VALUES ({marks})", row)  # noqa: S608

    def _columns(self, table: str) -> list[str]:
        return [name for _, name, *_ in self._work.execute(f"PRAGMA table_info({table})")]

    def _is_change(self, row: tuple[Any, ...]) -> bool:
        return bool(0 < row[0] <= self._known and 1 <= row[3] <= 4)

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
