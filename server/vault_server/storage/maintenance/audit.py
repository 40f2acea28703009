"""The audit: does the register make sense, does every row have its bytes, and every file its row?"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from vault.errors import StorageError
from vault.store.progress import Meter, ProgressCallback

from vault_server.storage.commit.collection import SETTLING_COMMITS
from vault_server.storage.commit.transaction import Transaction
from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.blobs import blob_files, blob_id, folder_unit
from vault_server.storage.files.staging import STAGING, WRITES
from vault_server.storage.index.objects import file_is_referenced, is_trash
from vault_server.storage.maintenance import row_checks
from vault_server.storage.maintenance.examine import examine, examine_retired
from vault_server.storage.maintenance.report import CheckReport, Problem, ProblemKind
from vault_server.storage.os_errors import storing

_ROWS: Final = 500


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
            known = engine.connections.read(partial(known_files, files=files))
            suspects += [file for file in files if file not in known]
    return suspects


def known_files(connection: sqlite3.Connection, files: Sequence[str]) -> set[str]:
    """Those of the files that the register knows of."""
    return {file for file in files if file_is_referenced(connection, file) or is_trash(connection, file)}


class _Audit:
    def __init__(self, engine: Engine, report: CheckReport, meter: Meter, *, repaired: bool) -> None:
        self._engine = engine
        self._repaired = repaired
        self._report = report
        self._meter = meter

    def run(self) -> CheckReport:
        self._phase(self._settle)
        self._phase(self._check_register)
        self._phase(self._check_objects)
        self._phase(self._check_retired)
        self._phase(self._count_suspended)
        self._phase(self._check_files)
        self._engine.directory.require_same()  # it may have been others' files that were looked at
        return self._report

    def _phase(self, look: Callable[[], None]) -> None:
        """Goes on with the next when the register's damage ends one, so that as much as can be is told."""
        try:
            look()
        except StorageError as error:
            if error.reason != "REGISTER_DAMAGED":
                raise
            problem = Problem(ProblemKind.DAMAGED_REGISTER, error.message)
            if problem not in self._report.problems:
                self._report.problems.append(problem)

    def _settle(self) -> None:
        for _ in range(SETTLING_COMMITS):  # what a failed commit left is no finding
            self._engine.writer.submit(lambda _transaction: None).result()

    def _check_register(self) -> None:
        read = self._engine.connections.read
        for fault in read(partial(row_checks.integrity, full=self._report.deep or self._repaired)):
            mendable = row_checks.is_of_an_index(fault) and not self._repaired
            kind = ProblemKind.REGISTER if mendable else ProblemKind.DAMAGED_REGISTER
            self._report.problems.append(Problem(kind, fault))
        for look in row_checks.CONTRADICTIONS:
            self._report.problems += read(look)

    def _check_objects(self) -> None:
        report = self._report
        if report.deep:
            self._meter.size(self._engine.connections.read(row_checks.total_size))
        for row in self._rows():
            report.objects += 1
            report.size += max(row[4], 0)
            report.files += row[13] is not None
            for verified in examine(self._engine, row, deep=report.deep):
                self._meter.add(verified.size)
                if verified.problem is not None:
                    report.problems.append(verified.problem)

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        first = row_checks.FIRST
        while page := self._engine.connections.read(partial(row_checks.page_from, first=first, limit=_ROWS)):
            yield from page
            first = page[-1][11] + 1

    def _check_retired(self) -> None:
        self._report.retired, self._report.retired_size = self._engine.connections.read(row_checks.retired)
        first = row_checks.FIRST
        while page := self._engine.connections.read(partial(row_checks.retired_from, first=first, limit=_ROWS)):
            for number, unit, data_id, generation in page:
                for verified in examine_retired(self._engine, unit, data_id, generation, deep=self._report.deep):
                    self._meter.add(verified.size)
                    if verified.problem is not None:
                        self._report.problems.append(verified.problem)
                first = number + 1

    def _count_suspended(self) -> None:
        with storing("look at writes that can be resumed"), contextlib.suppress(FileNotFoundError):
            writes = self._engine.directory.root / STAGING / WRITES
            self._report.suspended = sum(1 for _ in writes.iterdir())

    def _check_files(self) -> None:
        suspects = unreferenced(self._engine)
        if not suspects:
            return
        root = self._engine.directory.root

        def still_unknown(transaction: Transaction) -> list[str]:
            known = known_files(transaction.connection, suspects)
            return [file for file in suspects if file not in known and (root / file).exists()]

        # Within a write transaction nobody is between the naming of a file and the commit of its row.
        for file in self._engine.writer.submit(still_unknown).result():
            folder, name = file.split("/")
            detail = f"{file} belongs to no object"
            problem = Problem(ProblemKind.UNREFERENCED_FILE, detail, folder_unit(folder), blob_id(name))
            self._report.problems.append(problem)
