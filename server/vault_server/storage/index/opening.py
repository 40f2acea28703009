"""Opening a register: one that is missing, torn or behind what was acknowledged is told, not made anew or believed."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from vault_server.storage.files.blobs import blob_files, blob_generation
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.files.revision_note import noted_revision, turn_file
from vault_server.storage.index.connections import BUSY_SECONDS, Connections
from vault_server.storage.index.schema import APPLICATION_ID, SCHEMA_VERSION, UNRELEASED_ID, prepare
from vault_server.storage.os_errors import damaged, primary_code, storing

REBUILD: Final = ".rebuild"
"""The folder of a rebuild of the register, while it is under way or after it was killed."""

_TABLES: Final = ("meta", "objects", "contents", "changes", "tags", "trash", "retired", "units")
_DAMAGE: Final = frozenset({0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""What SQLite says of statements that fit any register of ours: also that a table is not there, or a text is none."""

_ANY: Final = 1 << 63


def open_register(
    directory: StoreDirectory, connections: Connections, adopt: Callable[[sqlite3.Connection], None]
) -> str:
    """Makes the register where there never was one, checks it otherwise; see `schema.prepare`.

    Raises:
        StorageError: As `prepare`; REGISTER_DAMAGED also when it is lost, or older than what was acknowledged.
    """
    root, register = directory.root, connections.path
    _refuse_lost(root, register)
    noted = noted_revision(register)  # before the register's own, which may grow meanwhile

    if not _is_missing(register):
        _refuse_damaged(register, noted)

    def adopt_first(connection: sqlite3.Connection) -> None:
        _refuse_emptied(root, register)
        adopt(connection)

    with storing(f"make the register {str(register)!r}"):
        directory.access.make_register(register)
    store_id = prepare(connections, adopt_first)
    if (root / REBUILD).exists():  # killed when all but this was done, for here is a sound register
        shutil.rmtree(root / REBUILD, ignore_errors=True)
    return store_id


def trace_of_a_register(root: Path, register: Path) -> str | None:
    """What shows that the directory once had a register; None when nothing does."""
    if turn_file(register).exists():
        return turn_file(register).name
    for path in sorted(root.glob(f"{register.name}.damaged-*")):
        return path.name
    for files in blob_files(root):
        for file in files:
            if blob_generation(file) is not None:  # pyvault's have none
                return file
    return None


def _refuse_lost(root: Path, register: Path) -> None:
    if not _is_missing(register):
        return
    with storing(f"look through {str(root)!r}"):
        trace = trace_of_a_register(root, register)
    # Asked again: another process may just have made it, and left the trace after that.
    if trace is not None and _is_missing(register):
        raise damaged(
            register, f"is {'empty' if register.exists() else 'missing'}, and {trace!r} shows that there was one"
        )


def _refuse_emptied(root: Path, register: Path) -> None:
    with storing(f"look through {str(root)!r}"):
        trace = trace_of_a_register(root, register)
    if trace is not None:
        raise damaged(register, f"holds nothing, and {trace!r} shows that it did")


def _refuse_damaged(register: Path, noted: int) -> None:
    """Looks without changing anything: closing an ordinary connection would bring the log into the file."""
    try:
        with closing(sqlite3.connect(f"{register.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as connection:
            found = _look(connection)
    # TypeError: no row where there always is one; ValueError: what SQLite says quotes a text that is none.
    except (sqlite3.Error, TypeError, ValueError) as error:
        if isinstance(error, sqlite3.Error) and primary_code(error) not in _DAMAGE:
            return  # of the system: told by whoever opens it to use it
        raise damaged(register, f"cannot be read: {error}") from error
    if found is None:
        if noted:  # somebody else's database has no note of ours beside it
            raise damaged(register, f"does not say that it is one, and {noted} changes were acknowledged")
        return
    mode, revision = found
    if mode != "wal":
        raise damaged(register, f"has journal mode {mode!r} in its header, which Vault never gave it")
    if not isinstance(revision, int) or revision < noted:
        raise damaged(register, f"has lost changes: it is at revision {revision}, and {noted} was acknowledged")


def _look(connection: sqlite3.Connection) -> tuple[str, Any] | None:
    """Journal mode and revision; None where nothing says that it is a register."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application == UNRELEASED_ID or (application == APPLICATION_ID and version > SCHEMA_VERSION):
        return "wal", _ANY  # `prepare` refuses it
    if application != APPLICATION_ID or version < 1:
        return None
    for table in _TABLES:
        connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608  # names from above
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (revision,) = connection.execute("SELECT revision FROM meta").fetchone()
    return mode, revision


def _is_missing(register: Path) -> bool:
    try:
        return register.stat().st_size == 0
    except FileNotFoundError:
        return True
