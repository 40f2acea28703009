"""What holds for one level of names: prefixes once, objects that are at it, in order, whatever the delimiter."""

from itertools import product
from typing import Any

import pytest

from vault.errors import InvalidArgumentError
from vault.store.contract import AsyncStore
from vault.store.limits import MAX_PAGE_SIZE
from vault.store.values import ListOrder, ObjectInfo
from vault.testing.cases import each
from vault.testing.store.harness import StoreHarness
from vault.testing.store.objects import (
    entries,
    expected_entries,
    put,
    raises_refusal,
    remove,
    replace,
    small_upload,
    upload_spec,
)

NAMES = [
    "/",
    "//",
    "/a",
    "a",
    "a/",
    "a//",
    "a///b",
    "a//b",
    "a/b",
    "a/b/c",
    "a/b/d",
    "a/c",
    "a0",
    "ab",
    "ab/x",
    "abab",
    "b/b/b",
    "c",
    "ä/1",
    "ä/2",
    "é🗄x",
    "z\ud7ffa",
    "z\ud7ffb",
    "z\ue000",
    "🗄/🗄",
    "\U0010ffff",
    "\U0010ffff\U0010ffff",
    "\U0010ffff\U0010ffffa",
    "\U0010ffff/\U0010ffff",
]
DELIMITERS = ["/", "//", "b", "ab", "/b/", "🗄", "\ud7ff", "\U0010ffff", "\U0010ffff\U0010ffff", "no such", "x" * 1024]
PREFIXES = [None, "", "/", "a", "a/", "a//", "a/b", "ab", "ä/", "🗄", "\U0010ffff", "no such"]


class LevelConformance(StoreHarness):
    """`Store.list_page` with a delimiter."""

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    async def test_a_level_has_each_prefix_once_and_the_objects_at_it(
        self, subject: AsyncStore, unit: str, *, descending: bool
    ) -> None:
        infos = await _upload(subject, unit)
        for turn, (delimiter, prefix) in enumerate(product(DELIMITERS, PREFIXES)):
            asked: dict[str, Any] = {"prefix": prefix, "delimiter": delimiter, "descending": descending}
            found = await entries(subject, unit, page_size=(0, 2, 0, 7, 0)[turn % 5], **asked)
            assert found == expected_entries(infos, **asked), asked

    async def test_a_level_comes_one_entry_a_page(self, subject: AsyncStore, unit: str) -> None:
        infos = await _upload(subject, unit)
        for delimiter, prefix, descending in product(["/", "\U0010ffff"], ["", "a/"], [False, True]):
            asked: dict[str, Any] = {"prefix": prefix, "delimiter": delimiter, "descending": descending}
            assert await entries(subject, unit, page_size=1, **asked) == expected_entries(infos, **asked), asked

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    async def test_a_level_begins_after_a_name_or_a_prefix(
        self, subject: AsyncStore, unit: str, *, descending: bool
    ) -> None:
        infos = await _upload(subject, unit)
        for after, prefix in product([*NAMES[::2], "", "a/bb", "zz"], ["", "a/"]):
            for delimiter in ("/", "\U0010ffff"):
                asked: dict[str, Any] = {"prefix": prefix, "delimiter": delimiter, "after": after}
                asked["descending"] = descending
                assert await entries(subject, unit, **asked) == expected_entries(infos, **asked), asked

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    async def test_a_level_with_tags_has_what_matches(
        self, subject: AsyncStore, unit: str, *, descending: bool
    ) -> None:
        infos = await _upload(subject, unit)
        for tags, prefix in product([{"k": "0"}, {"k": "1"}, {"k": "2", "every": ""}, {"k": "3"}], ["", "a"]):
            asked: dict[str, Any] = {"prefix": prefix, "delimiter": "/", "tags": tags, "descending": descending}
            assert await entries(subject, unit, page_size=3, **asked) == expected_entries(infos, **asked), asked

    async def test_prefixes_count_to_the_size_of_a_page(self, subject: AsyncStore, unit: str) -> None:
        items = [small_upload(b"x", upload_spec(name=f"{number:04}/x")) for number in range(MAX_PAGE_SIZE + 1)]
        await subject.upload_many(unit, items)
        page = await subject.list_page(unit, delimiter="/", page_size=MAX_PAGE_SIZE)
        assert (len(page.prefixes), page.objects) == (MAX_PAGE_SIZE, [])
        rest = await subject.list_page(unit, delimiter="/", page_size=MAX_PAGE_SIZE, page_token=page.next_page_token)
        assert (rest.prefixes, rest.objects, rest.next_page_token) == ([f"{MAX_PAGE_SIZE:04}/"], [], "")

    async def test_objects_without_a_name_are_at_no_level(self, subject: AsyncStore, unit: str) -> None:
        await put(subject, unit, b"data")
        named = await put(subject, unit, b"data", upload_spec(name="a"))
        assert await entries(subject, unit, delimiter="/") == [named]

    @pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
    async def test_what_is_at_a_level_all_the_while_is_listed_once(
        self, subject: AsyncStore, unit: str, *, descending: bool
    ) -> None:
        infos = await _upload(subject, unit)
        asked: dict[str, Any] = {"delimiter": "/", "descending": descending}
        before = expected_entries(infos[::2], **asked)
        seen: list[ObjectInfo | str] = []
        token = ""
        for turn in range(100):
            page = await subject.list_page(unit, page_size=2, page_token=token, **asked)
            seen += [info.name or "" for info in page.objects]
            seen += page.prefixes
            token = page.next_page_token
            if not token:
                break
            if turn * 2 + 1 < len(infos):
                await remove(subject, unit, infos[turn * 2 + 1].data_id)
            await replace(subject, unit, infos[0].data_id, b"new")
        assert not token
        assert len(seen) == len(set(seen))
        assert {entry if isinstance(entry, str) else entry.name for entry in before} <= set(seen)

    async def test_a_delimiter_is_for_an_order_of_names(self, subject: AsyncStore, unit: str) -> None:
        for order in (ListOrder.ID, ListOrder.REVISION):
            with raises_refusal(InvalidArgumentError, "BAD_ORDER", "delimiter", order.name):
                await subject.list_page(unit, delimiter="/", order=order)
        assert await entries(subject, unit, delimiter="/", order=ListOrder.NAME) == []

    @each("delimiter", ["", "\ud800", "x" * 1025, 5, b"/", True])
    async def test_what_is_no_delimiter_is_refused(self, subject: AsyncStore, unit: str, delimiter: Any) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_DELIMITER", "1024"):
            await subject.list_page(unit, delimiter=delimiter)


async def _upload(store: AsyncStore, unit: str) -> list[ObjectInfo]:
    specs = [
        upload_spec(name=name, tags={"k": str(number % 3), "every": ""}) for number, name in enumerate(reversed(NAMES))
    ]
    outcomes = await store.upload_many(unit, [small_upload(b"x", spec) for spec in specs])
    infos = [outcome for outcome in outcomes if isinstance(outcome, ObjectInfo)]
    assert len(infos) == len(NAMES), outcomes
    return infos
