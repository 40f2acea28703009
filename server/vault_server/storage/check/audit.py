"""The audit: does the register make sense, does every row have its bytes, and every file its row?"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from vault.errors import CorruptionError, StorageError
from vault.model import ObjectInfo
from vault.progress import Meter, ProgressCallback

from vault_server.storage.blobs import blob_files, blob_id, folder_unit
from vault_server.storage.check import rows
from vault_server.storage.check.report import CheckReport, Problem, ProblemKind
from vault_server.storage.check.verify import verify
from vault_server.storage.engine import Engine
from vault_server.storage.failures import storing
from vault_server.storage.reads import Reads
from vault_server.storage.register import file_is_referenced, is_trash, to_info
from vault_server.storage.sweeper import SETTLING_COMMITS
from vault_server.storage.transaction import Transaction

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
        for files in blob_files(engine.settings.root):
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
        self._phase(self._check_files)
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
        for fault in read(partial(rows.integrity, full=self._report.deep or self._repaired)):
            mendable = rows.is_of_an_index(fault) and not self._repaired
            kind = ProblemKind.REGISTER if mendable else ProblemKind.DAMAGED_REGISTER
            self._report.problems.append(Problem(kind, fault))
        for look in rows.CONTRADICTIONS:
            self._report.problems += read(look)

    def _check_objects(self) -> None:
        if self._report.deep:
            self._meter.size(self._engine.connections.read(rows.total_size))
        for row in self._rows():
            self._report.objects += 1
            try:
                info = to_info(row)
            except CorruptionError as error:
                self._report.problems.append(Problem(ProblemKind.REGISTER, error.message, str(row[0]), row[1]))
                continue
            self._report.size += info.size
            self._check_object(info, rows.Stored(*row[12:]))

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        number = None
        while page := self._engine.connections.read(partial(rows.page, after=number, limit=_ROWS)):
            yield from page
            number = page[-1][11]

    def _check_object(self, info: ObjectInfo, stored: rows.Stored) -> None:
        if stored.file is not None:
            self._report.files += 1
        self._report.problems += rows.feed_faults(info, stored)
        problem = rows.contents_fault(info, stored)
        if problem is None and stored.file is not None:
            problem = self._check_file(info, stored.file)
        if problem is not None:
            # A row is read before its file is looked at.
            if not self._changed(info):
                self._report.problems.append(problem)
            self._meter.add(info.size if self._report.deep else 0)
        elif self._report.deep:
            self._check_bytes(info)

    def _check_file(self, info: ObjectInfo, file: str) -> Problem | None:
        size = None
        with storing(f"look at {file}"), contextlib.suppress(FileNotFoundError):
            size = (self._engine.settings.root / file).stat().st_size
        if size is None:
            return Problem(ProblemKind.MISSING_FILE, f"{file} is not there", info.unit, info.data_id)
        if size != info.size:
            detail = f"{file} has {size} bytes, not {info.size}"
            return Problem(ProblemKind.WRONG_SIZE, detail, info.unit, info.data_id)
        return None

    def _check_bytes(self, info: ObjectInfo) -> None:
        try:
            reader = Reads(self._engine).open_generation(info)
        except CorruptionError as error:
            self._report.problems.append(Problem(ProblemKind.REGISTER, error.message, info.unit, info.data_id))
            reader = None
        if reader is None:  # or it was replaced or deleted meanwhile
            self._meter.add(info.size)
            return
        with reader:
            for verified in verify(reader):
                self._meter.add(verified.size)
                if verified.problem is not None:
                    self._report.problems.append(verified.problem)

    def _changed(self, info: ObjectInfo) -> bool:
        try:
            return Reads(self._engine).exists_many(info.unit, [info.data_id]) != [info.generation]
        except CorruptionError:
            return False

    def _check_files(self) -> None:
        suspects = unreferenced(self._engine)
        if not suspects:
            return
        root = self._engine.settings.root

        def still_unknown(transaction: Transaction) -> list[str]:
            known = known_files(transaction.connection, suspects)
            return [file for file in suspects if file not in known and (root / file).exists()]

        # Within a write transaction nobody is between the naming of a file and the commit of its row.
        for file in self._engine.writer.submit(still_unknown).result():
            folder, name = file.split("/")
            detail = f"{file} belongs to no object"
            problem = Problem(ProblemKind.UNREFERENCED_FILE, detail, folder_unit(folder), blob_id(name))
            self._report.problems.append(problem)
