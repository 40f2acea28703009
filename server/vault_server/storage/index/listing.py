"""Listings, a page at a time: where each page begins is in the token of the one before (keyset pagination)."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vault.store.values import Key, ObjectInfo

from vault_server.storage.decision.rows import to_info
from vault_server.storage.index.objects import INFO_COLUMNS

DEFAULT_PAGE_SIZE: Final = 500
MOST_SCANNED: Final = 10_000
"""Objects that are looked at for one page: 20 ms or so. A page of a search that matches next to nothing may be empty,
and not the last."""

MOST_TAGS: Final = 4 << 20
"""Characters of tags in a page. Objects may have 72 KB of them each."""

_TAGS: Final = 8
"""Their column."""

_LAST_CHARACTER: Final = 0x10FFFF

_SELECT: Final = f"SELECT {INFO_COLUMNS} FROM objects o"  # noqa: S608  # only names of columns are put in
# CROSS JOIN keeps the order of the loops: the tag's index leads, and is in the order of ids already.
_SELECT_TAGGED: Final = (
    f"SELECT {INFO_COLUMNS} FROM tags t "  # noqa: S608  # as above
    "CROSS JOIN objects o ON o.unit = t.unit AND o.data_id = t.data_id"
)
_TAGGED: Final = (
    " AND EXISTS (SELECT 1 FROM tags x WHERE x.unit = o.unit AND x.key = ? AND x.value = ? AND x.data_id = o.data_id)"
)


def page(
    connection: sqlite3.Connection,
    unit: str,
    prefix: str | None,
    tags: Mapping[str, str],
    after: Key | None,
    limit: int,
) -> tuple[list[ObjectInfo], Key | None]:
    """Objects after a key, at most `limit`, and the key after which the next page begins; None: there is none."""
    query = _by_id(unit, tags, after) if prefix is None else _by_name(unit, prefix, tags, after)
    end = query.scan_end(connection)
    statement, arguments = query.up_to(end)
    objects: list[ObjectInfo] = []
    room = MOST_TAGS
    for row in connection.execute(f"{statement} LIMIT ?", (*arguments, limit + 1)):
        if len(objects) == limit or room < 0:
            last = objects[-1]
            return objects, last.data_id if prefix is None else last.name
        objects.append(to_info(row))
        room -= len(row[_TAGS] or "")
    return objects, end


def list_units(connection: sqlite3.Connection) -> list[str]:
    """The units that hold an object. Hops from one to the next over the index; DISTINCT would walk all of it."""
    rows = connection.execute(
        "WITH RECURSIVE units(unit) AS ("
        "SELECT min(unit) FROM objects UNION ALL "
        "SELECT (SELECT min(unit) FROM objects WHERE unit > units.unit) FROM units WHERE units.unit IS NOT NULL"
        ") SELECT unit FROM units WHERE unit IS NOT NULL"
    )
    return [unit for (unit,) in rows]


def prefix_end(prefix: str) -> str | None:
    """The least text that is greater than every text with this prefix, None when there is none.

    SQLite compares UTF-8 bytes, whose order is that of the code points. LIKE and GLOB are no use here:
    `%`, `_`, `*` and `[` are ordinary characters in names.
    """
    while prefix:
        code = ord(prefix[-1]) + 1
        if code <= _LAST_CHARACTER:
            return prefix[:-1] + chr(0xE000 if code == 0xD800 else code)  # surrogates are no characters
        prefix = prefix[:-1]
    return None


@dataclass(frozen=True, slots=True)
class _Query:
    """A listing: what it selects, from where on, and the candidates that it looks for it among.

    Attributes:
        select: The statement, without its order and end.
        arguments: Its.
        candidates: Selects what is looked through, in order, by the index alone; None: nothing is passed over.
        candidate_arguments: Its.
        key: The column that it is ordered by.
    """

    select: str
    arguments: list[Any]
    candidates: str | None
    candidate_arguments: list[Any]
    key: str

    def scan_end(self, connection: sqlite3.Connection) -> int | str | None:
        """The last key that a page looks at; None: it looks at all that there is."""
        if self.candidates is None:
            return None
        statement = f"{self.candidates} LIMIT 1 OFFSET {MOST_SCANNED - 1}"
        found = connection.execute(statement, self.candidate_arguments).fetchone()
        return None if found is None else found[0]

    def up_to(self, end: int | str | None) -> tuple[str, list[Any]]:
        """The statement, ordered, and its arguments."""
        if end is None:
            return f"{self.select} ORDER BY {self.key}", self.arguments
        return f"{self.select} AND {self.key} <= ? ORDER BY {self.key}", [*self.arguments, end]


def _by_id(unit: str, tags: Mapping[str, str], after: Any) -> _Query:
    if not tags:
        return _Query(f"{_SELECT} WHERE o.unit = ? AND o.data_id > ?", [unit, after or 0], None, [], "o.data_id")
    (key, value), *others = tags.items()
    leading = [unit, key, value, after or 0]
    where = " WHERE t.unit = ? AND t.key = ? AND t.value = ? AND t.data_id > ?"
    condition, arguments = _tagged(dict(others))
    candidates = f"SELECT t.data_id FROM tags t{where} ORDER BY t.data_id" if others else None  # noqa: S608  # as above
    return _Query(f"{_SELECT_TAGGED}{where}{condition}", [*leading, *arguments], candidates, leading, "t.data_id")


def _by_name(unit: str, prefix: str, tags: Mapping[str, str], after: Any) -> _Query:
    comparison, start = (">=", prefix) if after is None else (">", after)
    where = f" WHERE o.unit = ? AND o.name {comparison} ?"
    named: list[Any] = [unit, start]
    end = prefix_end(prefix)
    if end is not None:
        where += " AND o.name < ?"
        named.append(end)
    condition, arguments = _tagged(tags)
    candidates = f"SELECT o.name FROM objects o{where} ORDER BY o.name" if tags else None  # noqa: S608  # as above
    return _Query(f"{_SELECT}{where}{condition}", [*named, *arguments], candidates, named, "o.name")


def _tagged(tags: Mapping[str, str]) -> tuple[str, list[str]]:
    return _TAGGED * len(tags), [text for item in tags.items() for text in item]
