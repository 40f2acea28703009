"""The version before put, levels, leases, limits and expiry, and this one: as client and server, either way round."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from vault import RemoteStore
from vault.errors import InvalidArgumentError, UnsupportedError
from vault.store import SmallUpload, UploadSpec
from vault.store.contract import Store
from vault.store.values import ListOrder, ObjectInfo, checksum
from vault.testing.store.objects import expected_entries

from tests.compat.older import ROOT, Older
from tests.server.process import Served


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "store", "--listen", "127.0.0.1:0", "--durability", "relaxed")
    yield served
    served.kill()


@pytest.fixture
def older_server(older: Older, tmp_path: Path) -> Iterator[Served]:
    served = older.serve(tmp_path / "store", "--durability", "relaxed")
    yield served
    served.kill()


def suites(address: str, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Runs both suites at a server. The first line of what each test raised, by its name; empty: it passed."""
    result = folder / "result.xml"
    options = (
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:vault",
        "--rootdir",
        folder,
        "-c",
        "/dev/null",
        "-o",
        "asyncio_mode=auto",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--junitxml={result}", ROOT / "tests/compat/suites.py"],
        env={**environment, "VAULT_ADDRESS": address},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.exists(), done.stdout[-5000:] + done.stderr[-5000:]
    said = {}
    for case in ET.parse(result).iter("testcase"):
        wrong = [part.get("message", "") for part in case if part.tag in ("failure", "error")]
        said[case.get("name", "")] = wrong[0].partition("\n")[0] if wrong else ""
    return said


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_every_call_of_the_older_client_is_answered_as_its_own_suites_say(
    older: Older, server: Served, tmp_path: Path
) -> None:
    said = suites(server.address, tmp_path, older.environment)
    assert len(said) > 500
    assert {name: wrong for name, wrong in said.items() if wrong} == {}


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_the_suites_at_an_older_server_hold_but_for_what_it_cannot(
    older: Older, older_server: Served, tmp_path: Path
) -> None:
    before = set(json.loads(older.run("-m", "tests.compat.names")))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = suites(older_server.address, tmp_path, environment)
    wrong = {name: what for name, what in said.items() if what}
    assert {what for what in wrong.values() if not what.startswith("vault.errors.UnsupportedError: ")} == set()
    assert {name for name in wrong if name.partition("[")[0] in before} == set(), "what it could, it still can"
    assert len(wrong) < len(said) / 3


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
