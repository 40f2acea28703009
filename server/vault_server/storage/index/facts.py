"""What the index knows of what a group of writes is about: a few statements, however many they are."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

from vault.errors import CorruptionError, StorageError
from vault.store.values import Key

from vault_server.storage.clock import DAY, sound_clock, wall_clock
from vault_server.storage.decision.plan import Facts, Found, Retention, Usage, to_answer
from vault_server.storage.decision.rows import CHANGE_COLUMNS, Row
from vault_server.storage.decision.writes import Asked, Write, asked
from vault_server.storage.index.expiring import DISPUTED, require_undisputed
from vault_server.storage.index.objects import require_asked
from vault_server.storage.index.padded import MOST_KEYS, NULLS, for_sizes, power_for, select
from vault_server.storage.index.principals import find_accounts
from vault_server.storage.index.units import usage_of

LAST_REVISION: Final = (1 << 63) - (1 << 20)
"""A store that says that it is beyond is damaged: the next one might not be a number that SQLite has."""

_PREFIX: Final = 12
"""Bytes that the request ids of a batch have in common; of those of two batches, hardly ever."""

_SPARSE: Final = 4
"""Ids are asked for as one range where there are no more in it than so many times them."""

_OBJECTS: Final = (
    "WITH k (unit, key) AS (VALUES {{pairs}}) SELECT {columns} FROM k CROSS JOIN objects i ON i.unit = k.unit"
)
_IS_THERE: Final = _OBJECTS.format(columns="k.unit, k.key")
# The row is read by its number, not with the index that found it: what it says of itself must not come from there.
_WHOLE: Final = _OBJECTS.format(
    columns=f"k.unit, k.key, {', '.join(f'o.{name}' for name in Row._fields)}, c.file, {DISPUTED}"
)
_ROWS: Final = " CROSS JOIN objects o ON o.number = i.number LEFT JOIN contents c ON c.number = o.content"
_BY_ID: Final = for_sizes(f"{_WHOLE} AND i.data_id = k.key{_ROWS}")
_BY_NAME: Final = for_sizes(f"{_WHOLE} AND i.name = k.key{_ROWS}")
_IDS: Final = for_sizes(f"{_IS_THERE} AND i.data_id = k.key")
_NAMES: Final = for_sizes(f"{_IS_THERE} AND i.name = k.key")
_ANSWERED: Final = "WITH k (id) AS (VALUES {{rows}}) SELECT {columns} FROM k CROSS JOIN changes ON request_id = k.id"
_ANSWERS: Final = for_sizes(_ANSWERED.format(columns=", ".join(CHANGE_COLUMNS)))
_UNIT: Final = ", ".join(f"u.{column}" for column in Usage._fields)
_PRINCIPAL: Final = CHANGE_COLUMNS.index("principal")
# What is to be new is not there, as a rule, and nothing was asked for before: that is asked with the rest at once.
_FIRST: Final = for_sizes(
    f"SELECT EXISTS ({_OBJECTS.format(columns='1')} AND i.data_id = k.key), "  # noqa: S608  # names of columns
    f"EXISTS ({_ANSWERED.format(columns='1')}), m.revision, m.clock, m.feed_floor, "
    f"{_UNIT} FROM meta m LEFT JOIN units u ON u.unit IN ({{values}})"
)
_FIRST[0] = (  # most groups have one write
    f"SELECT EXISTS (SELECT 1 FROM objects WHERE unit = ? AND data_id = ?), "  # noqa: S608  # likewise
    f"EXISTS (SELECT 1 FROM changes WHERE request_id = ?), m.revision, m.clock, m.feed_floor, {_UNIT} "
    "FROM meta m LEFT JOIN units u ON u.unit = ?"
)
# One object by its id, as most deletions and updates have it, is found with the rest. It is there if its number is.
_ONE: Final = (
    f"SELECT o.number, EXISTS (SELECT 1 FROM changes WHERE request_id = ?), m.revision, m.clock, m.feed_floor, "  # noqa: S608  # likewise
    f"{_UNIT}, {', '.join(f'o.{name}' for name in Row._fields)}, c.file, {DISPUTED} FROM meta m "
    "LEFT JOIN units u ON u.unit = ? LEFT JOIN objects i ON i.unit = ? AND i.data_id = ? "
    "LEFT JOIN objects o ON o.number = i.number LEFT JOIN contents c ON c.number = o.content"
)
_KNOWN_FROM: Final = 5 + len(Usage._fields)
_SPAN: Final = (
    f"SELECT EXISTS (SELECT 1 FROM objects WHERE unit = ? AND data_id >= ? AND data_id <= ?), "  # noqa: S608  # likewise
    f"EXISTS (SELECT 1 FROM changes WHERE request_id >= ? AND request_id <= ?), m.revision, m.clock, m.feed_floor, "
    f"{_UNIT} FROM meta m LEFT JOIN units u ON u.unit = ?"
)
_KNOWN: Final = (
    "SELECT EXISTS (SELECT 1 FROM changes WHERE request_id = ?) OR EXISTS (SELECT 1 FROM objects WHERE unit = ? AND "
    "data_id = ?) OR EXISTS (SELECT 1 FROM objects WHERE unit = ? AND name = ?) OR EXISTS (SELECT 1 FROM units WHERE "
    "unit = ? AND (max_objects, max_bytes) IS NOT (NULL, NULL))"
)
_KNOWN_OF: Final = (
    f"{_KNOWN} OR EXISTS (SELECT 1 FROM principals WHERE principal = ? AND "  # noqa: S608  # a constant
    "(max_objects, max_bytes) IS NOT (NULL, NULL))"
)


def facts(connection: sqlite3.Connection, writes: Iterable[Write], retention: Retention) -> Facts:
    """What there is to know to decide on the writes, in the caller's transaction."""
    return facts_of(connection, asked(writes), retention)


def facts_of(connection: sqlite3.Connection, wanted: Asked, retention: Retention) -> Facts:
    """What there is to know of what is wanted, likewise."""
    found = Facts(0, 0, 0, {}, {}, {}, {})
    ids = wanted.ids
    answered: list[bytes] = []
    one = None
    if len(ids) == len(wanted.requests) == 1 and not (wanted.names or wanted.new_names):
        one = connection.execute(_ONE, (*wanted.requests, *wanted.units, *ids[0])).fetchone()
    if one is not None:
        ((unit, key),), ids = ids, []
        _learn(connection, found, one[2:_KNOWN_FROM])
        if one[0] is not None:
            _add(found, unit, key, one[_KNOWN_FROM:-2], *one[-2:])
        answered = wanted.requests if one[1] else []
    for statement, values, new_ids, requests in _questions(wanted) if one is None else ():
        rows = connection.execute(statement, values).fetchall()
        for row in rows:
            _learn(connection, found, row[2:])
        if rows and rows[0][0]:
            ids = ids + select(connection, _IDS, new_ids, pairs=True)
        if rows and rows[0][1]:
            answered += requests
    if wanted.principals:
        found.accounts = find_accounts(connection, list(wanted.principals))
    if not _in(found.revision, LAST_REVISION):
        what = f"the store's revision in the register is damaged: {found.revision!r}"
        raise StorageError(f"{what}; `vault-grpc check DIRECTORY --repair` mends it", reason="REGISTER_DAMAGED")
    if not _in(found.clock, wall_clock() + DAY):
        last = connection.execute("SELECT committed_at FROM changes ORDER BY revision DESC LIMIT 1").fetchone()
        found.clock = sound_clock(found.clock, last[0] if last else 0)
    names = wanted.names
    if wanted.new_names:
        names = names + select(connection, _NAMES, wanted.new_names, pairs=True)
    if ids or names:
        _find(connection, found, ids, names)
    for change in select(connection, _ANSWERS, answered) if answered else ():
        found.answers[change[_PRINCIPAL : _PRINCIPAL + 2]] = to_answer(change)
    behind = found.revision - retention.history
    if behind > 0 and behind >= found.feed_floor + retention.step:
        bounds = (behind, found.feed_floor + retention.step)
        found.floors = [(bound, _committed_at(connection, bound)) for bound in bounds]
    return found


def _learn(connection: sqlite3.Connection, found: Facts, state: Sequence[Any]) -> None:
    """What the register says of itself, and of a unit."""
    found.revision, found.clock, found.feed_floor, *unit = state
    if unit[0] is not None:
        found.units[unit[0]] = usage_of(connection, *unit)


def _find(
    connection: sqlite3.Connection, found: Facts, ids: Sequence[tuple[str, int]], names: Sequence[tuple[str, str]]
) -> None:
    """Adds the objects of ids and names."""
    for statements, keys in ((_BY_ID, ids), (_BY_NAME, names)):
        for unit, key, *columns, file, disputed in select(connection, statements, keys, pairs=True) if keys else ():
            _add(found, unit, key, columns, file, disputed)


def _add(found: Facts, unit: str, key: Key, columns: Sequence[Any], file: str | None, disputed: int) -> None:
    row = Row._make(columns)
    try:
        require_asked(unit, key, row.unit, row.data_id, row.name)
        require_undisputed(row, disputed)
    except CorruptionError as error:
        found.damaged[unit, key] = error
    else:
        found.rows[row.unit, row.data_id] = Found(row, file)


def _questions(
    wanted: Asked,
) -> Iterator[tuple[str, Sequence[Any], Sequence[tuple[str, int]], Sequence[bytes]]]:
    """The first statements and their values, and the new ids and the requests that each asks about."""
    units, new_ids, requests = list(wanted.units), wanted.new_ids, wanted.requests
    if len(requests) == 1:
        yield _FIRST[0], (*(new_ids[0] if new_ids else NULLS[:2]), requests[0], units[0]), new_ids, requests
        return
    if len(units) == 1 and len(new_ids) == len(requests) > 1:
        (unit, first), (_, last) = min(new_ids), max(new_ids)
        span = min(requests), max(requests)
        if last - first < _SPARSE * len(new_ids) and span[0][:_PREFIX] == span[1][:_PREFIX]:  # a batch, or part of one
            yield _SPAN, (unit, first, last, *span, unit), new_ids, requests
            return
    for start in range(0, len(requests) or 1, MOST_KEYS):
        end = start + MOST_KEYS
        some_ids, some, part = new_ids[start:end], requests[start:end], units[start:end]
        power = power_for(some)
        size = 1 << power
        values = [*chain.from_iterable(some_ids), *NULLS[: 2 * (size - len(some_ids))]]
        values += (*some, *NULLS[: size - len(some)], *part, *NULLS[: size - len(part)])
        yield _FIRST[power], values, some_ids, some


def is_known(connection: sqlite3.Connection, wanted: Asked) -> bool:
    """Whether there is anything of what one upload or put wants to know, by one statement."""
    names = wanted.new_names or wanted.names or (("", None),)
    keys = (wanted.requests[0], *wanted.new_ids[0], *names[0], wanted.new_ids[0][0])
    if wanted.principals:
        return bool(connection.execute(_KNOWN_OF, (*keys, *wanted.principals)).fetchone()[0])
    return bool(connection.execute(_KNOWN, keys).fetchone()[0])


def _in(number: Any, end: int) -> bool:
    """Whether a number that may be damaged is one, and not negative, and below an end."""
    return isinstance(number, int) and 0 <= number < end


def _committed_at(connection: sqlite3.Connection, revision: int) -> int:
    """When the last change up to this revision was committed; 0: there is none."""
    found = connection.execute(
        "SELECT committed_at FROM changes WHERE revision <= ? ORDER BY revision DESC LIMIT 1", (revision,)
    ).fetchone()
    return int(found[0]) if found else 0
