"""Generations that were replaced or deleted: kept for a grace, found by their number, collected when it is over.

So that who reads one finishes: a reader that seeks, a download that resumes. Each row of `retired` says when it
expires, so that processes with different settings may share a directory and collect each other's.

The times are the wall clock's, since they must survive a restart. A clock that jumps forward shortens the
grace; of one that jumps back, what was retired "in the future" is taken as retired now.
"""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vault_server.storage.decision.plan import ROW_BYTES
from vault_server.storage.decision.rows import SHOWN, Row
from vault_server.storage.decision.stored import Stored
from vault_server.storage.index.objects import INFO_COLUMNS, to_stored

INLINED_LIMIT: Final = 64 << 20
"""Bytes of objects that live in the register which are retained there, and at most a quarter of what is free on the
disk. Files give their space back; the register keeps what it has grown by, so the oldest expire early when small
objects are replaced by the thousands."""

_INFO: Final = ", ".join(f"r.{column}" for column in Row._fields[:SHOWN])
_FIND: Final = (
    f"SELECT {_INFO}, c.file, c.data, c.blocks, c.checksum "  # noqa: S608  # only names of columns
    "FROM retired r JOIN contents c ON c.number = r.content WHERE r.generation = ? AND r.unit = ? AND r.data_id = ?"
)

_FIND_EXPIRED: Final = (
    f"SELECT {INFO_COLUMNS}, c.file, c.data, c.blocks, c.checksum "  # noqa: S608  # likewise
    "FROM objects o JOIN contents c ON c.number = o.content WHERE o.unit = ? AND o.data_id = ? AND o.generation = ? "
    "AND o.expires_at IS NOT NULL"
)


def find_retired(connection: sqlite3.Connection, unit: str, data_id: int, generation: int) -> Stored | None:
    """A generation that was replaced or deleted, while it is kept."""
    found = connection.execute(_FIND, (generation, unit, data_id)).fetchone()
    if found is None:  # expired, and not deleted yet
        found = connection.execute(_FIND_EXPIRED, (unit, data_id, generation)).fetchone()
    return None if found is None else to_stored(found, retired=True)


def next_look(connection: sqlite3.Connection, *, now: int) -> float | None:
    """Seconds until `collect` has something to do; None: nothing is retained."""
    if _is_future(connection, now):
        return 0.0
    (expiry,) = connection.execute("SELECT min(collect_at) FROM retired").fetchone()
    return None if expiry is None else max(expiry - now, 0) / 1e6


def collect(connection: sqlite3.Connection, *, now: int, limit: int) -> tuple[bool, float | None]:
    """Gives up to `limit` generations up whose time has come: their files are trash from here on.

    Returns:
        Whether another transaction soon is worth it; and the seconds until the next expires, None: nothing is retained.
    """
    if _is_future(connection, now):
        connection.execute(
            "UPDATE retired SET collect_at = collect_at - retired_at + ?, retired_at = ? WHERE retired_at > ?",
            (now, now, now),
        )
    due = connection.execute(
        "SELECT r.generation, r.content, c.file FROM retired r LEFT JOIN contents c ON c.number = r.content "
        "WHERE r.collect_at <= ? ORDER BY r.collect_at LIMIT ?",
        (now, limit),
    ).fetchall()
    give_up(connection, due)
    return len(due) == limit or any(file for *_, file in due), next_look(connection, now=now)


def inlined_limit(root: Path) -> int:
    """How many bytes may be retained in the register now."""
    try:
        disk = os.statvfs(root)
    except OSError:  # asked after a COMMIT, which has succeeded
        return INLINED_LIMIT
    return min(INLINED_LIMIT, disk.f_bavail * disk.f_frsize // 4)


def trim(connection: sqlite3.Connection, limit: int) -> None:
    """Holds the bytes that are retained in the register to a limit; the first to expire go."""
    surplus = connection.execute(
        "SELECT generation, content, NULL FROM (SELECT r.generation, r.content, sum(r.size + ?) OVER (ORDER BY "
        "r.collect_at DESC, r.generation DESC) AS held FROM retired r JOIN contents c ON c.number = r.content "
        "WHERE c.file IS NULL) WHERE held > ?",
        (ROW_BYTES, limit),
    ).fetchall()
    give_up(connection, surplus)


def retained(
    connection: sqlite3.Connection, unit: str | None, limit: int
) -> tuple[list[tuple[int, int, str | None]], int]:
    """Up to `limit` retained generations, of one unit or of all, as `give_up` takes them; and how many bytes they
    have."""
    rows = connection.execute(
        "SELECT r.generation, r.content, c.file, r.size FROM retired r LEFT JOIN contents c ON c.number = r.content "
        "WHERE ?1 IS NULL OR r.unit = ?1 LIMIT ?2",
        (unit, limit),
    ).fetchall()
    return [row[:3] for row in rows], sum(row[3] for row in rows)


def give_up(connection: sqlite3.Connection, rows: Sequence[tuple[int, int, str | None]]) -> None:
    """Forgets retained generations: their number, that of their contents, and their file, which is trash from here
    on."""
    files = [file for _, _, file in rows if file is not None]
    connection.executemany("DELETE FROM retired WHERE generation = ?", [(generation,) for generation, _, _ in rows])
    connection.executemany("DELETE FROM contents WHERE number = ?", [(content,) for _, content, _ in rows])
    connection.executemany("INSERT OR REPLACE INTO trash SELECT ?, revision FROM meta", [(file,) for file in files])


def _is_future(connection: sqlite3.Connection, now: int) -> bool:
    """Whether the last to expire was retired by a clock that has jumped back since."""
    last = connection.execute("SELECT retired_at FROM retired ORDER BY collect_at DESC LIMIT 1").fetchone()
    return last is not None and last[0] > now
