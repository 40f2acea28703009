"""The version before put, levels, leases, limits and expiry, and this one: as client and server, either way round."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from vault import RemoteStore
from vault.errors import InvalidArgumentError, UnsupportedError
from vault.store.contract import Store
from vault.store.values import ListOrder, ObjectInfo, SmallUpload, UploadSpec, checksum
from vault.testing.store.objects import expected_entries

from tests.compat.older import ROOT, Older
from tests.server.process import Served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "store", "--listen", "127.0.0.1:0", "--durability", "relaxed")
    yield served
    served.kill()


@pytest.mark.slow
def test_every_call_of_the_older_client_is_answered_as_its_own_suites_say(older: Older, server: Served) -> None:
    older.environment["VAULT_ADDRESS"] = server.address
    suite = ROOT / "tests/compat/older_suite.py"
    options = ("-q", "-p", "no:cacheprovider", "--rootdir", str(older.folder), "-c", "/dev/null", "-x")
    said = older.run("-m", "pytest", *options, "-o", "asyncio_mode=auto", str(suite))
    assert " passed" in said
    assert " failed" not in said


@pytest.fixture
def older_server(older: Older, tmp_path: Path) -> Iterator[Served]:
    served = older.serve(tmp_path / "store", "--durability", "relaxed")
    yield served
    served.kill()


@pytest.fixture
def store(older_server: Served) -> Iterator[Store]:
    """A client of this version at a server of the older one."""
    with RemoteStore(older_server.address) as store:
        yield store


NAMES = ["a", "a/1", "a/2", "a/b/3", "b", "b/", "b//", "c/1", "z\U0010ffff", "\U0010ffff/1", "🗄", None, None]


def listed(store: Store, **query: Any) -> list[ObjectInfo | str]:
    found: list[ObjectInfo | str] = []
    token = ""
    while True:
        page = store.list_page("unit", page_token=token, **query)
        both: list[ObjectInfo | str] = [*page.objects, *page.prefixes]
        found += (
            sorted(both, key=lambda one: one if isinstance(one, str) else one.name or "") if page.prefixes else both
        )
        token = page.next_page_token
        if not token:
            return found


def test_a_listing_of_an_older_server_is_folded_or_refused(store: Store) -> None:
    items = [
        SmallUpload(UploadSpec(97 * number % 89, name, {"k": str(number % 2)}), b"x", checksum(b"x"))
        for number, name in enumerate(NAMES, start=1)
    ]
    infos = [outcome for outcome in store.upload_many("unit", items) if isinstance(outcome, ObjectInfo)]
    assert len(infos) == len(NAMES)
    for prefix, tags, page_size in product([None, "", "a", "a/", "b/", "no such"], [{}, {"k": "1"}], [0, 1, 3]):
        query: dict[str, Any] = {"prefix": prefix, "tags": tags}
        natural = ListOrder.ID if prefix is None else ListOrder.NAME
        right: list[dict[str, Any]] = [
            {"order": natural},
            {"order": ListOrder.NAME},
            {"order": ListOrder.NAME, "after": "a/2"},
            {"delimiter": "/"},
            {"delimiter": "//", "after": "a/b"},
            {"delimiter": "\U0010ffff"},
            {"after": 40 if prefix is None else "b"},
        ]
        for options in right:
            asked = {**query, **options}
            assert listed(store, page_size=page_size, **asked) == expected_entries(infos, **asked), asked
        refused: list[dict[str, Any]] = [
            {"order": ListOrder.REVISION},
            {"order": ListOrder.REVISION, "descending": True, "after": 5},
            {"descending": True},
            {"delimiter": "/", "descending": True},
        ]
        if prefix is not None:
            refused.append({"order": ListOrder.ID})
        for options in refused:
            with pytest.raises(UnsupportedError, match="older"):
                store.list_page("unit", **query, **options)


def test_a_token_of_a_folded_listing_belongs_to_its_query(store: Store) -> None:
    items = [SmallUpload(UploadSpec(number, f"a/{number}"), b"x", checksum(b"x")) for number in range(1, 9)]
    store.upload_many("unit", items)
    token = store.list_page("unit", delimiter="/", prefix="a/", page_size=2).next_page_token
    assert token
    others: list[dict[str, Any]] = [
        {"delimiter": "/"},
        {"delimiter": "//", "prefix": "a/"},
        {"delimiter": "/", "prefix": "a/", "after": "a"},
        {"delimiter": "/", "prefix": "a/", "tags": {"k": "v"}},
        {"delimiter": "/", "prefix": "a/", "descending": True},
        {"prefix": "a/"},
        {},
    ]
    for other in others:
        with pytest.raises(InvalidArgumentError) as raised:
            store.list_page("unit", page_token=token, **other)
        assert raised.value.reason == "BAD_PAGE_TOKEN", other
    for bad in ("flat:", "flat:[]", "flat:null", 'flat:["",5,null,"/"]', "flat:" + "[" * 5000):
        with pytest.raises(InvalidArgumentError) as raised:
            store.list_page("unit", page_token=bad, delimiter="/", prefix="a/")
        assert raised.value.reason == "BAD_PAGE_TOKEN", bad
