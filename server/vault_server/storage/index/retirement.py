"""Generations that were replaced or deleted: kept for a grace, found by their number, collected when it is over.

So that who reads one finishes: a reader that seeks, a download that resumes. Each row of `retired` says when it
expires, so that processes with different settings may share a directory and collect each other's.

The times are the wall clock's, since they must survive a restart. A clock that jumps forward shortens the
grace; of one that jumps back, what was retired "in the future" is taken as retired now.
"""

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault_server.storage.index.objects import Row, StoredContents, to_info, unpack_checksums

INLINED_LIMIT: Final = 64 << 20
"""Bytes of objects that live in the register which are retained there, and at most a quarter of what is free on the
disk. Files give their space back; the register keeps what it has grown by, so the oldest expire early when small
objects are replaced by the thousands."""

_ROW_BYTES: Final = 500
"""What a row takes besides its bytes, about."""

_COLUMNS: Final = "unit, data_id, generation, revision, size, checksum, datatype, name, tags, created_at, updated_at"
_SELECT: Final = f"SELECT {_COLUMNS}, number, file, data, blocks FROM retired"  # noqa: S608  # only names of columns
_RETIRE: Final = (
    f"INSERT OR REPLACE INTO retired ({_COLUMNS}, retired_at, expires_at, file, blocks, data) "  # noqa: S608  # as above
    f"SELECT {_COLUMNS}, ?, ?, file, blocks, data FROM objects JOIN contents USING (number) WHERE number = ?"
)


@dataclass(frozen=True, slots=True)
class Collected:
    """What one collection did.

    Attributes:
        files: Now in the trash.
        rows: How many generations that were.
        next_look: Seconds until the next expires; None: nothing is retained.
    """

    files: list[str]
    rows: int
    next_look: float | None


def retire(connection: sqlite3.Connection, number: int, *, now: int, retention: float) -> int:
    """Keeps the present generation of the object with this row number; before its rows change.

    Args:
        now: Microseconds since 1970.

    Returns:
        How much the register grew by bytes that it holds, about.
    """
    connection.execute(_RETIRE, (now, now + round(retention * 1e6), number))
    found = connection.execute("SELECT length(data) FROM contents WHERE number = ?", (number,)).fetchone()
    return int(found[0]) + _ROW_BYTES if found and found[0] is not None else 0


def find_retired(
    connection: sqlite3.Connection, unit: str, data_id: int, generation: int
) -> tuple[Row, StoredContents] | None:
    """A generation that was replaced or deleted, while it is kept."""
    found = connection.execute(
        f"{_SELECT} WHERE unit = ? AND data_id = ? AND generation = ?", (unit, data_id, generation)
    ).fetchone()
    if found is None:
        return None
    contents = StoredContents(found[12], found[13], unpack_checksums(found[14]), retired=True)
    return Row(to_info(found), found[11]), contents


def next_look(connection: sqlite3.Connection, *, now: int) -> float | None:
    """Seconds until `collect` has something to do; None: nothing is retained."""
    if _is_future(connection, now):
        return 0.0
    (expiry,) = connection.execute("SELECT min(expires_at) FROM retired").fetchone()
    return None if expiry is None else max(expiry - now, 0) / 1e6


def collect(connection: sqlite3.Connection, *, now: int, limit: int) -> Collected:
    """Gives up to `limit` generations up whose time has come: their files are trash from here on."""
    if _is_future(connection, now):
        connection.execute(
            "UPDATE retired SET expires_at = expires_at - retired_at + ?, retired_at = ? WHERE retired_at > ?",
            (now, now, now),
        )
    due = connection.execute(
        "SELECT number, file FROM retired WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", (now, limit)
    ).fetchall()
    files = _give_up(connection, due)
    return Collected(files, len(due), next_look(connection, now=now))


def inlined_limit(root: Path) -> int:
    """How many bytes may be retained in the register now."""
    try:
        disk = os.statvfs(root)
    except OSError:  # asked after a COMMIT, which has succeeded
        return INLINED_LIMIT
    return min(INLINED_LIMIT, disk.f_bavail * disk.f_frsize // 4)


def trim(connection: sqlite3.Connection, limit: int) -> None:
    """Holds the bytes that are retained in the register to a limit; the first to expire go."""
    rows = connection.execute("SELECT number, size FROM retired WHERE file IS NULL ORDER BY expires_at DESC")
    held = 0
    surplus: list[tuple[int, None]] = []
    for number, size in rows:
        held += size + _ROW_BYTES
        if held > limit:
            surplus.append((number, None))
    _give_up(connection, surplus)


def give_up_file(connection: sqlite3.Connection, file: str) -> None:
    """Forgets a generation whose file is gone: another's bytes are getting its name."""
    connection.execute("DELETE FROM retired WHERE file = ?", (file,))


def _is_future(connection: sqlite3.Connection, now: int) -> bool:
    """Whether the last to expire was retired by a clock that has jumped back since."""
    last = connection.execute("SELECT retired_at FROM retired ORDER BY expires_at DESC LIMIT 1").fetchone()
    return last is not None and last[0] > now


def _give_up(connection: sqlite3.Connection, rows: Sequence[tuple[int, str | None]]) -> list[str]:
    files = [file for _, file in rows if file is not None]
    connection.executemany("INSERT OR REPLACE INTO trash SELECT ?, revision FROM meta", [(file,) for file in files])
    connection.executemany("DELETE FROM retired WHERE number = ?", [(number,) for number, _ in rows])
    return files
