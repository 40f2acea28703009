"""What must hold of the register's tables as wholes: how the audit asks for it, and how a repair sets it right.

Each rule is asked in a transaction, so that what it compares is of one moment. In the order of a repair: a rule may
rely on those before it.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from vault_server.storage.decision.rows import INFO_COLUMNS, Row
from vault_server.storage.index.facts import LAST_REVISION
from vault_server.storage.index.restoring import COUNT_PRINCIPALS, COUNT_UNITS, PRINCIPALS_COUNTED, UNITS_COUNTED
from vault_server.storage.maintenance.report import Problem, ProblemKind, Repair


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold.

    Attributes:
        problem: What is told, with a number, where it does not hold; None: another look tells of it, too.
        count: The query of that number; 0: it holds.
        mend: The statement that makes it hold; None: that takes more, see `repair`.
        mended: What is told of that; `{count}` is the number.
    """

    problem: str | None
    count: str
    mend: str | None
    mended: str = ""

    def look(self, connection: sqlite3.Connection) -> list[Problem]:
        count = self._count(connection)
        return [Problem(ProblemKind.REGISTER, f"{self.problem}: {count}")] if self.problem and count else []

    def apply(self, connection: sqlite3.Connection) -> list[Repair]:
        if self.mend is None or not (count := self._count(connection)):
            return []
        connection.execute(self.mend)
        return [Repair(self.mended.format(count=count))]

    def _count(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute(self.count).fetchone()[0] or 0)


def integrity(connection: sqlite3.Connection, *, full: bool) -> list[str]:
    """What SQLite's own check finds wrong; with `full`, also where indexes and rows disagree."""
    pragma = "PRAGMA integrity_check" if full else "PRAGMA quick_check"
    return [line for (line,) in connection.execute(pragma) if line != "ok"]


def is_of_an_index(fault: str) -> bool:
    """Whether what `integrity` found is that an index is not as its table is, which REINDEX mends."""
    return " index " in fault


_LATEST: Final = "(CAST(strftime('%s', 'now') AS INTEGER) + 86400) * 1000000"
"""No time of ours is more than a day ahead of this machine's clock, unless the store's clock was."""

_IN_RANGE: Final = "BETWEEN -62135596800000000 AND 253402300799999999"
"""The times that Python's datetime has."""

UNREADABLE_TAGS: Final = (
    "CASE WHEN tags IS NULL THEN 0 WHEN NOT json_valid(tags) OR json_type(tags) <> 'object' THEN 1 "
    "ELSE EXISTS (SELECT 1 FROM json_each(tags) WHERE type <> 'text') END"
)

UNREADABLE_CHANGE: Final = (
    "(kind NOT BETWEEN 1 AND 4 OR size < 0 OR generation NOT BETWEEN 1 AND revision "  # noqa: S608  # constants
    f"OR {UNREADABLE_TAGS} OR NOT (created_at {_IN_RANGE} AND updated_at {_IN_RANGE} AND written_at {_IN_RANGE}) "
    f"OR committed_at > (SELECT max(clock, {_LATEST}) FROM meta))"
)

# What is no object of texts is told of with its object.
_OBJECTS_TAGS: Final = (
    "json_each(CASE WHEN json_valid(o.tags) AND json_type(o.tags) = 'object' THEN o.tags ELSE '{}' END) j "
    "ON j.type = 'text'"
)
_OURS: Final = f"SELECT o.unit, j.key, j.value, o.data_id FROM objects o NOT INDEXED JOIN {_OBJECTS_TAGS}"  # noqa: S608
_SURPLUS_TAG: Final = (
    f"NOT EXISTS (SELECT 1 FROM objects o JOIN {_OBJECTS_TAGS} "  # noqa: S608
    "WHERE o.unit = tags.unit AND o.data_id = tags.data_id AND j.key = tags.key AND j.value = tags.value)"
)
_MISSING_TAG: Final = (
    "NOT EXISTS (SELECT 1 FROM tags t "
    "WHERE t.unit = o.unit AND t.key = j.key AND t.value = j.value AND t.data_id = o.data_id)"
)

_NEWEST: Final = (
    "(SELECT max((SELECT coalesce(max(max(revision, generation)), 0) FROM objects), "
    "(SELECT coalesce(max(revision), 0) FROM changes)))"
)
_CLOCK: Final = "(SELECT max(committed_at) FROM changes)"
_CLOCK_IS_WRONG: Final = f"clock < {_CLOCK} OR clock > max(coalesce({_CLOCK}, clock), {_LATEST})"
_EARLIER: Final = (
    "(SELECT revision, max(committed_at) OVER (ORDER BY revision) AS earliest FROM changes) e "
    "WHERE e.revision = c.revision AND e.earliest > c.committed_at"
)
_LAST_HOLE: Final = (
    "CASE WHEN revision IS (SELECT max(revision) FROM changes) THEN (SELECT max(c.revision) - 1 FROM changes c "
    "WHERE NOT EXISTS (SELECT 1 FROM changes b WHERE b.revision = c.revision - 1)) ELSE revision END"
)

# As an object's row is: of the last change that the feed knows of an object which has no row, though it is there.
_OWNER: Final = "coalesce((SELECT w.principal FROM changes w WHERE w.revision = l.generation), '') AS principal"
_ROW_OF_CHANGE: Final = ", ".join((*INFO_COLUMNS, _OWNER, "generation"))
_LOST_ROWS: Final = (
    f"SELECT {_ROW_OF_CHANGE} FROM (SELECT c.*, max(c.revision) FROM changes c "  # noqa: S608
    "LEFT JOIN objects o ON o.unit = c.unit AND o.data_id = c.data_id "
    "GROUP BY c.unit, c.data_id HAVING c.kind <> 4 AND o.number IS NULL) l "
    "WHERE EXISTS (SELECT 1 FROM contents t WHERE t.number = l.generation AND t.checksum = l.checksum) "
    "AND l.generation NOT IN (SELECT generation FROM objects UNION ALL SELECT generation FROM retired) "
    "AND NOT EXISTS (SELECT 1 FROM objects n WHERE n.unit = l.unit AND n.name = l.name)"
)
_UNITS_WRONG: Final = (
    f"SELECT count(*) FROM ({UNITS_COUNTED}) c LEFT JOIN units u ON u.unit = c.unit "  # noqa: S608
    "WHERE (u.objects, u.bytes) IS NOT (c.objects, c.bytes) OR u.revision NOT BETWEEN c.newest AND c.highest"
)

_PRINCIPALS_WRONG: Final = (
    f"SELECT count(*) FROM ({PRINCIPALS_COUNTED}) c LEFT JOIN principals p ON p.principal = c.principal "  # noqa: S608
    "WHERE (p.objects, p.bytes) IS NOT (c.objects, c.bytes)"
)
_OF_ANOTHER: Final = (
    "(h.revision, h.unit, h.data_id) = (o.generation, o.unit, o.data_id) AND h.principal <> o.principal"
)

_LAST_CHANGE: Final = (
    "(h.revision, h.unit, h.data_id) = (o.revision, o.unit, o.data_id) AND h.expires_at IS NOT o.expires_at"
)
_LATER: Final = (
    "CASE WHEN o.expires_at IS NULL OR h.expires_at IS NULL THEN NULL ELSE max(o.expires_at, h.expires_at) END"
)
"""Of two moments at which an object is said to expire: nothing is to be deleted for a flipped bit."""

_NEGATIVE: Final = "(max_objects < 0 OR max_bytes < 0)"
_NO_LIMIT: Final = f"({_NEGATIVE} OR when_full NOT IN (0, 1))"

UNOWNED_CONTENTS: Final = "number NOT IN (SELECT content FROM objects UNION ALL SELECT content FROM retired)"

RULES: Final = (
    Rule(
        "entries of the feed that cannot be read",
        f"SELECT count(*) FROM changes WHERE {UNREADABLE_CHANGE}",  # noqa: S608  # these are made of constants alone
        f"DELETE FROM changes WHERE {UNREADABLE_CHANGE}",  # noqa: S608
        "{count} entries of the feed, which could not be read, are taken out of it",
    ),
    Rule(
        "revisions of rows after the last one",
        f"SELECT max({_NEWEST} - revision, 0) FROM meta",  # noqa: S608
        f"UPDATE meta SET revision = {_NEWEST}",  # noqa: S608
        "the store's revision is that of its newest row, {count} later",
    ),
    Rule(
        "a clock of the store that is not that of its last change",
        f"SELECT {_CLOCK_IS_WRONG} FROM meta",  # noqa: S608
        f"UPDATE meta SET clock = coalesce({_CLOCK}, 0)",  # noqa: S608
        "the store's clock is that of its last change",
    ),
    Rule(
        "changes whose time is before that of an earlier one",
        f"SELECT count(*) FROM changes c JOIN {_EARLIER}",  # noqa: S608
        f"UPDATE changes AS c SET committed_at = e.earliest FROM {_EARLIER}",  # noqa: S608
        "{count} changes have the time of the one before",
    ),
    Rule(
        "changes missing from the feed",
        "SELECT revision - feed_floor - (SELECT count(*) FROM changes c WHERE c.revision > feed_floor) FROM meta",
        f"UPDATE meta SET feed_floor = {_LAST_HOLE}",  # noqa: S608
        "the feed begins above the last change that is missing from it; who is behind it revalidates everything",
    ),
    Rule(
        None,  # told object by object
        f"SELECT count(*) FROM ({_LOST_ROWS})",  # noqa: S608
        f"INSERT OR IGNORE INTO objects ({', '.join(Row._fields)}) {_LOST_ROWS}",
        "{count} objects without a row have it again, from the feed",
    ),
    Rule(
        "tags that disagree with their object",
        f"SELECT count(*) FROM tags WHERE {_SURPLUS_TAG}",  # noqa: S608
        f"DELETE FROM tags WHERE {_SURPLUS_TAG}",  # noqa: S608
        "{count} tags that their objects do not have are taken out of the search",
    ),
    Rule(
        "tags that are not searchable",
        f"SELECT count(*) FROM ({_OURS} WHERE {_MISSING_TAG})",  # noqa: S608
        f"INSERT INTO tags {_OURS} WHERE {_MISSING_TAG}",
        "{count} tags are searchable again",
    ),
    Rule(
        None,  # told object by object, as the next
        f"SELECT count(*) FROM objects o JOIN changes h ON {_LAST_CHANGE} WHERE o.expires_at IS NOT {_LATER}",  # noqa: S608
        f"UPDATE objects AS o SET expires_at = {_LATER} FROM changes h WHERE {_LAST_CHANGE}",  # noqa: S608
        "{count} objects expire when the feed says, which is later than their rows did",
    ),
    Rule(
        None,
        f"SELECT count(*) FROM objects o JOIN changes h ON {_LAST_CHANGE}",  # noqa: S608
        f"UPDATE changes AS h SET expires_at = o.expires_at FROM objects o WHERE {_LAST_CHANGE}",  # noqa: S608
        "{count} entries of the feed say as the objects do when these expire",
    ),
    Rule(
        "units whose counts are not those of their objects",
        _UNITS_WRONG,
        COUNT_UNITS,
        "{count} units are counted anew",
    ),
    Rule(
        "units with limits that can be none",
        f"SELECT count(*) FROM units WHERE {_NO_LIMIT}",  # noqa: S608
        f"UPDATE units SET max_objects = NULL, max_bytes = NULL, when_full = 0 WHERE {_NO_LIMIT}",  # noqa: S608
        "{count} units have no limits any more, since those they had could be none",
    ),
    Rule(
        "objects that are charged to another than who wrote them",
        f"SELECT count(*) FROM objects o JOIN changes h ON {_OF_ANOTHER}",  # noqa: S608
        f"UPDATE objects AS o SET principal = h.principal FROM changes h WHERE {_OF_ANOTHER}",  # noqa: S608
        "{count} objects are charged to whom the feed says that they were written by",
    ),
    Rule(
        "principals whose counts are not those of their objects",
        _PRINCIPALS_WRONG,
        COUNT_PRINCIPALS,
        "what is charged to {count} principals is counted anew",
    ),
    Rule(
        "principals with limits that can be none",
        f"SELECT count(*) FROM principals WHERE {_NEGATIVE}",  # noqa: S608
        f"UPDATE principals SET max_objects = NULL, max_bytes = NULL WHERE {_NEGATIVE}",  # noqa: S608
        "{count} principals have no limits any more, since those they had could be none",
    ),
    Rule("contents without an object", f"SELECT count(*) FROM contents WHERE {UNOWNED_CONTENTS}", None),  # noqa: S608
)


def _meta(connection: sqlite3.Connection) -> list[Problem]:
    found = connection.execute("SELECT revision FROM meta").fetchall()
    if len(found) != 1:
        return [Problem(ProblemKind.DAMAGED_REGISTER, f"`meta` has {len(found)} rows, not 1")]
    ((revision,),) = found
    if not 0 <= revision < LAST_REVISION:
        return [Problem(ProblemKind.DAMAGED_REGISTER, f"the store's revision is damaged: {revision}")]
    return []


def _whereabouts(connection: sqlite3.Connection) -> list[Problem]:
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


LOOKS: Final = (_meta, *(rule.look for rule in RULES), _whereabouts)
"""What the audit asks of the tables, each in a read of its own."""
