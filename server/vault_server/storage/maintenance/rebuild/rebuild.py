"""A new register in the place of a damaged one, while nobody has the store open.

It is made in `.rebuild` from a copy of the damaged one and the files, which are only read, and put in place when it is
whole and durable. At every moment before that the directory has no register or the damaged one, which every
opener refuses; a rebuild that was killed is begun again. The damaged register is renamed, never written to.
"""

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vault._runtime.fsync import sync
from vault.errors import StorageError
from vault.store.progress import Meter, ProgressCallback

from vault_server.storage.files import directory_lock
from vault_server.storage.files.access import PRIVATE, Access, access_of
from vault_server.storage.files.blobs import sync_folder
from vault_server.storage.files.directory import REGISTER, StoreDirectory
from vault_server.storage.files.revision_note import note_revision, noted_revision, turn_file
from vault_server.storage.index.connections import Connections
from vault_server.storage.index.opening import REBUILD
from vault_server.storage.index.schema import prepare
from vault_server.storage.maintenance import row_checks
from vault_server.storage.maintenance.rebuild.pages import PAGE_SIZE
from vault_server.storage.maintenance.rebuild.resolve import Resolution, Resolver
from vault_server.storage.maintenance.rebuild.salvage import columns_of, salvage
from vault_server.storage.maintenance.report import Repair
from vault_server.storage.os_errors import storing

_MOVED: Final = "moved"
"""In `.rebuild`: the name that the damaged register is being given, while it and its log are renamed."""


def rebuild(root: Path, *, progress: ProgressCallback | None = None) -> Resolution:
    """Makes a new register of what is left of the old one and of the files.

    Raises:
        StorageError: REGISTER_BUSY, somebody has the store open; or the disk is full, or does not read.
    """
    access = access_of(root / REGISTER) or access_of(turn_file(root / REGISTER)) or PRIVATE
    with directory_lock.alone(root), storing("rebuild the register"):
        source, log = _source(root)
        folder = root / REBUILD
        _clear(folder, access)
        copy = folder / "copy.db"
        for original, copied in ((source, copy), (log, copy.with_name("copy.db-wal"))):
            if original.exists():
                _copy(original, copied, access)
        outcome = _make(root, folder, copy, access, Meter(progress))
        aside = _move_aside(root, folder, source, access)
        (folder / REGISTER).rename(root / REGISTER)
        sync_folder(root)
        _note(root / REGISTER, outcome.revision, access)
        shutil.rmtree(folder)
    if aside is not None:
        outcome.repairs.append(Repair(f"the damaged register is kept as {aside}"))
    return outcome


def _source(root: Path) -> tuple[Path, Path]:
    """The damaged register and its log, wherever a rebuild that was killed has left them."""
    register = root / REGISTER
    moved = _moved(root)
    if moved is None or register.exists():
        return register, root / f"{REGISTER}-wal"
    _rename(root / f"{REGISTER}-wal", root / f"{moved}-wal")
    return root / moved, root / f"{moved}-wal"


def _moved(root: Path) -> str | None:
    try:
        name = (root / REBUILD / _MOVED).read_text()
    except FileNotFoundError:
        return None
    return name if name.startswith(f"{REGISTER}.damaged-") and (root / name).exists() else None


def _clear(folder: Path, access: Access) -> None:
    """Empties the folder, but for what says where the damaged register is."""
    access.make_folder(folder, exist_ok=True)
    for path in folder.iterdir():
        if path.name != _MOVED:
            path.unlink()
    sync_folder(folder.parent)


def _copy(source: Path, target: Path, access: Access) -> None:
    """Copies a file; where the disk does not read, there are zeros."""
    made = os.fdopen(access.create(target, os.O_WRONLY), "wb")
    with made as copied, source.open("rb", buffering=0) as original:
        size = os.fstat(original.fileno()).st_size
        for offset in range(0, size, PAGE_SIZE):
            try:
                piece = os.pread(original.fileno(), PAGE_SIZE, offset)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                piece = bytes(min(PAGE_SIZE, size - offset))
            copied.write(piece)


def _make(root: Path, folder: Path, copy: Path, access: Access, meter: Meter) -> Resolution:
    noted = noted_revision(root / REGISTER)
    outcome: list[Resolution] = []

    def fill(register: sqlite3.Connection) -> None:
        with _work(folder / "work.db", access) as work:
            found = salvage(copy, noted, columns_of(register), work)
            outcome.append(Resolver(root, found, noted, register, meter).run())
        outcome[0].repairs += [Repair(f"what was wrong with the register: {fault}") for fault in found.faults]

    directory = StoreDirectory(folder)
    directory.access = access
    directory.enter()
    connections = Connections(directory, synchronous="FULL")
    try:
        access.make_register(connections.path)
        prepare(connections, fill)
        faults = connections.read(lambda connection: row_checks.integrity(connection, full=True))
    finally:
        connections.close()
        directory.leave()
    if faults or (folder / f"{REGISTER}-wal").exists():
        raise StorageError(f"the new register is not sound: {faults}; the damaged one is untouched")
    with (folder / REGISTER).open("rb") as made:
        sync(made.fileno())
    sync_folder(folder)
    return outcome[0]


@contextlib.contextmanager
def _work(path: Path, access: Access) -> Iterator[sqlite3.Connection]:
    access.make_register(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as work:
        work.execute("PRAGMA journal_mode=OFF")
        work.execute("PRAGMA synchronous=OFF")
        work.execute("BEGIN")
        yield work


def _move_aside(root: Path, folder: Path, source: Path, access: Access) -> str | None:
    """Renames the damaged register, if there is one, and then its log. Returns its new name."""
    if source.name != REGISTER:
        return source.name  # a rebuild that was killed has done it
    if not source.exists() and not (root / f"{REGISTER}-wal").exists():
        return None
    name = f"{REGISTER}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    (folder / _MOVED).unlink(missing_ok=True)
    with os.fdopen(access.create(folder / _MOVED, os.O_WRONLY), "w") as note:
        note.write(name)
        note.flush()
        sync(note.fileno())
    sync_folder(folder)
    _rename(source, root / name)
    _rename(root / f"{REGISTER}-wal", root / f"{name}-wal")
    (root / f"{REGISTER}-shm").unlink(missing_ok=True)
    sync_folder(root)
    return name


def _rename(source: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        source.rename(target)


def _note(register: Path, revision: int, access: Access) -> None:
    descriptor = access.open(turn_file(register), os.O_RDWR)
    try:
        note_revision(descriptor, revision)
    finally:
        os.close(descriptor)
