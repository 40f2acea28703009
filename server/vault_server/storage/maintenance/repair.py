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
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from vault._runtime.fsync import sync
from vault.errors import CorruptionError, StorageError

from vault_server.storage.commit.collection import SETTLING_COMMITS
from vault_server.storage.commit.transaction import Transaction
from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.blobs import blob_id, folder_unit, sync_folder, unit_folder
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.files.measure import measure
from vault_server.storage.index.objects import INFO_COLUMNS, is_file_of, pack_checksums, to_info
from vault_server.storage.maintenance import row_checks
from vault_server.storage.maintenance.audit import known_files, unreferenced
from vault_server.storage.maintenance.report import Repair

_log = logging.getLogger(__name__)

LOST: Final = ".lost"
"""The folder of what was put aside, or, on another file system, one in the unit's folder. No unit's name begins with
a dot."""

T = TypeVar("T")


def repair(engine: Engine) -> list[Repair]:
    """Mends what can be mended without a rebuild. What cannot is left to the audit to tell of.

    Several processes may do this at the same time, while others read and write.
    """
    done: list[Repair] = []
    # What a commit that failed has left may come back until another one was written over it; see `collection`.
    for _ in range(SETTLING_COMMITS):
        _run(engine, lambda tx: tx.connection.execute("UPDATE meta SET revision = revision"))
    sound = _run(engine, _indexes)
    done += sound or []
    # Where rows cannot be reached, what seems to be nobody's may be somebody's: that is for a rebuild to tell.
    if sound is not None:
        for mend in (_revision, _contents, _orphans, _tags, _entries, _feed):
            done += _run(engine, lambda tx, mend=mend: mend(tx, engine.directory.root)) or []  # type: ignore[misc]
        suspects = unreferenced(engine)
        if suspects:
            done += _run(engine, lambda tx: _put_aside(tx, engine.directory.root, suspects)) or []
    for each in done:
        _log.info("repaired: %s", each.detail, extra={"unit": each.unit, "data_id": each.data_id})
    return done


def _run(engine: Engine, job: Callable[[Transaction], T]) -> T | None:
    """The job's result; None when the register's damage does not let it be done."""
    try:
        return engine.writer.submit(job).result()
    except (StorageError, UnicodeDecodeError) as error:
        if isinstance(error, StorageError) and not isinstance(error.__cause__, sqlite3.DatabaseError):
            raise
        _log.warning("a repair is not possible: %s", error)
        return None


def _indexes(tx: Transaction) -> list[Repair]:
    """Rebuilds indexes that disagree with their tables."""
    faults = row_checks.integrity(tx.connection, full=True)
    if not faults:
        return []
    # Where a row's key differs from what the feed says of it, and the index agrees with the feed, it is the row
    # that is damaged. To be asked before REINDEX makes the damage look sound.
    outvoted = tx.connection.execute(
        "SELECT o.number, c.unit, c.data_id, c.name FROM objects o NOT INDEXED "
        "JOIN changes c NOT INDEXED ON c.revision = o.revision "
        "WHERE (o.unit <> c.unit OR o.data_id <> c.data_id) AND c.generation = o.generation AND o.number = "
        "(SELECT i.number FROM objects i INDEXED BY objects_by_id WHERE i.unit = c.unit AND i.data_id = c.data_id)"
    ).fetchall()
    outvoted += tx.connection.execute(
        "SELECT o.number, c.unit, c.data_id, c.name FROM objects o NOT INDEXED "
        "JOIN changes c NOT INDEXED ON c.revision = o.revision "
        "WHERE o.unit = c.unit AND o.data_id = c.data_id AND o.name <> c.name AND o.number = "
        "(SELECT i.number FROM objects i INDEXED BY objects_by_name WHERE i.unit = c.unit AND i.name = c.name)"
    ).fetchall()
    tx.connection.execute("REINDEX")
    done = []
    for number, unit, data_id, name in outvoted:
        tx.connection.execute(
            "UPDATE objects SET unit = ?, data_id = ?, name = ? WHERE number = ?", (unit, data_id, name, number)
        )
        done.append(Repair("its damaged row is as the index and the feed have it", unit, data_id))
    if row_checks.integrity(tx.connection, full=True):
        message = "indexes were made anew, and the register is still not sound"
        raise StorageError(message, reason="REGISTER_DAMAGED") from sqlite3.DatabaseError(faults[0])
    return [Repair(f"indexes are made anew: {faults[0]}{' …' if faults[1:] else ''}"), *done]


def _revision(tx: Transaction, _root: Path) -> list[Repair]:
    """Brings the store's revision up to what its rows have."""
    (highest,) = tx.connection.execute(
        "SELECT max((SELECT coalesce(max(max(revision, generation)), 0) FROM objects), "
        "(SELECT coalesce(max(revision), 0) FROM changes))"
    ).fetchone()
    if highest <= tx.revision:
        return []
    done = [Repair(f"the store's revision is {highest}, that of its newest row, not {tx.revision}")]
    tx.connection.execute("UPDATE meta SET revision = ?", (highest,))
    tx.revision = highest
    return done


def _contents(tx: Transaction, root: Path) -> list[Repair]:
    """Gives objects without contents their file back, or what says that their bytes are missing."""
    found = tx.connection.execute(
        f"SELECT {INFO_COLUMNS}, o.number FROM objects o NOT INDEXED "  # noqa: S608  # only names of columns are put in
        "LEFT JOIN contents c ON c.number = o.number WHERE c.number IS NULL"
    ).fetchall()
    return [_reattach(tx, root, row) for row in found]


def _reattach(tx: Transaction, root: Path, row: tuple[Any, ...]) -> Repair:
    with contextlib.suppress(CorruptionError):
        info = to_info(row)
        for path in sorted((root / unit_folder(info.unit)).glob(f"{info.data_id}.*vault")):
            file = str(path.relative_to(root))
            if (
                not is_file_of(info, file)
                or known_files(tx.connection, [file])
                or not path.is_file()
                or path.stat().st_size != info.size
            ):
                continue
            measured = measure(path)
            if measured.checksum == info.checksum:
                blocks = pack_checksums(measured.blocks)
                tx.connection.execute("INSERT INTO contents VALUES (?, ?, NULL, ?)", (row[11], file, blocks))
                return Repair(f"its bytes are found again, in {file}", info.unit, info.data_id)
    tx.connection.execute("INSERT INTO contents VALUES (?, NULL, NULL, x'')", (row[11],))
    return Repair(
        "reading it says that its bytes are missing, rather than that there is no such object", row[0], row[1]
    )


def _orphans(tx: Transaction, root: Path) -> list[Repair]:
    """Takes away contents of no object; bytes among them are put aside."""
    found = tx.connection.execute(
        "SELECT number, file, data FROM contents NOT INDEXED WHERE number NOT IN (SELECT number FROM objects)"
    ).fetchall()
    done = []
    for number, file, data in found:
        where = f"its file, {file}, is put aside next" if file is not None else "it has no bytes"
        if data is not None:
            target = _lost_name(tx.directory, LOST, f"contents-{number}.bin")
            with os.fdopen(tx.directory.access.create(target, os.O_WRONLY), "wb") as lost:
                lost.write(data)
                lost.flush()
                sync(lost.fileno())
            sync_folder(target.parent)
            where = f"its bytes are put aside as {target.relative_to(root)}"
        tx.connection.execute("DELETE FROM contents WHERE number = ?", (number,))
        done.append(Repair(f"contents of no object, number {number}, are taken out of the register; {where}"))
    return done


def _tags(tx: Transaction, _root: Path) -> list[Repair]:
    """Makes `tags` what the objects say."""
    surplus = tx.connection.execute(f"DELETE FROM tags WHERE {row_checks.SURPLUS_TAG}").rowcount  # noqa: S608  # constants
    missing = tx.connection.execute(f"INSERT INTO tags {row_checks.OURS} WHERE {row_checks.MISSING_TAG}").rowcount
    if not surplus + missing:
        return []
    return [Repair(f"tags are searchable as their objects have them: {surplus} rows less, {missing} more")]


def _entries(tx: Transaction, _root: Path) -> list[Repair]:
    """Takes entries out of the feed that nobody could read."""
    count = tx.connection.execute(f"DELETE FROM changes WHERE {row_checks.UNREADABLE_CHANGE}").rowcount  # noqa: S608  # a constant
    return [Repair(f"{count} entries of the feed, which could not be read, are taken out of it")] if count else []


def _feed(tx: Transaction, _root: Path) -> list[Repair]:
    """Raises the feed's floor above its last hole: who is behind it revalidates everything."""
    (floor,) = tx.connection.execute("SELECT feed_floor FROM meta").fetchone()
    (there,) = tx.connection.execute("SELECT count(*) FROM changes WHERE revision > ?", (floor,)).fetchone()
    if there == tx.revision - floor:
        return []
    expected = tx.revision
    for (revision,) in tx.connection.execute(
        "SELECT revision FROM changes WHERE revision <= ? ORDER BY revision DESC", (tx.revision,)
    ):
        if revision != expected:
            break
        expected -= 1
    tx.connection.execute("UPDATE meta SET feed_floor = ?", (expected,))
    return [Repair(f"the feed begins after revision {expected}, above the last change that is missing from it")]


def _put_aside(tx: Transaction, root: Path, suspects: list[str]) -> list[Repair]:
    done = []
    touched: set[Path] = set()
    known = known_files(tx.connection, suspects)
    for file in suspects:
        path = root / file
        if file in known or not path.is_file():
            continue
        folder, name = file.split("/")
        target = _lost_name(tx.directory, f"{LOST}/{folder}", name)
        try:
            path.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            target = _lost_name(tx.directory, f"{folder}/{LOST}", name)  # on its own file system
            path.rename(target)
        touched |= {path.parent, target.parent}
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
