# Generated from _async/vault/listing.py by scripts/unasync: DO NOT CHANGE.
"""Listing a vault's objects: all of a unit, and one level of its names."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from vault._sync.vault.base import VaultBase
from vault._runtime.fork import fork_count, refuse_inherited
from vault.errors import InvalidArgumentError
from vault.store.limits import MAX_DATA_ID, MAX_PAGE_SIZE, check_number, check_prefix, shown
from vault.store.listing import Level, Listing
from vault.store.values import Key, ListOrder, ObjectInfo, Page
from vault.wire.reply_checks import check_places

_ORDERS: Final = {"id": ListOrder.ID, "name": ListOrder.NAME, "changed": ListOrder.REVISION, None: None}


class Listings(VaultBase):
    """The calls that list."""

    def list(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        after: Key | None = None,
        limit: int | None = None,
        order: Literal["id", "name", "changed"] | None = None,
        descending: bool = False,
    ) -> Iterator[ObjectInfo]:
        """The unit's objects, fetched page by page as they are asked for: any number of them.

        An object that exists, and is not changed as far as the order goes, all the while is listed once; one that
        comes or goes meanwhile may be or not. Names are ordered by their code points.

        Args:
            prefix: Of the name; "" for every object that has one.
            tags: All of them must match.
            after: Begin after it, which need not be there: a name in order of names, an id in order of ids, in order
                of changes an `ObjectInfo.revision`.
            limit: At most so many, 1 or more; None: all.
            order: "name": objects without a name are left out; "id"; "changed": by the revision of the last change.
                None: by name when `prefix` is given, by id otherwise.
            descending: The last first: with "changed", the newest.

        Raises:
            InvalidArgumentError: BAD_NAME, BAD_TAGS, BAD_ORDER, BAD_LIMIT; here, not at the first object.
            UnsupportedError: An older server cannot order so. While iterating.

        Example:
            >>> ids = vault.upload_many("notes", [TextWrapper("a"), TextWrapper("b")], names=["x/1", "y/2"])
            >>> [info.name for info in vault.list("notes", prefix="x/")]
            ['x/1']
            >>> [info.name for info in vault.list("notes", order="changed", descending=True, limit=1)]
            ['y/2']
        """
        self._require_unit(unit)
        if order is not None and (not isinstance(order, str) or order not in _ORDERS):
            raise InvalidArgumentError(f'bad order {shown(order)}: "id", "name" or "changed"', reason="BAD_ORDER")
        listing = Listing.of(unit, prefix=prefix, tags=tags, order=_ORDERS[order], descending=descending, after=after)
        _check_limit(limit)
        return self._objects(listing, limit, fork_count())

    def list_level(
        self,
        unit: str,
        prefix: str = "",
        *,
        delimiter: str = "/",
        tags: Mapping[str, str] | None = None,
        after: str | None = None,
        limit: int | None = None,
        descending: bool = False,
    ) -> Level:
        """One level of the unit's names, as of a folder: the objects at it, and the prefixes of those below it.

        A name that holds the delimiter after the prefix is below: what it has up to the end of the first one is in
        `prefixes`, once. So a name that ends with a delimiter is below, too. Up to 1,000 objects and prefixes come in
        one round trip, however many names are below.

        Args:
            prefix: Where the level begins: "" or, for example, one of a level's prefixes.
            delimiter: One character or several.
            tags: All of them must match: objects that do not are not there.
            after: Begin after it, which need not be there: a name or a prefix.
            limit: At most so many objects and prefixes, 1 or more; None: all. The rest is what comes after
                `Level.next_after`.
            descending: The last first.

        Raises:
            InvalidArgumentError: BAD_NAME, BAD_TAGS, BAD_DELIMITER, BAD_ORDER, BAD_LIMIT.
            UnsupportedError: An older server cannot order so.

        Example:
            >>> ids = vault.upload_many("notes", [TextWrapper("a"), TextWrapper("b")], names=["a", "b/c"])
            >>> level = vault.list_level("notes")
            >>> level.prefixes, [info.name for info in level.objects]
            (['b/'], ['a', 'greeting'])
        """
        self._require_unit(unit)
        check_prefix(prefix)
        if delimiter is None:
            raise InvalidArgumentError("bad delimiter None: text of 1 character or more", reason="BAD_DELIMITER")
        listing = Listing.of(unit, prefix=prefix, tags=tags, descending=descending, after=after, delimiter=delimiter)
        _check_limit(limit)
        level, token, last, left = Level([], []), "", listing.after, limit
        forks = fork_count()
        while True:
            page, last = self._page(listing, _size(left, MAX_PAGE_SIZE), token, last, forks)
            level.prefixes.extend(page.prefixes)
            level.objects.extend(page.objects)
            token = page.next_page_token
            if not token:
                return level
            if left is not None and (left := left - len(page.prefixes) - len(page.objects)) <= 0:
                return replace(level, next_after=last)

    def _objects(self, listing: Listing, limit: int | None, forks: int) -> Iterator[ObjectInfo]:
        token, last, left = "", listing.after, limit
        while True:
            page, last = self._page(listing, _size(left, 0), token, last, forks)
            for info in page.objects:
                yield info
                refuse_inherited(forks, "the listing")
            token = page.next_page_token
            if not token or (left is not None and (left := left - len(page.objects)) <= 0):
                return

    def _page(
        self, listing: Listing, page_size: int, token: str, last: Key | None, forks: int
    ) -> tuple[Page, Any]:
        """The next page, and the last place until its end, which is after that until the end of the one before."""
        refuse_inherited(forks, "the listing")
        self._require_open()
        options: dict[str, Any] = {}
        if not listing.is_plain:  # a Store of one's own may be older than orders
            options = {"order": listing.order, "descending": listing.descending}
            options |= {"after": listing.after, "delimiter": listing.delimiter}
        page = self._store.list_page(
            listing.unit, prefix=listing.prefix, tags=listing.tags, page_size=page_size, page_token=token, **options
        )
        return page, check_places(page, listing, last)


def _size(left: int | None, otherwise: int) -> int:
    """Of the next page, where so many entries may still come."""
    return otherwise if left is None else min(left, MAX_PAGE_SIZE)


def _check_limit(limit: int | None) -> None:
    if limit is not None:
        check_number("limit", limit, 1, MAX_DATA_ID, whole=True, reason="BAD_LIMIT")
