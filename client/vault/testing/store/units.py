"""What holds for units: what they hold is counted with every commit, and they keep the limits that are set."""

from typing import Any

import pytest

from vault.errors import InvalidArgumentError
from vault.store.contract import AsyncStore
from vault.store.limits import MAX_DATA_ID
from vault.store.specs import DeleteSpec, MetadataSpec, UpdateSpec
from vault.store.usage import UnitInfo, UnitLimits
from vault.store.values import ObjectInfo
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import put, raises_refusal, remove, replace, small_update, small_upload, upload_spec

LIMITS: list[Any] = [-1, 2**63, True, 1.0, float("nan"), float("inf"), "1"]
"""What can be no limit."""


async def unit_infos(store: AsyncStore, prefix: str = "", *, page_size: int = 0) -> list[UnitInfo]:
    """What every unit with a prefix holds, page by page."""
    found: list[UnitInfo] = []
    token = ""
    while True:
        page = await store.unit_page(prefix=prefix, page_size=page_size, page_token=token)
        assert len(page.units) <= (page_size or len(page.units))
        found += page.units
        token = page.next_page_token
        if not token:
            return found


class UnitConformance(StoreHarness):
    """`Store.unit_info`, `Store.unit_page` and `Store.set_unit_limits`, but for what limits do."""

    async def test_a_unit_that_holds_nothing_has_zeros(self, subject: AsyncStore, unit: str) -> None:
        assert await subject.unit_info(unit) == UnitInfo(unit)
        assert unit not in await subject.list_units()

    async def test_every_kind_of_write_is_counted(self, subject: AsyncStore, unit: str) -> None:
        async def counts(objects: int, size: int, revision: int) -> None:
            assert await subject.unit_info(unit) == UnitInfo(unit, objects, size, revision)

        one = await put(subject, unit, b"data", upload_spec(name="one"))
        await counts(1, 4, one.revision)
        uploaded = await subject.upload_many(unit, [small_upload(b""), small_upload(b"22")])
        two, three = (info for info in uploaded if isinstance(info, ObjectInfo))
        await counts(3, 6, three.revision)
        replaced = await replace(subject, unit, "one", b"longer data")
        await counts(3, 13, replaced.revision)
        await subject.update_many(unit, [small_update(UpdateSpec(three.data_id), b"")])
        named = await subject.set_metadata(unit, MetadataSpec("one", name="first", tags={"a": "b"}))
        await counts(3, 11, named.revision)
        await remove(subject, unit, two.data_id)
        deleted = await remove(subject, unit, "first")
        await counts(1, 0, deleted)
        last = await remove(subject, unit, three.data_id)
        await counts(0, 0, last)

    async def test_what_is_refused_is_not_counted(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data", upload_spec(name="taken"))
        before = await subject.unit_info(unit)
        await subject.upload_many(unit, [small_upload(b"data", upload_spec(name="taken"))])
        await subject.update_many(unit, [small_update(UpdateSpec("none"), b"data")])
        await subject.delete_many(unit, [DeleteSpec(info.data_id, if_generation=info.generation + 1)])
        spec = upload_spec()
        async with await subject.upload(unit, spec):
            assert await subject.unit_info(unit) == before
        assert await subject.unit_info(unit) == before

    async def test_a_retried_write_is_counted_once(self, subject: AsyncStore, unit: str) -> None:
        item = small_upload(b"data")
        for _ in range(2):
            await subject.upload_many(unit, [item])
        assert (await subject.unit_info(unit)).objects == 1

    @pytest.mark.parametrize("page_size", [0, 1, 3])
    async def test_pages_of_units_put_together_are_all_in_order(
        self, subject: AsyncStore, unit: str, page_size: int
    ) -> None:
        units = [f"{unit}{suffix}" for suffix in ("", "-x", ".x", "A", "_x", "a", "b")]
        for number, name in enumerate(reversed(units)):
            await put(subject, name, b"x" * number)
        for name in (units[2], units[4]):
            info = (await subject.list_page(name)).objects[0]
            await remove(subject, name, info.data_id)
        limited = await subject.set_unit_limits(units[4], UnitLimits(max_objects=5))
        expected = [await subject.unit_info(name) for name in sorted(units) if name != units[2]]
        assert limited in expected
        assert await unit_infos(subject, unit, page_size=page_size) == expected
        below = [info for info in expected if info.unit.startswith(f"{unit}-")]
        assert await unit_infos(subject, f"{unit}-", page_size=page_size) == below

    async def test_a_prefix_that_no_unit_has_brings_none(self, subject: AsyncStore, unit: str) -> None:
        await put(subject, unit, b"data")
        for prefix in (f"{unit}%", "_", "*", "🗄", "\U0010ffff", unit + "x" * 1000):
            assert await unit_infos(subject, prefix) == []

    async def test_limits_are_kept_whatever_is_written(self, subject: AsyncStore, unit: str) -> None:
        for limits in (
            UnitLimits(max_objects=10),
            UnitLimits(max_bytes=MAX_DATA_ID, when_full="evict"),
            UnitLimits(max_objects=3, max_bytes=0),
            UnitLimits(when_full="evict"),
            UnitLimits(),
        ):
            assert (await subject.set_unit_limits(unit, limits)).limits == limits
            assert await subject.set_unit_limits(unit, limits) == await subject.unit_info(unit)
            info = await put(subject, unit, b"")
            assert (await subject.unit_info(unit)).limits == limits
            await remove(subject, unit, info.data_id)
            assert (await subject.unit_info(unit)).limits == limits

    async def test_a_unit_with_limits_and_no_object_is_in_pages_only(self, subject: AsyncStore, unit: str) -> None:
        await subject.set_unit_limits(unit, UnitLimits(max_objects=0))
        assert unit not in await subject.list_units()
        assert await unit_infos(subject, unit) == [UnitInfo(unit, limits=UnitLimits(max_objects=0))]
        await subject.set_unit_limits(unit, UnitLimits())
        assert await unit_infos(subject, unit) == []

    async def test_setting_limits_changes_nothing_else(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data")
        await subject.set_unit_limits(unit, UnitLimits(max_bytes=100))
        after = await put(subject, unit, b"data")
        assert after.revision == info.revision + 1

    async def test_a_bad_limit_is_refused(self, subject: AsyncStore, unit: str) -> None:
        await subject.set_unit_limits(unit, UnitLimits(max_objects=7))
        for bad in LIMITS:
            with raises_refusal(InvalidArgumentError, "BAD_LIMIT", "max_objects"):
                await subject.set_unit_limits(unit, UnitLimits(max_objects=bad))
            with raises_refusal(InvalidArgumentError, "BAD_LIMIT", "max_bytes"):
                await subject.set_unit_limits(unit, UnitLimits(max_bytes=bad))
        assert (await subject.unit_info(unit)).limits == UnitLimits(max_objects=7)

    async def test_another_way_to_be_full_is_refused(self, subject: AsyncStore, unit: str) -> None:
        bad: Any
        for bad in ("", "drop", "REFUSE", None, 1, True):
            with raises_refusal(InvalidArgumentError, "BAD_LIMIT", "when_full"):
                await subject.set_unit_limits(unit, UnitLimits(1, 1, bad))

    async def test_a_page_of_units_that_cannot_be_is_refused(self, subject: AsyncStore, unit: str) -> None:
        await put(subject, unit, b"data")
        for page_size in (-1, 1001, True, 1.0):
            with raises_refusal(InvalidArgumentError, "BAD_PAGE_SIZE"):
                await subject.unit_page(page_size=page_size)  # type: ignore[arg-type]  # that is it
        for token in ("x", "AAAA", "€", "null", "{}"):
            with raises_refusal(InvalidArgumentError, "BAD_PAGE_TOKEN"):
                await subject.unit_page(page_token=token)
        with raises_refusal(InvalidArgumentError, "BAD_NAME", "prefix"):
            await subject.unit_page(prefix=5)  # type: ignore[arg-type]  # likewise
        listing = await subject.list_page(unit, prefix="", page_size=1)
        if listing.next_page_token:
            with raises_refusal(InvalidArgumentError, "BAD_PAGE_TOKEN"):
                await subject.unit_page(page_token=listing.next_page_token)
