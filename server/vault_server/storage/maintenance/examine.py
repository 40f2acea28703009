"""One generation of an object looked at: its rows against each other and the feed, its file, and its bytes."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import xxhash
from vault.errors import ConflictError, CorruptionError, StorageError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import ObjectInfo

from vault_server.storage.decision.rows import INFO_COLUMNS, to_info, unsigned
from vault_server.storage.decision.writes import Content
from vault_server.storage.engine.engine import Engine
from vault_server.storage.files.reader import BlobFile
from vault_server.storage.generic._sync.reader import ContentReader
from vault_server.storage.generic._sync.reads import find_generation, open_found
from vault_server.storage.index.objects import require_sound
from vault_server.storage.maintenance.report import Problem, ProblemKind
from vault_server.storage.os_errors import storing

FIRST: Final = -(1 << 63)
"""No row has a lower number, not even a damaged one."""

_INFO: Final = len(INFO_COLUMNS)


class Contents(NamedTuple):
    """An object's row of `contents`, but for the bytes."""

    checksum: int
    file: str | None
    data_size: int | None
    blocks: bytes


class Stored(NamedTuple):
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
    contents: Contents | None
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


def all_rows(engine: Engine, table: str, first: int = FIRST, *, at_once: int = 500) -> Iterator[Stored]:
    """Every row of `objects` or `retired` from a number on, some at a time, each of these at one moment."""
    while page := engine.connections.read(partial(_page, table, first, at_once)):
        yield from page
        first = page[-1].number + 1


def _page(table: str, first: int, limit: int, connection: sqlite3.Connection) -> list[Stored]:
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
        kept = Contents(*contents) if content is not None else None
        stored.append(Stored(table, number, row, kept, last if last[3] is not None else None))
    return stored


def examine(
    engine: Engine, stored: Stored, *, deep: bool, first: int = 0, fleeting: bool = False
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


def _contents_fault(info: ObjectInfo, contents: Contents | None) -> str | None:
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
