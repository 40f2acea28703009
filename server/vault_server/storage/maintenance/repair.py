"""Mending a store while it is in use. What is referenced is never touched, and no object's loss is papered over.

Everything happens in write transactions, in which nobody else writes and no file is between its naming and the
commit of its row. Files and bytes that nothing refers to are put aside in `.lost`, not deleted: what the register
does not know of may still be what somebody looks for. An object whose bytes are missing or damaged keeps its row:
reading it raises CorruptionError, and the audit goes on telling.
"""

import contextlib
import errno
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from vault._runtime.fsync import sync
from vault.errors import CorruptionError, StorageError

from vault_server.storage.commit.collection import SETTLING_COMMITS
from vault_server.storage.decision.rows import INFO_COLUMNS, Row, pack_checksums, pack_tags, to_info
from vault_server.storage.decision.writes import NOTHING, Content
from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.blobs import blob_id, folder_unit, measure, sync_folder, unit_folder
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.index.objects import is_file_of
from vault_server.storage.index.restoring import insert_contents
from vault_server.storage.maintenance import rules
from vault_server.storage.maintenance.audit import unknown_files, unreferenced
from vault_server.storage.maintenance.report import Repair

_log = logging.getLogger(__name__)

LOST: Final = ".lost"
"""The folder of what was put aside, or, on another file system, one in the unit's folder. No unit's name begins with
a dot."""

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]


def repair(engine: Engine) -> list[Repair]:
    """Mends what can be mended without a rebuild. What cannot is left to the audit to tell of.

    Several processes may do this at the same time, while others read and write.
    """
    # What a commit that failed has left may come back until another one was written over it; see `collection`.
    for _ in range(SETTLING_COMMITS):
        _run(engine, lambda connection: connection.execute("UPDATE meta SET revision = revision"))
    done = _run(engine, _mend_indexes)
    # Where rows cannot be reached, what seems to be nobody's may be somebody's: that is for a rebuild to tell.
    if done is not None:
        for job in _jobs(engine):
            done += _run(engine, job) or []
    for each in done or []:
        _log.info("repaired: %s", each.detail, extra={"unit": each.unit, "data_id": each.data_id})
    return done or []


def _jobs(engine: Engine) -> Iterator[Job[list[Repair]]]:
    yield _mend_tags
    for rule in rules.RULES:
        yield rule.apply
    yield partial(_find_contents, root=engine.directory.root)
    yield partial(_put_contents_aside, directory=engine.directory)
    if suspects := unreferenced(engine):
        yield partial(_put_files_aside, directory=engine.directory, suspects=suspects)


def _run(engine: Engine, job: Job[T]) -> T | None:
    """The job's result; None when the register's damage does not let it be done."""
    try:
        return engine.writer.submit(job).result()
    except (StorageError, UnicodeDecodeError) as error:
        if isinstance(error, StorageError) and not isinstance(error.__cause__, sqlite3.DatabaseError):
            raise
        _log.warning("a repair is not possible: %s", error)
        return None


def _mend_indexes(connection: sqlite3.Connection) -> list[Repair]:
    """Rebuilds indexes that disagree with their tables."""
    faults = rules.integrity(connection, full=True)
    if not faults:
        return []
    # Where a row's key differs from what the feed says of it, and the index agrees with the feed, it is the row
    # that is damaged. To be asked before REINDEX makes the damage look sound.
    outvoted = connection.execute(
        "SELECT c.unit, c.data_id, c.name, o.number FROM objects o NOT INDEXED "
        "JOIN changes c NOT INDEXED ON c.revision = o.revision AND c.generation = o.generation "
        "WHERE ((o.unit <> c.unit OR o.data_id <> c.data_id) AND o.number = "
        "(SELECT i.number FROM objects i INDEXED BY objects_by_id WHERE i.unit = c.unit AND i.data_id = c.data_id)) "
        "OR (o.name <> c.name AND o.number = "
        "(SELECT i.number FROM objects i INDEXED BY objects_by_name WHERE i.unit = c.unit AND i.name = c.name))"
    ).fetchall()
    connection.execute("REINDEX")
    connection.executemany("UPDATE objects SET unit = ?, data_id = ?, name = ? WHERE number = ?", outvoted)
    if rules.integrity(connection, full=True):
        message = "indexes were made anew, and the register is still not sound"
        raise StorageError(message, reason="REGISTER_DAMAGED") from sqlite3.DatabaseError(faults[0])
    done = [Repair("its damaged row is as the index and the feed have it", row[0], row[1]) for row in outvoted]
    return [Repair(f"indexes are made anew: {faults[0]}{' …' if faults[1:] else ''}"), *done]


def _mend_tags(connection: sqlite3.Connection) -> list[Repair]:
    """Gives rows whose tags cannot be read those that the feed, or else the search, still has."""
    done = []
    of_change = "SELECT tags FROM changes WHERE (revision, unit, data_id) = (?, ?, ?)"
    of_search = "SELECT key, value FROM tags WHERE (unit, data_id) = (?, ?)"
    for table in ("objects", "retired"):
        damaged = f"SELECT rowid, revision, unit, data_id FROM {table} NOT INDEXED WHERE {rules.UNREADABLE_TAGS}"  # noqa: S608
        for number, revision, *key in connection.execute(damaged).fetchall():
            known = connection.execute(f"{of_change} AND NOT {rules.UNREADABLE_CHANGE}", (revision, *key)).fetchone()
            searchable = dict(connection.execute(of_search, key) if table == "objects" else ())
            tags = known[0] if known else pack_tags(searchable)
            connection.execute(f"UPDATE {table} SET tags = ? WHERE rowid = ?", (tags, number))  # noqa: S608
            where = "as the feed has them" if known else "those that it is found by" if searchable else "lost"
            done.append(Repair(f"its tags, which were damaged, are {where}", *key))
    return done


def _find_contents(connection: sqlite3.Connection, root: Path) -> list[Repair]:
    """Gives generations without contents their file back, or what says that their bytes are missing."""
    info = ", ".join(INFO_COLUMNS)
    found = connection.execute(
        f"SELECT {info}, '', content FROM objects NOT INDEXED WHERE content NOT IN (SELECT number FROM contents) "  # noqa: S608  # names of columns
        f"UNION ALL SELECT {info}, '', content FROM retired WHERE content NOT IN (SELECT number FROM contents)"
    ).fetchall()
    done = []
    for row in map(Row._make, found):
        content = _content_in_files(row, root, partial(unknown_files, connection))
        insert_contents(connection, row, content)
        missing = "reading it says that its bytes are missing, rather than that there is no such object"
        detail = f"its bytes are found again, in {content.file}" if content.file else missing
        done.append(Repair(detail, row.unit, row.data_id))
    return done


def _content_in_files(row: Row, root: Path, unknown: Callable[[list[str]], list[str]]) -> Content:
    """A generation's content, when a file that belongs to nothing has it; NOTHING otherwise.

    Args:
        unknown: Those of some files that belong to nothing.
    """
    with contextlib.suppress(CorruptionError):
        info = to_info(row)
        paths = sorted((root / unit_folder(row.unit)).glob(f"{row.data_id}.*vault"))
        for file in unknown([f"{path.parent.name}/{path.name}" for path in paths if path.is_file()]):
            if is_file_of(info, file) and (root / file).stat().st_size == row.size:
                measured = measure(root / file)
                if measured.checksum == info.checksum:
                    return Content(row.size, info.checksum, pack_checksums(measured.blocks), None, file)
    return NOTHING


def _put_contents_aside(connection: sqlite3.Connection, directory: StoreDirectory) -> list[Repair]:
    """Takes away contents of nothing; bytes among them are put aside."""
    found = connection.execute(
        f"SELECT number, file, data FROM contents NOT INDEXED WHERE {rules.UNOWNED_CONTENTS}"  # noqa: S608  # a constant
    ).fetchall()
    done = []
    for number, file, data in found:
        where = f"its file, {file}, is put aside next" if file is not None else "it has no bytes"
        if data is not None:
            target = _lost_name(directory, LOST, f"contents-{number}.bin")
            with os.fdopen(directory.access.create(target, os.O_WRONLY), "wb") as lost:
                lost.write(data)
                lost.flush()
                sync(lost.fileno())
            sync_folder(target.parent)
            where = f"its bytes are put aside as {target.relative_to(directory.root)}"
        connection.execute("DELETE FROM contents WHERE number = ?", (number,))
        done.append(Repair(f"contents of no object, number {number}, are taken out of the register; {where}"))
    return done


def _put_files_aside(
    connection: sqlite3.Connection, directory: StoreDirectory, suspects: Iterable[str]
) -> list[Repair]:
    root = directory.root
    done = []
    touched: set[Path] = set()
    for file in unknown_files(connection, [file for file in suspects if (root / file).is_file()]):
        folder, name = file.split("/")
        target = _lost_name(directory, f"{LOST}/{folder}", name)
        try:
            (root / file).rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            target = _lost_name(directory, f"{folder}/{LOST}", name)  # on its own file system
            (root / file).rename(target)
        touched |= {root / folder, target.parent}
        detail = f"{file} belongs to no object, and is now {target.relative_to(root)}"
        done.append(Repair(detail, folder_unit(folder), blob_id(name)))
    for each in touched:
        sync_folder(each)
    return done


def _lost_name(directory: StoreDirectory, where: str, name: str) -> Path:
    """A free name in `.lost` or a folder of it, which is made."""
    folder = directory.root / where
    for each in (folder.parent, folder):
        if not each.exists():
            directory.access.make_folder(each, exist_ok=True)
            sync_folder(each.parent)
    return folder / f"{name}.{time.time_ns()}"
