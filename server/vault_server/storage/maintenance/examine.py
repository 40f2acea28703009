"""One object looked at: its rows against each other, its file, and its bytes."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from vault.errors import ConflictError, CorruptionError, StorageError
from vault.store.values import ObjectInfo

from vault_server.storage.engine.engine import Engine
from vault_server.storage.engine.reads import Reads
from vault_server.storage.index.objects import find_generation, to_info
from vault_server.storage.maintenance import row_checks
from vault_server.storage.maintenance.report import Problem, ProblemKind
from vault_server.storage.maintenance.verify import Verified, is_damage, verify
from vault_server.storage.os_errors import storing


def examine(
    engine: Engine, row: tuple[Any, ...], *, deep: bool, first: int = 0, fleeting: bool = False
) -> Iterator[Verified]:
    """What is wrong with the object of a row of `rows.page`; with `deep`, an item for every block that was read, too.

    What looks wrong is looked at again before it is told: the row was read before the file is looked at.

    Args:
        deep: Read its bytes.
        first: The block to begin with.
        fleeting: Leave the system's page cache as it is.
    """
    try:
        info = to_info(row)
    except CorruptionError as error:
        yield Verified(0, 0, Problem(ProblemKind.REGISTER, error.message, str(row[0]), row[1]))
        return
    stored = row_checks.Stored(*row[12:])
    for problem in row_checks.feed_faults(info, stored):
        yield Verified(0, 0, problem)
    fault = row_checks.contents_fault(info, stored)
    if fault is None and stored.file is not None:
        fault = _file_fault(engine, info, stored.file)
    if fault is not None:
        yield Verified(0, info.size if deep else 0, None if _has_changed(engine, info) else fault)
    elif deep:
        yield from _read(engine, info, first, fleeting=fleeting)


def examine_retired(engine: Engine, unit: str, data_id: int, generation: int, *, deep: bool) -> Iterator[Verified]:
    """What is wrong with a generation that is kept for a while; nothing when it was collected meanwhile."""
    try:
        reader = Reads(engine).open_retired(unit, data_id, generation)
    except ConflictError:
        return
    except (CorruptionError, StorageError) as error:
        if not is_damage(error):
            raise
        yield Verified(0, 0, Problem(ProblemKind.REGISTER, f"generation {generation}: {error.message}", unit, data_id))
        return
    if reader is not None:
        with reader:
            if deep:
                yield from verify(reader)


def _file_fault(engine: Engine, info: ObjectInfo, file: str) -> Problem | None:
    size = None
    with storing(f"look at {file}"), contextlib.suppress(FileNotFoundError):
        size = os.stat(file, dir_fd=engine.directory.descriptor).st_size
    if size is None:
        return Problem(ProblemKind.MISSING_FILE, f"{file} is not there", info.unit, info.data_id)
    if size != info.size:
        detail = f"{file} has {size} bytes, not {info.size}"
        return Problem(ProblemKind.WRONG_SIZE, detail, info.unit, info.data_id)
    return None


def _has_changed(engine: Engine, info: ObjectInfo) -> bool:
    with contextlib.suppress(CorruptionError):
        now = engine.connections.read(lambda connection: find_generation(connection, info.unit, info.data_id))
        return now != info.generation
    return False


def _read(engine: Engine, info: ObjectInfo, first: int, *, fleeting: bool) -> Iterator[Verified]:
    try:
        reader = Reads(engine).open_generation(info)
    except (CorruptionError, StorageError) as error:
        if not is_damage(error):
            raise
        yield Verified(0, info.size, Problem(ProblemKind.BAD_BLOCK, error.message, info.unit, info.data_id, 0))
        return
    if reader is None:  # replaced or deleted meanwhile
        yield Verified(0, info.size, None)
        return
    with reader:
        if fleeting:
            reader.leave_no_trace()
        yield from verify(reader, first)
