"""Repairing a store in use: contradictions go, what is referenced stays, and no loss is papered over."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from vault.errors import CorruptionError, RevisionCompactedError, StorageError
from vault_server.storage import EmbeddedStore, ProblemKind, check_directory

from tests.storage.objects import LARGE, SMALL, UNIT, blob_files, blob_of, delete, read, reader_of, stat, update, upload


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


@pytest.mark.parametrize("tags", ["{", "5", "[null]", '{"a":null}', '{"a":{}}'])
@pytest.mark.parametrize(
    ("also", "kept"),
    [
        ("DELETE FROM tags", {"a": "b"}),  # the feed has them
        ("UPDATE changes SET tags = '{' WHERE revision = 1", {"a": "b"}),  # the search has
        ("UPDATE changes SET tags = '{' WHERE revision = 1; DELETE FROM tags", {}),
    ],
)
def test_tags_that_are_damaged_are_mended_from_what_else_tells_of_them_or_said_to_be_lost(
    filled: Path, tags: str, also: str, kept: dict[str, str]
) -> None:
    change(filled, f"UPDATE objects SET tags = '{tags}' WHERE data_id = 1", *also.split("; "))
    with EmbeddedStore(filled) as store:
        assert 1 in {problem.data_id for problem in store.check().problems}
        report = store.check(repair=True, deep=True)
        assert report.ok, report.problems
        (told,) = [repair.detail for repair in report.repairs if repair.data_id == 1]
        assert ("lost" in told) == (not kept)
        assert stat(store, 1).tags == kept
        assert read(store, "one") == LARGE
        found = [info.data_id for info in store.list_page(UNIT, tags={"a": "b"}).objects]
        assert found == ([1] if kept else [])
        again = store.check(repair=True, deep=True)
        assert (again.problems, again.repairs) == ([], [])


def test_damaged_tags_of_a_retired_generation_are_mended_too(filled: Path) -> None:
    with EmbeddedStore(filled) as store:
        update(store, 2, SMALL[2:])
        for also in ("", "DELETE FROM changes WHERE revision <= 2; UPDATE meta SET feed_floor = 2"):
            change(filled, "UPDATE retired SET tags = '{'", *filter(None, also.split("; ")))
            assert not store.check().ok
            assert store.check(repair=True).ok
        assert read(store, 2, generation=2) == SMALL


def loosen(table: str) -> tuple[str, str]:
    """Statements between which a table takes values of any kind."""
    edit = "UPDATE sqlite_schema SET sql = replace(sql, {}) WHERE name = '" + table + "'"
    return edit.format("') STRICT', ') /*  */'"), edit.format("') /*  */', ') STRICT'")


@pytest.mark.parametrize("value", [(1 << 63) - 1, (1 << 62) + 5, -1, -(1 << 63)])
@pytest.mark.parametrize("column", ["objects", "bytes"])
def test_a_count_that_cannot_be_right_is_put_right_by_the_next_write(filled: Path, column: str, value: int) -> None:
    with EmbeddedStore(filled) as store:
        change(filled, f"UPDATE units SET {column} = {value}")
        assert not store.check().ok
        upload(store, SMALL, data_id=4)
        assert store.check(deep=True).ok
        change(filled, f"UPDATE units SET {column} = {value}")
        update(store, 4, LARGE)
        assert store.check(deep=True).ok
        change(filled, f"UPDATE units SET {column} = {value}")
        delete(store, 4)
        assert store.check(deep=True).ok
        all_there(store)


@pytest.mark.parametrize("clock", [(1 << 63) - 1, 1 << 62, 7_258_118_400_000_000, -1, -(1 << 63), "'x'", "1.5"])
def test_a_clock_that_cannot_be_right_is_put_right_by_the_next_write(filled: Path, clock: int | str) -> None:
    loose, strict = loosen("meta")
    change(filled, loose)
    change(filled, f"UPDATE meta SET clock = {clock}")
    change(filled, strict)
    with EmbeddedStore(filled) as store:
        before = stat(store, 3)
        new = upload(store, SMALL, data_id=4)
        assert before.created_at <= new.created_at <= datetime.now(UTC) + timedelta(days=1)
        assert update(store, 2, SMALL).updated_at >= new.created_at
        assert store.check(deep=True).ok
        all_there(store)


def test_a_store_whose_clock_was_ahead_keeps_it(filled: Path) -> None:
    ahead = int((datetime.now(UTC) + timedelta(days=800)).timestamp()) * 1_000_000
    change(filled, f"UPDATE meta SET clock = {ahead}", f"UPDATE changes SET committed_at = {ahead} WHERE revision = 3")
    with EmbeddedStore(filled) as store:
        assert upload(store, SMALL).created_at.timestamp() * 1_000_000 == ahead
        assert store.check(deep=True).ok


def test_a_revision_after_which_there_can_be_no_other_is_told_by_writes_and_mended(filled: Path) -> None:
    with EmbeddedStore(filled) as store:
        change(filled, f"UPDATE meta SET revision = {(1 << 63) - 1}")
        with pytest.raises(StorageError, match="check DIRECTORY --repair") as raised:
            upload(store, SMALL)
        assert raised.value.reason == "REGISTER_DAMAGED"
        assert {problem.kind for problem in store.check().problems} >= {ProblemKind.DAMAGED_REGISTER}
    report = check_directory(filled, repair=True, deep=True)
    assert report.ok, report.problems
    with EmbeddedStore(filled) as store:
        all_there(store)
        assert 3 < upload(store, SMALL).revision < 1 << 53


def test_a_revision_that_is_behind_its_rows_is_raised(filled: Path) -> None:
    with EmbeddedStore(filled) as store:
        change(filled, "UPDATE meta SET revision = 1")
        report = store.check(repair=True)
        assert report.ok, report.problems
        assert store.revision == 3
        assert upload(store, SMALL).revision == 4
        all_there(store)


def test_a_change_of_no_kind_is_told_as_damage(filled: Path) -> None:
    change(filled, "UPDATE changes SET kind = 9 WHERE revision = 2")
    with EmbeddedStore(filled) as store:
        with pytest.raises(StorageError) as raised:
            store.changes(0)
        assert raised.value.reason == "REGISTER_DAMAGED"


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
