"""What a page of a listing ends with, as text: where the next one begins, and of which query."""

import base64
import json
from typing import Any

import xxhash
from vault.errors import InvalidArgumentError
from vault.store.limits import MAX_DATA_ID
from vault.store.listing import Listing
from vault.store.values import ListOrder


def query_mark(store_id: str, *query: Any) -> str:
    """What a token is of: the query, and the store, since another one's pages would not go on from there."""
    return xxhash.xxh3_64_hexdigest(json.dumps([store_id, *query]).encode())


def listing_mark(store_id: str, listing: Listing) -> str:
    """`query_mark` of a listing."""
    tags = sorted(listing.tags.items())
    order = [listing.order.value, listing.descending, listing.after, listing.delimiter]
    return query_mark(store_id, listing.unit, listing.prefix, tags, *order)


def write_token(bound: int | str, mark: str) -> str:
    """The token of a page after which the next one begins there."""
    token = json.dumps([mark, bound], separators=(",", ":"))
    return base64.urlsafe_b64encode(token.encode()).decode()


def read_token(token: str, query: str, order: ListOrder) -> Any:
    """Where a page begins; None for the first one. InvalidArgumentError: BAD_PAGE_TOKEN."""
    if token == "":
        return None
    try:
        mark, bound = json.loads(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
    except (AttributeError, ValueError, TypeError, RecursionError):  # binascii's is a ValueError
        mark, bound = None, None
    if mark != query or not _is_place(bound, order):
        raise InvalidArgumentError(
            "bad page token: use the one of the page before, with the same store, unit, prefix, tags and order",
            reason="BAD_PAGE_TOKEN",
        )
    return bound


def _is_place(bound: object, order: ListOrder) -> bool:
    if order is not ListOrder.NAME:
        return type(bound) is int and 0 <= bound <= MAX_DATA_ID
    try:
        return isinstance(bound, str) and bool(bound.encode())
    except UnicodeEncodeError:
        return False
