"""Listings: whole, in order, one page at a time, over the indexes."""

import random

import pytest
from vault import BytesWrapper, RemoteVault, Vault
from vault.errors import InvalidArgumentError
from vault.store.listing import Listing
from vault.store.specs import SmallUpload, UploadSpec, new_data_id
from vault.store.values import ListOrder, ObjectInfo, checksum
from vault_server import Server
from vault_server.storage import EmbeddedStore
from vault_server.storage.decision import listing
from vault_server.storage.decision.listing import Span, prefix_end
from vault_server.storage.index.listing import _Query

from tests.storage.objects import SMALL, UNIT, delete, small, upload

NAMES = [
    "a",
    "a%b",
    "a_b",
    "aXb",
    "a*",
    "ab",
    "b",
    "B",
    "é",
    "éa",
    "\ud7ff",
    "\ud7ffz",
    "\ue000",
    "\uffff",
    "😀",
    "😀a",
]
EDGES = ["\U0010ffff", "\U0010ffffa", "z\U0010ffff", "z\U0010ffffa", "z\U0010ffff\U0010ffff"]


def pages(store: EmbeddedStore, size: int, **query: object) -> list[ObjectInfo]:
    listed: list[ObjectInfo] = []
    token = ""
    while True:
        page = store.list_page(UNIT, page_size=size, page_token=token, **query)  # type: ignore[arg-type]
        assert len(page.objects) <= size
        listed += page.objects
        token = page.next_page_token
        if not token:
            return listed


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pages_add_up_to_everything_in_the_order_of_ids(store: EmbeddedStore, size: int) -> None:
    infos = [info for info in store.upload_many(UNIT, [small() for _ in range(50)]) if isinstance(info, ObjectInfo)]
    upload(store, SMALL, unit="another")
    assert pages(store, size) == sorted(infos, key=lambda info: info.data_id)


@pytest.mark.parametrize("prefix", ["", *NAMES, *EDGES, "z", "\U0010ffff\U0010ffff", "a%", "_"])
def test_a_prefix_means_just_that(store: EmbeddedStore, prefix: str) -> None:
    store.upload_many(UNIT, [small(name=name) for name in [*NAMES, *EDGES]] + [small()])
    listed = [info.name for info in pages(store, 3, prefix=prefix)]
    assert listed == sorted(name for name in [*NAMES, *EDGES] if name.startswith(prefix))


def test_the_end_of_a_prefix_is_the_least_text_after_it() -> None:
    texts = sorted(NAMES + EDGES)
    for prefix in texts:
        end = prefix_end(prefix)
        for text in texts:
            within = text >= prefix and (end is None or text < end)
            assert within == text.startswith(prefix)


def test_all_tags_must_match(store: EmbeddedStore) -> None:
    rng = random.Random(7)
    objects = {new_data_id(): {key: rng.choice("xyz") for key in "abc" if rng.random() < 0.7} for _ in range(200)}
    names = {data_id: f"{number:03}" for number, data_id in enumerate(objects)}
    store.upload_many(
        UNIT,
        [
            SmallUpload(UploadSpec(data_id, names[data_id], tags), SMALL, checksum(SMALL))
            for data_id, tags in objects.items()
        ],
    )
    for wanted in ({"a": "x"}, {"a": "x", "b": "y"}, {"a": "x", "b": "y", "c": "z"}, {"a": "nothing"}, {"d": "x"}):
        matching = sorted(data_id for data_id, tags in objects.items() if wanted.items() <= tags.items())
        assert [info.data_id for info in pages(store, 5, tags=wanted)] == matching
        by_name = [info.data_id for info in pages(store, 5, tags=wanted, prefix="1")]
        assert by_name == [data_id for data_id in sorted(matching, key=names.__getitem__) if names[data_id][0] == "1"]


def test_what_is_there_all_the_while_is_listed_once(store: EmbeddedStore) -> None:
    store.upload_many(UNIT, [small(data_id=number) for number in range(2, 100, 2)])
    page = store.list_page(UNIT, page_size=20)
    delete(store, page.objects[-1].data_id)
    store.upload_many(UNIT, [small(data_id=number) for number in (1, 3, 91)])
    rest = []
    while page.next_page_token:
        page = store.list_page(UNIT, page_size=20, page_token=page.next_page_token)
        rest += [info.data_id for info in page.objects]
    assert sorted(rest) == rest == sorted([*range(42, 100, 2), 91])


def test_a_token_belongs_to_its_query(store: EmbeddedStore) -> None:
    store.upload_many(UNIT, [small(name=f"n{number}") for number in range(5)])
    token = store.list_page(UNIT, prefix="n", page_size=2).next_page_token
    assert store.list_page(UNIT, prefix="n", page_size=3, page_token=token).objects[0].name == "n2"
    queries = [
        (UNIT, {}),
        (UNIT, {"prefix": "n3"}),
        (UNIT, {"prefix": "n", "tags": {"k": "v"}}),
        ("another", {"prefix": "n"}),
    ]
    for unit, query in queries:
        with pytest.raises(InvalidArgumentError) as raised:
            store.list_page(unit, page_token=token, **query)  # type: ignore[arg-type]
        assert raised.value.reason == "BAD_PAGE_TOKEN"
    for bad in ("x", "é", "bnVsbA==", token[:-4], token + "AAAA", "[" * 5000):
        with pytest.raises(InvalidArgumentError) as raised:
            store.list_page(UNIT, prefix="n", page_token=bad)
        assert raised.value.reason == "BAD_PAGE_TOKEN"


@pytest.mark.parametrize("size", [-1, 1001, True, "1"])
def test_a_bad_page_size_is_refused(store: EmbeddedStore, size: int) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        store.list_page(UNIT, page_size=size)
    assert raised.value.reason == "BAD_PAGE_SIZE"


@pytest.mark.parametrize("prefix", ["\ud800", "x" * 1025, 7])
def test_a_bad_prefix_is_refused(store: EmbeddedStore, prefix: str) -> None:
    with pytest.raises(InvalidArgumentError):
        store.list_page(UNIT, prefix=prefix)


def test_listing_walks_indexes_and_sorts_nothing(store: EmbeddedStore) -> None:
    tags = {"k": "v", "l": "w"}
    queries = [
        Listing.of(UNIT, tags=wanted, prefix=prefix, order=order, descending=descending)
        for wanted in ({}, {"k": "v"}, tags)
        for prefix in (None, "", "p", "\U0010ffff")
        for order in (None, *ListOrder)
        for descending in (False, True)
    ]
    spans = {int: [Span(7), Span(0, 9)], str: [Span("a"), Span("", "b")]}
    statements = [
        statement
        for query in queries
        for span in spans[str if query.order is ListOrder.NAME else int]
        for statement in (_Query(query).rows(span), _Query(query).candidates(span))
    ]
    for statement, arguments in statements:
        plan = store.engine.connections.read(
            lambda connection, s=statement, a=arguments: connection.execute(f"EXPLAIN QUERY PLAN {s}", a).fetchall()
        )
        steps = [step[3] for step in plan]
        # The store's time, which is looked for where something expires: the only row, and the last.
        walked = [step for step in steps if step not in ("SCAN meta", "SCAN changes")]
        assert not any("SCAN" in step or "TEMP B-TREE" in step for step in walked), steps


@pytest.mark.parametrize(
    "query", [{"tags": {"all": "have", "few": "have"}}, {"prefix": "", "tags": {"few": "have"}}], ids=["ids", "names"]
)
def test_a_page_looks_at_so_many_objects_and_all_pages_at_all(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, query: dict[str, object]
) -> None:
    monkeypatch.setattr(listing, "MOST_SCANNED", 10)
    few = [3, 38, 39, 59]
    items = [
        SmallUpload(UploadSpec(number + 1, f"{number:03}", tags), b"x", checksum(b"x"))
        for number in range(60)
        for tags in [{"all": "have"} | ({"few": "have"} if number in few else {})]
    ]
    store.upload_many(UNIT, items)
    found, sizes, token = [], [], ""
    while True:
        page = store.list_page(UNIT, page_token=token, **query)  # type: ignore[arg-type]
        found += page.objects
        sizes.append(len(page.objects))
        token = page.next_page_token
        if not token:
            break
    assert [info.name for info in found] == [f"{number:03}" for number in few]
    assert sizes == [1, 0, 0, 2, 0, 1]
    assert pages(store, 1, **query) == found
    with Vault(store, {UNIT: (BytesWrapper, 0)}) as vault, Server(store) as server:
        assert list(vault.list(UNIT, **query)) == found  # type: ignore[arg-type]
        with RemoteVault(server.address, {UNIT: (BytesWrapper, 0)}) as remote:
            assert list(remote.list(UNIT, **query)) == found  # type: ignore[arg-type]


def test_a_page_of_objects_with_many_tags_is_shorter(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_TAGS", 1000)
    store.upload_many(
        UNIT, [SmallUpload(UploadSpec(n, tags={"a": "x" * 300}), b"x", checksum(b"x")) for n in range(1, 21)]
    )
    page = store.list_page(UNIT)
    assert len(page.objects) == 4
    assert len(pages(store, 100)) == 20


def test_units_are_those_that_hold_an_object(store: EmbeddedStore) -> None:
    assert store.list_units() == []
    for unit in ("b", "a", "Z", "0"):
        upload(store, SMALL, unit=unit, data_id=1)
    assert store.list_units() == ["0", "Z", "a", "b"]
    delete(store, 1, unit="a")
    assert store.list_units() == ["0", "Z", "b"]
