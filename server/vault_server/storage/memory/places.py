"""Where the objects of each unit stand in every order that a listing has: sorted lists. No I/O, no lock of its own.

Every change may be made twice, as those of the tables.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

from vault.store.listing import Listing
from vault.store.values import ListOrder

from vault_server.storage.decision.listing import Span
from vault_server.storage.decision.rows import Row

_SPARE: Final = 64
"""Revisions that are no object's last any more and stay in a unit's list, beside as many as it has objects: to take one
out of a long list moves what is after it."""


class Places:
    """Of one store.

    Attributes:
        ids, names: By unit, sorted.
    """

    def __init__(self) -> None:
        self.ids: dict[str, list[int]] = {}
        self.names: dict[str, list[str]] = {}
        self._revisions: dict[str, list[int]] = {}  # with some that are no object's last any more
        self._by_revision: dict[int, int] = {}  # each object's id by that of its last change

    def of(self, listing: Listing) -> Sequence[Any]:
        """Where a listing's objects may be, in order."""
        lists: dict[str, Any] = self.ids
        if listing.order is ListOrder.NAME:
            lists = self.names
        elif listing.order is ListOrder.REVISION:
            lists = self._revisions
        found: Sequence[Any] = lists.get(listing.unit, [])
        return found

    def id_at(self, revision: int) -> int:
        """Of the object whose last change has this revision; 0: none's has."""
        return self._by_revision.get(revision, 0)

    def add(self, row: Row, before: Row | None) -> None:
        """An object has come, or another row in the place of one, whose name was given up where it has another."""
        if before is not None:
            self._forget_revision(before)
        self._by_revision[row.revision] = row.data_id
        _insert(self._revisions, row.unit, row.revision)
        _insert(self.ids, row.unit, row.data_id)
        if row.name is not None:
            _insert(self.names, row.unit, row.name)

    def remove(self, row: Row) -> None:
        """An object has gone, whose name was given up."""
        self._forget_revision(row)
        _remove(self.ids, row.unit, row.data_id)

    def give_up(self, unit: str, name: str) -> None:
        """A name is nobody's for now."""
        _remove(self.names, unit, name)

    def _forget_revision(self, row: Row) -> None:
        self._by_revision.pop(row.revision, None)
        revisions = self._revisions.get(row.unit, [])
        if len(revisions) > 2 * len(self.ids.get(row.unit, [])) + _SPARE:
            self._revisions[row.unit] = [each for each in revisions if each in self._by_revision]


def within(places: Sequence[Any], span: Span) -> tuple[int, int]:
    """The first place in a span, and the first one after it."""
    first = bisect_left(places, span.low)
    return first, len(places) if span.high is None else max(first, bisect_left(places, span.high))


def _insert(lists: dict[str, list[Any]], unit: str, value: Any) -> None:
    values = lists.setdefault(unit, [])
    at = bisect_left(values, value)
    if at == len(values) or values[at] != value:
        values.insert(at, value)


def _remove(lists: dict[str, list[Any]], unit: str, value: Any) -> None:
    values = lists.get(unit, [])
    at = bisect_left(values, value)
    if at < len(values) and values[at] == value:
        del values[at]
