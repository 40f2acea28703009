"""What holds for principals: they keep the limits that are set, are told in pages, and charged for what they write."""

import secrets

import pytest

from vault.errors import InvalidArgumentError, StorageFullError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE, MAX_DATA_ID
from vault.store.outcomes import single
from vault.store.specs import CopySpec, DeleteSpec, MetadataSpec, PutSpec
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo
from vault.store.values import ObjectInfo
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    blocks_of,
    payload,
    put,
    raises_refusal,
    remove,
    replace,
    send,
    small_put,
    small_upload,
    upload_spec,
)
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


class ChargeConformance(StoreHarness):
    """Who is charged for what, and what limits do. For stores that have `for_principal`."""

    @pytest.fixture
    def whose(self) -> str:
        """A principal to whom nothing is charged."""
        return f"who-{secrets.token_hex(4)}"

    async def test_whoever_writes_the_bytes_is_charged_until_they_go(
        self, subject: AsyncStore, unit: str, whose: str
    ) -> None:
        mine, other = subject.for_principal(whose), subject.for_principal(f"{whose}-other")

        async def assert_charged(objects: int, size: int, others: tuple[int, int] = (0, 0)) -> None:
            info = await subject.principal_info(whose)
            assert (info.objects, info.bytes) == (objects, size)
            info = await other.principal_info(f"{whose}-other")
            assert (info.objects, info.bytes) == others

        one = await put(mine, unit, b"1", upload_spec(name="one"))
        item = small_upload(b"22")
        for _ in range(2):  # the same once more, as a retry
            await mine.upload_many(unit, [item])
        await assert_charged(2, 3)
        await mine.put_many(unit, [small_put(PutSpec("one"), b"333"), small_put(PutSpec("three"), b"4444")])
        await assert_charged(3, 9)
        await other.set_metadata(unit, MetadataSpec("one", name="first", tags={"a": "b"}))
        single(await other.copy_many(unit, [CopySpec("three", "copy")]))
        await assert_charged(3, 9, (1, 4))
        await replace(other, unit, "first", b"55555")
        await replace(subject, unit, item.spec.data_id, b"6")
        await assert_charged(1, 4, (2, 9))
        await subject.set_metadata(unit, MetadataSpec("copy", name="three", replace=True))
        await assert_charged(0, 0, (2, 9))
        await remove(mine, unit, one.data_id)
        await remove(subject, unit, "three")
        await assert_charged(0, 0)
        assert await principal_infos(subject, whose) == []

    async def test_what_would_go_over_is_refused_and_changes_nothing(
        self, subject: AsyncStore, unit: str, whose: str
    ) -> None:
        mine = subject.for_principal(whose)
        for limits, name in (
            (PrincipalLimits(max_objects=2), "max_objects"),
            (PrincipalLimits(max_bytes=8), "max_bytes"),
        ):
            await subject.set_principal_limits(whose, limits)
            items = [small_upload(b"data") for _ in range(3)]
            outcomes = await mine.upload_many(unit, items)
            assert [isinstance(outcome, ObjectInfo) for outcome in outcomes] == [True, True, False]
            refused = outcomes[2]
            assert isinstance(refused, StorageFullError)
            assert (refused.reason, refused.context["principal"]) == ("QUOTA", whose)
            assert refused.context["limit"] == getattr(limits, name)
            async with self.unchanged(subject, unit):
                with raises_refusal(StorageFullError, "QUOTA"):
                    await put(mine, unit, b"1")
                with raises_refusal(StorageFullError, "QUOTA"):
                    await send(await mine.put(unit, PutSpec("new")), b"1")
                with raises_refusal(StorageFullError, "QUOTA"):
                    single(await mine.copy_many(unit, [CopySpec(items[0].spec.data_id)]))
            await put(subject, unit, b"data")
            assert await mine.delete_many(unit, [DeleteSpec(item.spec.data_id) for item in items[:2]]) != [0, 0]

    async def test_what_is_over_a_new_limit_stays_and_may_become_less(
        self, subject: AsyncStore, unit: str, whose: str
    ) -> None:
        mine = subject.for_principal(whose)
        info = await put(mine, unit, b"data", upload_spec(name="name"))
        limits = PrincipalLimits(0, 0)
        assert await subject.set_principal_limits(whose, limits) == PrincipalInfo(whose, 1, 4, limits)
        await replace(mine, unit, "name", b"less")
        await replace(mine, unit, "name", b"1")
        with raises_refusal(StorageFullError, "QUOTA"):
            await replace(mine, unit, "name", b"22")
        await mine.set_metadata(unit, MetadataSpec("name", tags={"a": "b"}))
        await remove(mine, unit, info.data_id)
        assert await subject.principal_info(whose) == PrincipalInfo(whose, limits=limits)

    async def test_a_stream_of_too_much_is_refused_before_its_end(
        self, subject: AsyncStore, unit: str, whose: str
    ) -> None:
        await subject.set_principal_limits(whose, PrincipalLimits(max_bytes=3 * BLOCK_SIZE))
        data = payload(20 * BLOCK_SIZE)
        async with await subject.for_principal(whose).upload(unit, upload_spec()) as writer:
            written = 0
            with raises_refusal(StorageFullError, "QUOTA"):
                for block in blocks_of(data):
                    await writer.write(block)
                    written += 1
            assert written < 8
