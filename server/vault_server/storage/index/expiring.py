"""What has expired, and what will: a part of every statement that reads objects, and of a writer's own."""

import sqlite3
from typing import Final

from vault.errors import CorruptionError

from vault_server.storage.decision.rows import Row

NOW: Final = "(SELECT store_time(clock, (SELECT committed_at FROM changes ORDER BY revision DESC LIMIT 1)) FROM meta)"
"""The store's time, by a function that every connection has; found out once a statement, where it reads an object that
expires."""

LIVE: Final = f" AND (o.expires_at IS NULL OR o.expires_at > {NOW})"
"""An object `o` that has expired is not there."""

DISPUTED: Final = (
    "CASE WHEN o.expires_at IS NULL THEN 0 ELSE EXISTS "
    "(SELECT 1 FROM changes h WHERE h.revision = o.revision AND h.expires_at IS NOT o.expires_at) END"
)
"""Whether the feed has another moment for an object `o` than its row has."""

_NEXT: Final = (
    "SELECT min(expires_at) FROM objects WHERE expires_at > ? AND expires_at < 9223372036854775807"  # no text
)
# Without those that the feed disputes.
_EXPIRED: Final = (
    f"SELECT {', '.join(f'o.{column}' for column in Row._fields)} FROM objects i "  # noqa: S608  # names of columns
    "CROSS JOIN objects o ON o.number = i.number LEFT JOIN changes h ON h.revision = o.revision "
    "WHERE i.expires_at <= ? AND +o.expires_at <= ? AND (h.revision IS NULL OR h.expires_at IS o.expires_at) "
    "ORDER BY i.expires_at LIMIT ?"
)


def next_expiry(connection: sqlite3.Connection, after: int = 0) -> int | None:
    """When the next object expires after a moment, in microseconds since 1970; None: none does."""
    moment: int | None = connection.execute(_NEXT, (after,)).fetchone()[0]
    return moment


def require_undisputed(row: Row, disputed: int) -> None:
    """Raises CorruptionError when an object is DISPUTED, or expires at no moment: its row is damaged, and nothing is
    deleted for it."""
    if disputed or not (row.expires_at is None or isinstance(row.expires_at, int)):
        raise CorruptionError(
            f"the register is damaged: the row of object {row.data_id} in unit {row.unit!r} and the feed differ in "
            "when it expires",
            unit=row.unit,
            data_id=row.data_id,
        )


def find_expired(connection: sqlite3.Connection, now: int, limit: int) -> list[Row]:
    """Objects that have expired and are still there."""
    return [Row._make(row) for row in connection.execute(_EXPIRED, (now, now, limit))]
