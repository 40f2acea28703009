"""Opening a register: one that is missing, torn or behind what was acknowledged is told, not made anew or believed."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from vault.errors import StorageError

from vault_server.storage.blobs import blob_files, blob_generation
from vault_server.storage.connections import Connections
from vault_server.storage.failures import damaged, primary_code, storing
from vault_server.storage.schema import prepare
from vault_server.storage.watermark import noted_revision, turn_file

_OURS: Final = frozenset({0, sqlite3.SQLITE_ERROR})
"""What SQLite says of statements that fit any register of ours: a table that is not there, text that is none."""


def open_register(root: Path, connections: Connections, adopt: Callable[[sqlite3.Connection], None]) -> str:
    """Makes the register where there never was one, checks it otherwise; see `schema.prepare`.

    Raises:
        StorageError: As `prepare`; REGISTER_DAMAGED also when it is lost, or older than what was acknowledged.
    """
    register = connections.path
    _refuse_lost(root, register)
    noted = noted_revision(register)  # before the register's own, which may grow meanwhile

    def adopt_first(connection: sqlite3.Connection) -> None:
        _refuse_emptied(root, register)
        adopt(connection)

    try:
        store_id = prepare(connections, adopt_first)
        with closing(connections.connect()) as connection:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            (revision,) = connection.execute("SELECT revision FROM meta").fetchone()
    except StorageError as error:
        if _is_damage(error, noted):
            raise damaged(register, f"cannot be read: {error.__cause__ or error}") from error
        raise
    except (sqlite3.Error, TypeError) as error:  # TypeError: no row where there always is one
        raise damaged(register, f"cannot be read: {error}") from error
    if mode != "wal":
        raise damaged(register, f"has journal mode {mode!r} in its header, which Vault never gave it")
    if not isinstance(revision, int) or revision < noted:
        raise damaged(register, f"has lost changes: it is at revision {revision}, and {noted} was acknowledged")
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


def _is_missing(register: Path) -> bool:
    try:
        return register.stat().st_size == 0
    except FileNotFoundError:
        return True


def _is_damage(error: StorageError, noted: int) -> bool:
    if error.reason == "NOT_A_REGISTER":
        return noted > 0  # somebody else's database has no note of ours beside it
    return isinstance(error.__cause__, sqlite3.Error) and primary_code(error.__cause__) in _OURS
