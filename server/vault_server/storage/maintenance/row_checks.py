"""What the register's rows must say of each other, as far as it can be told without the objects' bytes."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from vault.store.limits import BLOCK_SIZE
from vault.store.values import ObjectInfo, checksum

from vault_server.storage.index.objects import INFO_COLUMNS, from_time, is_file_of, pack_tags, unpack_checksums
from vault_server.storage.maintenance.report import Problem, ProblemKind


class Stored(NamedTuple):
    """What an object's row of `contents`, and the change that last made it, say of it; None where there is none."""

    contents: int | None
    file: str | None
    data_size: int | None
    blocks: bytes | None
    change: tuple[Any, ...] | None


def integrity(connection: sqlite3.Connection, *, full: bool) -> list[str]:
    """What SQLite's own check finds wrong; with `full`, also where indexes and rows disagree."""
    pragma = "PRAGMA integrity_check" if full else "PRAGMA quick_check"
    return [line for (line,) in connection.execute(pragma) if line != "ok"]


def is_of_an_index(fault: str) -> bool:
    """Whether what `integrity` found is that an index is not as its table is, which REINDEX mends."""
    return " index " in fault


def total_size(connection: sqlite3.Connection) -> int:
    """Bytes of all objects, and of generations that are retired."""
    query = "SELECT (SELECT coalesce(sum(size), 0) FROM objects) + (SELECT coalesce(sum(size), 0) FROM retired)"
    return int(connection.execute(query).fetchone()[0])


def retired(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many replaced and deleted generations are kept for a while, and their bytes."""
    count, size = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM retired").fetchone()
    return count, size


def retired_from(connection: sqlite3.Connection, first: int, limit: int) -> list[tuple[Any, ...]]:
    """The next retired generations by number, from this one on: number, unit, id, generation."""
    return connection.execute(
        "SELECT number, unit, data_id, generation FROM retired NOT INDEXED WHERE number >= ? ORDER BY number LIMIT ?",
        (first, limit),
    ).fetchall()


FIRST: Final = -(1 << 63)
"""No row has a lower number, not even a damaged one."""


def page_from(connection: sqlite3.Connection, first: int, limit: int) -> list[tuple[Any, ...]]:
    """The next rows by number, from this one on: INFO_COLUMNS, the number, and what makes a `Stored`."""
    found = connection.execute(
        f"SELECT {INFO_COLUMNS}, o.number, c.number, c.file, length(c.data), c.blocks, "  # noqa: S608  # only names
        "h.revision, h.unit, h.data_id, h.generation, h.name, h.answer "
        "FROM objects o NOT INDEXED LEFT JOIN contents c ON c.number = o.number "
        "LEFT JOIN changes h ON h.revision = o.revision "
        "WHERE o.number >= ? ORDER BY o.number LIMIT ?",
        (first, limit),
    ).fetchall()
    return [(*row[:16], row[17:] if row[16] is not None else None) for row in found]


def contents_fault(info: ObjectInfo, stored: Stored) -> Problem | None:
    """What is wrong with what is said of an object's bytes; the rows were read in one transaction."""
    detail = _contents_fault(info, stored)
    return Problem(ProblemKind.REGISTER, detail, info.unit, info.data_id) if detail else None


def feed_faults(info: ObjectInfo, stored: Stored) -> list[Problem]:
    """Where an object's row and the feed contradict each other; likewise."""
    detail = _change_fault(info, stored.change)
    return [Problem(ProblemKind.REGISTER, detail, info.unit, info.data_id)] if detail else []


def _contents_fault(info: ObjectInfo, stored: Stored) -> str | None:
    if stored.contents is None:
        return "it has no row that says where its bytes are"
    if stored.file is None and stored.data_size != info.size:
        return f"the register holds {stored.data_size or 0} bytes of it, not {info.size}"
    if stored.file is not None and (stored.data_size is not None or not is_file_of(info, stored.file)):
        return f"its bytes are said to be in {stored.file!r}, which is not its file"
    packed = stored.blocks or b""
    if len(packed) != 8 * info.block_count:
        return f"{len(packed) / 8:g} blocks' checksums are there, of {info.block_count}"
    blocks = unpack_checksums(packed)
    if info.size <= BLOCK_SIZE and info.checksum != (blocks[0] if blocks else checksum(b"")):
        return "the checksums of the whole and of its one block differ"
    return None


def _change_fault(info: ObjectInfo, change: tuple[Any, ...] | None) -> str | None:
    """Adopted objects, and those changed before the feed's history begins, have no change to be held against."""
    if change is None:
        return None
    unit, data_id, generation, name, answer = change
    try:
        size, whole, datatype, tags, created_at, updated_at = json.loads(answer)
    except (ValueError, TypeError):
        return "the feed's entry of its last change cannot be read"
    said = {
        "unit": (info.unit, unit),
        "id": (info.data_id, data_id),
        "generation": (info.generation, generation),
        "name": (info.name, name),
        "size": (info.size, size),
        "checksum": (info.checksum, whole),
        "datatype": (info.datatype, datatype),
        "tags": (pack_tags(info.tags), tags),
        "created_at": (from_time(info.created_at), created_at),
        "updated_at": (from_time(info.updated_at), updated_at),
    }
    differing = [f"{what} {ours!r} against {theirs!r}" for what, (ours, theirs) in said.items() if ours != theirs]
    return f"its row and the feed's entry of its last change differ: {', '.join(differing)}" if differing else None


def _count(connection: sqlite3.Connection, what: str, query: str) -> list[Problem]:
    (count,) = connection.execute(query).fetchone()
    return [Problem(ProblemKind.REGISTER, f"{what}: {count}")] if count else []


OURS: Final = (
    "SELECT o.unit, j.key, j.value, o.data_id FROM objects o NOT INDEXED "
    "JOIN json_each(CASE WHEN json_valid(o.tags) THEN o.tags ELSE '{}' END) j"
)
"""The rows that `tags` should have; what is no JSON is told of with its object."""

SURPLUS_TAG: Final = (
    "NOT EXISTS (SELECT 1 FROM objects o JOIN json_each(CASE WHEN json_valid(o.tags) THEN o.tags ELSE '{}' END) j "
    "WHERE o.unit = tags.unit AND o.data_id = tags.data_id AND j.key = tags.key AND j.value = tags.value)"
)
UNREADABLE_CHANGE: Final = "(kind NOT BETWEEN 1 AND 4 OR (answer IS NOT NULL AND NOT json_valid(answer)))"
MISSING_TAG: Final = (
    "NOT EXISTS (SELECT 1 FROM tags t "
    "WHERE t.unit = o.unit AND t.key = j.key AND t.value = j.value AND t.data_id = o.data_id)"
)


def _fate(connection: sqlite3.Connection) -> list[Problem]:
    """Objects that the feed says are there and are not, or the other way round."""
    problems = []
    for unit, data_id, revision, kind, number in connection.execute(
        "SELECT c.unit, c.data_id, max(c.revision), c.kind, o.number FROM changes c "
        "LEFT JOIN objects o ON o.unit = c.unit AND o.data_id = c.data_id "
        "WHERE c.revision > (SELECT feed_floor FROM meta) GROUP BY c.unit, c.data_id "
        "HAVING (c.kind = 4) = (o.number IS NOT NULL)"
    ):
        last = f"the last change of it in the feed, at revision {revision}, is of kind {kind}"
        detail = f"it has {'no' if number is None else 'a'} row, and {last}"
        problems.append(Problem(ProblemKind.REGISTER, detail, unit, data_id))
    return problems


def _meta(connection: sqlite3.Connection) -> list[Problem]:
    (count,) = connection.execute("SELECT count(*) FROM meta").fetchone()
    return [] if count == 1 else [Problem(ProblemKind.DAMAGED_REGISTER, f"`meta` has {count} rows, not 1")]


CONTRADICTIONS: Final[Sequence[Callable[[sqlite3.Connection], list[Problem]]]] = (
    _meta,
    _fate,
    partial(
        _count,
        what="tags that disagree with their object",
        query=f"SELECT count(*) FROM tags WHERE {SURPLUS_TAG}",  # noqa: S608
    ),
    # Only constants are put into what is asked.
    partial(_count, what="tags that are not searchable", query=f"SELECT count(*) FROM ({OURS} WHERE {MISSING_TAG})"),  # noqa: S608
    partial(
        _count,
        what="contents without an object",
        query="SELECT count(*) FROM contents WHERE number NOT IN (SELECT number FROM objects)",
    ),
    partial(
        _count,
        what="objects after the last revision",
        query="SELECT count(*) FROM objects WHERE revision > (SELECT revision FROM meta) OR generation > revision",
    ),
    partial(
        _count,
        what="changes missing from the feed",
        query="SELECT m.revision - m.feed_floor - (SELECT count(*) FROM changes c WHERE c.revision > m.feed_floor) "
        "FROM meta m",
    ),
    partial(
        _count,
        what="entries of the feed that cannot be read",
        query=f"SELECT count(*) FROM changes WHERE {UNREADABLE_CHANGE}",  # noqa: S608
    ),
)
"""Each looks in a read transaction, so that what it compares is of one moment."""
