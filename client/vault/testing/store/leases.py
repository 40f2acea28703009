"""What holds for leases: one holder at a time, for as long as it says, and nothing but that."""

import asyncio
import secrets
import time
from typing import Any, Final

import pytest

from vault.errors import ClosedError, InvalidArgumentError
from vault.store.contract import AsyncStore
from vault.store.limits import MAX_LEASE
from vault.testing.cases import each
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import put, raises_refusal, upload_spec

ONE: Final = b"1" * 16
OTHER: Final = b"2" * 16


class LeaseConformance(StoreHarness):
    """`Store.acquire_lease` and `release_lease`."""

    async def test_a_lease_is_one_holders_until_it_is_released(self, subject: AsyncStore, unit: str) -> None:
        assert await subject.acquire_lease(unit, "name", ONE, MAX_LEASE) == 0.0
        assert 0 < await subject.acquire_lease(unit, "name", OTHER, 1) <= MAX_LEASE
        await subject.release_lease(unit, "name", OTHER)  # it does not have it
        assert await subject.acquire_lease(unit, "name", OTHER, 1) > 0
        await subject.release_lease(unit, "name", ONE)
        assert await subject.acquire_lease(unit, "name", OTHER, MAX_LEASE) == 0.0
        await subject.release_lease(unit, "name", ONE)
        assert await subject.acquire_lease(unit, "name", ONE, 1) > 0
        await subject.release_lease(unit, "name", OTHER)
        await subject.release_lease(unit, "name", OTHER)

    async def test_a_lease_that_is_not_renewed_ends(self, subject: AsyncStore, unit: str) -> None:
        began = time.monotonic()
        assert await subject.acquire_lease(unit, "name", ONE, 0.2) == 0.0
        while remaining := await subject.acquire_lease(unit, "name", OTHER, MAX_LEASE):
            assert remaining <= 0.2
            await asyncio.sleep(remaining)
        assert time.monotonic() - began >= 0.2
        assert await subject.acquire_lease(unit, "name", ONE, 1) > 0
        await subject.release_lease(unit, "name", OTHER)

    async def test_a_lease_is_renewed_from_now_on(self, subject: AsyncStore, unit: str) -> None:
        assert await subject.acquire_lease(unit, "name", ONE, 1) == 0.0
        assert await subject.acquire_lease(unit, "name", ONE, MAX_LEASE) == 0.0
        assert await subject.acquire_lease(unit, "name", OTHER, 1) > 1
        assert await subject.acquire_lease(unit, "name", ONE, 1) == 0.0
        assert await subject.acquire_lease(unit, "name", OTHER, 1) <= 1

    async def test_names_and_units_are_apart(self, subject: AsyncStore, unit: str) -> None:
        names = ["name", "name2", "nam", "a/b", "ä", "x" * 1024]
        for one in (unit, f"{unit}.b"):
            for name in names:
                assert await subject.acquire_lease(one, name, ONE, MAX_LEASE) == 0.0
            for name in names:
                assert await subject.acquire_lease(one, name, OTHER, 1) > 0
                await subject.release_lease(one, name, ONE)

    async def test_a_lease_is_no_object_and_keeps_nobody_from_writing(self, subject: AsyncStore, unit: str) -> None:
        async with self.unchanged(subject, unit):
            assert await subject.acquire_lease(unit, "name", ONE, 1) == 0.0
            await subject.release_lease(unit, "name", ONE)
        assert await subject.acquire_lease(unit, "name", ONE, 1) == 0.0
        await put(subject, unit, b"data", upload_spec(name="name"))

    async def test_of_many_who_ask_at_once_one_has_it(self, subject: AsyncStore, unit: str) -> None:
        holders = [secrets.token_bytes(16) for _ in range(20)]
        asked = [subject.acquire_lease(unit, "name", holder, MAX_LEASE) for holder in holders]
        answers = await asyncio.gather(*asked)
        assert answers.count(0.0) == 1
        await subject.release_lease(unit, "name", holders[answers.index(0.0)])

    @each("holder", [b"", b"1" * 15, b"1" * 17, "1" * 16, None, 5])
    async def test_a_holder_is_16_bytes(self, subject: AsyncStore, unit: str, holder: Any) -> None:
        for call in (subject.acquire_lease(unit, "name", holder, 1), subject.release_lease(unit, "name", holder)):
            with raises_refusal(InvalidArgumentError, "BAD_LEASE", "16 bytes"):
                await call

    @each("seconds", [0, -1, MAX_LEASE + 0.1, float("inf"), float("nan"), True, "1", None])
    async def test_a_lease_is_for_up_to_a_minute(self, subject: AsyncStore, unit: str, seconds: Any) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_LEASE", "at most 60"):
            await subject.acquire_lease(unit, "name", ONE, seconds)
        assert await subject.acquire_lease(unit, "name", OTHER, 1) == 0.0

    @each("name", ["", "x" * 1025, "a\ud800", None, 5])
    async def test_a_lease_is_on_a_name(self, subject: AsyncStore, unit: str, name: Any) -> None:
        for call in (subject.acquire_lease(unit, name, ONE, 1), subject.release_lease(unit, name, ONE)):
            with raises_refusal(InvalidArgumentError, "BAD_NAME"):
                await call
        with raises_refusal(InvalidArgumentError, "BAD_UNIT"):
            await subject.acquire_lease("no unit", "name", ONE, 1)

    async def test_a_closed_store_has_no_leases(self, subject: AsyncStore, unit: str) -> None:
        await subject.close()
        with pytest.raises(ClosedError):
            await subject.acquire_lease(unit, "name", ONE, 1)
        with pytest.raises(ClosedError):
            await subject.release_lease(unit, "name", ONE)
