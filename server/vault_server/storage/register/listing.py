"""Listings, a page at a time: where each page begins is in the token of the one before (keyset pagination)."""

import base64
import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import xxhash
from vault.errors import InvalidArgumentError
from vault.model import Page
from vault.rules import check_key

from vault_server.storage.register.objects import INFO_COLUMNS, to_info

DEFAULT_PAGE_SIZE: Final = 500
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


def list_page(
    connection: sqlite3.Connection,
    unit: str,
    *,
    prefix: str | None,
    tags: Mapping[str, str],
    page_size: int,
    page_token: str,
) -> Page:
    """One page; see `Store.list_page`. Arguments other than the token are valid already."""
    mark = _query_mark(connection, unit, prefix, tags)
    after = _read_token(page_token, mark, int if prefix is None else str)
    size = page_size or DEFAULT_PAGE_SIZE
    if prefix is None:
        statement, arguments = _by_id(unit, tags, after)
    else:
        statement, arguments = _by_name(unit, prefix, tags, after)
    rows = connection.execute(f"{statement} LIMIT ?", (*arguments, size + 1)).fetchall()
    objects = [to_info(row) for row in rows[:size]]
    if len(rows) <= size:
        return Page(objects, "")
    last = objects[-1]
    return Page(objects, _write_token(last.data_id if prefix is None else last.name, mark))


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


def _by_id(unit: str, tags: Mapping[str, str], after: Any) -> tuple[str, list[Any]]:
    if not tags:
        return f"{_SELECT} WHERE o.unit = ? AND o.data_id > ? ORDER BY o.data_id", [unit, after or 0]
    (key, value), *others = tags.items()
    statement = f"{_SELECT_TAGGED} WHERE t.unit = ? AND t.key = ? AND t.value = ? AND t.data_id > ?"
    condition, arguments = _tagged(dict(others))
    return f"{statement}{condition} ORDER BY t.data_id", [unit, key, value, after or 0, *arguments]


def _by_name(unit: str, prefix: str, tags: Mapping[str, str], after: Any) -> tuple[str, list[Any]]:
    comparison, start = (">=", prefix) if after is None else (">", after)
    statement = f"{_SELECT} WHERE o.unit = ? AND o.name {comparison} ?"
    arguments: list[Any] = [unit, start]
    end = prefix_end(prefix)
    if end is not None:
        statement += " AND o.name < ?"
        arguments.append(end)
    condition, tag_arguments = _tagged(tags)
    return f"{statement}{condition} ORDER BY o.name", [*arguments, *tag_arguments]


def _tagged(tags: Mapping[str, str]) -> tuple[str, list[str]]:
    return _TAGGED * len(tags), [text for item in tags.items() for text in item]


def _query_mark(connection: sqlite3.Connection, unit: str, prefix: str | None, tags: Mapping[str, str]) -> str:
    """What a token is of: the query, and the store, since another one's pages would not go on from there."""
    (store_id,) = connection.execute("SELECT store_id FROM meta").fetchone()
    return xxhash.xxh3_64_hexdigest(json.dumps([store_id, unit, prefix, sorted(tags.items())]).encode())


def _write_token(last: int | str | None, mark: str) -> str:
    token = json.dumps([mark, last], separators=(",", ":"))
    return base64.urlsafe_b64encode(token.encode()).decode()


def _read_token(token: str, query: str, kind: type[int] | type[str]) -> Any:
    """The id or name that the page before ended with; None for the first page."""
    if token == "":
        return None
    try:
        mark, last = json.loads(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
        check_key(last)
    except (AttributeError, ValueError, TypeError, RecursionError):  # binascii's and InvalidArgument are ValueErrors
        mark, last = None, None
    if mark != query or type(last) is not kind:
        raise InvalidArgumentError(
            "bad page token: use the one of the page before, with the same store, unit, prefix and tags",
            reason="BAD_PAGE_TOKEN",
        )
    return last
