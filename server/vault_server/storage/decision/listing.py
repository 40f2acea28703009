"""What a page of a listing holds, however an engine finds its rows. No I/O."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from vault.store.limits import MAX_DATA_ID
from vault.store.listing import Listing
from vault.store.values import ListOrder, ObjectInfo

from vault_server.storage.decision.rows import INFO_COLUMNS, to_info

DEFAULT_PAGE_SIZE: Final = 500
MOST_SCANNED: Final = 10_000
"""Objects that are looked at for one page: 20 ms or so. A page of a search that matches next to nothing may be empty,
and not the last."""

MOST_TAGS: Final = 4 << 20
"""Characters of tags in a page. Objects may have 72 KB of them each."""

_NAME: Final = INFO_COLUMNS.index("name")
_TAGS: Final = INFO_COLUMNS.index("tags")

_LAST_CHARACTER: Final = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Span:
    """The places that are left to list: from `low` on, up to and without `high`; None: to the end.

    A page token has the end that moves, so that a prefix which was listed is passed over, and one whose objects were
    looked at without a match is not.
    """

    low: Any
    high: Any = None
    descending: bool = False

    @classmethod
    def of(cls, listing: Listing, bound: Any = None) -> Self:
        """Of a listing; with a bound: what the page before has left of it."""
        if listing.order is ListOrder.NAME:
            span = cls(listing.prefix or "", prefix_end(listing.prefix or ""), listing.descending)
        else:
            span = cls(0, None, listing.descending)
        if listing.after is not None:
            span = span.past(listing, listing.after)
        return span if bound is None else span.cut(bound)

    @property
    def bound(self) -> Any:
        """The end that moves."""
        return self.high if self.descending else self.low

    @property
    def is_empty(self) -> bool:
        return self.low == MAX_DATA_ID + 1 or (self.high is not None and bool(self.low >= self.high))

    def cut(self, bound: Any) -> Self:
        """Without what is before a bound, in the order of the listing."""
        if self.descending:
            return replace(self, high=bound if self.high is None else min(self.high, bound))
        return replace(self, low=max(self.low, bound))

    def up_to(self, bound: Any) -> Self:
        """Without what is from a bound on, in the order of the listing."""
        if self.descending:
            return replace(self, low=max(self.low, bound))
        return replace(self, high=bound if self.high is None else min(self.high, bound))

    def past(self, listing: Listing, place: Any) -> Self:
        """What comes after a place. All names that a prefix stands for are where it is."""
        inside = isinstance(place, str) and place.startswith(listing.prefix or "")
        folded = listing.prefix_of(place) if inside else None
        if folded is None:
            return self.cut(place if self.descending else next_place(place))
        if self.descending and folded == place:
            return self.cut(place)
        end = prefix_end(folded)
        if end is not None:
            return self.cut(end)
        return self if self.descending else replace(self, high=self.low)


@dataclass(slots=True)
class Listed:
    """A page.

    Attributes:
        bound: Where the next one begins; None: it is the last.
    """

    objects: list[ObjectInfo] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    bound: Any = None


def collect(
    listing: Listing, span: Span, end: Any, limit: int, rows: Callable[[Span], Iterable[tuple[Any, ...]]]
) -> Listed:
    """A page of at most `limit` entries.

    Args:
        end: The place at which it stops looking; None: it looks at all.
        rows: The rows in a span that match, in the order of the listing, found as they are taken: where one begins a
            prefix, no more are, and the next ones are asked for after it.
    """
    page = Listed()
    objects, folds, room = page.objects, listing.delimiter is not None, MOST_TAGS
    while True:
        left = span if end is None else span.up_to(end)
        passed = len(objects)
        for row in () if left.is_empty else rows(left):
            if limit == 0 or room < 0:
                page.bound = (span if len(objects) == passed else span.past(listing, listing.place(objects[-1]))).bound
                return page
            limit -= 1
            if folds and (folded := listing.prefix_of(row[_NAME])) is not None:
                page.prefixes.append(folded)
                span = span.past(listing, folded)
                break
            objects.append(to_info(row))
            if row[_TAGS] is not None:
                room -= len(row[_TAGS])
        else:
            if end is not None and not (rest := span.cut(end)).is_empty:
                page.bound = rest.bound
            return page


def next_place(place: Any) -> Any:
    """The least that is greater."""
    return place + "\0" if isinstance(place, str) else place + 1


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
