"""The audit: does the register make sense, does every row have its bytes, and every file its row?"""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from vault.errors import StorageError
from vault.store.progress import Meter, ProgressCallback

from vault_server.storage.commit.collection import SETTLING_COMMITS
from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.blobs import blob_files, blob_id, folder_unit
from vault_server.storage.files.staging import STAGING, WRITES
from vault_server.storage.index.objects import file_is_referenced, is_trash
from vault_server.storage.maintenance import examine, rules
from vault_server.storage.maintenance.report import CheckReport, Problem, ProblemKind
from vault_server.storage.os_errors import storing


def audit(
    engine: Engine, *, deep: bool, repaired: bool = False, progress: ProgressCallback | None = None
) -> CheckReport:
    """Audits a store while it is in use: what looks wrong is looked at again before it is reported.

    Args:
        deep: Read every byte.
        repaired: It was repaired before: what is still wrong with the register takes a rebuild.
        progress: Told of the bytes to read, and of those read.
    """
    report, meter = CheckReport(deep), Meter(progress)
    for phase in (
        lambda: _settle(engine),
        lambda: _check_register(engine, report, repaired=repaired),
        lambda: _count(engine, report, meter),
        lambda: _check_rows(engine, report, meter, "objects"),
        lambda: _check_rows(engine, report, meter, "retired"),
        lambda: _check_files(engine, report),
    ):
        _try(phase, report)
    engine.directory.require_same()  # it may have been others' files that were looked at
    return report


def unreferenced(engine: Engine) -> list[str]:
    """Files that may belong to nothing; whether they do is known only within a write transaction."""
    with storing("look through the store's directory"):
        folders = list(blob_files(engine.directory.root))
    return [file for files in folders for file in engine.connections.read(partial(unknown_files, files=files))]


def unknown_files(connection: sqlite3.Connection, files: Sequence[str]) -> list[str]:
    """Those of the files that the register does not know of."""
    return [file for file in files if not file_is_referenced(connection, file) and not is_trash(connection, file)]


def _try(phase: Callable[[], None], report: CheckReport) -> None:
    """Lets the next go on when the register's damage ends one, so that as much as can be is told."""
    try:
        phase()
    except StorageError as error:
        if error.reason != "REGISTER_DAMAGED":
            raise
        problem = Problem(ProblemKind.DAMAGED_REGISTER, error.message)
        if problem not in report.problems:
            report.problems.append(problem)


def _settle(engine: Engine) -> None:
    for _ in range(SETTLING_COMMITS):  # what a failed commit left is no finding
        engine.writer.submit(lambda _connection: None).result()


def _check_register(engine: Engine, report: CheckReport, *, repaired: bool) -> None:
    read = engine.connections.read
    for fault in read(partial(rules.integrity, full=report.deep or repaired)):
        mendable = rules.is_of_an_index(fault) and not repaired
        report.problems.append(Problem(ProblemKind.REGISTER if mendable else ProblemKind.DAMAGED_REGISTER, fault))
    for look in rules.LOOKS:
        report.problems += read(look)


def _count(engine: Engine, report: CheckReport, meter: Meter) -> None:
    with storing("look at writes that can be resumed"), contextlib.suppress(FileNotFoundError):
        report.suspended = sum(1 for _ in (engine.directory.root / STAGING / WRITES).iterdir())
    query = "SELECT count(*), total(size), (SELECT total(size) FROM objects) FROM retired"
    report.retired, retired, size = engine.connections.read(lambda connection: connection.execute(query).fetchone())
    report.retired_size = int(retired)
    if report.deep:
        meter.size(int(size) + report.retired_size)


def _check_rows(engine: Engine, report: CheckReport, meter: Meter, table: str) -> None:
    for stored in examine.all_rows(engine, table):
        if table == "objects":
            report.objects += 1
            report.size += stored.size
            report.files += stored.contents is not None and stored.contents.file is not None
        for verified in examine.examine(engine, stored, deep=report.deep):
            meter.add(verified.size)
            if verified.problem is not None:
                report.problems.append(verified.problem)


def _check_files(engine: Engine, report: CheckReport) -> None:
    suspects = unreferenced(engine)
    if not suspects:
        return
    # Within a write transaction nobody is between the naming of a file and the commit of its row.
    for file in engine.writer.submit(partial(unknown_files, files=suspects)).result():
        if (engine.directory.root / file).exists():
            folder, name = file.split("/")
            detail = f"{file} belongs to no object"
            report.problems.append(Problem(ProblemKind.UNREFERENCED_FILE, detail, folder_unit(folder), blob_id(name)))
