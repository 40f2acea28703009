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
from vault_server.storage.maintenance import row_checks, rules
from vault_server.storage.maintenance.examine import examine
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
    return _Audit(engine, CheckReport(deep), Meter(progress), repaired=repaired).run()


def unreferenced(engine: Engine) -> list[str]:
    """Files that may belong to nothing; whether they do is known only within a write transaction."""
    suspects: list[str] = []
    with storing("look through the store's directory"):
        for files in blob_files(engine.directory.root):
            suspects += engine.connections.read(partial(unknown_files, files=files))
    return suspects


def unknown_files(connection: sqlite3.Connection, files: Sequence[str]) -> list[str]:
    """Those of the files that the register does not know of."""
    return [file for file in files if not file_is_referenced(connection, file) and not is_trash(connection, file)]


class _Audit:
    def __init__(self, engine: Engine, report: CheckReport, meter: Meter, *, repaired: bool) -> None:
        self._engine = engine
        self._repaired = repaired
        self._report = report
        self._meter = meter

    def run(self) -> CheckReport:
        for phase in (
            self._settle,
            self._check_register,
            self._count,
            partial(self._check_rows, "objects"),
            partial(self._check_rows, "retired"),
            self._check_files,
        ):
            self._try(phase)
        self._engine.directory.require_same()  # it may have been others' files that were looked at
        return self._report

    def _try(self, phase: Callable[[], None]) -> None:
        """Lets the next go on when the register's damage ends one, so that as much as can be is told."""
        try:
            phase()
        except StorageError as error:
            if error.reason != "REGISTER_DAMAGED":
                raise
            problem = Problem(ProblemKind.DAMAGED_REGISTER, error.message)
            if problem not in self._report.problems:
                self._report.problems.append(problem)

    def _settle(self) -> None:
        for _ in range(SETTLING_COMMITS):  # what a failed commit left is no finding
            self._engine.writer.submit(lambda _connection: None).result()

    def _check_register(self) -> None:
        read = self._engine.connections.read
        for fault in read(partial(row_checks.integrity, full=self._report.deep or self._repaired)):
            mendable = row_checks.is_of_an_index(fault) and not self._repaired
            kind = ProblemKind.REGISTER if mendable else ProblemKind.DAMAGED_REGISTER
            self._report.problems.append(Problem(kind, fault))
        for look in rules.LOOKS:
            self._report.problems += read(look)

    def _count(self) -> None:
        with storing("look at writes that can be resumed"), contextlib.suppress(FileNotFoundError):
            writes = self._engine.directory.root / STAGING / WRITES
            self._report.suspended = sum(1 for _ in writes.iterdir())
        read = self._engine.connections.read
        _, size = read(partial(row_checks.totals, table="objects"))
        self._report.retired, self._report.retired_size = read(partial(row_checks.totals, table="retired"))
        if self._report.deep:
            self._meter.size(size + self._report.retired_size)

    def _check_rows(self, table: str) -> None:
        report = self._report
        for stored in row_checks.all_rows(self._engine, table):
            if table == "objects":
                report.objects += 1
                report.size += max(stored.size, 0)
                report.files += stored.contents is not None and stored.contents.file is not None
            for verified in examine(self._engine, stored, deep=report.deep):
                self._meter.add(verified.size)
                if verified.problem is not None:
                    report.problems.append(verified.problem)

    def _check_files(self) -> None:
        suspects = unreferenced(self._engine)
        if not suspects:
            return
        root = self._engine.directory.root

        # Within a write transaction nobody is between the naming of a file and the commit of its row.
        unknown = self._engine.writer.submit(partial(unknown_files, files=suspects)).result()
        for file in unknown:
            if (root / file).exists():
                folder, name = file.split("/")
                detail = f"{file} belongs to no object"
                problem = Problem(ProblemKind.UNREFERENCED_FILE, detail, folder_unit(folder), blob_id(name))
                self._report.problems.append(problem)
