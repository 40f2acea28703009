"""Pages of the units that a principal may know of: filled from the store's pages, each with bounded work."""

import os.path
import secrets
from collections.abc import Callable
from typing import Final

from vault.store.contract import AsyncStore
from vault.store.limits import MAX_PAGE_SIZE, check_page_size, check_prefix
from vault.store.usage import UnitInfo, UnitPage
from vault.store.values import ListOrder

from vault_server.access.grants import Principal, Scope
from vault_server.storage.decision.listing import DEFAULT_PAGE_SIZE, MOST_SCANNED
from vault_server.storage.index.page_token import query_mark, read_token, write_token

_MOST_KEPT: Final = 64


class Cursors:
    """Where pages of the store begin, by names that tell nothing: the store's own tokens may name any unit. One that
    is not known any more, or is another process's, costs looking through the units before it again."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], str] = {}

    def keep(self, prefix: str, token: str) -> str:
        """A name for a token of the store's listing of the units with a prefix."""
        if not token:
            return ""
        if len(self._tokens) >= _MOST_KEPT:
            del self._tokens[next(iter(self._tokens))]
        name = secrets.token_hex(8)
        self._tokens[prefix, name] = token
        return name

    def find(self, prefix: str, name: str) -> str:
        """The token; empty, the first page's, where it is not known."""
        return self._tokens.get((prefix, name), "")


async def visible_page(
    store: AsyncStore,
    principal: Principal,
    scopes_in: Callable[[str], frozenset[Scope]],
    cursors: Cursors,
    prefix: str,
    page_size: int,
    page_token: str,
) -> UnitPage:
    """`Store.unit_page` of those in which the principal has any scope: figures of those that he may list, and the
    names of the others. Its token names the last of them, or the one that the page comes after."""
    check_prefix(prefix)
    check_page_size(page_size)
    mark = query_mark((await store.capabilities()).store_id, principal.name, prefix)
    after, skipped, cursor = _place(read_token(page_token, mark, ListOrder.NAME))
    limit = page_size or DEFAULT_PAGE_SIZE
    found: list[UnitInfo] = []
    narrowed = _narrowed(principal, prefix)
    if narrowed is None:
        return UnitPage(found, "")

    def page(token: str, skipped: int) -> UnitPage:
        last = found[-1].unit if found else after
        return UnitPage(found, write_token(f"{last}/{skipped}/{cursors.keep(narrowed, token)}", mark))

    token, size = cursors.find(narrowed, cursor), limit + 1
    most, passed = (MOST_SCANNED, skipped) if token else (MOST_SCANNED + skipped, 0)
    while most > 0:
        part = await store.unit_page(prefix=narrowed, page_size=min(size, MAX_PAGE_SIZE), page_token=token)
        ahead = [info for info in part.units if info.unit > after]
        for info in ahead:
            scopes = scopes_in(info.unit)
            if scopes and len(found) == limit:
                return page(token, 0)
            passed += 1
            if scopes:
                found.append(info if "list" in scopes else UnitInfo(info.unit))
                passed = 0
        token = part.next_page_token
        if not token:
            return UnitPage(found, "")
        if not part.units:  # the store has looked through as many that are none any more
            passed += MOST_SCANNED
        most -= len(ahead) if part.units else MOST_SCANNED
        size *= 2
    return page(token, passed)


def _place(bound: str | None) -> tuple[str, int, str]:
    """The unit that a page comes after, how many after it were looked through in vain, and the cursor."""
    try:
        after, skipped, cursor = ("/0/" if bound is None else bound).split("/")
        return after, int(skipped), cursor
    except ValueError:  # nobody was given this
        return "", 0, ""


def _narrowed(principal: Principal, prefix: str) -> str | None:
    """What all units begin with that have the prefix and are in a grant; None: there is none."""
    if not principal.grants:
        return None
    common = os.path.commonprefix(  # noqa: RUF071  # of characters
        [grant.units.partition("*")[0] for grant in principal.grants]
    )
    if common.startswith(prefix):
        return common
    return prefix if prefix.startswith(common) else None
