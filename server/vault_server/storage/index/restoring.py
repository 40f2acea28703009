"""Rows brought into a register other than by writes: adopted, or found again by a repair or a rebuild."""

import sqlite3
from typing import Final

from vault_server.storage.decision.rows import Row, unpack_tags
from vault_server.storage.decision.writes import Content
from vault_server.storage.index.apply import INSERT
from vault_server.storage.index.units import TOTAL_SIZE

UNITS_COUNTED: Final = f"""
    SELECT u.unit, coalesce(o.objects, 0) AS objects, coalesce(o.bytes, 0) AS bytes,
        max(coalesce(o.revision, 0), coalesce(c.revision, 0)) AS newest,
        max(coalesce(o.revision, 0), coalesce(c.revision, 0), (SELECT feed_floor FROM meta)) AS highest
    FROM (SELECT unit FROM units UNION SELECT unit FROM objects NOT INDEXED) u
    LEFT JOIN (
        SELECT unit, count(*) AS objects, {TOTAL_SIZE} AS bytes, max(revision) AS revision
        FROM objects NOT INDEXED GROUP BY unit
    ) o ON o.unit = u.unit
    LEFT JOIN (SELECT unit, max(revision) AS revision FROM changes GROUP BY unit) c ON c.unit = u.unit
"""  # noqa: S608  # a constant
"""What `units` has to say. The revision of a unit is not below `newest`, the last that its rows tell of; it is not
above `highest`, as deletions below the feed's floor have left no row."""

COUNT_UNITS: Final = (
    f"INSERT INTO units (unit, objects, bytes, revision, when_full) "  # noqa: S608  # a constant
    f"SELECT unit, objects, bytes, highest, 0 FROM ({UNITS_COUNTED}) WHERE TRUE "
    "ON CONFLICT (unit) DO UPDATE SET objects = excluded.objects, bytes = excluded.bytes, revision = excluded.revision"
)
"""Makes `units` what the objects say; limits stay."""

PRINCIPALS_COUNTED: Final = f"""
    SELECT p.principal, coalesce(o.objects, 0) AS objects, coalesce(o.bytes, 0) AS bytes
    FROM (SELECT principal FROM principals UNION SELECT principal FROM objects NOT INDEXED WHERE principal <> '') p
    LEFT JOIN (
        SELECT principal, count(*) AS objects, {TOTAL_SIZE} AS bytes
        FROM objects NOT INDEXED WHERE principal <> '' GROUP BY principal
    ) o ON o.principal = p.principal
"""  # noqa: S608  # a constant
"""What `principals` has to say."""

COUNT_PRINCIPALS: Final = (
    "INSERT INTO principals (principal, objects, bytes) "  # noqa: S608  # a constant
    f"SELECT principal, objects, bytes FROM ({PRINCIPALS_COUNTED}) WHERE TRUE "
    "ON CONFLICT (principal) DO UPDATE SET objects = excluded.objects, bytes = excluded.bytes"
)
"""Makes `principals` what the objects say; limits stay."""


def insert_object(connection: sqlite3.Connection, row: Row, content: Content) -> None:
    """Inserts an object with its content and tags. Units are to be counted, and meta's revision set, after it."""
    insert_contents(connection, row, content)
    connection.execute(INSERT, row)
    connection.executemany(
        "INSERT INTO tags VALUES (?, ?, ?, ?)",
        [(row.unit, *tag, row.data_id) for tag in unpack_tags(row.tags).items()],
    )


def insert_contents(connection: sqlite3.Connection, row: Row, content: Content) -> None:
    """Inserts the content of an object or a retired generation; nothing where it is there."""
    connection.execute(
        "INSERT INTO contents VALUES (?, ?, ?, ?, ?) ON CONFLICT (number) DO NOTHING",
        (row.content, row.checksum, content.file, content.blocks, content.data),
    )
