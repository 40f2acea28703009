"""What holds for listings: ordered, filtered, page by page, nothing twice and nothing left out."""

import secrets

import pytest

from vault.errors import InvalidArgumentError
from vault.store.contract import AsyncStore
from vault.store.limits import MAX_PAGE_SIZE
from vault.store.specs import MetadataSpec
from vault.store.values import ObjectInfo
from vault.testing.cases import each
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import listed, put, raises_refusal, remove, replace, small_upload, upload_spec

NAMES = [
    "",
    "a",
    "a%",
    "a%b",
    "a*",
    "a?",
    "a[b]",
    "a\\",
    "a\\%",
    "a_b",
    "ab",
    "aXb",
    "A",
    "Ab",
    "a'b",
    'a"b',
    "b",
    "ä",
    "ä/1",
    "ä/2",
    "a\u0308",
    "a\ud7ff",
    "a\ud7ffz",
    "a\ue000",
    "z",
    "文/書",
    "\U0010ffff",
    "\U0010ffff\U0010ffff",
    "\U0010ffffa",
    "🗄",
]
PREFIXES = [
    *NAMES,
    "a_",
    "%",
    "_",
    "*",
    "a%%",
    "AB",
    "ä/",
    "文",
    "no such name",
    "a" * 1024,
]


class ListingConformance(StoreHarness):
    """`Store.list_page` and `Store.list_units`."""

    async def test_without_a_prefix_every_object_comes_in_the_order_of_ids(
        self, subject: AsyncStore, unit: str
    ) -> None:
        infos = [
            await put(subject, unit, b"data", upload_spec(data_id=data_id, name=name))
            for data_id, name in [(2**62, "a"), (10, None), (9, "b"), (2**63 - 1, None), (1, "c")]
        ]
        assert await listed(subject, unit) == sorted(infos, key=lambda info: info.data_id)

    async def test_an_empty_unit_has_one_empty_page(self, subject: AsyncStore, unit: str) -> None:
        for prefix in (None, "", "a"):
            page = await subject.list_page(unit, prefix=prefix)
            assert (page.objects, page.next_page_token) == ([], "")

    async def test_with_a_prefix_named_objects_come_in_the_order_of_names(self, subject: AsyncStore, unit: str) -> None:
        await self._put_names(subject, unit)
        await put(subject, unit, b"no name")
        names = [name for name in NAMES if name]
        for prefix in PREFIXES:
            found = [info.name for info in await listed(subject, unit, prefix=prefix)]
            assert found == sorted(name for name in names if name.startswith(prefix)), f"prefix {prefix!r}"

    @pytest.mark.parametrize("page_size", [1, 2, 3, 28, 29, 30, MAX_PAGE_SIZE, 0])
    async def test_pages_put_together_are_the_listing(self, subject: AsyncStore, unit: str, page_size: int) -> None:
        infos = await self._put_names(subject, unit)
        by_id = sorted(infos, key=lambda info: info.data_id)
        assert await listed(subject, unit, page_size=page_size) == by_id
        by_name = sorted(infos, key=lambda info: info.name or "")
        assert await listed(subject, unit, prefix="", page_size=page_size) == by_name
        page = await subject.list_page(unit, page_size=page_size)
        assert len(page.objects) == min(page_size or len(infos), len(infos))

    async def test_more_objects_than_a_page_may_hold_come_in_several(self, subject: AsyncStore, unit: str) -> None:
        count = MAX_PAGE_SIZE + 7
        items = [small_upload(b"x", upload_spec(name=f"{number:05}")) for number in range(count)]
        await subject.upload_many(unit, items)
        first = await subject.list_page(unit, page_size=MAX_PAGE_SIZE)
        assert len(first.objects) == MAX_PAGE_SIZE
        assert first.next_page_token
        names = [info.name for info in await listed(subject, unit, prefix="")]
        assert names == [f"{number:05}" for number in range(count)]

    async def test_tags_must_all_match_exactly(self, subject: AsyncStore, unit: str) -> None:
        tagged = [
            {"a": "1"},
            {"a": "1", "b": "2"},
            {"a": "2", "b": "2"},
            {"a": "", "b": "%"},
            {"a.b": "1", '"': "'", "ä": "文"},
            {"A": "1"},
            {},
        ]
        for number, tags in enumerate(tagged, start=1):
            await put(subject, unit, b"data", upload_spec(data_id=number, tags=tags, name=f"n{number % 2}.{number}"))
        wanted = [*tagged, {"b": "2"}, {"b": "_"}, {"a": "3"}, {"c": ""}, {"a": "1", "c": "1"}, {"ä": "文"}]
        for tags in wanted:
            matching = [
                number for number, has in enumerate(tagged, start=1) if all(has.get(k) == v for k, v in tags.items())
            ]
            assert [info.data_id for info in await listed(subject, unit, tags=tags)] == matching, tags
            assert [info.data_id for info in await listed(subject, unit, tags=tags, page_size=1)] == matching, tags
            odd = [number for number in matching if number % 2]
            assert [info.data_id for info in await listed(subject, unit, tags=tags, prefix="n1")] == odd, tags

    async def test_a_listing_shows_names_and_tags_of_now(self, subject: AsyncStore, unit: str) -> None:
        info = await put(subject, unit, b"data", upload_spec(name="old", tags={"a": "1"}))
        changed = await subject.set_metadata(unit, MetadataSpec(info.data_id, name="new", tags={"b": "2"}))
        assert await listed(subject, unit, prefix="old") == await listed(subject, unit, tags={"a": "1"}) == []
        assert await listed(subject, unit, prefix="new") == await listed(subject, unit, tags={"b": "2"}) == [changed]
        updated = await replace(subject, unit, info.data_id, b"other")
        assert await listed(subject, unit) == [updated]

    @pytest.mark.parametrize("prefix", [None, ""], ids=["by_id", "by_name"])
    async def test_what_exists_all_the_while_is_listed_once(
        self, subject: AsyncStore, unit: str, prefix: str | None
    ) -> None:
        infos = await self._put_names(subject, unit)
        steady = {info.data_id for info in infos[::2]}
        passing = infos[1::2]
        seen: list[int] = []
        token = ""
        for turn in range(100):
            page = await subject.list_page(unit, prefix=prefix, page_size=2, page_token=token)
            seen += [info.data_id for info in page.objects]
            token = page.next_page_token
            if not token:
                break
            if passing:
                await remove(subject, unit, passing.pop(turn % len(passing)).data_id)
            await put(subject, unit, b"new", upload_spec(name=f"{secrets.token_hex(2)} {turn}"))
            await replace(subject, unit, infos[turn * 2 % 28].data_id, b"new")
        assert not token
        assert len(seen) == len(set(seen))
        assert steady <= set(seen)

    async def test_a_page_goes_on_after_an_object_that_is_gone(self, subject: AsyncStore, unit: str) -> None:
        for prefix in (None, ""):
            infos = [await put(subject, unit, b"data", upload_spec(name=f"n{number}")) for number in range(4)]
            infos.sort(key=lambda info: info.data_id if prefix is None else info.name or "")
            page = await subject.list_page(unit, prefix=prefix, page_size=2)
            assert page.objects == infos[:2]
            await remove(subject, unit, infos[1].data_id)
            rest = await subject.list_page(unit, prefix=prefix, page_size=2, page_token=page.next_page_token)
            assert rest.objects == infos[2:]
            for info in infos:
                await remove(subject, unit, info.data_id)

    @each("page_size", [-1, MAX_PAGE_SIZE + 1, 2**40])
    async def test_a_page_size_out_of_bounds_is_refused(self, subject: AsyncStore, unit: str, page_size: int) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_PAGE_SIZE", str(page_size), str(MAX_PAGE_SIZE)):
            await subject.list_page(unit, page_size=page_size)

    @each("prefix", [None, ""])
    async def test_a_token_that_no_page_gave_is_refused(
        self, subject: AsyncStore, unit: str, prefix: str | None
    ) -> None:
        for token in ("x", "AAAA", "€", "0", "null", "{}", "a" * 10_000, "1:2:3", "W10", "e30="):
            with raises_refusal(InvalidArgumentError, "BAD_PAGE_TOKEN"):
                await subject.list_page(unit, prefix=prefix, page_token=token)

    # Units

    async def test_units_are_those_that_hold_an_object_in_alphabetical_order(
        self, subject: AsyncStore, unit: str
    ) -> None:
        mine = [f"{unit}{suffix}" for suffix in ("", "-x", ".x", "A", "_x", "a", "b")]
        kept = [await put(subject, name, b"data") for name in reversed(mine)]
        units = await subject.list_units()
        assert units == sorted(units)
        assert [name for name in units if name.startswith(unit)] == sorted(mine)
        await remove(subject, unit, kept[-1].data_id)
        assert unit not in await subject.list_units()

    async def test_asking_for_a_unit_does_not_make_it(self, subject: AsyncStore, unit: str) -> None:
        await subject.stat_many(unit, [5])
        await subject.load(unit, 5)
        await listed(subject, unit)
        async with await subject.upload(unit, upload_spec()):
            pass
        assert unit not in await subject.list_units()

    async def _put_names(self, store: AsyncStore, unit: str) -> list[ObjectInfo]:
        names = [name for name in NAMES if name]
        outcomes = await store.upload_many(unit, [small_upload(b"x", upload_spec(name=name)) for name in names])
        infos = [outcome for outcome in outcomes if isinstance(outcome, ObjectInfo)]
        assert len(infos) == len(names) == 29, outcomes
        return infos
