"""Opening a register: made where there never was one; one that is missing, torn, too old or too new is refused.

SQLite takes a missing file for an empty database, an empty file too, and a broken write-ahead log for a shorter one.
So a register is looked at before it is opened to be used, and before anything is changed in the directory.
"""

import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from vault.errors import StorageError

from vault_server.storage.files.blobs import blob_files, blob_generation, sync_path
from vault_server.storage.files.directory import StoreDirectory
from vault_server.storage.files.revision_note import noted_revision, turn_file
from vault_server.storage.index.connections import BUSY_SECONDS, Connections
from vault_server.storage.index.restoring import COUNT_PRINCIPALS
from vault_server.storage.index.schema import (
    APPLICATION_ID,
    OLDEST_SQLITE,
    PRINCIPALS,
    SCHEMA_VERSION,
    TABLES,
    UNRELEASED_ID,
)
from vault_server.storage.os_errors import damaged, is_busy, primary_code, register_error, storage_error, storing

REBUILD: Final = ".rebuild"
"""The folder of a rebuild of the register, while it is under way or after it was killed."""

_TABLES: Final = ("meta", "objects", "contents", "changes", "tags", "trash", "retired", "units")
_DAMAGE: Final = frozenset({0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""What SQLite says of statements that fit any register of ours: also that a table is not there, or a text is none."""

Adopt = Callable[[sqlite3.Connection], None]


def open_register(directory: StoreDirectory, connections: Connections, adopt: Adopt) -> str:
    """Makes the register where there never was one, checks it otherwise; see `prepare`.

    Raises:
        StorageError: As `prepare`; REGISTER_DAMAGED also when it is lost, or older than what was acknowledged.
    """
    root, register = directory.root, connections.path
    # Asked again: another process may just have made it, and left the trace after that.
    if _is_missing(register) and (trace := _trace(root, register)) and _is_missing(register):
        gone = "empty" if register.exists() else "missing"
        raise damaged(register, f"is {gone}, and {trace!r} shows that there was one")
    noted = noted_revision(register)  # before the register's own, which may grow meanwhile
    if not _is_missing(register):
        _refuse_damaged(register, noted)

    def adopt_first(connection: sqlite3.Connection) -> None:
        if trace := _trace(root, register):
            raise damaged(register, f"holds nothing, and {trace!r} shows that it did")
        adopt(connection)

    with storing(f"make the register {str(register)!r}"):
        directory.access.make_register(register)
    store_id = prepare(connections, adopt_first)
    if (root / REBUILD).exists():  # killed when all but this was done, for here is a sound register
        shutil.rmtree(root / REBUILD, ignore_errors=True)
    return store_id


def prepare(connections: Connections, adopt: Adopt) -> str:
    """Makes the register when there is none, in one transaction with `adopt`; checks its version otherwise.

    Several processes may do this at the same time: one makes it, the others wait.

    Returns:
        The store's id.

    Raises:
        StorageError: REGISTER_TOO_NEW, a later version of Vault made it; REGISTER_TOO_OLD, one before the first release
            did; NOT_A_REGISTER; REGISTER_DAMAGED; or it cannot be read or made.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise StorageError(f"Python's SQLite is {sqlite3.sqlite_version}; {needed} or later is needed")
    path = connections.path
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with closing(connections.connect()) as connection:
                connection.execute("BEGIN")  # one state of it: another process may be making it
                version = _version(connection, path)
                connection.execute("COMMIT")
                if version == 0:
                    _make(connection, path, adopt)
                lacking = not _has_principals(connection)
            if lacking:
                connections.write(_add_principals)
            return str(connections.read(lambda reading: reading.execute("SELECT store_id FROM meta").fetchone()[0]))
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() > deadline:
                attempt = f"open the register {str(path)!r}"
                if primary_code(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                    raise storage_error(error, attempt) from error
                raise register_error(error, attempt, path) from error
        time.sleep(0.02)  # switching to WAL does not wait for other openers by itself


def _version(connection: sqlite3.Connection, register: Path, noted: int = 0) -> int:
    """The register's version; 0 where there is nothing yet, and nothing was noted to be there."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    path = str(register)
    if application == UNRELEASED_ID:
        raise StorageError(
            f"the register {path!r} was made by a version of Vault before 0.1.0, and is not read: load its objects "
            "with the version that made it, and upload them to a new directory",
            reason="REGISTER_TOO_OLD",
        )
    if application == APPLICATION_ID and version > SCHEMA_VERSION:
        raise StorageError(
            f"the register {path!r} has schema version {version}, made by a later Vault; "
            f"this one reads up to version {SCHEMA_VERSION}",
            reason="REGISTER_TOO_NEW",
            version=version,
        )
    if application == APPLICATION_ID and version > 0:
        return version
    if noted:  # somebody else's database has no note of ours beside it
        raise damaged(register, f"does not say that it is one, and {noted} changes were acknowledged")
    if version or application or connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise StorageError(f"{path!r} is somebody else's SQLite database, not a register", reason="NOT_A_REGISTER")
    return 0


def _make(connection: sqlite3.Connection, path: Path, adopt: Adopt) -> None:
    """Makes the register in one transaction; nothing when another process has done it."""
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StorageError(
            f"the file system of {str(path)!r} does not support SQLite's write-ahead log (it needs shared memory): "
            "use a local one"
        )
    # Whoever finds version 0 does so, so that a store is not lost whose maker was killed right here.
    with storing(f"make the directory of {str(path)!r} durable"):
        sync_path(path.parent)
    connection.execute("BEGIN IMMEDIATE")  # where it fails, closing the connection rolls it back
    if _version(connection, path) == 0:
        # One statement at a time: executescript would commit the transaction first.
        for statement in filter(str.strip, TABLES.split(";\n")):
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES (?, 0, 0, 0)", (secrets.token_hex(16),))
        adopt(connection)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _has_principals(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'principals'").fetchone() is not None


def _add_principals(connection: sqlite3.Connection) -> None:
    """Adds the table that registers of before do not have, with what is charged to whom, in one transaction.

    Who opens such a register with an older version goes on as ever: it charges nothing to anybody, and gives nothing
    back for what it deletes or replaces. A check tells of that, and a repair counts anew.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in filter(str.strip, PRINCIPALS.split(";\n")):
            connection.execute(statement)
        connection.execute(COUNT_PRINCIPALS)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _trace(root: Path, register: Path) -> str | None:
    """What shows that the directory once had a register; None when nothing does."""
    with storing(f"look through {str(root)!r}"):
        if turn_file(register).exists():
            return turn_file(register).name
        for path in sorted(root.glob(f"{register.name}.damaged-*")):
            return path.name
        for files in blob_files(root):
            for file in files:
                if blob_generation(file) is not None:  # pyvault's have none
                    return file
    return None


def _refuse_damaged(register: Path, noted: int) -> None:
    """Looks without changing anything: closing an ordinary connection would bring the log into the file."""
    try:
        with closing(sqlite3.connect(f"{register.as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as connection:
            connection.execute("BEGIN")  # one state of it, likewise
            if _version(connection, register, noted) == 0:
                return
            for table in _TABLES:
                connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608  # names from above
            if _has_principals(connection):
                connection.execute("SELECT 1 FROM principals LIMIT 1").fetchone()
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            (revision,) = connection.execute("SELECT revision FROM meta").fetchone()
    # TypeError: no row where there always is one; ValueError: what SQLite says quotes a text that is none.
    except (sqlite3.Error, TypeError, ValueError) as error:
        if isinstance(error, sqlite3.Error) and primary_code(error) not in _DAMAGE:
            return  # of the system: told by whoever opens it to use it
        raise damaged(register, f"cannot be read: {error}") from error
    if mode != "wal":
        raise damaged(register, f"has journal mode {mode!r} in its header, which Vault never gave it")
    if not isinstance(revision, int) or revision < noted:
        raise damaged(register, f"has lost changes: it is at revision {revision}, and {noted} was acknowledged")


def _is_missing(register: Path) -> bool:
    try:
        return register.stat().st_size == 0
    except FileNotFoundError:
        return True
