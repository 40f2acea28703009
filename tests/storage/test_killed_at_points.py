"""A process killed at each point that an operation goes through: all or nothing, and nothing left over."""

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.failpoints import POINTS, Point
from vault_server.storage.files.staged_file import STAGING
from vault_server.storage.files.staging import leftovers

from tests.storage.killing import OPERATIONS, Killer
from tests.storage.objects import UNIT, read

State = dict[tuple[str, int], tuple[bytes, str | None, dict[str, str]]]


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with Killer() as started:
        yield started


def prepared(operation: str, folder: Path) -> Path:
    """The directory that the operation starts from."""
    directory = folder / "prepared"
    with EmbeddedStore(directory) as store:
        OPERATIONS[operation].prepare(store)
    return directory


def state_of(store: EmbeddedStore) -> State:
    return {
        (unit, info.data_id): (read(store, info.data_id, unit=unit), info.name, dict(info.tags))
        for unit in store.list_units()
        for info in store.list_page(unit, page_size=1000).objects
    }


def referenced(store: EmbeddedStore, table: str) -> set[str]:
    def query(connection: Any) -> set[str]:
        files = connection.execute(f"SELECT c.file FROM {table} t JOIN contents c ON c.number = t.content")
        return {file for (file,) in files if file is not None}

    return store.engine.connections.read(query)


def files_of(directory: Path) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in directory.glob("*/*.vault") if path.parent.name != STAGING}


def is_durable(points: list[Point]) -> bool:
    """Whether the last change that was recorded has been committed."""
    recorded = [place for place, point in enumerate(points) if point == "change recorded"]
    return bool(recorded) and "committed" in points[recorded[-1] :]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_kill_at_any_point_leaves_all_or_nothing_and_no_file_over(
    tmp_path: Path, killer: Killer, operation: str
) -> None:
    source = prepared(operation, tmp_path)
    with EmbeddedStore(source, StoreOptions(retention=0)) as store:
        before = state_of(store)
        generation = store.exists_many(UNIT, [1])[0]
    complete = tmp_path / "complete"
    shutil.copytree(source, complete)
    whole = killer.run(operation, complete)
    assert (whole.signal, whole.acknowledged) == (0, True)
    with EmbeddedStore(complete) as store:
        after, final = state_of(store), store.revision
    assert (after != before) == OPERATIONS[operation].changes

    for kill_at, point in enumerate(whole.points):
        directory = tmp_path / "killed"
        shutil.copytree(source, directory)
        outcome = killer.run(operation, directory, kill_at)
        where = f"killed at {kill_at}, {outcome.points[-1]!r}"
        assert outcome.signal == signal.SIGKILL, f"{where}: {point!r} was not reached again"
        assert len(outcome.points) == kill_at + 1

        with EmbeddedStore(directory) as store:
            found = state_of(store)
            assert found == (after if is_durable(outcome.points) else before), where
            assert found == after or not outcome.acknowledged, where
            report = store.check(deep=True)
            assert report.ok, (where, report.problems)
            if OPERATIONS[operation].retention and found == after != before:
                assert read(store, 1, generation=generation) == before[UNIT, 1][0], where
            revision, changes = store.changes(0)
            assert [change.revision for change in changes] == list(range(1, revision + 1)), where
            if OPERATIONS[operation].resumable:
                OPERATIONS[operation].act(store)
                assert state_of(store) == after, where
                assert store.revision == final, f"{where}: it was applied twice"
            needed, retained = referenced(store, "objects"), referenced(store, "retired")
        # Closing has swept: what is in trash by then is gone.
        files = files_of(directory)
        assert needed <= files <= needed | retained, where
        # Where the disk is full, files go before their rows do.
        assert retained <= files or operation == "collection for a full disk", where
        assert leftovers(directory) == [], where
        assert not [path for path in (directory / STAGING).rglob("*") if path.is_file()], where
        shutil.rmtree(directory)


def test_every_point_is_reached_by_one_of_the_operations(tmp_path: Path, killer: Killer) -> None:
    reached: set[Point] = set()
    for number, operation in enumerate(OPERATIONS):
        folder = tmp_path / str(number)
        reached.update(killer.run(operation, prepared(operation, folder)).points)
    assert sorted(reached) == sorted(POINTS)


def test_nothing_but_tests_switches_the_points_on() -> None:
    root = Path(__file__).parents[2]
    sources = [path for name in ("client", "server", "datatypes") for path in (root / name).rglob("*.py")]
    assert len(sources) > 100
    users = [path.name for path in sources if re.search(r"switch_on|failpoints\._call", path.read_text())]
    assert users == ["failpoints.py"]
