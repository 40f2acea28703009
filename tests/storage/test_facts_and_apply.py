"""Facts and plans on a real register: the tables are those of an index of dicts after the same groups of writes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vault.store.specs import DeleteSpec, MetadataSpec, UpdateSpec, UploadSpec
from vault.store.values import ObjectInfo
from vault_server.storage import EmbeddedStore
from vault_server.storage.decision.decide import decide
from vault_server.storage.decision.plan import Account, Retention, Usage
from vault_server.storage.decision.rows import CHANGE_COLUMNS, RETIRED_COLUMNS, Row
from vault_server.storage.decision.writes import Delete, SetMetadata, Update, Upload, Write
from vault_server.storage.index.apply import apply
from vault_server.storage.index.facts import facts

from tests.storage.deciding import RETENTIONS, DictIndex, content, in_groups, write_lists


@contextmanager
def register(path: Path) -> Iterator["Counting"]:
    """The register of a new store, inside a transaction that is undone."""
    connection = sqlite3.connect(path / "store" / "register.db", isolation_level=None, factory=Counting)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("register")
    EmbeddedStore(path / "store").close()
    return path


def rows(connection: sqlite3.Connection, statement: str) -> list[tuple[Any, ...]]:
    return sorted(connection.execute(statement).fetchall(), key=repr)


def assert_alike(connection: sqlite3.Connection, index: DictIndex) -> None:
    """Each table holds what the dict does."""
    told: dict[str, list[tuple[Any, ...]]] = {
        "SELECT revision, clock, feed_floor FROM meta": [(index.revision, index.clock, index.feed_floor)],
        f"SELECT {', '.join(Row._fields)} FROM objects": [tuple(row) for row in index.objects.values()],
        "SELECT number, file, blocks, data FROM contents": [
            (number, kept.file, kept.blocks, kept.data) for number, kept in index.contents.items()
        ],
        f"SELECT {', '.join(CHANGE_COLUMNS)} FROM changes": [tuple(each.values()) for each in index.changes.values()],
        f"SELECT {', '.join(RETIRED_COLUMNS)} FROM retired": [tuple(each.values()) for each in index.retired.values()],
        "SELECT unit, key, value, data_id FROM tags": list(index.tags),
        "SELECT file FROM trash": [(file,) for file in index.trash],
        f"SELECT {', '.join(Usage._fields)} FROM units": [tuple(usage) for usage in index.units.values()],
        f"SELECT {', '.join(Account._fields)} FROM principals": [tuple(each) for each in index.accounts.values()],
    }
    for statement, wanted in told.items():
        assert rows(connection, statement) == sorted(wanted, key=repr), statement


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(write_lists(), st.lists(st.integers(1, 8), max_size=8), st.sampled_from(RETENTIONS))
def test_any_groups_of_writes_leave_the_tables_that_the_dicts_have(
    made: Path, writes: list[Write], sizes: list[int], retention: Retention
) -> None:
    index = DictIndex()
    with register(made) as connection:
        for clock, group in enumerate(in_groups(writes, sizes)):
            known = facts(connection, group, retention)
            wanted = index.facts(group, retention)
            assert (known.rows, known.answers) == (wanted.rows, wanted.answers)
            assert (known.units, known.accounts) == (wanted.units, wanted.accounts)
            plan = decide(known, group, clock, retention)
            apply(connection, plan)
            index.apply(decide(wanted, group, clock, retention))
            assert_alike(connection, index)


class Counting(sqlite3.Connection):
    """Counts what it is asked to do."""

    calls = 0

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self.calls += 1
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self.calls += 1
        return super().executemany(*arguments)


@pytest.mark.parametrize(("principal", "more"), [("", 0), ("somebody", 3)])
@pytest.mark.parametrize("count", [2, 300])
def test_a_group_takes_as_many_statements_however_many_writes_are_in_it(
    made: Path, count: int, principal: str, more: int
) -> None:
    numbers, names = range(1, count + 1), [f"n{number}" for number in range(count + 1)]
    groups: list[list[Write]] = [
        [Upload("u", UploadSpec(number, names[number], {"k": "v"}), content(b"x"), principal) for number in numbers],
        [Update("u", UpdateSpec(names[number] if number % 2 else number), content(b"y")) for number in numbers],
        [SetMetadata("u", MetadataSpec(names[number], f"m{number}", {"k": "w"}, expires_in=60)) for number in numbers],
        [Delete("u", DeleteSpec(f"m{number}" if number % 2 else number)) for number in numbers],
    ]
    with register(made) as connection:
        assert [committed(connection, group) for group in groups] == [8 + more, 9 + bool(more) * 2, 10, 9]
        assert rows(connection, "SELECT count(*) FROM objects") == [(0,)]
        assert rows(connection, "SELECT count(*), count(DISTINCT content) FROM retired") == [(2 * count, 2 * count)]


def test_what_does_not_fit_into_a_statement_is_asked_in_parts(made: Path) -> None:
    """SQLite takes 32,766 values in one."""
    uploads: list[Write] = [Upload("u", UploadSpec(number, f"n{number}"), content(b"")) for number in range(1, 8194)]
    with register(made) as connection:
        committed(connection, uploads)
        assert rows(connection, "SELECT count(*) FROM objects") == [(8193,)]
        assert len(facts(connection, uploads, RETENTIONS[0]).answers) == 8193


def committed(connection: Counting, group: list[Write]) -> int:
    """How many statements it took."""
    before = connection.calls
    plan = decide(facts(connection, group, RETENTIONS[0]), group, 5, RETENTIONS[0])
    apply(connection, plan)
    assert [outcome for outcome in plan.outcomes if not isinstance(outcome, ObjectInfo | int)] == []
    return connection.calls - before


def test_ids_and_names_of_several_units_are_told_apart(made: Path) -> None:
    retention = Retention()
    with register(made) as connection:
        group: list[Write] = [Upload(unit, UploadSpec(1, "n"), content(unit.encode())) for unit in ("u", "v", "w")]
        apply(connection, decide(facts(connection, group, retention), group, 5, retention))
        for unit in ("u", "v", "w", "x"):
            asking: list[Write] = [Delete(unit, DeleteSpec(1)), Delete(unit, DeleteSpec("n"))]
            assert set(facts(connection, asking, retention).rows) == ({(unit, 1)} if unit != "x" else set())
