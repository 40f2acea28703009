"""Listings, a page at a time: where each page begins is in the token of the one before (keyset pagination).

One level of names is a skip scan: from the first name of a prefix, the next seek goes to the end of it.
"""

import sqlite3
from typing import Any, Final

from vault.store.listing import Listing
from vault.store.values import ListOrder

from vault_server.storage.decision import listing as pages
from vault_server.storage.decision.listing import Listed, Span, collect, prefix_end
from vault_server.storage.index.expiring import LIVE
from vault_server.storage.index.objects import INFO_COLUMNS

_COLUMNS: Final = {ListOrder.ID: "o.data_id", ListOrder.NAME: "o.name", ListOrder.REVISION: "o.revision"}

_FROM: Final = "FROM objects o WHERE o.unit = ?"
# CROSS JOIN keeps the order of the loops: the tag's index leads, and is in the order of ids already.
_FROM_TAGGED: Final = (
    "FROM tags t CROSS JOIN objects o ON o.unit = t.unit AND o.data_id = t.data_id "
    "WHERE t.unit = ? AND t.key = ? AND t.value = ?"
)
_TAGGED: Final = (
    " AND EXISTS (SELECT 1 FROM tags x WHERE x.unit = o.unit AND x.key = ? AND x.value = ? AND x.data_id = o.data_id)"
)


def page(connection: sqlite3.Connection, listing: Listing, span: Span, limit: int) -> Listed:
    """At most `limit` entries of what is left of a listing."""
    query = _Query(listing)
    end = None
    if query.passes_over and not span.is_empty:
        statement, arguments = query.candidates(span)
        found = connection.execute(f"{statement} LIMIT 1 OFFSET {pages.MOST_SCANNED}", arguments).fetchone()
        end = None if found is None else found[0]
    return collect(listing, span, end, limit, lambda left: connection.execute(*query.rows(left)))


def list_units(connection: sqlite3.Connection) -> list[str]:
    """The units that hold an object. Hops from one to the next over the index; DISTINCT would walk all of it."""
    rows = connection.execute(
        "WITH RECURSIVE units(unit) AS ("  # noqa: S608  # a constant
        "SELECT min(unit) FROM objects UNION ALL "
        "SELECT (SELECT min(unit) FROM objects WHERE unit > units.unit) FROM units WHERE units.unit IS NOT NULL"
        ") SELECT u.unit FROM units u WHERE u.unit IS NOT NULL "
        f"AND EXISTS (SELECT 1 FROM objects o WHERE o.unit = u.unit{LIVE})"
    )
    return [unit for (unit,) in rows]


class _Query:
    """A listing's statements. Each walks one index, in order.

    Attributes:
        passes_over: Whether what the index leads to may not match.
    """

    def __init__(self, listing: Listing) -> None:
        tags = list(listing.tags.items())
        self._direction = " DESC" if listing.descending else ""
        self._leading: list[Any] = [listing.unit]
        if tags and listing.order is ListOrder.ID:
            self._key, self._from = "t.data_id", _FROM_TAGGED
            self._leading += tags.pop(0)
        else:
            self._key, self._from = _COLUMNS[listing.order], _FROM
        self._condition = _TAGGED * len(tags)
        self._arguments: list[Any] = [text for tag in tags for text in tag]
        if listing.prefix is not None and listing.order is not ListOrder.NAME:
            end = prefix_end(listing.prefix)
            self._condition += " AND +o.name >= ?" if end is None else " AND +o.name >= ? AND +o.name < ?"
            self._arguments += [listing.prefix] if end is None else [listing.prefix, end]
        self.passes_over = bool(self._condition)

    def candidates(self, span: Span) -> tuple[str, list[Any]]:
        """The places that are looked at, by the index alone."""
        return self._statement(self._key, "", [], span)

    def rows(self, span: Span) -> tuple[str, list[Any]]:
        """The objects that match."""
        return self._statement(INFO_COLUMNS, self._condition + LIVE, self._arguments, span)

    def _statement(self, columns: str, condition: str, arguments: list[Any], span: Span) -> tuple[str, list[Any]]:
        within = f" AND {self._key} >= ?" if span.high is None else f" AND {self._key} >= ? AND {self._key} < ?"
        ends = [span.low] if span.high is None else [span.low, span.high]
        order = f"{self._key}{self._direction}"
        statement = f"SELECT {columns} {self._from}{within}{condition} ORDER BY {order}"  # names of columns
        return statement, [*self._leading, *ends, *arguments]
