"""The audit: does every row have its bytes, and every file its row?"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final

import xxhash
from vault.errors import CorruptionError, InvalidArgumentError
from vault.model import ObjectInfo
from vault.rules import check_unit

from vault_server.storage.blobs import blob_id, folder_unit, unit_folder
from vault_server.storage.engine import Engine
from vault_server.storage.failures import storing
from vault_server.storage.reads import Reads
from vault_server.storage.register import INFO_COLUMNS, file_is_referenced, is_trash, to_info
from vault_server.storage.sweeper import SETTLING_COMMITS
from vault_server.storage.transaction import Transaction

_ROWS: Final = 500


class ProblemKind(Enum):
    """What the audit found wrong."""

    MISSING_FILE = "missing file"
    WRONG_SIZE = "wrong size"
    BAD_BLOCK = "bad block"
    BAD_CHECKSUM = "bad checksum"
    UNREFERENCED_FILE = "unreferenced file"
    REGISTER = "register"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `data_id` and `block` where it is about one."""

    kind: ProblemKind
    detail: str
    unit: str = ""
    data_id: int | None = None
    block: int | None = None


@dataclass(slots=True)
class CheckReport:
    """What an audit looked at, and what it found."""

    deep: bool
    objects: int = 0
    files: int = 0
    size: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


def check(engine: Engine, *, deep: bool) -> CheckReport:
    """Audits a store while it is in use: what looks wrong is looked at again before it is reported."""
    report = CheckReport(deep)
    for _ in range(SETTLING_COMMITS):  # what a failed commit left is no finding
        engine.writer.submit(lambda _transaction: None).result()
    _check_register(engine, report)
    for info, file in _objects(engine):
        report.objects += 1
        report.size += info.size
        if file is not None and not _check_file(engine, info, file, report):
            continue
        if deep:
            _check_bytes(engine, info, report)
    _check_files(engine, report)
    return report


def _check_register(engine: Engine, report: CheckReport) -> None:
    queries = {
        "objects without contents": "SELECT count(*) FROM objects WHERE number NOT IN (SELECT number FROM contents)",
        "contents without an object": "SELECT count(*) FROM contents WHERE number NOT IN (SELECT number FROM objects)",
        "tags that disagree with their object": (
            "SELECT count(*) FROM tags t WHERE NOT EXISTS (SELECT 1 FROM objects o JOIN json_each(o.tags) j "
            "WHERE o.unit = t.unit AND o.data_id = t.data_id AND j.key = t.key AND j.value = t.value)"
        ),
        "tags that are not searchable": (
            "SELECT count(*) FROM objects o JOIN json_each(o.tags) j WHERE NOT EXISTS (SELECT 1 FROM tags t "
            "WHERE t.unit = o.unit AND t.key = j.key AND t.value = j.value AND t.data_id = o.data_id)"
        ),
        "objects after the last revision": (
            "SELECT count(*) FROM objects WHERE revision > (SELECT revision FROM meta) OR generation > revision"
        ),
        "changes missing from the feed": (
            "SELECT m.revision - m.feed_floor - (SELECT count(*) FROM changes c WHERE c.revision > m.feed_floor) "
            "FROM meta m"
        ),
    }
    for what, query in queries.items():
        count = engine.connections.read(partial(_count, query=query))
        if count:
            report.problems.append(Problem(ProblemKind.REGISTER, f"{what}: {count}"))
    pragma = "PRAGMA integrity_check" if report.deep else "PRAGMA quick_check"
    found = engine.connections.read(lambda connection: connection.execute(pragma).fetchall())
    report.problems += [Problem(ProblemKind.REGISTER, line) for (line,) in found if line != "ok"]


def _objects(engine: Engine) -> Iterator[tuple[ObjectInfo, str | None]]:
    number = 0
    while True:
        rows = engine.connections.read(partial(_page, after=number))
        if not rows:
            return
        for row in rows:
            yield to_info(row), row[12]
        number = rows[-1][11]


def _page(connection: sqlite3.Connection, after: int) -> list[tuple[Any, ...]]:
    return connection.execute(
        f"SELECT {INFO_COLUMNS}, o.number, c.file FROM objects o JOIN contents c ON c.number = o.number "  # noqa: S608
        "WHERE o.number > ? ORDER BY o.number LIMIT ?",  # only names of columns are put in
        (after, _ROWS),
    ).fetchall()


def _count(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


def _check_file(engine: Engine, info: ObjectInfo, file: str, report: CheckReport) -> bool:
    report.files += 1
    size = None
    with storing(f"look at {file}"), contextlib.suppress(FileNotFoundError):
        size = (engine.settings.root / file).stat().st_size
    if size == info.size or _changed(engine, info):
        return True
    if size is None:
        problem = Problem(ProblemKind.MISSING_FILE, f"{file} is not there", info.unit, info.data_id)
    else:
        problem = Problem(ProblemKind.WRONG_SIZE, f"{file} has {size} bytes, not {info.size}", info.unit, info.data_id)
    report.problems.append(problem)
    return False


def _check_bytes(engine: Engine, info: ObjectInfo, report: CheckReport) -> None:
    reader = Reads(engine).open_generation(info)
    if reader is None:
        return
    whole = xxhash.xxh3_64()
    damaged = False
    with reader:
        for index in range(info.block_count):
            try:
                block = reader.next_block()
                if block is None:
                    break
                whole.update(block.data)
                block.verify(info)
            except CorruptionError as error:
                damaged = True
                report.problems.append(Problem(ProblemKind.BAD_BLOCK, error.message, info.unit, info.data_id, index))
                reader.skip_to(index + 1)
    if not damaged and whole.intdigest() != info.checksum:
        detail = "its blocks are as they were stored, but the checksum of the whole is another"
        report.problems.append(Problem(ProblemKind.BAD_CHECKSUM, detail, info.unit, info.data_id))


def _check_files(engine: Engine, report: CheckReport) -> None:
    suspects: list[str] = []
    for files in _blob_files(engine.settings.root):
        known = engine.connections.read(partial(_known, files=files))
        suspects += [file for file in files if file not in known]
    if not suspects:
        return

    def still_unknown(transaction: Transaction) -> list[str]:
        known = _known(transaction.connection, suspects)
        return [file for file in suspects if file not in known and (engine.settings.root / file).exists()]

    # Within a write transaction nobody is between the naming of a file and the commit of its row.
    for file in engine.writer.submit(still_unknown).result():
        folder, name = file.split("/")
        detail = f"{file} belongs to no object"
        report.problems.append(Problem(ProblemKind.UNREFERENCED_FILE, detail, folder_unit(folder), blob_id(name)))


def _blob_files(root: Path) -> Iterator[list[str]]:
    """The files that Vault may have named, by folder. Others are not ours to judge."""
    with storing("look through the store's directory"):
        folders = [entry.name for entry in os.scandir(root) if entry.is_dir()]
    for folder in sorted(folders):
        try:
            unit = folder_unit(folder)
            check_unit(unit)
        except InvalidArgumentError:
            continue
        if unit_folder(unit) == folder:
            with storing("look through the store's directory"):
                names = sorted(entry.name for entry in os.scandir(root / folder) if entry.is_file())
            yield [f"{folder}/{name}" for name in names if blob_id(name) is not None]


def _known(connection: sqlite3.Connection, files: list[str]) -> set[str]:
    return {file for file in files if file_is_referenced(connection, file) or is_trash(connection, file)}


def _changed(engine: Engine, info: ObjectInfo) -> bool:
    return Reads(engine).exists_many(info.unit, [info.data_id]) != [info.generation]
