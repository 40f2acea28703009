"""The audit: does the register make sense, does every row have its bytes, and every file its row?

Every generation is examined as the scrub does it: its rows against each other and the feed, its file, its bytes.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import xxhash
from vault.errors import ConflictError, CorruptionError, StorageError
from vault.store.limits import BLOCK_SIZE
from vault.store.progress import Meter, ProgressCallback
from vault.store.values import ObjectInfo

from vault_server.storage.commit.collection import SETTLING_COMMITS
from vault_server.storage.decision.rows import INFO_COLUMNS, to_info, unsigned
from vault_server.storage.decision.writes import Content
from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.blobs import blob_files, blob_id, folder_unit
from vault_server.storage.files.reader import BlobFile
from vault_server.storage.files.staged_file import STAGING
from vault_server.storage.files.staging import WRITES
from vault_server.storage.generic._sync.reader import ContentReader
from vault_server.storage.generic._sync.reads import find_generation, open_found
from vault_server.storage.index.objects import file_is_referenced, is_trash, require_sound
from vault_server.storage.maintenance import rules
from vault_server.storage.maintenance.report import CheckReport, Problem, ProblemKind
from vault_server.storage.os_errors import storing

FIRST: Final = -(1 << 63)
"""No row has a lower number, not even a damaged one."""

_INFO: Final = len(INFO_COLUMNS)


class ContentsRow(NamedTuple):
    """An object's row of `contents`, but for the bytes."""

    checksum: int
    file: str | None
    data_size: int | None
    blocks: bytes


class Generation(NamedTuple):
    """A row of `objects` or `retired`, and what else the register says of that generation, all read at one moment.

    Attributes:
        number: Of the row; of a retired generation that is the generation.
        row: INFO_COLUMNS.
        contents: None where there is none.
        change: INFO_COLUMNS of the change that last made it; None where the feed does not reach back to it.
    """

    table: str
    number: int
    row: tuple[Any, ...]
    contents: ContentsRow | None
    change: tuple[Any, ...] | None

    @property
    def generation(self) -> Any:
        return self.row[2]

    @property
    def size(self) -> int:
        """In bytes; 0 where that is damaged."""
        return self.row[4] if isinstance(self.row[4], int) and self.row[4] > 0 else 0


class Verified(NamedTuple):
    """One block that was read: its number, its size, and what is wrong with it."""

    block: int
    size: int
    problem: Problem | None


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
    for stored in all_rows(engine, table):
        if table == "objects":
            report.objects += 1
            report.size += stored.size
            report.files += stored.contents is not None and stored.contents.file is not None
        for verified in examine(engine, stored, deep=report.deep):
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


def all_rows(engine: Engine, table: str, first: int = FIRST, *, at_once: int = 500) -> Iterator[Generation]:
    """Every row of `objects` or `retired` from a number on, some at a time, each of these at one moment."""
    while page := engine.connections.read(partial(_page, table, first, at_once)):
        yield from page
        first = page[-1].number + 1


def _page(table: str, first: int, limit: int, connection: sqlite3.Connection) -> list[Generation]:
    info, change = (", ".join(f"{name}.{column}" for column in INFO_COLUMNS) for name in "oh")
    found = connection.execute(
        f"SELECT o.rowid, {info}, {change}, c.number, c.checksum, c.file, length(c.data), c.blocks "  # noqa: S608
        f"FROM {table} o NOT INDEXED LEFT JOIN contents c ON c.number = o.content "
        "LEFT JOIN changes h ON h.revision = o.revision WHERE o.rowid >= ? ORDER BY o.rowid LIMIT ?",
        (first, limit),
    )
    stored = []
    for number, *rest in found:
        row, last, (content, *contents) = tuple(rest[:_INFO]), tuple(rest[_INFO : 2 * _INFO]), rest[2 * _INFO :]
        kept = ContentsRow(*contents) if content is not None else None
        stored.append(Generation(table, number, row, kept, last if last[3] is not None else None))
    return stored


def examine(
    engine: Engine, stored: Generation, *, deep: bool, first: int = 0, fleeting: bool = False
) -> Iterator[Verified]:
    """What is wrong with a generation; with `deep`, an item for every block that was read, too.

    What looks wrong is looked at again before it is told: the row was read before the file is looked at. A retired
    one without its file was given up for the sake of a full disk, which is nothing wrong.

    Args:
        deep: Read its bytes.
        first: The block to begin with.
        fleeting: Leave the system's page cache as it is.
    """
    retired = stored.table == "retired"

    def found(kind: ProblemKind, detail: str, block: int | None = None) -> Problem:
        about = f"generation {stored.generation}: " if retired else ""
        return Problem(kind, about + detail, str(stored.row[0]), stored.row[1], block)

    try:
        info = to_info(stored.row)
    except CorruptionError as error:
        yield Verified(0, 0, found(ProblemKind.REGISTER, error.message))
        return
    if stored.change not in (None, stored.row):
        pairs = zip(INFO_COLUMNS, stored.row, stored.change or (), strict=True)
        differing = ", ".join(f"{what} {ours!r} against {theirs!r}" for what, ours, theirs in pairs if ours != theirs)
        detail = f"its row and the feed's entry of its last change differ: {differing}"
        yield Verified(0, 0, found(ProblemKind.REGISTER, detail))
    fault = None
    if (wrong := _contents_fault(info, stored.contents)) is not None:
        fault = found(ProblemKind.REGISTER, wrong)
    elif stored.contents is not None and (file := stored.contents.file) is not None:
        size = _size_of(engine, file)
        if size is None and retired:
            return
        if size is None:
            fault = found(ProblemKind.MISSING_FILE, f"{file} is not there")
        elif size != info.size:
            fault = found(ProblemKind.WRONG_SIZE, f"{file} has {size} bytes, not {info.size}")
    if fault is not None:
        again = next(all_rows(engine, stored.table, stored.number, at_once=1), None)
        same = again is not None and (again.number, again.generation) == (stored.number, stored.generation)
        yield Verified(0, info.size if deep else 0, fault if same else None)
    elif deep:
        try:
            now = find_generation(engine.index, info.unit, info.data_id, info.generation)
            reader = open_found(engine.index, engine.contents, info.data_id, now, info.generation)
        except ConflictError:
            reader = None
        except (CorruptionError, StorageError) as error:
            yield Verified(0, info.size, found(ProblemKind.BAD_BLOCK, _damage(error), 0))
            return
        if reader is None:  # replaced or deleted meanwhile
            yield Verified(0, info.size, None)
            return
        with reader:
            if fleeting and isinstance(reader.blob, BlobFile):
                reader.blob.leave_no_trace()
            for block, size, what in _verify(reader, first):
                kind = ProblemKind.BAD_BLOCK if block < info.block_count else ProblemKind.BAD_CHECKSUM
                problem = found(kind, what, block if kind is ProblemKind.BAD_BLOCK else None) if what else None
                yield Verified(block, size, problem)


def _contents_fault(info: ObjectInfo, contents: ContentsRow | None) -> str | None:
    """What is wrong with what the register says of an object's bytes."""
    if contents is None:
        return "it has no row that says where its bytes are"
    whole, file, data_size, packed = contents
    try:
        require_sound(info, Content(info.size, unsigned(whole), packed, None, file))
    except CorruptionError as error:
        return error.message
    except (TypeError, AttributeError) as error:
        return f"what says where its bytes are is damaged: {error}"
    if data_size != (info.size if file is None else None):
        return f"the register holds {data_size or 0} bytes of it, not {info.size if file is None else 0}"
    if len(packed) != 8 * info.block_count:
        return f"{len(packed) / 8:g} blocks' checksums are there, of {info.block_count}"
    return None


def _size_of(engine: Engine, file: str) -> int | None:
    with storing(f"look at {file}"), contextlib.suppress(FileNotFoundError):
        return os.stat(file, dir_fd=engine.directory.descriptor).st_size
    return None


def _damage(error: CorruptionError | StorageError) -> str:
    """What an error of stored bytes says: a sector that cannot be read is one, the system's other troubles are not,
    and are raised."""
    if isinstance(error, CorruptionError) or error.context.get("errno") == "EIO":
        return error.message
    raise error


def _verify(reader: ContentReader, first: int) -> Iterator[tuple[int, int, str | None]]:
    """Reads the blocks from `first` on: number, size, and what is wrong; a damaged one does not end it.

    From the first block on, the checksum of the whole is compared too: the last item, of no bytes, when it differs.
    """
    info = reader.info
    whole = xxhash.xxh3_64()
    complete = first == 0
    for index in range(first, info.block_count):
        fault = None
        try:
            block = reader.block(index)
            whole.update(block.data)
            block.verify(info)
        except (CorruptionError, StorageError) as error:
            fault = _damage(error)
            complete = False
        yield index, min(BLOCK_SIZE, info.size - index * BLOCK_SIZE), fault
    if complete and whole.intdigest() != info.checksum:
        yield info.block_count, 0, "its blocks are as they were stored, but the checksum of the whole is another"
