"""Any value of any table changed behind the store's back: found or harmless, mended, and never read as good."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from vault.errors import CorruptionError, NotFoundError, RevisionCompactedError, StorageError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, LoadItem
from vault_server.storage import EmbeddedStore, check_directory
from vault_server.storage.decision.rows import Row
from vault_server.storage.maintenance.rebuild.contents import IMPLAUSIBLE, Left
from vault_server.storage.maintenance.rebuild.resolve import LastChange, newer_files, newest_row

from tests.storage.objects import LARGE, SMALL, UNIT, delete, read, stat, update, upload

OBJECTS = {1: LARGE, 2: SMALL, 3: LARGE[: BLOCK_SIZE + 1], 4: SMALL[1:], 6: b""}
TABLES = ("meta", "objects", "contents", "tags", "changes", "retired", "units")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects in files and in the register, with names and tags; of two a retired generation; one that is deleted."""
    directory = tmp_path_factory.mktemp("damaged") / "store"
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1, name="one", tags={"a": "b"})
        upload(store, LARGE[1:], data_id=2, name="two", tags={"c": "d"})
        update(store, 2, OBJECTS[2])
        upload(store, SMALL, data_id=3)
        update(store, 3, OBJECTS[3])
        upload(store, OBJECTS[4], data_id=4, unit="others")
        upload(store, SMALL, data_id=5)
        delete(store, 5)
        upload(store, b"", data_id=6, name="empty")
        assert store.check(deep=True).ok
    return directory


def unit_of(data_id: int) -> str:
    return "others" if data_id == 4 else UNIT


def assert_nothing_wrong_is_read(store: EmbeddedStore) -> None:
    for data_id, data in OBJECTS.items():
        try:
            assert read(store, data_id, unit=unit_of(data_id)) == data
        except (CorruptionError, NotFoundError):
            pass
        except AssertionError:
            assert store.stat_many(unit_of(data_id), [data_id]) == [None]


def assert_units_are_counted(directory: Path) -> None:
    with closing(sqlite3.connect(directory / "register.db")) as connection:
        query = "SELECT unit, objects, bytes FROM units WHERE objects > 0 ORDER BY unit"
        counted = connection.execute("SELECT unit, count(*), sum(size) FROM objects GROUP BY unit ORDER BY unit")
        assert connection.execute(query).fetchall() == counted.fetchall()


def columns(connection: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    return [(name, kind) for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")]


@st.composite
def damages(draw: st.DrawFn) -> tuple[int, int, int, Any]:
    """Which table, column and row; and the bit of a number that flips, or what comes in the place of anything else."""
    return draw(st.integers(0, 6)), draw(st.integers(0, 99)), draw(st.integers(0, 99)), draw(st.integers(0, 62))


def damage(directory: Path, which: tuple[int, int, int, int]) -> str:
    table = TABLES[which[0]]
    with closing(sqlite3.connect(directory / "register.db", isolation_level=None)) as connection:
        names = columns(connection, table)
        name, kind = names[which[1] % len(names)]
        keys = ", ".join(name for name, _ in names)
        rows = connection.execute(f"SELECT {keys} FROM {table}").fetchall()
        if not rows:
            return f"{table} is empty"
        row = rows[which[2] % len(rows)]
        old = row[[each for each, _ in names].index(name)]
        new: Any = {"INTEGER": (old or 0) ^ 1 << which[3] if kind == "INTEGER" else 0, "TEXT": "x", "BLOB": b"x"}[kind]
        if which[3] == 62 and old is not None:
            statement = (
                f"DELETE FROM {table} WHERE rowid = (SELECT rowid FROM {table} LIMIT 1 OFFSET {rows.index(row)})"
            )
            if table != "tags":
                connection.execute(statement)
                return statement
        where = " AND ".join(f"{each} IS ?" for each, _ in names)
        connection.execute(f"UPDATE OR IGNORE {table} SET {name} = ? WHERE {where}", (new, *row))
        return f"{table}.{name}: {old!r:.40} -> {new!r:.40}"


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(which=[(1, 5, 0, 53)])  # a size above 2^53, which a float does not count to the byte
@given(which=st.lists(damages(), min_size=1, max_size=3))
def test_any_damaged_value_is_mended_or_told_and_never_read_as_good(
    original: Path, tmp_path: Path, which: list[tuple[int, int, int, int]]
) -> None:
    directory = tmp_path / "store"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(original, directory)
    told = [damage(directory, each) for each in which]
    try:
        with EmbeddedStore(directory) as store:
            assert_nothing_wrong_is_read(store)
    except StorageError as error:
        assert error.reason == "REGISTER_DAMAGED", told  # noqa: PT017  # or it opens
    report = check_directory(directory, repair=True, deep=True)
    lost = {problem.data_id for problem in report.problems}
    with EmbeddedStore(directory) as store:
        assert_nothing_wrong_is_read(store)
        again = store.check(repair=True, deep=True)
        assert {problem.data_id for problem in again.problems} <= lost, told
        assert again.repairs == [], (told, report.repairs)
        new = upload(store, SMALL, unit="new")
        assert read(store, new.data_id, unit="new") == SMALL
        assert stat(store, new.data_id, unit="new") == new
    assert_units_are_counted(directory)


KINDS = {"NULL": "", "'x'": "TEXT", "x'01'": "BLOB", "1.5": "REAL", "7": "INTEGER"}
"""Values, and the type of columns that may have them."""


def misfit(directory: Path, table: str, chance: int, value: str) -> str:
    """Gives a column a value of a kind that it cannot have, as a flipped bit does, of its newest row."""
    with closing(sqlite3.connect(directory / "register.db")) as connection:
        keys = {row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]}
        names = [name for name, kind in columns(connection, table) if name not in keys and kind != KINDS[value]]
    name = names[chance % len(names)]
    made = "UPDATE sqlite_schema SET sql = replace(replace(sql, {}), {}) WHERE name = '" + table + "'"
    for statement in (  # in connections of their own, which read the schema anew
        made.format("'STRICT', '/*S*/'", "'NOT NULL', '/*N*/'"),
        f"UPDATE {table} SET {name} = {value} WHERE rowid = (SELECT max(rowid) FROM {table})",
        made.format("'/*S*/', 'STRICT'", "'/*N*/', 'NOT NULL'"),
    ):
        with closing(sqlite3.connect(directory / "register.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA writable_schema=ON")
            connection.execute(statement)
    return f"{table}.{name} is {value}"


def use(store: EmbeddedStore) -> None:
    """Every kind of call; what fails says that the register, or the object, is damaged."""
    calls: list[Callable[[], object]] = [
        lambda: store.list_page(UNIT),
        lambda: store.changes(0),
        lambda: upload(store, SMALL, name="another"),
        lambda: update(store, 1, SMALL),
        lambda: store.delete_many(UNIT, [DeleteSpec(3)]),
        *(partial(store.load_many, unit_of(data_id), [LoadItem(data_id)]) for data_id in OBJECTS),
    ]
    for call in calls:
        try:
            call()
        except (CorruptionError, NotFoundError, RevisionCompactedError):
            pass
        except StorageError as error:
            assert error.reason == "REGISTER_DAMAGED"  # noqa: PT017  # or it works


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=st.sampled_from([table for table in TABLES if table != "tags"]),
    chance=st.integers(0, 99),
    value=st.sampled_from(list(KINDS)),
)
def test_a_value_of_a_kind_that_its_column_cannot_have_is_told_as_damage_and_mended(
    original: Path, tmp_path: Path, table: str, chance: int, value: str
) -> None:
    directory = tmp_path / "store"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(original, directory)
    told = misfit(directory, table, chance, value)
    try:
        with EmbeddedStore(directory) as store:
            assert_nothing_wrong_is_read(store)
            use(store)
            store.check(deep=True)
    except StorageError as error:
        assert error.reason == "REGISTER_DAMAGED", told  # noqa: PT017  # or it opens
    check_directory(directory, repair=True, deep=True)
    with EmbeddedStore(directory) as store:
        new = upload(store, SMALL, unit="new")
        assert read(store, new.data_id, unit="new") == SMALL
        again = store.check(repair=True, deep=True)
        assert again.repairs == [], told
    assert_units_are_counted(directory)


rows = st.builds(
    Row,
    unit=st.just("u"),
    data_id=st.just(1),
    generation=st.integers(1, 9),
    revision=st.integers(1, 9),
    size=st.just(0),
    checksum=st.just(0),
    datatype=st.just(""),
    name=st.none(),
    tags=st.none(),
    created_at=st.just(0),
    updated_at=st.just(0),
    written_at=st.just(0),
)


@given(own=st.none() | rows, kind=st.integers(1, 4), row=rows, readable=st.booleans(), there=st.booleans())
def test_the_newest_that_is_known_of_an_object_wins(
    own: Row | None, kind: int, row: Row, readable: bool, there: bool
) -> None:
    last = LastChange(row.revision, kind, row if readable else None) if there else None
    found, deleted_at = newest_row(own, last)
    assert (found is None) or deleted_at == 0
    if own is not None and (last is None or own.revision >= last.revision):
        assert found == own
    elif last is not None and kind == 4:
        assert (found, deleted_at) == (None, last.revision)
    elif last is not None:
        assert found == (row if readable else own)


@given(
    row=st.none() | rows,
    deleted_at=st.integers(0, 9),
    files=st.lists(st.tuples(st.sampled_from([0, *range(1, 12), IMPLAUSIBLE]), st.integers(0, 3)), unique=True),
)
def test_a_file_is_news_only_when_no_row_or_deletion_is_as_new(
    row: Row | None, deleted_at: int, files: list[tuple[int, int]]
) -> None:
    deleted_at = 0 if row is not None else deleted_at
    known = row.generation if row is not None else deleted_at
    left = [Left(*each, f"u/{each}") for each in files]
    found = newer_files(left, row, deleted_at)
    by_name = {each.file: each for each in left}
    assert all(by_name[file].generation > known or (by_name[file].generation, known) == (0, 0) for file in found)
    assert {file for file in by_name if known < by_name[file].generation < IMPLAUSIBLE} <= set(found)
    order = [(by_name[file].generation, by_name[file].changed) for file in found]
    assert order == sorted(order, reverse=True)
