"""Any listing, in any order and by level, against all objects looked at and sorted."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from vault.store.contract import Store
from vault.store.listing import Listing
from vault.store.specs import SmallUpload, UpdateSpec, UploadSpec
from vault.store.values import ListOrder, ObjectInfo, Page, checksum
from vault.testing.store.objects import expected_entries
from vault.wire import flat_listing
from vault_server import MemoryStore
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.decision import listing as pages

UNITS = count()

letters = st.sampled_from(["/", "a", "\U0010ffff", "\ud7ff", "\ue000", "\0"])
texts = st.lists(letters, max_size=4).map("".join)
names = texts.filter(lambda name: name and "\0" not in name)  # no new one is hidden
tags = st.sampled_from([{}, {"k": "1"}, {"k": "1", "l": "1"}])
objects = st.lists(
    st.tuples(st.none() | names | names, tags), min_size=8, max_size=25, unique_by=lambda item: item[0] or object()
)
changed = st.lists(st.integers(0, 24), max_size=4)


@st.composite
def queries(draw: st.DrawFn) -> dict[str, Any]:
    """The arguments of a listing."""
    query: dict[str, Any] = {"prefix": draw(st.none() | st.just("") | letters | texts), "tags": draw(tags)}
    query["delimiter"] = draw(st.none() | st.sampled_from(["/", "\U0010ffff"]) | letters | names)
    orders = st.sampled_from([None, ListOrder.NAME]) if query["delimiter"] else st.none() | st.sampled_from(ListOrder)
    query["order"] = draw(orders)
    query["descending"] = draw(st.booleans())
    order = Listing.of("unit", **query).order
    query["after"] = draw(st.none() | (texts if order is ListOrder.NAME else st.integers(0, 60)))
    return query


def text_of(entry: ObjectInfo | str) -> str:
    return entry if isinstance(entry, str) else entry.name or ""


def merged(objects: list[ObjectInfo], prefixes: list[str], query: dict[str, Any]) -> list[ObjectInfo | str]:
    if not prefixes:
        return list(objects)
    return sorted([*objects, *prefixes], key=text_of, reverse=query["descending"])


@pytest.fixture(scope="module", params=["embedded", "memory"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    memory = request.param == "memory"
    folder = tmp_path_factory.mktemp("orders")
    with MemoryStore() if memory else EmbeddedStore(folder, StoreOptions(durability="relaxed")) as store:
        yield store


def fill(
    store: Store, items: list[tuple[str | None, dict[str, str]]], again: list[int]
) -> tuple[str, list[ObjectInfo]]:
    """A unit that holds them, some of them updated since."""
    unit = f"u{next(UNITS)}"
    uploads = [
        SmallUpload(UploadSpec(number * 7 % 53 + 1, name, tags), b"", checksum(b""))
        for number, (name, tags) in enumerate(items)
    ]
    store.upload_many(unit, uploads)
    for number in again:
        if number < len(items):
            with store.update(unit, UpdateSpec(uploads[number].spec.data_id)) as writer:
                writer.commit(0, checksum(b""))
    found = store.stat_many(unit, [item.spec.data_id for item in uploads])
    infos = [info for info in found if info is not None]
    assert len(infos) == len(items)
    return unit, infos


LAST = "\U0010ffff"


@given(items=objects, again=changed, query=queries(), page_size=st.integers(0, 4), scanned=st.integers(1, 6))
@example(  # after the last prefix that there can be, nothing is left
    items=[(LAST, {"k": "1"}), (f"{LAST}/", {"k": "1"})],
    again=[],
    query={"prefix": None, "tags": {"k": "1"}, "delimiter": LAST, "order": None, "descending": False, "after": None},
    page_size=0,
    scanned=1,
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_add_up_to_what_is_there(
    shared: Store,
    monkeypatch: pytest.MonkeyPatch,
    items: list[tuple[str | None, dict[str, str]]],
    again: list[int],
    query: dict[str, Any],
    page_size: int,
    scanned: int,
) -> None:
    unit, infos = fill(shared, items, again)
    found: list[ObjectInfo | str] = []
    token = ""
    with monkeypatch.context() as patched:
        patched.setattr(pages, "MOST_SCANNED", scanned)
        for turns in count():
            page = shared.list_page(unit, page_size=page_size, page_token=token, **query)
            assert len(page.objects) + len(page.prefixes) <= (page_size or 500)
            found += merged(page.objects, page.prefixes, query)
            token = page.next_page_token
            if not token:
                break
            assert turns <= 2 * len(items), "each page looks at something"
    assert found == expected_entries(infos, **query)


@given(items=objects, again=changed, query=queries(), page_size=st.integers(1, 4))
@settings(max_examples=100)
def test_what_is_folded_out_of_a_flat_listing_is_what_is_there(
    shared: Store,
    items: list[tuple[str | None, dict[str, str]]],
    again: list[int],
    query: dict[str, Any],
    page_size: int,
) -> None:
    unit, infos = fill(shared, items, again)
    listing = Listing.of(unit, **query)
    flat = flat_listing.flat_of(listing)
    if flat is None:
        assert listing.descending or listing.order is not (ListOrder.ID if listing.prefix is None else ListOrder.NAME)
        return
    found: list[ObjectInfo | str] = []
    theirs, last = "", listing.after
    while True:
        page = shared.list_page(unit, prefix=flat.prefix, tags=flat.tags, page_size=page_size, page_token=theirs)
        folded: Page = flat_listing.fold(page, listing, last)
        found += merged(folded.objects, folded.prefixes, query)
        if not folded.next_page_token:
            break
        assert flat_listing.is_flat(folded.next_page_token)
        theirs, last = flat_listing.read_token(folded.next_page_token, listing)
        assert theirs == page.next_page_token
    assert found == expected_entries(infos, **query)
