"""What holds for values that are computed where they are not there."""

import asyncio

import pytest

from vault._async.vault.facade import AsyncVault
from vault.errors import InvalidArgumentError
from vault.testing.store.objects import raises_refusal
from vault.testing.vault.harness import Document, Report, VaultHarness, text_of


class Computing:
    """A function that says how often it was called.

    Attributes:
        calls: How often.
    """

    def __init__(self, text: str) -> None:
        self.calls = 0
        self._text = text

    def __call__(self) -> Document:
        self.calls += 1
        return Document(self._text)


class VaultComputingConformance(VaultHarness):
    """get_or_compute, memoize."""

    async def test_a_value_is_computed_once_and_stored_for_all(
        self, vault: AsyncVault, other: AsyncVault, unit: str
    ) -> None:
        function = Computing("value")
        found = [
            await each.get_or_compute(unit, "name", function, tags={"a": "1"}) for each in (vault, other, vault, other)
        ]
        assert [document.text for document in found] == ["value"] * 4
        assert function.calls == 1
        assert await text_of(other, unit, "name") == "value"
        info = await other.stat(unit, "name")
        assert info is not None
        assert dict(info.tags) == {"a": "1"}

    async def test_of_many_who_want_a_value_at_once_one_computes_it(
        self, vault: AsyncVault, other: AsyncVault, unit: str
    ) -> None:
        function = Computing("value")
        asked = [each.get_or_compute(unit, "name", function) for each in (vault, other) * 4]
        assert [document.text for document in await asyncio.gather(*asked)] == ["value"] * 8
        assert function.calls == 1

    async def test_an_error_is_its_callers_and_is_not_stored(self, vault: AsyncVault, unit: str) -> None:
        def fails() -> Document:
            raise ZeroDivisionError

        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await vault.get_or_compute(unit, "name", fails)
        assert not await vault.exists(unit, "name")
        assert (await vault.get_or_compute(unit, "name", Computing("value"))).text == "value"

    async def test_what_is_computed_is_the_callers_own(self, vault: AsyncVault, unit: str) -> None:
        for _ in range(3):
            document = await vault.get_or_compute(unit, "name", Computing("value"))
            assert document.text == "value"
            document.text = "changed"

    async def test_an_object_of_another_type_is_refused(self, vault: AsyncVault, unit: str) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_OBJECT"):
            await vault.get_or_compute(f"{unit}.reports", "name", Computing("value"))
        assert (await vault.get_or_compute(f"{unit}.reports", "name", lambda: Report("value"))).text == "value"
