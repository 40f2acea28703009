"""A new register in the place of a damaged one, while nobody has the store open.

It is made in `.rebuild` from a copy of the damaged one and the files, which are only read, and put in place when it is
whole and durable. At every moment before that the directory has no register or the damaged one, which every
opener refuses; a rebuild that was killed is begun again. The damaged register gets another name, and is never written
to: first one in `.rebuild`, by which a rebuild that is begun again finds it and its log, then one for good.
"""

import errno
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vault._runtime.fsync import sync
from vault.errors import StorageError
from vault.store.progress import Meter, ProgressCallback

from vault_server.storage.files.access import PRIVATE, Access, access_of
from vault_server.storage.files.blobs import sync_folder
from vault_server.storage.files.directory import REGISTER, StoreDirectory, alone
from vault_server.storage.files.revision_note import note_revision, noted_revision, turn_file
from vault_server.storage.index.connections import Connections
from vault_server.storage.index.opening import REBUILD, prepare
from vault_server.storage.maintenance import rules
from vault_server.storage.maintenance.rebuild.pages import PAGE_SIZE
from vault_server.storage.maintenance.rebuild.resolve import Resolution, Resolver
from vault_server.storage.maintenance.rebuild.salvage import salvage
from vault_server.storage.maintenance.report import Repair
from vault_server.storage.os_errors import storing

_DAMAGED: Final = "damaged.db"
_ENDS: Final = ("", "-wal")
"""Of the register's name, and of its log's."""


def rebuild(root: Path, *, progress: ProgressCallback | None = None) -> Resolution:
    """Makes a new register of what is left of the old one and of the files.

    Raises:
        StorageError: REGISTER_BUSY, somebody has the store open; or the disk is full, or does not read.
    """
    register, folder = root / REGISTER, root / REBUILD
    access = access_of(register) or access_of(turn_file(register)) or PRIVATE
    with alone(root), storing("rebuild the register"):
        access.make_folder(folder, exist_ok=True)
        for path in folder.iterdir():
            if register.exists() or not path.name.startswith(_DAMAGED):
                path.unlink()
        _link(register, folder / _DAMAGED, access)
        sync_folder(root)
        for end in _ENDS:
            _copy(folder / f"{_DAMAGED}{end}", folder / f"copy.db{end}", access)
        outcome = _make(root, folder, access, Meter(progress))
        aside = _put_aside(root, folder / _DAMAGED, access)
        for end in (*_ENDS, "-shm"):
            (root / f"{REGISTER}{end}").unlink(missing_ok=True)
        sync_folder(root)
        (folder / REGISTER).rename(register)
        sync_folder(root)
        _note(register, outcome.revision, access)
        shutil.rmtree(folder)
    if aside is not None:
        outcome.repairs.append(Repair(f"the damaged register is kept as {aside}"))
    return outcome


def _link(source: Path, target: Path, access: Access) -> None:
    """Gives a register and its log, as far as they are there, other names, too."""
    for end in _ENDS:
        try:
            os.link(f"{source}{end}", f"{target}{end}")
        except (FileNotFoundError, FileExistsError):
            continue
        except OSError:  # the file system has no links
            _copy(Path(f"{source}{end}"), Path(f"{target}{end}"), access)


def _put_aside(root: Path, damaged: Path, access: Access) -> str | None:
    """Gives the damaged register, if there is one, the name that it keeps; the same when that was done before."""
    if not any(damaged.with_name(f"{_DAMAGED}{end}").exists() for end in _ENDS):
        return None
    name = f"{REGISTER}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    for path in root.glob(f"{REGISTER}.damaged-*Z"):
        if damaged.exists() and path.samefile(damaged):
            name = path.name
    _link(damaged, root / name, access)
    return name


def _copy(source: Path, target: Path, access: Access) -> None:
    """Copies a file, if it is there; where the disk does not read, there are zeros."""
    if not source.exists():
        return
    with os.fdopen(access.create(target, os.O_WRONLY), "wb") as copied, source.open("rb", buffering=0) as original:
        size = os.fstat(original.fileno()).st_size
        for offset in range(0, size, PAGE_SIZE):
            try:
                piece = os.pread(original.fileno(), PAGE_SIZE, offset)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                piece = bytes(min(PAGE_SIZE, size - offset))
            copied.write(piece)


def _make(root: Path, folder: Path, access: Access, meter: Meter) -> Resolution:
    noted = noted_revision(root / REGISTER)
    outcome: list[Resolution] = []

    def fill(register: sqlite3.Connection) -> None:
        access.make_register(folder / "work.db")
        with closing(sqlite3.connect(folder / "work.db", isolation_level=None)) as work:
            work.execute("PRAGMA journal_mode=OFF")
            work.execute("PRAGMA synchronous=OFF")
            work.execute("BEGIN")
            found = salvage(folder / "copy.db", noted, register, work)
            outcome.append(Resolver(root, found, noted, register, meter).run())
        outcome[0].repairs += [Repair(f"what was wrong with the register: {fault}") for fault in found.faults]

    directory = StoreDirectory(folder)
    directory.access = access
    directory.acquire()
    connections = Connections(directory, synchronous="FULL")
    try:
        access.make_register(connections.path)
        prepare(connections, fill)
        faults = connections.read(lambda connection: rules.integrity(connection, full=True))
    finally:
        connections.close()
        directory.release()
    if faults or (folder / f"{REGISTER}-wal").exists():
        raise StorageError(f"the new register is not sound: {faults}; the damaged one is untouched")
    with (folder / REGISTER).open("rb") as made:
        sync(made.fileno())
    sync_folder(folder)
    return outcome[0]


def _note(register: Path, revision: int, access: Access) -> None:
    descriptor = access.open(turn_file(register), os.O_RDWR)
    try:
        note_revision(descriptor, revision)
    finally:
        os.close(descriptor)
