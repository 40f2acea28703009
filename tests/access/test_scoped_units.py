"""Pages of units that a principal may know of: whole, without a word of the others, each with bounded work."""

import base64
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from vault.errors import InvalidArgumentError
from vault.store import UnitPage
from vault.store.wrapper import AsyncWrapperStore
from vault.testing.store.objects import small_upload
from vault_server.access.grants import Grant, Principal
from vault_server.rpc import scoped_units
from vault_server.rpc.scoped_store import ScopedStore, ScopedStores
from vault_server.storage.memory import AsyncMemoryStore


class Calls:
    def __init__(self, name: str, *grants: str) -> None:
        self.principal = Principal(name, [Grant.parse(grant) for grant in grants])

    def used(self, unit: str, scope: str) -> None:
        """Nobody asks here."""


class Looked(AsyncWrapperStore):
    """Counts the units that are looked through; what is asked for each principal goes to the same."""

    looked_at = 0

    def for_principal(self, principal: str) -> Any:  # one count of all
        return self

    async def unit_page(self, *, prefix: str = "", page_size: int = 0, page_token: str = "") -> UnitPage:
        page = await self.inner.unit_page(prefix=prefix, page_size=page_size, page_token=page_token)
        self.looked_at += len(page.units)
        return page


async def filled(store: AsyncMemoryStore, units: Sequence[str]) -> Looked:
    for unit in units:
        await store.upload_many(unit, [small_upload(b"x")])
    return Looked(store)


async def all_pages(
    stores: ScopedStores, calls: Calls, page_size: int, *, prefix: str = "", forget: bool = False
) -> tuple[list[str], list[UnitPage]]:
    """The units of all pages, and the pages; `forget`: the server is another one for each."""
    found, pages, token = [], [], ""
    while True:
        if forget:
            stores = ScopedStores(stores.store, stores.allowed)
        page = await stores.of(calls).unit_page(prefix=prefix, page_size=page_size, page_token=token)
        pages.append(page)
        found += [info.unit for info in page.units]
        token = page.next_page_token
        if not token:
            return found, pages


@pytest.mark.parametrize("forget", [False, True])
async def test_pages_put_together_are_the_units_with_a_scope(forget: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoped_units, "MOST_SCANNED", 10)
    drawn = random.Random(7)
    async with AsyncMemoryStore() as store:
        units = [f"{drawn.choice('abc')}{number:03}{drawn.choice(['', '-x'])}" for number in range(60)]
        looked = await filled(store, units)
        for grants in (["*:list"], ["a*:list"], ["a*:read", "c*-x:admin"], ["*-x:list", "b000:read"], ["z*:list"], []):
            calls = Calls("ann", *grants)
            wanted = sorted(unit for unit in units if calls.principal.scopes(unit))
            for page_size in (2, 7, 1000):
                for prefix in ("", "a", "c1"):
                    found, pages = await all_pages(
                        ScopedStores(looked, ()), calls, page_size, prefix=prefix, forget=forget
                    )
                    assert found == [unit for unit in wanted if unit.startswith(prefix)]
                    for page in pages:
                        assert len(page.units) <= page_size
                        assert all(info.objects == ("list" in calls.principal.scopes(info.unit)) for info in page.units)


async def test_a_call_looks_through_so_many_units_and_its_token_names_none_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoped_units, "MOST_SCANNED", 50)
    hidden = [f"hidden-{number:03}" for number in range(300)]
    async with AsyncMemoryStore() as store:
        looked = await filled(store, ["a-mine", *hidden, "z-mine"])
        stores, calls, token, found, empty = ScopedStores(looked, ()), Calls("ann", "*-mine:list"), "", [], 0
        while True:
            looked.looked_at = 0
            page = await stores.of(calls).unit_page(page_size=5, page_token=token)
            assert looked.looked_at <= 50 + 100, "no more than a page above the bound"
            found += [info.unit for info in page.units]
            empty += not page.units
            token = page.next_page_token
            if not token:
                break
            said = base64.urlsafe_b64decode(token).decode()
            assert "hidden" not in said
            assert json.loads(said)[1].partition("/")[0] in ("", "a-mine")
        assert found == ["a-mine", "z-mine"]
        assert empty, "some of the pages were empty, which says that there is more to look through"


async def test_what_all_grants_begin_with_is_all_that_is_looked_through() -> None:
    async with AsyncMemoryStore() as store:
        looked = await filled(store, [*(f"other-{number}" for number in range(200)), "team-a", "team-b"])
        found, _ = await all_pages(ScopedStores(looked, ()), Calls("ann", "team-*:list", "team-c:read"), 10)
        assert found == ["team-a", "team-b"]
        assert looked.looked_at == 2


async def test_a_page_token_is_one_principals_and_one_listings() -> None:
    async with AsyncMemoryStore() as store:
        stores = ScopedStores(await filled(store, ["a", "b", "c"]), ())
        ann, bob = stores.of(Calls("ann", "*:list")), stores.of(Calls("bob", "*:list"))
        token = (await ann.unit_page(page_size=1)).next_page_token
        assert [info.unit for info in (await ann.unit_page(page_token=token)).units] == ["b", "c"]
        own = (await store.unit_page(page_size=1)).next_page_token

        async def assert_refused(store: ScopedStore, token: str, prefix: str = "") -> None:
            with pytest.raises(InvalidArgumentError) as refused:
                await store.unit_page(page_token=token, prefix=prefix)
            assert refused.value.reason == "BAD_PAGE_TOKEN"

        await assert_refused(bob, token)
        await assert_refused(ann, token, "a")
        await assert_refused(ann, own)
        await assert_refused(ann, token[:-4])


async def test_kept_places_are_bounded_and_one_that_is_gone_costs_nothing_but_time() -> None:
    async with AsyncMemoryStore() as store:
        units = [f"u{number:03}" for number in range(120)]
        stores, calls = ScopedStores(await filled(store, units), ()), Calls("ann", "*:list")
        first = await stores.of(calls).unit_page(page_size=2)
        for _ in range(200):
            await stores.of(calls).unit_page(page_size=50, page_token=first.next_page_token)
        (parts,) = stores._parts.values()
        assert len(parts.cursors._tokens) <= 64
        again = await stores.of(calls).unit_page(page_size=2, page_token=first.next_page_token)
        assert [info.unit for info in again.units] == units[2:4]
