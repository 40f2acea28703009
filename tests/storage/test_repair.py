"""Repairing a store in use: contradictions go, what is referenced stays, and no loss is papered over."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from vault.errors import CorruptionError, RevisionCompactedError
from vault_server.storage import EmbeddedStore, ProblemKind, check_directory

from tests.storage.objects import LARGE, SMALL, UNIT, blob_files, blob_of, read, reader_of, stat, upload


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Three objects: one in a file, two in the register."""
    directory = tmp_path / "store"
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1, name="one", tags={"a": "b"})
        upload(store, SMALL, data_id=2, name="two", tags={"c": "d"})
        upload(store, SMALL[1:], data_id=3)
    return directory


def change(directory: Path, *statements: str) -> None:
    """Changes the register behind the store's back."""
    with closing(sqlite3.connect(directory / "register.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        for statement in statements:
            connection.execute(statement)


def all_there(store: EmbeddedStore) -> None:
    assert read(store, "one") == LARGE
    assert read(store, 2) == SMALL
    assert read(store, 3) == SMALL[1:]
    assert [info.data_id for info in store.list_page(UNIT, tags={"c": "d"}).objects] == [2]
    assert [info.data_id for info in store.list_page(UNIT, tags={"a": "b"}).objects] == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM tags",
        "INSERT INTO tags VALUES ('documents', 'k', 'v', 1)",
        "DELETE FROM changes WHERE revision = 2",
        "UPDATE changes SET kind = 9 WHERE revision = 2",
        "DELETE FROM contents WHERE number = 1",
        "DELETE FROM objects WHERE data_id = 2",
        "UPDATE changes SET committed_at = 1 << 62 WHERE revision = 2",
        "UPDATE changes SET committed_at = 1 WHERE revision = 2",
        "UPDATE meta SET clock = 1",
        "UPDATE meta SET clock = 1 << 62",
        "UPDATE units SET objects = objects + 1",
        "UPDATE units SET bytes = 0",
        "UPDATE units SET revision = 99",
        "UPDATE units SET revision = 0",
        "DELETE FROM units",
    ],
)
def test_what_contradicts_is_mended_while_the_store_is_in_use(filled: Path, statement: str) -> None:
    with EmbeddedStore(filled) as store, EmbeddedStore(filled) as other:
        change(filled, statement)
        assert not store.check().ok
        report = store.check(repair=True, deep=True)
        assert report.ok, report.problems
        assert report.repairs
        all_there(store)
        all_there(other)
        again = other.check(repair=True, deep=True)
        assert again.ok
        assert not again.repairs


@pytest.mark.parametrize("tags", ["{", "5", "[null]", '{"a":null}'])
def test_a_row_whose_tags_are_none_keeps_no_others_from_being_mended(filled: Path, tags: str) -> None:
    change(filled, "DELETE FROM tags", f"UPDATE objects SET tags = '{tags}' WHERE data_id = 1")
    with EmbeddedStore(filled) as store:
        store.check(repair=True)
        assert [info.data_id for info in store.list_page(UNIT, tags={"c": "d"}).objects] == [2]


def test_a_revision_that_is_behind_its_rows_is_raised(filled: Path) -> None:
    with EmbeddedStore(filled) as store:
        change(filled, "UPDATE meta SET revision = 1")
        report = store.check(repair=True)
        assert report.ok, report.problems
        assert store.revision == 3
        assert upload(store, SMALL).revision == 4
        all_there(store)


def test_a_hole_in_the_feed_is_told_to_who_is_behind_it(filled: Path) -> None:
    with EmbeddedStore(filled) as store:
        change(filled, "DELETE FROM changes WHERE revision = 2")
        assert store.check(repair=True).ok
    with EmbeddedStore(filled) as store:
        with pytest.raises(RevisionCompactedError):
            store.changes(1)
        assert [change.revision for change in store.changes(2)[1]] == [3]


def test_an_object_without_bytes_stays_and_says_so(filled: Path) -> None:
    with EmbeddedStore(filled) as store:
        change(filled, "DELETE FROM contents WHERE number = 2")
        with pytest.raises(CorruptionError):
            reader_of(store, 2)
        report = store.check(repair=True)
        assert {problem.data_id for problem in report.problems} == {2}
        assert stat(store, 2).name == "two"
        with pytest.raises(CorruptionError):
            reader_of(store, 2)
        assert not store.check(repair=True).repairs


def test_bytes_of_no_object_are_put_aside(filled: Path) -> None:
    with EmbeddedStore(filled) as store:
        change(filled, "INSERT INTO contents VALUES (99, 7, NULL, x'', x'616263')")
        (filled / UNIT / "8.5.vault").write_bytes(b"nobody's")
        report = store.check(repair=True)
        assert report.ok, report.problems
        kept = [path.name.split(".")[0] for path in (filled / ".lost").rglob("*") if path.is_file()]
        assert sorted(kept) == ["8", "contents-99"]
        assert blob_files(filled) == ["1.1.vault"]
        all_there(store)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(LARGE[1:] + b"?")])
def test_a_lost_or_damaged_file_is_reported_and_nothing_is_deleted(
    filled: Path, damage: Callable[[Path], object]
) -> None:
    with EmbeddedStore(filled) as store:
        damage(blob_of(filled, 1))
        before = stat(store, 1)
        report = store.check(repair=True, deep=True)
        assert {problem.data_id for problem in report.problems} == {1}
        assert report.repairs == []
        assert stat(store, 1) == before


def test_an_index_that_lacks_a_row_is_made_anew(filled: Path) -> None:
    change(
        filled,
        "DROP INDEX objects_by_name",
        "CREATE UNIQUE INDEX objects_by_name ON objects (unit, name) WHERE name > 'p'",
        "UPDATE sqlite_schema SET sql = replace(sql, 'name > ''p''', 'name IS NOT NULL') "
        "WHERE name = 'objects_by_name'",
    )
    with EmbeddedStore(filled) as store:
        assert store.exists_many(UNIT, ["one"]) == [0]
        found = store.check(deep=True).problems
        assert {problem.kind for problem in found} == {ProblemKind.REGISTER}
        report = store.check(repair=True, deep=True)
        assert report.ok, report.problems
        all_there(store)


def test_two_rows_for_one_object_take_a_rebuild_and_the_newest_stays(filled: Path) -> None:
    with EmbeddedStore(filled) as store:
        before = stat(store, 2)
    change(
        filled,
        "DROP INDEX objects_by_id",
        "CREATE INDEX objects_by_id ON objects (unit, data_id)",
        "CREATE TEMP TABLE another AS SELECT * FROM objects WHERE data_id = 2",
        "UPDATE another SET number = 77, name = NULL",
        "INSERT INTO objects SELECT * FROM another",
        "UPDATE sqlite_schema SET sql = replace(sql, 'CREATE INDEX', 'CREATE UNIQUE INDEX') "
        "WHERE name = 'objects_by_id'",
    )
    report = check_directory(filled, repair=True, deep=True)
    assert report.ok, report.problems
    with EmbeddedStore(filled) as store:
        all_there(store)
        assert stat(store, 2).generation == before.generation
