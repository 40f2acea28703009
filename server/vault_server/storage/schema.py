"""The register's tables, how they come into being, and which versions this code understands."""

import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from vault.errors import StorageError

from vault_server.storage.connections import BUSY_SECONDS, Connections
from vault_server.storage.failures import is_busy, storage_error

SCHEMA_VERSION: Final = 1
OLDEST_SQLITE: Final = (3, 37)
"""STRICT tables."""

APPLICATION_ID: Final = 0x56415554
"""`VAUT`, so that `file register.db` and we tell a register from somebody else's database."""

_SCHEMA: Final = """
CREATE TABLE meta (
    store_id TEXT NOT NULL,
    revision INTEGER NOT NULL,          -- of the last change; 0: none yet
    feed_floor INTEGER NOT NULL         -- changes up to this revision are no longer in the feed
) STRICT;
CREATE TABLE objects (
    number INTEGER PRIMARY KEY,
    unit TEXT NOT NULL,
    data_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    size INTEGER NOT NULL,
    checksum INTEGER NOT NULL,          -- XXH3-64 as a signed number
    datatype TEXT NOT NULL,
    name TEXT,
    tags TEXT,                          -- a JSON object; NULL: none
    created_at INTEGER NOT NULL,        -- microseconds since 1970, UTC
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX objects_by_id ON objects (unit, data_id);
CREATE UNIQUE INDEX objects_by_name ON objects (unit, name) WHERE name IS NOT NULL;
-- Apart from `objects`, so that listing does not read through the bytes.
CREATE TABLE contents (
    number INTEGER PRIMARY KEY,         -- objects.number
    file TEXT,                          -- relative to the store's directory; NULL: the bytes are in `data`
    data BLOB,
    blocks BLOB NOT NULL                -- the blocks' XXH3-64, 8 bytes each, little-endian
) STRICT;
CREATE UNIQUE INDEX contents_by_file ON contents (file) WHERE file IS NOT NULL;
-- What `objects.tags` says, searchable.
CREATE TABLE tags (
    unit TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    data_id INTEGER NOT NULL,
    PRIMARY KEY (unit, key, value, data_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
    revision INTEGER PRIMARY KEY,
    unit TEXT NOT NULL,
    data_id INTEGER NOT NULL,
    kind INTEGER NOT NULL,              -- vault.v1.Change.Kind
    generation INTEGER NOT NULL,
    name TEXT,
    request_id BLOB,                    -- NULL: nobody asked (adoption)
    answer TEXT                         -- the rest of what the request was answered, for a retry
) STRICT;
CREATE UNIQUE INDEX changes_by_request ON changes (request_id) WHERE request_id IS NOT NULL;
-- Files that no object has any more, to be removed by a later transaction.
CREATE TABLE trash (
    file TEXT PRIMARY KEY,
    since INTEGER NOT NULL              -- the revision that put it there
) STRICT, WITHOUT ROWID;
"""


def prepare(connections: Connections, adopt: Callable[[sqlite3.Connection], None]) -> str:
    """Makes the register when there is none, in one transaction with `adopt`; checks it otherwise.

    Several processes may do this at the same time: one makes it, the others wait.

    Returns:
        The store's id.

    Raises:
        StorageError: REGISTER_TOO_NEW, a later version of Vault made it; REGISTER_DAMAGED, it is no
            register; or it cannot be read or made.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise StorageError(f"Python's SQLite is {sqlite3.sqlite_version}; {needed} or later is needed")
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection = connections.connect()
            try:
                return _prepare(connection, str(connections.path), adopt)
            finally:
                connection.close()
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise storage_error(error, f"open the register {str(connections.path)!r}") from error
        time.sleep(0.02)  # switching to WAL does not wait for other openers by itself


def _prepare(connection: sqlite3.Connection, path: str, adopt: Callable[[sqlite3.Connection], None]) -> str:
    if not _is_made(connection, path):
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise StorageError(
                f"the file system of {path!r} does not support SQLite's write-ahead log (it needs shared memory): "
                "use a local one"
            )
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not _is_made(connection, path):
                _make(connection, adopt)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return str(connection.execute("SELECT store_id FROM meta").fetchone()[0])


def _is_made(connection: sqlite3.Connection, path: str) -> bool:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if version == 0 and application == 0:
        if connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise StorageError(f"{path!r} is somebody else's SQLite database, not a register", reason="NOT_A_REGISTER")
        return False
    if application != APPLICATION_ID:
        raise StorageError(f"{path!r} is somebody else's SQLite database, not a register", reason="NOT_A_REGISTER")
    if version > SCHEMA_VERSION:
        raise StorageError(
            f"the register {path!r} has schema version {version}, made by a later Vault; "
            f"this one reads up to version {SCHEMA_VERSION}",
            reason="REGISTER_TOO_NEW",
            version=version,
        )
    return True


def _make(connection: sqlite3.Connection, adopt: Callable[[sqlite3.Connection], None]) -> None:
    # One statement at a time: executescript would commit the transaction first.
    for statement in filter(str.strip, _SCHEMA.split(";\n")):
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES (?, 0, 0)", (secrets.token_hex(16),))
    adopt(connection)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
