"""Bytes that changed or vanished under the store: found by the audit, never shown as good."""

from collections.abc import Callable
from pathlib import Path

import pytest
from vault.errors import CorruptionError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import LoadItem
from vault.store.values import checksum
from vault_server.storage import CheckReport, EmbeddedStore, Problem, ProblemKind

from tests.storage.objects import FLIPPED, LARGE, SMALL, UNIT, blob_of, flip, read, reader_of, succeeded, upload


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A store with an object in a file, one in the register, and an untouched one. Not audited at the end."""
    directory = tmp_path / "damaged"
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1)
        upload(store, SMALL, data_id=2)
        upload(store, LARGE, data_id=3)
        assert store.check(deep=True) == CheckReport(deep=True, objects=3, files=2, size=2 * len(LARGE) + len(SMALL))
    return directory


def cut(directory: Path) -> None:
    with blob_of(directory, 1).open("r+b") as file:
        file.truncate(FLIPPED)


def remove(directory: Path) -> None:
    blob_of(directory, 1).unlink()


def problem_of(directory: Path, *, deep: bool) -> Problem | None:
    with EmbeddedStore(directory) as store:
        problems = store.check(deep=deep).problems
    assert len(problems) <= 1
    return problems[0] if problems else None


def test_a_flipped_byte_is_found_by_the_deep_audit_and_refused_by_the_reader(damaged: Path) -> None:
    flip(damaged)
    assert problem_of(damaged, deep=False) is None
    problem = problem_of(damaged, deep=True)
    assert problem is not None
    assert (problem.kind, problem.unit, problem.data_id, problem.block) == (ProblemKind.BAD_BLOCK, UNIT, 1, 1)
    with EmbeddedStore(damaged) as store:
        with reader_of(store, 1) as reader:
            first, second, third = reader
            first.verify(reader.info)
            third.verify(reader.info)
            with pytest.raises(CorruptionError) as raised:
                second.verify(reader.info)
        assert raised.value.context["block"] == 1
        with reader_of(store, 1) as reader, pytest.raises(CorruptionError):
            reader.map()
        assert read(store, 3) == LARGE


@pytest.mark.parametrize(("damage", "block"), [(cut, 1), (remove, 0)])
def test_missing_bytes_are_corruption_while_reading(damaged: Path, damage: Callable[[Path], None], block: int) -> None:
    damage(damaged)
    with EmbeddedStore(damaged) as store, reader_of(store, 1) as reader:
        with pytest.raises(CorruptionError) as raised:
            list(reader)
        assert raised.value.reason == "STORED_CHECKSUM_MISMATCH"
        assert raised.value.context == {"unit": UNIT, "data_id": 1, "generation": 1, "block": block}


def test_a_file_cut_short_is_not_mapped(damaged: Path) -> None:
    cut(damaged)
    with EmbeddedStore(damaged) as store, reader_of(store, 1) as reader, pytest.raises(CorruptionError):
        reader.map()


def test_a_file_that_is_gone_is_found_by_any_audit(damaged: Path) -> None:
    remove(damaged)
    problem = problem_of(damaged, deep=False)
    assert problem is not None
    assert (problem.kind, problem.data_id) == (ProblemKind.MISSING_FILE, 1)


def test_a_file_of_another_size_is_found_by_any_audit(damaged: Path) -> None:
    cut(damaged)
    problem = problem_of(damaged, deep=False)
    assert problem is not None
    assert (problem.kind, problem.data_id) == (ProblemKind.WRONG_SIZE, 1)


def test_a_file_of_nobody_is_found_by_any_audit(damaged: Path) -> None:
    (damaged / UNIT / "77.5.vault").write_bytes(b"?")
    (damaged / UNIT / "notes.txt").write_bytes(b"not ours")
    (damaged / UNIT / "77.vault").mkdir()
    problem = problem_of(damaged, deep=False)
    assert problem is not None
    assert (problem.kind, problem.unit, problem.data_id) == (ProblemKind.UNREFERENCED_FILE, UNIT, 77)


def change_inline(store: EmbeddedStore) -> None:
    changed = bytes([SMALL[0] ^ 1]) + SMALL[1:]
    statement = "UPDATE contents SET data = ? WHERE number = (SELECT content FROM objects WHERE data_id = 2)"
    store.engine.writer.submit(lambda connection: connection.execute(statement, (changed,))).result()


def test_a_flipped_byte_in_the_register_is_found_and_refused(damaged: Path) -> None:
    with EmbeddedStore(damaged) as store:
        change_inline(store)
        (block,) = reader_of(store, 2)
        with pytest.raises(CorruptionError):
            block.verify(succeeded(store.stat_many(UNIT, [2])[0]))  # type: ignore[arg-type]
        (loaded,) = store.load_many(UNIT, [LoadItem(2)])
        assert checksum(loaded.data) != loaded.info.checksum  # type: ignore[union-attr, arg-type]
        (problem,) = store.check(deep=True).problems
    assert (problem.kind, problem.data_id, problem.block) == (ProblemKind.BAD_BLOCK, 2, 0)


def test_a_missing_file_fails_its_item_of_a_batch_alone(damaged: Path) -> None:
    with EmbeddedStore(damaged) as store:
        upload(store, LARGE[:BLOCK_SIZE], data_id=4)
        blob_of(damaged, 4).unlink()
        lost, small = store.load_many(UNIT, [LoadItem(4), LoadItem(2)])
        assert isinstance(lost, CorruptionError)
        assert small is not None
        assert store.delete_many(UNIT, []) == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM contents WHERE number = 1",
        "DELETE FROM objects WHERE data_id = 2",
        "INSERT INTO tags VALUES ('documents', 'k', 'v', 1)",
        'UPDATE objects SET tags = \'{"k":"v"}\' WHERE data_id = 1',
        "DELETE FROM changes WHERE revision = 2",
        "UPDATE meta SET revision = 1",
    ],
)
def test_a_register_that_contradicts_itself_is_found(damaged: Path, statement: str) -> None:
    with EmbeddedStore(damaged) as store:
        store.engine.writer.submit(lambda connection: connection.execute(statement)).result()
        kinds = {problem.kind for problem in store.check().problems}
    assert ProblemKind.REGISTER in kinds
