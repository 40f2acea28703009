"""What a directory keeps of its units: counted in the commit, durable, the same for every process, mended."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from vault import RemoteStore
from vault.errors import UnknownUnitError
from vault.store.contract import Store
from vault.store.specs import PutSpec, SmallPut
from vault.store.usage import UnitInfo, UnitLimits
from vault.store.values import checksum
from vault_server import EmbeddedStore, MemoryStore, Server, ServerSettings, StoreOptions
from vault_server.storage import check_directory
from vault_server.storage.index import units

from tests.storage.objects import UNIT, run, update, upload

LIMITED = UnitLimits(max_objects=7, max_bytes=70, when_full="evict")

LIMITING = """
import os, sys
from vault.store.usage import UnitLimits
from vault_server import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
store.set_unit_limits("files", UnitLimits(max_objects=7, max_bytes=70, when_full="evict"))
os._exit(0)
"""


def execute(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / "register.db")) as register, register:
        register.execute(statement)


def test_limits_that_were_acknowledged_survive_the_process_and_are_seen_by_others(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        assert store.unit_info("files") == UnitInfo("files")
        run(LIMITING, directory)
        assert store.unit_info("files") == UnitInfo("files", limits=LIMITED)
        assert store.unit_page().units == [UnitInfo("files", limits=LIMITED)]
        assert store.check(deep=True).ok
    with EmbeddedStore(directory) as store:
        assert store.unit_info("files").limits == LIMITED


def test_two_stores_on_a_directory_count_together(directory: Path) -> None:
    with EmbeddedStore(directory) as one, EmbeddedStore(directory) as other:
        upload(one, b"data", data_id=1)
        upload(other, b"more data", data_id=2)
        last = update(one, 2, b"")
        assert one.unit_info(UNIT) == other.unit_info(UNIT) == UnitInfo(UNIT, 2, 4, last.revision)


@pytest.mark.parametrize("wrong", [-1, (1 << 63) - 1])
@pytest.mark.parametrize("column", ["objects", "bytes"])
def test_counts_that_cannot_be_are_counted_anew(directory: Path, column: str, wrong: int) -> None:
    with EmbeddedStore(directory) as store:
        info = upload(store, b"data", data_id=1)
        expected = UnitInfo(UNIT, 1, 4, info.revision, LIMITED)
        assert store.set_unit_limits(UNIT, LIMITED) == expected
        execute(directory, f"UPDATE units SET {column} = {wrong}")
        assert store.unit_info(UNIT) == expected
        assert store.unit_page().units == [expected]
        assert not store.check().ok
        assert store.check(repair=True).ok
        upload(store, b"more", data_id=2)
        assert (store.unit_info(UNIT).objects, store.unit_info(UNIT).bytes) == (2, 8)
        assert store.check(deep=True).ok


def test_counts_that_are_less_than_what_has_expired_are_none(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        store.put_many(UNIT, [SmallPut(PutSpec("soon", expires_in=1e-6), b"data", checksum(b"data"))])
        execute(directory, "UPDATE units SET objects = 0, bytes = 0")
        found = store.unit_info(UNIT)
        assert (found.objects, found.bytes) == (0, 0)
        assert store.check(repair=True).ok


def test_a_limit_that_can_be_none_is_none_and_is_mended(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, b"data", data_id=1)
        store.set_unit_limits(UNIT, LIMITED)
        for column, wrong in (("max_objects", -5), ("max_bytes", -1), ("when_full", 9)):
            execute(directory, f"UPDATE units SET {column} = {wrong}")
        assert store.unit_info(UNIT).limits == UnitLimits()
        assert not store.check().ok
        report = store.check(repair=True)
        assert report.ok
        assert report.repairs
        assert store.unit_info(UNIT).limits == UnitLimits()


def test_units_that_hold_nothing_any_more_do_not_make_a_page_slow(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "MOST_SCANNED", 10)
    with EmbeddedStore(directory) as store:
        store.set_unit_limits("a", UnitLimits(max_objects=1))
        store.set_unit_limits("z", UnitLimits(max_objects=1))
        for number in range(25):
            store.set_unit_limits(f"b{number:02}", UnitLimits(max_objects=1))
            store.set_unit_limits(f"b{number:02}", UnitLimits())
        first = store.unit_page()
        assert [info.unit for info in first.units] == ["a"]
        pages, token = [first], first.next_page_token
        while token:
            pages.append(store.unit_page(page_token=token))
            token = pages[-1].next_page_token
        assert [info.unit for page in pages for info in page.units] == ["a", "z"]
        assert len(pages) == 3
        with Server(store) as server, RemoteStore(server.address) as remote:
            page = remote.unit_page(page_size=1)
            assert [info.unit for info in page.units] == ["a"]
            page = remote.unit_page(page_size=1, page_token=page.next_page_token)
            assert [info.unit for info in page.units] == ["z"]  # through pages without any


def test_a_rebuilt_register_keeps_limits_and_evicts_by_them(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        for number in range(1, 5):
            upload(store, b"data", data_id=number, unit="files")
        store.set_unit_limits("files", LIMITED)
        store.set_unit_limits("empty", UnitLimits(max_bytes=5))
    with (directory / "register.db").open("r+b") as register:
        register.seek(100)
        register.write(bytes(60))  # the schema
    assert check_directory(directory, repair=True).ok
    with EmbeddedStore(directory) as store:
        assert store.unit_info("files").limits == LIMITED
        assert [info.unit for info in store.unit_page().units] == ["empty", "files"]
        assert store.unit_info("empty").limits == UnitLimits(max_bytes=5)
        for number in range(5, 9):
            upload(store, b"data", data_id=number, unit="files")
        assert store.exists_many("files", [1])[0] == 0
        assert store.unit_info("files").objects == 7
        assert store.check(deep=True).ok


def assert_forbidden(store: Store) -> None:
    """Of units a, b and c, which have objects or limits, it may see a and d."""
    assert [info.unit for info in store.unit_page().units] == ["a"]
    assert [info.unit for info in store.unit_page(prefix="b").units] == []
    assert store.unit_info("a").objects == 1
    assert store.unit_info("d") == UnitInfo("d")
    for unit in ("b", "c", "e"):
        with pytest.raises(UnknownUnitError):
            store.unit_info(unit)
        with pytest.raises(UnknownUnitError):
            store.set_unit_limits(unit, UnitLimits())


def test_forbidden_units_are_not_seen_nor_limited(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, b"data", data_id=1, unit="a")
        upload(store, b"data", data_id=1, unit="b")
        store.set_unit_limits("c", LIMITED)
        with EmbeddedStore(directory, StoreOptions(allowed_units=("a", "d"))) as allowed:
            assert_forbidden(allowed)
            with Server(allowed) as server, RemoteStore(server.address) as remote:
                assert_forbidden(remote)
        with (
            Server(store, settings=ServerSettings(allowed_units=("a", "d"))) as server,
            RemoteStore(server.address) as remote,
        ):
            assert_forbidden(remote)
        assert store.unit_info("c").limits == LIMITED


def test_pages_of_allowed_units_go_on_after_those_without_objects() -> None:
    with MemoryStore(StoreOptions(allowed_units=tuple(f"u{number}" for number in range(9)))) as store:
        upload(store, b"data", data_id=1, unit="u7")
        upload(store, b"data", data_id=1, unit="u1")
        found, token = [], ""
        while True:
            page = store.unit_page(prefix="u", page_size=2, page_token=token)
            found += [info.unit for info in page.units]
            token = page.next_page_token
            if not token:
                break
        assert found == ["u1", "u7"]
