"""The register's tables, how they come into being, how older ones become the newest, and which are understood."""

import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Final

from vault.errors import StorageError

from vault_server.storage.files.blobs import sync_path
from vault_server.storage.index.connections import BUSY_SECONDS, Connections
from vault_server.storage.os_errors import is_busy, primary_code, register_error, storage_error, storing

_log = logging.getLogger(__name__)

OLDEST_SQLITE: Final = (3, 37)
"""STRICT tables."""

APPLICATION_ID: Final = 0x56415554
"""`VAUT`, so that `file register.db` and we tell a register from somebody else's database."""

_VERSION_1: Final = """
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
_VERSION_2: Final = """
-- Generations that were replaced or deleted, with all it takes to serve them until they expire.
CREATE TABLE retired (
    number INTEGER PRIMARY KEY,
    unit TEXT NOT NULL,
    data_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    size INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    datatype TEXT NOT NULL,
    name TEXT,
    tags TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    retired_at INTEGER NOT NULL,        -- microseconds since 1970, UTC
    expires_at INTEGER NOT NULL,        -- from then on it may be collected
    file TEXT,                          -- these three as in `contents`
    blocks BLOB NOT NULL,
    data BLOB
) STRICT;
CREATE UNIQUE INDEX retired_by_generation ON retired (unit, data_id, generation);
CREATE UNIQUE INDEX retired_by_file ON retired (file) WHERE file IS NOT NULL;
CREATE INDEX retired_by_expiry ON retired (expires_at);
-- How far the background reading of everything is, and what the last whole pass found: one row, or none yet.
CREATE TABLE scrub (
    number INTEGER NOT NULL,            -- of the object that is next, or in the middle
    generation INTEGER NOT NULL,        -- that of it which was being read
    block INTEGER NOT NULL,             -- the next of it
    began_at INTEGER NOT NULL,          -- microseconds since 1970, UTC; 0: no pass is under way
    objects INTEGER NOT NULL,           -- read in this pass
    size INTEGER NOT NULL,              -- bytes of them
    problems TEXT NOT NULL,             -- found in this pass; a JSON array
    last_began_at INTEGER NOT NULL,     -- these of the last whole pass; 0: there was none
    last_ended_at INTEGER NOT NULL,
    last_objects INTEGER NOT NULL,
    last_size INTEGER NOT NULL,
    last_problems TEXT NOT NULL
) STRICT;
"""


def _run(script: str) -> Callable[[sqlite3.Connection], None]:
    def step(connection: sqlite3.Connection) -> None:
        # One statement at a time: executescript would commit the transaction first.
        for statement in filter(str.strip, script.split(";\n")):
            connection.execute(statement)

    return step


_STEPS: Final[Sequence[Callable[[sqlite3.Connection], None]]] = (_run(_VERSION_1), _run(_VERSION_2))
"""What makes version n + 1 of version n. A new register goes through all of them, an older one through the rest."""

SCHEMA_VERSION: Final = len(_STEPS)


def prepare(connections: Connections, adopt: Callable[[sqlite3.Connection], None]) -> str:
    """Makes the register when there is none, in one transaction with `adopt`; checks it otherwise.

    An older version's is migrated, in one transaction. Several processes may do this at the same time:
    one makes or migrates it, the others wait.

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
            return _prepare(connections, adopt)
        except sqlite3.Error as error:
            if not is_busy(error) or time.monotonic() > deadline:
                attempt = f"open the register {str(connections.path)!r}"
                if primary_code(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                    raise storage_error(error, attempt) from error
                raise register_error(error, attempt, connections.path) from error
        time.sleep(0.02)  # switching to WAL does not wait for other openers by itself


def _prepare(connections: Connections, adopt: Callable[[sqlite3.Connection], None]) -> str:
    path = str(connections.path)
    connection = connections.connect()
    try:
        connection.execute("BEGIN")  # one state of it: another process may be making it
        version = _version(connection, path)
        connection.execute("COMMIT")
        if version == 0:
            _switch_to_wal(connection, path)
            # Whoever finds version 0 does so, so that a store is not lost whose maker was killed right here.
            with storing(f"make the directory of {path!r} durable"):
                sync_path(connections.path.parent)
            _bring_up(connection, path, adopt)
    finally:
        connection.close()
    if 0 < version < SCHEMA_VERSION:
        attempt = f"migrate the register {path!r}"
        with storing(attempt), connections.writing() as leased:  # processes of the older version may be at work
            _bring_up(leased, path, adopt)
        _log.info("migrated the register %s from version %d to %d", path, version, SCHEMA_VERSION)
    return str(connections.read(lambda reading: reading.execute("SELECT store_id FROM meta").fetchone()[0]))


def _switch_to_wal(connection: sqlite3.Connection, path: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StorageError(
            f"the file system of {path!r} does not support SQLite's write-ahead log (it needs shared memory): "
            "use a local one"
        )


def _version(connection: sqlite3.Connection, path: str) -> int:
    """The register's version; 0 where there is nothing yet."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if version == 0 and application == 0:
        if connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise StorageError(f"{path!r} is somebody else's SQLite database, not a register", reason="NOT_A_REGISTER")
        return 0
    if application != APPLICATION_ID or version < 1:
        raise StorageError(f"{path!r} is somebody else's SQLite database, not a register", reason="NOT_A_REGISTER")
    if version > SCHEMA_VERSION:
        raise StorageError(
            f"the register {path!r} has schema version {version}, made by a later Vault; "
            f"this one reads up to version {SCHEMA_VERSION}",
            reason="REGISTER_TOO_NEW",
            version=version,
        )
    return version


def _bring_up(connection: sqlite3.Connection, path: str, adopt: Callable[[sqlite3.Connection], None]) -> None:
    """Makes the register, or migrates it, in one transaction; nothing when another process has done it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, path)
        for step in _STEPS[version:]:
            step(connection)
        if version == 0:
            connection.execute("INSERT INTO meta VALUES (?, 0, 0)", (secrets.token_hex(16),))
            adopt(connection)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
