"""What holds for the order of a listing: by id, name or last change, from either end, from anywhere."""

from typing import Any

import pytest

from vault.errors import InvalidArgumentError
from vault.store.contract import AsyncStore
from vault.store.limits import MAX_DATA_ID
from vault.store.specs import MetadataSpec
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

NAMES = ["a", "a%", "aB", "ab", "ab", "b", "ä", "a\ud7ff", "a\ue000", "\U0010ffff", "\U0010ffffa", "🗄", None, None]
ORDERS = [None, *ListOrder]
_DIRECTION = pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
_ORDER = pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name if order else "default")


class OrderConformance(StoreHarness):
    """`Store.list_page` with `order`, `descending` and `after`."""

    @_ORDER
    @_DIRECTION
    async def test_a_listing_is_in_the_order_asked_for(
        self, subject: AsyncStore, unit: str, order: ListOrder | None, *, descending: bool
    ) -> None:
        infos = await _mixed(subject, unit)
        for query in ({}, {"prefix": ""}, {"prefix": "a"}, {"tags": {"k": "1"}}, {"prefix": "a", "tags": {"k": "1"}}):
            asked: dict[str, Any] = {"order": order, "descending": descending, **query}
            expected = expected_entries(infos, **asked)
            assert expected
            for page_size in (0, 3, len(expected)):
                assert await entries(subject, unit, page_size=page_size, **asked) == expected, (asked, page_size)

    @_ORDER
    @_DIRECTION
    async def test_a_listing_begins_after_a_place_that_need_not_be_there(
        self, subject: AsyncStore, unit: str, order: ListOrder | None, *, descending: bool
    ) -> None:
        infos = await _mixed(subject, unit)
        places: set[Any]
        if order is ListOrder.NAME:
            places = {name for name in NAMES if name} | {"", "aa", "a\0", "zz", "\U0010ffff" * 256}
        elif order is ListOrder.REVISION:
            places = {info.revision + off for info in infos[::4] for off in (-1, 0, 1)} | {0, MAX_DATA_ID}
        else:
            places = {info.data_id + off for info in infos[2::4] for off in (-1, 0, 1)} | {0, MAX_DATA_ID}
        for after in places:
            for prefix in (None, "a") if order is not None else (None,):
                asked: dict[str, Any] = {"order": order, "descending": descending, "after": after, "prefix": prefix}
                assert await entries(subject, unit, page_size=8, **asked) == expected_entries(infos, **asked), asked

    @_DIRECTION
    async def test_by_revision_an_object_is_where_its_last_change_was(
        self, subject: AsyncStore, unit: str, *, descending: bool
    ) -> None:
        first, second, third = [await put(subject, unit, b"data", upload_spec(name=name)) for name in "abc"]
        first = await replace(subject, unit, first.data_id, b"other")
        second = await subject.set_metadata(unit, MetadataSpec(second.data_id, tags={"a": "1"}))
        await remove(subject, unit, third.data_id)
        asked: dict[str, Any] = {"order": ListOrder.REVISION, "descending": descending}
        assert await entries(subject, unit, **asked) == ([second, first] if descending else [first, second])
        assert await entries(subject, unit, after=first.revision, **asked) == ([] if descending else [second])

    @_DIRECTION
    async def test_by_revision_what_is_not_changed_all_the_while_is_listed_once(
        self, subject: AsyncStore, unit: str, *, descending: bool
    ) -> None:
        infos = await _mixed(subject, unit)
        changing = infos[::2]
        steady = {info.data_id for info in infos[1::2]}
        seen: list[ObjectInfo] = []
        token = ""
        for turn in range(100):
            page = await subject.list_page(
                unit, order=ListOrder.REVISION, descending=descending, page_size=2, page_token=token
            )
            seen += page.objects
            token = page.next_page_token
            if not token:
                break
            if turn < len(changing):
                await replace(subject, unit, changing[turn].data_id, b"new")
        assert not token
        assert sorted(info.data_id for info in seen if info.data_id in steady) == sorted(steady)
        revisions = [info.revision for info in seen]
        assert revisions == sorted(set(revisions), reverse=descending)

    async def test_a_token_is_refused_with_any_other_argument(self, subject: AsyncStore, unit: str) -> None:
        await _mixed(subject, unit)
        query: dict[str, Any] = {"prefix": "", "order": ListOrder.NAME, "after": "A"}
        token = (await subject.list_page(unit, page_size=2, **query)).next_page_token
        assert token
        others: list[dict[str, Any]] = [
            {},
            {**query, "prefix": "a"},
            {**query, "tags": {"k": "1"}},
            {**query, "order": ListOrder.ID, "after": 1},
            {**query, "order": ListOrder.REVISION, "after": 1},
            {**query, "descending": True},
            {**query, "after": "B"},
            {**query, "after": None},
            {**query, "delimiter": "/"},
        ]
        for other in others:
            with raises_refusal(InvalidArgumentError, "BAD_PAGE_TOKEN"):
                await subject.list_page(unit, page_token=token, **other)
        rest = await subject.list_page(unit, page_token=token, **{**query, "order": None})
        assert rest.objects, "None is by name where there is a prefix"

    @each("order", ["name", 1, 0, True, "NAME"])
    async def test_what_is_no_order_is_refused(self, subject: AsyncStore, unit: str, order: Any) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_ORDER", repr(order), "ListOrder"):
            await subject.list_page(unit, order=order)

    @each("descending", [None, 1, "yes"])
    async def test_what_is_no_direction_is_refused(self, subject: AsyncStore, unit: str, descending: Any) -> None:
        with raises_refusal(InvalidArgumentError, "INVALID_ARGUMENT", "descending", repr(descending)):
            await subject.list_page(unit, descending=descending)

    @each(
        ("order", "after", "allowed"),
        [
            (None, "a", "an id"),
            (ListOrder.ID, "a", "an id"),
            (ListOrder.ID, -1, "an id"),
            (ListOrder.ID, True, "an id"),
            (ListOrder.ID, 1.0, "an id"),
            (ListOrder.ID, MAX_DATA_ID + 1, "an id"),
            (ListOrder.REVISION, "5", "a revision"),
            (ListOrder.REVISION, 2**70, "a revision"),
            (ListOrder.NAME, 5, "text"),
            (ListOrder.NAME, b"a", "text"),
        ],
    )
    async def test_a_place_of_another_order_is_refused(
        self, subject: AsyncStore, unit: str, order: ListOrder | None, after: Any, allowed: str
    ) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_ORDER", repr(after), allowed):
            await subject.list_page(unit, order=order, after=after)

    @each("after", ["\ud800", "x" * 1025])
    async def test_a_place_that_no_name_can_have_is_refused(self, subject: AsyncStore, unit: str, after: str) -> None:
        with raises_refusal(InvalidArgumentError, "BAD_NAME"):
            await subject.list_page(unit, prefix="", after=after)


async def _mixed(store: AsyncStore, unit: str) -> list[ObjectInfo]:
    """Objects, some without a name or tags, whose ids, names and revisions are in orders of their own."""
    ids = [1, MAX_DATA_ID, *(number * 0x9E3779B97F4A7C15 % MAX_DATA_ID for number in range(1, 13))]
    infos = []
    for number, name in enumerate(dict.fromkeys(NAMES)):
        tags = {"k": str(number % 2)} if number % 3 else {}
        infos.append((ids[number], name, tags))
    infos.append((ids[-1], None, {"k": "1"}))
    items = [small_upload(b"x", upload_spec(data_id=one, name=name, tags=tags)) for one, name, tags in infos]
    outcomes = await store.upload_many(unit, items)
    uploaded = [outcome for outcome in outcomes if isinstance(outcome, ObjectInfo)]
    assert len(uploaded) == len(items), outcomes
    uploaded[3] = await replace(store, unit, uploaded[3].data_id, b"new")
    return uploaded
