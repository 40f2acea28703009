"""A level, or what comes after a place, of a server that is older than those: folded out of what it lists anyway.

Its pages are by id, or under a prefix by name, ascending, all of it. What is asked for in that order is found in one of
them after the other, of which nothing is kept. In another order it would take all of them at once: UnsupportedError.
"""

import json
from dataclasses import replace
from typing import Any, Final

from vault.errors import InvalidArgumentError
from vault.store.listing import Listing, check_after
from vault.store.values import Page

_MARK: Final = "flat:"
"""What a page token of here begins with. A server's are base64, which has no colon."""


def flat_of(listing: Listing) -> Listing | None:
    """The listing that it can be folded out of; None: out of none."""
    flat = replace(listing, after=None, delimiter=None)
    return flat if flat.is_plain else None


def is_flat(page_token: str) -> bool:
    """Whether a page token is one of here."""
    return page_token.startswith(_MARK)


def read_token(page_token: str, listing: Listing) -> tuple[str, Any]:
    """The server's page token in one of here, and the last place that was told or passed over; None: there was none."""
    try:
        theirs, last, *query = json.loads(page_token.removeprefix(_MARK))
        if flat_of(listing) is None or query != [listing.after, listing.delimiter]:
            raise ValueError  # noqa: TRY301  # told below
        theirs.encode()
        if last is not None:
            check_after(last, listing.order)
    except (AttributeError, ValueError, TypeError, RecursionError):  # InvalidArgumentError is a ValueError
        raise InvalidArgumentError(
            "bad page token: use the one of the page before, with the same arguments", reason="BAD_PAGE_TOKEN"
        ) from None
    return theirs, last


def fold(page: Page, listing: Listing, last: Any) -> Page:
    """What a page of the flat listing has of it, after a place."""
    folded = Page([], "")
    for info in page.objects:
        prefix = None if info.name is None else listing.prefix_of(info.name)
        place = listing.place(info) if prefix is None else prefix
        if last is not None and not listing.follows(place, last):
            continue
        last = place
        if prefix is None:
            folded.objects.append(info)
        else:
            folded.prefixes.append(prefix)
    if not page.next_page_token:
        return folded
    return replace(
        folded, next_page_token=_MARK + json.dumps([page.next_page_token, last, listing.after, listing.delimiter])
    )
