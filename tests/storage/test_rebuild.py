"""A register that is missing, torn or damaged: told by every opener, rebuilt from rows and files, never believed."""

import errno
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from vault.errors import CorruptionError, RevisionCompactedError, StorageError
from vault.store.values import ObjectInfo
from vault_server.storage import CheckReport, EmbeddedStore, ProblemKind, StoreOptions, check_directory

from tests.storage.damaging import DELETED, FILES, INLINED, assert_nothing_wrong_is_read, fill, outcome
from tests.storage.objects import LARGE, SMALL, UNIT, delete, read, reader_of, start, stat, upload


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with objects of every kind, closed, all of it in the register's file and none in its log."""
    directory = tmp_path_factory.mktemp("original") / "store"
    fill(directory)
    return directory


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "store")


def infos(directory: Path) -> dict[int, ObjectInfo]:
    with EmbeddedStore(directory) as store:
        return {number: stat(store, number) for number in (*FILES, *INLINED)}


def assert_refused(directory: Path) -> StorageError:
    with pytest.raises(StorageError) as raised:
        EmbeddedStore(directory)
    assert raised.value.reason == "REGISTER_DAMAGED"
    assert str(directory / "register.db") in raised.value.message
    assert "vault-grpc check DIRECTORY --repair" in raised.value.message
    return raised.value


def opens(directory: Path) -> bool:
    """Whether the store opens; when it does not, it says why."""
    try:
        EmbeddedStore(directory).close()
    except StorageError:
        assert_refused(directory)
        return False
    return True


def assert_repaired(directory: Path, *, files_only: bool = False) -> CheckReport:
    """Repairs, and asserts that every object which has a file is back, and that nothing is wrong with the rest."""
    report = check_directory(directory, repair=True, deep=True)
    with EmbeddedStore(directory, StoreOptions(retention=0)) as store:
        for number, data in FILES.items():
            assert read(store, number) == data
        assert_nothing_wrong_is_read(store)
        if not files_only:
            for number, data in INLINED.items():
                assert read(store, number) == data
        lost = {problem.data_id for problem in report.problems}
        for number in (*INLINED, *DELETED):  # that these were deleted may be lost, too
            if outcome(store, number) is CorruptionError:
                assert number in lost, number
                delete(store, number)
        again = store.check(deep=True)
        assert again.ok, again.problems
    return report


def test_a_register_that_was_deleted_is_not_taken_for_pyvaults_directory(copy: Path) -> None:
    before = infos(copy)
    (copy / "register.db").unlink()
    assert "missing" in assert_refused(copy).message
    assert not (copy / "register.db").exists()
    report = assert_repaired(copy, files_only=True)
    assert any(problem.kind is ProblemKind.LOST_OBJECT for problem in report.problems)
    with EmbeddedStore(copy) as store:
        highest = max(info.revision for info in before.values())
        assert store.revision > highest
        with pytest.raises(RevisionCompactedError):
            store.changes(highest)
        for number in FILES:  # a new one: no cache may take it for one that it has
            assert stat(store, number).generation > highest
        assert upload(store, SMALL).generation > highest
        assert store.check(deep=True).ok


def test_a_lost_register_is_known_by_its_files_alone(copy: Path) -> None:
    for path in copy.glob("register.db*"):
        path.unlink()
    shutil.rmtree(copy / ".staging", ignore_errors=True)
    assert "missing" in assert_refused(copy).message
    assert_repaired(copy, files_only=True)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_register_cut_short_is_rebuilt(copy: Path, share: float) -> None:
    register = copy / "register.db"
    size = register.stat().st_size
    with register.open("r+b") as file:
        file.truncate(size - 4096 if share == 1.0 else round(size * share))
    torn = register.read_bytes()
    assert_refused(copy)
    report = assert_repaired(copy, files_only=True)
    (aside,) = copy.glob("register.db.damaged-*Z")
    assert aside.read_bytes() == torn
    assert any(aside.name in repair.detail for repair in report.repairs)


def test_a_file_system_without_links_is_no_hindrance(logged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), source, None, target)

    with (logged / "register.db").open("r+b") as file:
        file.write(bytes(100))
    before = (logged / "register.db").read_bytes(), (logged / "register.db-wal").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refuse)
        check_directory(logged, repair=True, deep=True)
    with EmbeddedStore(logged) as store:
        assert read(store, 1) == LARGE[2:]
        assert store.check(deep=True).ok
    (aside,) = logged.glob("register.db.damaged-*Z")
    assert (aside.read_bytes(), aside.with_name(f"{aside.name}-wal").read_bytes()) == before


@pytest.mark.parametrize("length", [16, 100, 4096])
def test_a_register_with_garbage_for_a_header_gives_every_row_back(copy: Path, length: int) -> None:
    before = infos(copy)
    with (copy / "register.db").open("r+b") as file:
        file.write(random.Random(length).randbytes(length))
    assert_refused(copy)
    assert_repaired(copy)
    after = infos(copy)
    assert {number: (info.name, dict(info.tags), info.generation) for number, info in after.items()} == {
        number: (info.name, dict(info.tags), info.generation) for number, info in before.items()
    }
    with EmbeddedStore(copy) as store:
        assert store.exists_many(UNIT, DELETED) == [0, 0]


@pytest.mark.parametrize(
    ("statement", "gone"),
    [
        ("UPDATE changes SET data_id = 198 WHERE data_id = 199", 0),
        ("UPDATE changes SET data_id = 51 WHERE data_id = 199", 51),
        (("UPDATE changes SET data_id = 900 WHERE data_id = 2 AND revision = (SELECT max(revision) FROM changes "
         "WHERE data_id = 2)"), 0),
        ("UPDATE objects SET data_id = 51 WHERE data_id = 199", 51),
        ("UPDATE objects SET revision = revision + 1 WHERE data_id = 198", 0),
    ],
)  # fmt: skip
def test_an_id_that_is_damaged_gives_no_object_another_s_bytes(copy: Path, statement: str, gone: int) -> None:
    with closing(sqlite3.connect(copy / "register.db")) as connection, connection:
        connection.execute(statement)
    with (copy / "register.db").open("r+b") as file:
        file.write(bytes(16))
    check_directory(copy, repair=True, deep=True)
    with EmbeddedStore(copy) as store:
        for number, data in {**FILES, **INLINED}.items():
            assert outcome(store, number) == data, number
        assert store.exists_many(UNIT, [gone or 50]) == [0]


@pytest.mark.parametrize("column", ["created_at", "collect_at", "blocks", "committed_at", "bytes"])
def test_a_schema_that_is_damaged_is_told_and_rebuilt(copy: Path, column: str) -> None:
    register = copy / "register.db"
    register.write_bytes(register.read_bytes().replace(f" {column} ".encode(), f" {column[:-1]}u ".encode()))
    if opens(copy):
        assert {problem.kind for problem in check_directory(copy).problems} >= {ProblemKind.DAMAGED_REGISTER}
    assert_repaired(copy)


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_anywhere_are_never_read_as_good(copy: Path, seed: int) -> None:
    chance = random.Random(seed)
    register = copy / "register.db"
    with register.open("r+b") as file:
        size = register.stat().st_size
        for _ in range(1 << seed % 7):
            offset = chance.randrange(size)
            file.seek(offset)
            (byte,) = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ 1 << chance.randrange(8)]))
    if opens(copy):
        with EmbeddedStore(copy) as store:
            assert_nothing_wrong_is_read(store, StorageError)
    check_directory(copy, repair=True, deep=True)
    with EmbeddedStore(copy) as store:
        for number, data in FILES.items():
            assert read(store, number) == data
        assert_nothing_wrong_is_read(store)


@pytest.fixture
def logged(tmp_path: Path) -> Path:
    """A store whose last changes are in the write-ahead log alone: its process was killed."""
    directory = tmp_path / "store"
    fill(directory)
    program = """
import os, signal, sys
from tests.storage.objects import LARGE, SMALL, update, upload
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
update(store, 1, LARGE[2:])
upload(store, SMALL[1:], data_id=9)
os.kill(os.getpid(), signal.SIGKILL)
"""
    with start(program, directory):
        pass
    assert (directory / "register.db-wal").stat().st_size > 4096
    return directory


def test_a_log_that_is_missing_is_told(logged: Path) -> None:
    (logged / "register.db-wal").unlink()
    assert "lost changes" in assert_refused(logged).message
    check_directory(logged, repair=True, deep=True)
    with EmbeddedStore(logged) as store:
        assert read(store, 1) == LARGE[2:]
        assert stat(store, 1).name == "one"
        assert read(store, 2) == FILES[2]
        assert store.check(deep=True).ok


def test_a_log_that_is_broken_in_the_middle_loses_no_more_than_the_broken_page(logged: Path) -> None:
    with (logged / "register.db-wal").open("r+b") as file:
        file.seek(32 + 24 + 2000)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x40]))
    assert "lost changes" in assert_refused(logged).message
    check_directory(logged, repair=True, deep=True)
    with EmbeddedStore(logged) as store:
        assert read(store, 1) == LARGE[2:]
        assert read(store, 2) == FILES[2]


def test_a_store_that_is_open_elsewhere_is_not_rebuilt(copy: Path) -> None:
    with EmbeddedStore(copy):
        register = copy / "register.db"
        register.rename(copy / "elsewhere")
        with pytest.raises(StorageError, match="is open in this or another process") as raised:
            check_directory(copy, repair=True)
        assert raised.value.reason == "REGISTER_BUSY"
        (copy / "elsewhere").rename(register)


KILLED = """
import os, signal, sys
from pathlib import Path
from vault_server.storage.maintenance.rebuild import rebuild
count = int(sys.argv[2])
def counting(function):
    def counted(*args, **kwargs):
        global count
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        count -= 1
        return function(*args, **kwargs)
    return counted
Path.rename = counting(Path.rename)
Path.unlink = counting(Path.unlink)
rebuild.sync_folder = counting(rebuild.sync_folder)
rebuild.prepare = counting(rebuild.prepare)
rebuild._note = counting(rebuild._note)
rebuild.shutil.rmtree = counting(rebuild.shutil.rmtree)
rebuild.rebuild(Path(sys.argv[1]))
print("done")
"""


@pytest.mark.slow
def test_a_rebuild_that_is_killed_anywhere_is_begun_again(logged: Path, tmp_path: Path) -> None:
    with (logged / "register.db").open("r+b") as file:
        file.write(bytes(100))
    before = (logged / "register.db").read_bytes(), (logged / "register.db-wal").read_bytes()
    done = False
    point = 0
    while not done:
        directory = shutil.copytree(logged, tmp_path / f"killed-{point}")
        with start(KILLED, directory, point) as process:
            done = "done" in process.communicate()[0]
        # Before the repair: no opener takes it for anything but what it is.
        opens(directory)
        check_directory(directory, repair=True, deep=True)
        with EmbeddedStore(directory) as store:
            assert read(store, 1) == LARGE[2:]
            assert stat(store, 1).name == "one"
            assert read(store, 9) == SMALL[1:]
            for number, data in INLINED.items():
                assert read(store, number) == data
            assert store.check(deep=True).ok
        (aside,) = directory.glob("register.db.damaged-*Z")
        kept = aside.read_bytes(), aside.with_name(f"{aside.name}-wal").read_bytes()
        assert kept == before
        shutil.rmtree(directory)
        point += 1
    assert point > 8


def test_an_object_whose_bytes_are_gone_is_there_and_says_so(copy: Path) -> None:
    damage: Callable[[bytes], bytes] = lambda page: bytes(len(page))  # noqa: E731
    register = copy / "register.db"
    data = register.read_bytes()
    # The pages that hold one inlined object's bytes: zeroed.
    needle = INLINED[399][-300:]
    pages = {offset // 4096 for offset in range(len(data)) if data.startswith(needle[:8], offset)}
    assert pages
    with register.open("r+b") as file:
        for page in pages:
            file.seek(page * 4096)
            file.write(damage(data[page * 4096 : (page + 1) * 4096]))
    report = check_directory(copy, repair=True, deep=True)
    assert any(problem.data_id == 399 for problem in report.problems)
    with EmbeddedStore(copy) as store:
        assert stat(store, 399).name == "small-399"
        with pytest.raises(CorruptionError):
            list(reader_of(store, 399))
        upload(store, SMALL, data_id=1000)


FORKED = """
import os, sys
from vault_server.storage import EmbeddedStore
store = EmbeddedStore(sys.argv[1])
if os.fork():
    store.close()
    print("closed", flush=True)
    os.wait()
else:
    sys.stdin.read()
    store.close()
    os._exit(0)
"""


def test_a_store_that_only_a_forked_child_has_is_open(copy: Path) -> None:
    with start(FORKED, copy) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "closed\n"
        (copy / "register.db").rename(copy / "elsewhere")
        with pytest.raises(StorageError) as raised:
            check_directory(copy, repair=True)
        assert raised.value.reason == "REGISTER_BUSY"
        process.stdin.close()
        process.wait(60)
    assert_repaired(copy, files_only=True)
