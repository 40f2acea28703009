"""The index's tables, and what tells a register of theirs."""

from typing import Final

OLDEST_SQLITE: Final = (3, 37)
"""STRICT tables."""

APPLICATION_ID: Final = 0x5641554C
"""`VAUL`, so that `file register.db` and we tell a register from somebody else's database."""

UNRELEASED_ID: Final = 0x56415554
"""`VAUT`: what no release made."""

SCHEMA_VERSION: Final = 1

# Times are microseconds since 1970, UTC; checksums XXH3-64 as signed numbers. No two tables have as many columns: what
# is salvaged of a damaged register is told apart by that.
BY_GENERATION: Final = (
    "CREATE INDEX IF NOT EXISTS objects_by_generation ON objects (unit, generation) WHERE generation <> revision"
)
"""Of objects whose metadata changed since their bytes were written. With `objects_by_revision`, in which the others are
at their generation, all are found in the order in which they were stored."""

PRINCIPALS: Final = """
-- One row a principal that anything was ever charged to, or that has limits. Counts are of current generations; changed
-- once a group. Registers that were made before there were principals get it when they are opened.
CREATE TABLE IF NOT EXISTS principals (
    number INTEGER PRIMARY KEY,
    principal TEXT NOT NULL,            -- as in objects.principal; never ''
    objects INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    max_objects INTEGER,                -- NULL: no limit
    max_bytes INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS principals_by_name ON principals (principal);
"""

TABLES: Final = f"""
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
    expires_at INTEGER,                 -- from then on it is absent; NULL: never
    principal TEXT NOT NULL,            -- who is charged for it: whoever wrote its bytes; '': nobody was named
    content INTEGER NOT NULL            -- contents.number
) STRICT;
CREATE UNIQUE INDEX objects_by_id ON objects (unit, data_id);
CREATE UNIQUE INDEX objects_by_name ON objects (unit, name) WHERE name IS NOT NULL;
CREATE INDEX objects_by_revision ON objects (unit, revision);
{BY_GENERATION};
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
    request_id BLOB,                    -- NULL: nobody asked for it (adoption; what a rename replaced)
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
    max_objects INTEGER,                -- NULL: no limit
    max_bytes INTEGER,
    when_full INTEGER NOT NULL          -- 0: refuse; 1: evict what was stored longest ago
) STRICT;
CREATE UNIQUE INDEX units_by_name ON units (unit);

{PRINCIPALS}
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
