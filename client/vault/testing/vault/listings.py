"""What holds for a vault's listings."""

from typing import Any

import pytest

from vault._async.vault.facade import AsyncVault
from vault.errors import InvalidArgumentError
from vault.store.limits import MAX_PAGE_SIZE
from vault.store.listing import Level
from vault.store.values import ObjectInfo
from vault.testing.store.objects import raises_refusal
from vault.testing.vault.harness import Document, VaultHarness


async def _listed(vault: AsyncVault, unit: str, **options: Any) -> list[ObjectInfo]:
    return [info async for info in vault.list(unit, **options)]


async def _named(vault: AsyncVault, unit: str, **options: Any) -> list[str | None]:
    return [info.name for info in await _listed(vault, unit, **options)]


def _parts(level: Level) -> tuple[list[str], list[str | None]]:
    return level.prefixes, [info.name for info in level.objects]


class VaultListingConformance(VaultHarness):
    """list, list_level."""

    async def test_listings_take_prefixes_and_tags(self, vault: AsyncVault, unit: str) -> None:
        for name, kind in [("b/1", "x"), ("a/2", "y"), ("a/1", "x"), (None, "x")]:
            await vault.upload(unit, Document("text"), name=name, tags={"kind": kind})
        everything = await _listed(vault, unit)
        assert [info.data_id for info in everything] == sorted(info.data_id for info in everything)
        assert len(everything) == 4
        assert [info.name for info in await _listed(vault, unit, prefix="")] == ["a/1", "a/2", "b/1"]
        assert [info.name for info in await _listed(vault, unit, prefix="a/")] == ["a/1", "a/2"]
        assert [info.name for info in await _listed(vault, unit, prefix="a/", tags={"kind": "x"})] == ["a/1"]
        assert len(await _listed(vault, unit, tags={"kind": "x"})) == 3
        assert unit in await vault.units()

    async def test_listings_are_in_the_order_asked_for(self, vault: AsyncVault, unit: str) -> None:
        for data_id, name in ((3, "b"), (1, "c"), (2, "a"), (4, None)):
            await vault.upload(unit, Document("text"), data_id=data_id, name=name)
        await vault.set_metadata(unit, "b", tags={"changed": "last"})
        assert await _named(vault, unit, order="name") == ["a", "b", "c"]
        assert await _named(vault, unit, order="id") == await _named(vault, unit) == ["c", "a", "b", None]
        assert await _named(vault, unit, order="changed") == ["c", "a", None, "b"]
        assert await _named(vault, unit, order="changed", descending=True, limit=2) == ["b", None]
        assert await _named(vault, unit, order="name", descending=True, after="c") == ["b", "a"]
        assert await _named(vault, unit, prefix="", after="a") == ["b", "c"]
        assert await _named(vault, unit, after=2) == ["b", None]
        newest, *older = await _listed(vault, unit, order="changed", descending=True)
        assert await _listed(vault, unit, order="changed", descending=True, after=newest.revision) == older

    async def test_a_limit_is_what_comes_at_most(self, vault: AsyncVault, unit: str) -> None:
        count = MAX_PAGE_SIZE + 5
        names = [f"{number:05}" for number in range(count)]
        await vault.upload_many(unit, [Document("text")] * count, names=names)
        for limit in (1, 2, MAX_PAGE_SIZE, MAX_PAGE_SIZE + 1, count, count + 1, 2**62):
            assert await _named(vault, unit, prefix="", limit=limit) == names[:limit]
            level = await vault.list_level(unit, limit=limit)
            assert _parts(level) == ([], names[:limit])
            assert level.next_after == (names[limit - 1] if limit < count else None)

    async def test_a_level_is_prefixes_and_objects(self, vault: AsyncVault, unit: str) -> None:
        names = ["a", "b/1", "b/2", "b/c/3", "b::d", "e/", "f"]
        await vault.upload_many(unit, [Document("text") for _ in names], names=names)
        await vault.upload(unit, Document("without a name"))
        await vault.set_metadata(unit, "f", tags={"kind": "x"})
        assert _parts(await vault.list_level(unit)) == (["b/", "e/"], ["a", "b::d", "f"])
        assert _parts(await vault.list_level(unit, "b/")) == (["b/c/"], ["b/1", "b/2"])
        assert _parts(await vault.list_level(unit, "b", delimiter="::")) == (["b::"], ["b/1", "b/2", "b/c/3"])
        assert _parts(await vault.list_level(unit, descending=True)) == (["e/", "b/"], ["f", "b::d", "a"])
        assert _parts(await vault.list_level(unit, tags={"kind": "x"})) == ([], ["f"])
        assert await vault.list_level(unit, "no such/") == Level([], [])

    @pytest.mark.parametrize("limit", [1, 2, 3])
    async def test_a_level_goes_on_after_what_it_had(self, vault: AsyncVault, unit: str, limit: int) -> None:
        names = ["a", "b/1", "b/2", "c", "d/1", "e", "f//", "g"]
        await vault.upload_many(unit, [Document("text") for _ in names], names=names)
        whole = await vault.list_level(unit)
        for descending in (False, True):
            prefixes, objects, after = [], [], None
            while True:
                level = await vault.list_level(unit, after=after, limit=limit, descending=descending)
                assert len(level.prefixes) + len(level.objects) <= limit
                prefixes += level.prefixes
                objects += level.objects
                after = level.next_after
                if after is None:
                    break
            assert sorted(prefixes) == whole.prefixes
            assert sorted(objects, key=lambda info: info.name or "") == whole.objects

    @pytest.mark.parametrize("limit", [0, -1, True, 1.0, "5", 2**63])
    async def test_what_is_no_limit_is_refused(self, vault: AsyncVault, unit: str, limit: Any) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_LIMIT", "limit", repr(limit)):
            vault.list(unit, limit=limit)
        with raises_refusal(InvalidArgumentError, "BAD_LIMIT", "limit", repr(limit)):
            await vault.list_level(unit, limit=limit)

    @pytest.mark.parametrize("order", ["NAME", "size", "", 1, True, ["name"]])
    async def test_what_is_no_order_is_refused(self, vault: AsyncVault, unit: str, order: Any) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_ORDER", repr(order), '"id", "name" or "changed"'):
            vault.list(unit, order=order)

    async def test_a_place_of_another_order_is_refused(self, vault: AsyncVault, unit: str) -> None:
        wrong: list[dict[str, Any]] = [
            {"after": "a"},
            {"order": "name", "after": 5},
            {"order": "changed", "after": "5"},
        ]
        for options in wrong:
            with raises_refusal(InvalidArgumentError, "BAD_ORDER", repr(options["after"])):
                vault.list(unit, **options)
        with raises_refusal(InvalidArgumentError, "BAD_ORDER", "5", "text"):
            await vault.list_level(unit, after=5)  # type: ignore[arg-type]

    @pytest.mark.parametrize("delimiter", ["", None, 5, "\ud800", "x" * 1025])
    async def test_what_is_no_delimiter_is_refused(self, vault: AsyncVault, unit: str, delimiter: Any) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_DELIMITER", "delimiter"):
            await vault.list_level(unit, delimiter=delimiter)

    @pytest.mark.parametrize("prefix", [None, 5, "\ud800", "x" * 1025])
    async def test_what_no_name_begins_with_is_refused(self, vault: AsyncVault, unit: str, prefix: Any) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_NAME", "prefix"):
            await vault.list_level(unit, prefix)
