"""The index's tables, how they come into being, and which registers are understood."""

import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from vault.errors import StorageError

from vault_server.storage.files.blobs import sync_path
from vault_server.storage.index.connections import BUSY_SECONDS, Connections
from vault_server.storage.os_errors import is_busy, primary_code, register_error, storage_error, storing

OLDEST_SQLITE: Final = (3, 37)
"""STRICT tables."""

APPLICATION_ID: Final = 0x5641554C
"""`VAUL`, so that `file register.db` and we tell a register from somebody else's database."""

UNRELEASED_ID: Final = 0x56415554
"""`VAUT`: what no release made."""

SCHEMA_VERSION: Final = 1

# Times are microseconds since 1970, UTC; checksums XXH3-64 as signed numbers. No two tables have as many columns: what
# is salvaged of a damaged register is told apart by that.
_TABLES: Final = """
CREATE TABLE meta (                     -- one row
    store_id TEXT NOT NULL,
    revision INTEGER NOT NULL,          -- of the last change; 0: none yet
    feed_floor INTEGER NOT NULL,        -- changes up to this revision are no longer in the feed
    clock INTEGER NOT NULL              -- the store's time at its last commit, which never goes back
) STRICT;

CREATE TABLE objects (
    number INTEGER PRIMARY KEY,
    unit TEXT NOT NULL,                 -- these thirteen stand in objects, changes and retired alike
    data_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,        -- unique in the store: the revision at which the bytes were written
    revision INTEGER NOT NULL,
    size INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    datatype TEXT NOT NULL,
    name TEXT,
    tags TEXT,                          -- a JSON object; NULL: none
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,        -- bytes or metadata
    written_at INTEGER NOT NULL,        -- bytes
    expires_at INTEGER,                 -- from then on it is absent; NULL: never. Not used yet, always NULL
    principal TEXT NOT NULL,            -- who is charged for it; '': nobody was named. Not used yet, always ''
    content INTEGER NOT NULL            -- contents.number
) STRICT;
CREATE UNIQUE INDEX objects_by_id ON objects (unit, data_id);
CREATE UNIQUE INDEX objects_by_name ON objects (unit, name) WHERE name IS NOT NULL;
CREATE INDEX objects_by_revision ON objects (unit, revision);
CREATE INDEX objects_by_expiry ON objects (expires_at) WHERE expires_at IS NOT NULL;

-- The bytes of each generation that is kept, current or retired. Never changed once written.
CREATE TABLE contents (
    number INTEGER PRIMARY KEY,         -- the generation that wrote it; objects.content and retired.content refer to it
    checksum INTEGER NOT NULL,          -- of the whole, again: rows that were mixed up are told by it
    file TEXT,                          -- relative to the store's directory; NULL: the bytes are in `data`
    blocks BLOB NOT NULL,               -- the blocks' XXH3-64, 8 bytes each, little-endian
    data BLOB
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

-- The feed, and what each request was answered: the object as it was after the change (of a deletion: before it).
CREATE TABLE changes (
    revision INTEGER PRIMARY KEY,       -- of the change; of a deletion the object's own revision is not kept
    unit TEXT NOT NULL,
    data_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    size INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    datatype TEXT NOT NULL,
    name TEXT,
    tags TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    expires_at INTEGER,
    kind INTEGER NOT NULL,              -- vault.v1.Change.Kind
    committed_at INTEGER NOT NULL,      -- the store's clock: ascends with the revision
    principal TEXT NOT NULL,            -- whose request it was; '': nobody was named
    request_id BLOB,                    -- NULL: nobody asked (adoption)
    request_hash INTEGER                -- of the request's kind, unit and spec; its size and checksum are columns above
) STRICT;
CREATE UNIQUE INDEX changes_by_request ON changes (request_id, principal) WHERE request_id IS NOT NULL;

-- Generations that were replaced or deleted, until they are collected. Retiring one moves no bytes.
CREATE TABLE retired (
    generation INTEGER PRIMARY KEY,
    unit TEXT NOT NULL,
    data_id INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    size INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    datatype TEXT NOT NULL,
    name TEXT,
    tags TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    expires_at INTEGER,
    content INTEGER NOT NULL,           -- contents.number
    retired_by INTEGER NOT NULL,        -- the revision that replaced or deleted it
    retired_at INTEGER NOT NULL,        -- the wall clock
    collect_at INTEGER NOT NULL         -- from then on it may be collected
) STRICT;
CREATE INDEX retired_by_collection ON retired (collect_at);

-- Files that no object has any more, to be removed by a later transaction.
CREATE TABLE trash (
    file TEXT PRIMARY KEY,
    since INTEGER NOT NULL              -- the revision that put it there
) STRICT, WITHOUT ROWID;

-- One row a unit that ever held an object. Counts are of current generations; changed once a group.
CREATE TABLE units (
    number INTEGER PRIMARY KEY,
    unit TEXT NOT NULL,
    objects INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    revision INTEGER NOT NULL,          -- of its newest change
    max_objects INTEGER,                -- NULL: no limit. The limits are not used yet
    max_bytes INTEGER,
    when_full INTEGER NOT NULL          -- 0: refuse; 1: evict what was stored longest ago
) STRICT;
CREATE UNIQUE INDEX units_by_name ON units (unit);
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


def prepare(connections: Connections, adopt: Callable[[sqlite3.Connection], None]) -> str:
    """Makes the register when there is none, in one transaction with `adopt`; checks it otherwise.

    Several processes may do this at the same time: one makes it, the others wait.

    Returns:
        The store's id.

    Raises:
        StorageError: REGISTER_TOO_NEW, a later version of Vault made it; REGISTER_TOO_OLD, one before the first release
            did; REGISTER_DAMAGED, it is no register; or it cannot be read or made.
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
            _make(connection, path, adopt)
    finally:
        connection.close()
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
    if application == UNRELEASED_ID:
        raise too_old(path)
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


def _make(connection: sqlite3.Connection, path: str, adopt: Callable[[sqlite3.Connection], None]) -> None:
    """Makes the register in one transaction; nothing when another process has done it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection, path) == 0:
            # One statement at a time: executescript would commit the transaction first.
            for statement in filter(str.strip, _TABLES.split(";\n")):
                connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES (?, 0, 0, 0)", (secrets.token_hex(16),))
            adopt(connection)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def too_old(path: str) -> StorageError:
    """The error of a register that was made before the first release."""
    return StorageError(
        f"the register {path!r} was made by a version of Vault before 0.1.0, and is not read: load its objects with "
        "the version that made it, and upload them to a new directory",
        reason="REGISTER_TOO_OLD",
    )
