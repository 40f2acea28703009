"""What a page of a listing ends with, as text: where the next one begins, and of which query."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import xxhash
from vault.errors import InvalidArgumentError
from vault.store.limits import check_key


def query_mark(store_id: str, unit: str, prefix: str | None, tags: Mapping[str, str]) -> str:
    """What a token is of: the query, and the store, since another one's pages would not go on from there."""
    return xxhash.xxh3_64_hexdigest(json.dumps([store_id, unit, prefix, sorted(tags.items())]).encode())


def write_token(last: int | str | None, mark: str) -> str:
    """The token of a page that ended with this id or name."""
    token = json.dumps([mark, last], separators=(",", ":"))
    return base64.urlsafe_b64encode(token.encode()).decode()


def read_token(token: str, query: str, kind: type[int] | type[str]) -> Any:
    """The id or name that the page before ended with; None for the first page. InvalidArgumentError: BAD_PAGE_TOKEN."""
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
