"""What holds for principals: they keep the limits that are set, and are told in pages."""

import secrets

import pytest

from vault.errors import InvalidArgumentError
from vault.store.contract import AsyncStore
from vault.store.limits import MAX_DATA_ID
from vault.store.values import PrincipalInfo, PrincipalLimits, UnitInfo
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import put, raises_refusal
from vault.testing.store.units import LIMITS


async def principal_infos(store: AsyncStore, prefix: str = "", *, page_size: int = 0) -> list[PrincipalInfo]:
    """What is charged to every principal with a prefix, page by page."""
    found: list[PrincipalInfo] = []
    token = ""
    while True:
        page = await store.principal_page(prefix=prefix, page_size=page_size, page_token=token)
        assert len(page.principals) <= (page_size or len(page.principals))
        found += page.principals
        token = page.next_page_token
        if not token:
            return found


class QuotaConformance(StoreHarness):
    """`Store.principal_info`, `Store.principal_page` and `Store.set_principal_limits`, but for who is charged."""

    @pytest.fixture
    def principal(self) -> str:
        """One to whom nothing is charged."""
        return f"who-{secrets.token_hex(4)}"

    async def test_a_principal_that_wrote_nothing_has_zeros(self, subject: AsyncStore, principal: str) -> None:
        assert await subject.principal_info(principal) == PrincipalInfo(principal)
        assert await principal_infos(subject, principal) == []

    async def test_limits_of_a_principal_are_kept(self, subject: AsyncStore, principal: str) -> None:
        for limits in (
            PrincipalLimits(max_objects=10),
            PrincipalLimits(max_bytes=MAX_DATA_ID),
            PrincipalLimits(max_objects=0, max_bytes=0),
            PrincipalLimits(),
        ):
            set_to = await subject.set_principal_limits(principal, limits)
            assert set_to == PrincipalInfo(principal, limits=limits) == await subject.principal_info(principal)
            assert await principal_infos(subject, principal) == ([set_to] if limits.are_set else [])

    async def test_limits_of_a_principal_change_nothing_else(
        self, subject: AsyncStore, principal: str, unit: str
    ) -> None:
        info = await put(subject, unit, b"data")
        await subject.set_principal_limits(principal, PrincipalLimits(0, 0))
        after = await put(subject, unit, b"data")
        assert after.revision == info.revision + 1
        assert await subject.unit_info(unit) == UnitInfo(unit, 2, 8, after.revision)
        assert await subject.principal_info(principal) == PrincipalInfo(principal, limits=PrincipalLimits(0, 0))

    @pytest.mark.parametrize("page_size", [0, 1, 3])
    async def test_pages_of_principals_put_together_are_all_in_order(
        self, subject: AsyncStore, principal: str, page_size: int
    ) -> None:
        names = [f"{principal}{suffix}" for suffix in ("", "-x", ".x", "A", "_x", "a", "b")]
        expected = {}
        for number, name in enumerate(reversed(names)):
            expected[name] = await subject.set_principal_limits(name, PrincipalLimits(max_bytes=number))
        await subject.set_principal_limits(names[2], PrincipalLimits())
        del expected[names[2]]
        in_order = [expected[name] for name in sorted(expected)]
        assert await principal_infos(subject, principal, page_size=page_size) == in_order
        below = [info for info in in_order if info.principal.startswith(f"{principal}-")]
        assert await principal_infos(subject, f"{principal}-", page_size=page_size) == below

    async def test_a_prefix_that_no_principal_has_brings_none(self, subject: AsyncStore, principal: str) -> None:
        await subject.set_principal_limits(principal, PrincipalLimits(5))
        for prefix in (f"{principal}%", "_", "*", "🗄", "\U0010ffff", principal + "x" * 1000):
            assert await principal_infos(subject, prefix) == []

    async def test_a_bad_limit_of_a_principal_is_refused(self, subject: AsyncStore, principal: str) -> None:
        await subject.set_principal_limits(principal, PrincipalLimits(max_objects=7))
        for bad in LIMITS:
            with raises_refusal(InvalidArgumentError, "BAD_LIMIT", "max_objects"):
                await subject.set_principal_limits(principal, PrincipalLimits(max_objects=bad))
            with raises_refusal(InvalidArgumentError, "BAD_LIMIT", "max_bytes"):
                await subject.set_principal_limits(principal, PrincipalLimits(max_bytes=bad))
        assert (await subject.principal_info(principal)).limits == PrincipalLimits(max_objects=7)

    @pytest.mark.parametrize("bad", ["", "a b", "a/b", "-a", "€", "a\n", "a" * 129, None, 5, b"a"])
    async def test_a_bad_principal_is_refused(self, subject: AsyncStore, bad: str) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_PRINCIPAL"):
            await subject.principal_info(bad)
        with raises_refusal(InvalidArgumentError, "BAD_PRINCIPAL"):
            await subject.set_principal_limits(bad, PrincipalLimits())

    async def test_a_page_of_principals_that_cannot_be_is_refused(self, subject: AsyncStore, principal: str) -> None:
        await subject.set_principal_limits(principal, PrincipalLimits(1))
        for page_size in (-1, 1001, True, 1.0):
            with raises_refusal(InvalidArgumentError, "BAD_PAGE_SIZE"):
                await subject.principal_page(page_size=page_size)  # type: ignore[arg-type]  # that is it
        for token in ("x", "AAAA", "€", "null", "{}"):
            with raises_refusal(InvalidArgumentError, "BAD_PAGE_TOKEN"):
                await subject.principal_page(page_token=token)
        with raises_refusal(InvalidArgumentError, "BAD_NAME", "prefix"):
            await subject.principal_page(prefix=5)  # type: ignore[arg-type]  # likewise
        await subject.set_principal_limits(f"{principal}x", PrincipalLimits(1))
        first = await subject.principal_page(prefix=principal, page_size=1)
        with raises_refusal(InvalidArgumentError, "BAD_PAGE_TOKEN"):
            await subject.unit_page(prefix=principal, page_token=first.next_page_token)
