"""One generation of an object looked at: its rows against each other, its file, and its bytes."""

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import xxhash
from vault.errors import ConflictError, CorruptionError, StorageError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import ObjectInfo

from vault_server.storage.decision.rows import to_info
from vault_server.storage.engine.engine import Engine
from vault_server.storage.engine.reads import open_generation
from vault_server.storage.files.reader import StoredReader
from vault_server.storage.maintenance.report import Problem, ProblemKind
from vault_server.storage.maintenance.row_checks import Stored, faults, page_from
from vault_server.storage.os_errors import storing


class Verified(NamedTuple):
    """One block that was read: its number, its size, and what is wrong with it."""

    block: int
    size: int
    problem: Problem | None


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
    about = f"generation {stored.generation}: " if stored.retired else ""
    try:
        info = to_info(stored.row)
    except CorruptionError as error:
        yield Verified(0, 0, Problem(ProblemKind.REGISTER, about + error.message, str(stored.row[0]), stored.row[1]))
        return

    def found(kind: ProblemKind, detail: str) -> Problem:
        return Problem(kind, about + detail, info.unit, info.data_id)

    of_contents, of_change = faults(info, stored)
    if of_change is not None:
        yield Verified(0, 0, found(ProblemKind.REGISTER, of_change))
    fault = None
    if of_contents is not None:
        fault = found(ProblemKind.REGISTER, of_contents)
    elif stored.contents is not None and stored.contents.file is not None:
        size = _size_of(engine, stored.contents.file)
        if size is None and stored.retired:
            return
        if size is None:
            fault = found(ProblemKind.MISSING_FILE, f"{stored.contents.file} is not there")
        elif size != info.size:
            fault = found(ProblemKind.WRONG_SIZE, f"{stored.contents.file} has {size} bytes, not {info.size}")
    if fault is not None:
        yield Verified(0, info.size if deep else 0, None if _has_changed(engine, stored) else fault)
    elif deep:
        yield from _read(engine, info, first, about, fleeting=fleeting)


def _size_of(engine: Engine, file: str) -> int | None:
    with storing(f"look at {file}"), contextlib.suppress(FileNotFoundError):
        return os.stat(file, dir_fd=engine.directory.descriptor).st_size
    return None


def _has_changed(engine: Engine, stored: Stored) -> bool:
    again = engine.connections.read(partial(page_from, table=stored.table, first=stored.number, limit=1))
    return not again or (again[0].number, again[0].generation) != (stored.number, stored.generation)


def _read(engine: Engine, info: ObjectInfo, first: int, about: str, *, fleeting: bool) -> Iterator[Verified]:
    try:
        reader = open_generation(engine, info.unit, info.data_id, info.generation)
    except ConflictError:
        reader = None
    except (CorruptionError, StorageError) as error:
        if not _is_damage(error):
            raise
        problem = Problem(ProblemKind.BAD_BLOCK, about + error.message, info.unit, info.data_id, 0)
        yield Verified(0, info.size, problem)
        return
    if reader is None:  # replaced or deleted meanwhile
        yield Verified(0, info.size, None)
        return
    with reader:
        if fleeting:
            reader.leave_no_trace()
        yield from _verify(reader, first, about)


def _is_damage(error: CorruptionError | StorageError) -> bool:
    """Whether it is of the stored bytes: a sector that cannot be read is, the system's other troubles are not."""
    return isinstance(error, CorruptionError) or error.context.get("errno") == "EIO"


def _verify(reader: StoredReader, first: int, about: str) -> Iterator[Verified]:
    """Reads the blocks from `first` on; a damaged one does not end it.

    From the first block on, the checksum of the whole is compared too: the last item, of no bytes, when it differs.
    """
    info = reader.info
    whole = xxhash.xxh3_64()
    complete = first == 0
    reader.skip_to(first)
    for index in range(first, info.block_count):
        problem = None
        try:
            block = reader.next_block()
            if block is None:
                return  # it was closed
            whole.update(block.data)
            block.verify(info)
        except (CorruptionError, StorageError) as error:
            if not _is_damage(error):
                raise
            complete = False
            problem = Problem(ProblemKind.BAD_BLOCK, about + error.message, info.unit, info.data_id, index)
            reader.skip_to(index + 1)
        yield Verified(index, min(BLOCK_SIZE, info.size - index * BLOCK_SIZE), problem)
    if complete and whole.intdigest() != info.checksum:
        detail = "its blocks are as they were stored, but the checksum of the whole is another"
        problem = Problem(ProblemKind.BAD_CHECKSUM, about + detail, info.unit, info.data_id)
        yield Verified(info.block_count, 0, problem)
