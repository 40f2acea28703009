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
