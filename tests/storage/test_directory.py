"""The directory of an open store is moved or replaced: nothing more is acknowledged, and nothing else is touched."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from vault import ConnectionSettings, RemoteStore
from vault.errors import StorageError
from vault.store.specs import DeleteSpec, UploadSpec
from vault.store.values import Block, checksum
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore
from vault_server.storage.engine.engine import Engine
from vault_server.storage.failpoints import Point, reached
from vault_server.storage.maintenance import audit

from tests.server.process import Served
from tests.storage.objects import LARGE, SMALL, UNIT, read, reader_of, small, start, succeeded, upload
from tests.storage.replacing import (
    CHANGES,
    READS,
    SAME_REGISTER,
    WRITES,
    Change,
    a_file,
    another_store,
    aside,
    assert_refused,
    begun,
    content_of,
    copied,
    empty_folder,
    link_repointed,
    log_removed,
    log_replaced,
    moved,
    removed_for_another,
    shared_memory_removed,
    until_reads_notice,
)


@pytest.fixture
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    if getattr(request, "param", None) is link_repointed or "link_repointed" in request.node.name:
        (tmp_path / "target").mkdir()
        (tmp_path / "store").symlink_to(tmp_path / "target")
    return tmp_path / "store"


@pytest.mark.parametrize("change", CHANGES)
def test_no_call_is_answered_and_nothing_is_written_where_the_name_leads_now(root: Path, change: Change) -> None:
    store = EmbeddedStore(root)
    begun(store)
    change(root)
    before = content_of(root)
    for call in WRITES.values():
        assert_refused(store, call)
    until_reads_notice(store)
    for call in READS.values():
        assert_refused(store, call)
    assert content_of(root) == before
    store.close()
    if change not in SAME_REGISTER:  # otherwise closing brings the log into the register
        after = content_of(root)
        its_own = {name for name in before.keys() - after.keys() if name.startswith(".staging/")}
        assert after == {name: content for name, content in before.items() if name not in its_own}


@pytest.mark.parametrize("change", [another_store, removed_for_another, link_repointed])
def test_the_store_that_took_its_place_is_sound_and_knows_nothing_of_it(root: Path, change: Change) -> None:
    with EmbeddedStore(root) as store:
        begun(store)
        for number in range(20):  # more revisions than the other one will have
            upload(store, SMALL, data_id=100 + number)
        change(root)
        with EmbeddedStore(root) as other:
            for call in WRITES.values():
                assert_refused(store, call)
            assert succeeded(other.upload_many(UNIT, [small(data_id=9)])[0]).revision == other.revision
            assert list(map(bool, other.exists_many(UNIT, [1, 100]))) == [True, False]
    with EmbeddedStore(root) as other:
        report = other.check(deep=True)
        assert report.ok, report.problems
        assert list(map(bool, other.exists_many(UNIT, [1, 9, 100]))) == [True, True, False]


@pytest.mark.parametrize("change", [moved, another_store, empty_folder, a_file, copied])
def test_put_back_the_store_goes_on_with_all_that_was_acknowledged(root: Path, change: Change) -> None:
    with EmbeddedStore(root) as store:
        begun(store)
        change(root)
        for call in WRITES.values():
            assert_refused(store, call)
        if root.is_file():
            root.unlink()
        elif root.exists():
            shutil.rmtree(root)
        aside(root).rename(root)
        info = upload(store, LARGE, data_id=5)
        assert info.revision == store.revision
        assert read(store, 5) == LARGE
        assert read(store, 2) == LARGE[::-1]
    with EmbeddedStore(root) as again:
        assert again.check(deep=True).ok
        assert all(again.exists_many(UNIT, [1, 2, 5]))


@pytest.mark.parametrize("change", [log_removed, log_replaced, shared_memory_removed])
def test_what_was_acknowledged_before_its_log_went_is_there_when_the_store_was_closed(
    root: Path, change: Change
) -> None:
    with EmbeddedStore(root) as store:
        begun(store)
        change(root)
        assert_refused(store, WRITES["a small upload"])
    with EmbeddedStore(root) as again:
        assert again.check(deep=True).ok
        assert read(again, 2) == LARGE[::-1]


def test_a_reader_that_was_open_ends_with_the_generation_it_began(root: Path) -> None:
    with EmbeddedStore(root) as store:
        upload(store, LARGE, data_id=1)
        with reader_of(store, 1) as reader:
            another_store(root)
            assert b"".join(bytes(block.data) for block in reader) == LARGE


def test_a_directory_replaced_in_the_middle_of_an_upload_keeps_nothing_of_it(root: Path) -> None:
    for resumable in (False, True):
        with EmbeddedStore(root) as store:
            upload(store, SMALL)
            writer = store.upload(UNIT, UploadSpec(3), resumable=resumable)
            writer.write(Block(0, LARGE[: 1 << 20], checksum(LARGE[: 1 << 20])))
            another_store(root)
            before = content_of(root)
            with pytest.raises(StorageError) as raised:
                writer.write(Block(1 << 20, LARGE[1 << 20 : 2 << 20], checksum(LARGE[1 << 20 : 2 << 20])))
                writer.commit(2 << 20)
            assert raised.value.reason == "DIRECTORY_CHANGED"
        assert content_of(root) == before
        shutil.rmtree(root)
        shutil.rmtree(aside(root))


def test_replaced_while_it_commits_a_write_is_not_acknowledged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedStore(root) as store:
        begun(store)

        def replace(point: Point) -> None:
            if point == "before COMMIT" and not aside(root).exists():
                copied(root)
            reached(point)

        monkeypatch.setattr("vault_server.storage.commit.committer.reached", replace)
        assert_refused(store, WRITES["a large upload"])
    with EmbeddedStore(root) as copy:
        assert copy.check(deep=True).ok
    with EmbeddedStore(aside(root)) as old:
        assert old.check(deep=True).ok
        assert read(old, 2) == LARGE[::-1]


def test_a_turn_file_that_was_removed_is_made_anew_and_writers_go_on_taking_turns(root: Path) -> None:
    turn = root / "register.db-turn"
    with EmbeddedStore(root) as store, EmbeddedStore(root) as second:
        for number in range(1, 6):
            upload(store, SMALL, data_id=number)
            turn.unlink()
            upload(second, SMALL, data_id=100 + number)
            assert turn.read_bytes().startswith(b"%019d" % (2 * number))
    with EmbeddedStore(root) as again:
        assert again.revision == 10


def test_a_fork_of_a_store_whose_directory_was_replaced_writes_nothing(root: Path) -> None:
    script = """
import os, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from tests.storage.objects import upload
from tests.storage.replacing import another_store, assert_refused, WRITES, READS, until_reads_notice
from vault_server.storage import EmbeddedStore
root = Path(sys.argv[1])
store = EmbeddedStore(root)
upload(store, b"x")
pid = os.fork()
if pid == 0:
    sys.stdin.readline()
    for call in (*WRITES.values(), *READS.values()):
        assert_refused(store, call)
    print("refused", flush=True)
    os._exit(0)
another_store(root)
print("replaced", flush=True)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    process = start(script, root)
    out, _ = process.communicate("go\n", timeout=60)
    assert process.returncode == 0, out
    with EmbeddedStore(root) as other:
        assert other.check(deep=True).ok


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_answers_why_and_goes_on_when_the_directory_is_back(root: Path, workers: int) -> None:
    server = Served(root, "--listen", "127.0.0.1:0", "--workers", str(workers))
    try:
        with RemoteStore(server.address, ConnectionSettings(timeout=30)) as remote:
            upload(remote, LARGE, data_id=1)
            another_store(root)
            for data in (SMALL, LARGE):
                with pytest.raises(StorageError) as raised:
                    upload(remote, data)
                assert raised.value.reason == "DIRECTORY_CHANGED"
            with EmbeddedStore(root) as other:
                assert other.check(deep=True).ok
            shutil.rmtree(root)
            aside(root).rename(root)
            upload(remote, LARGE, data_id=2)
            assert read(remote, 2) == LARGE
        assert server.terminate()[0] == 0
    finally:
        server.process.kill()
        server.process.wait()
    with EmbeddedStore(root) as store:
        assert all(store.exists_many(UNIT, [1, 2]))


def test_the_async_face_refuses_as_the_sync_one(root: Path) -> None:
    async def use() -> None:
        async with AsyncEmbeddedStore(root) as store:
            succeeded((await store.upload_many(UNIT, [small(data_id=1)]))[0])
            another_store(root)
            (outcome,) = await store.delete_many(UNIT, [DeleteSpec(1)])
            assert isinstance(outcome, StorageError)
            assert outcome.reason == "DIRECTORY_CHANGED"

    asyncio.run(use())
    with EmbeddedStore(root) as other:
        assert all(other.exists_many(UNIT, [1]))


@pytest.fixture
def mountable(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    mounted: list[Path] = []

    def mount(path: Path) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(path)], check=True, capture_output=True)
        mounted.append(path)

    try:
        with TemporaryDirectory() as folder:
            mount(Path(folder))
            subprocess.run(["umount", folder], check=True, capture_output=True)
            mounted.clear()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    yield mount
    for path in mounted:
        subprocess.run(["umount", str(path)], check=False, capture_output=True)


def test_a_file_system_mounted_over_it_is_told_and_after_unmounting_it_goes_on(
    root: Path, mountable: Callable[[Path], None]
) -> None:
    with EmbeddedStore(root) as store:
        begun(store)
        mountable(root)
        for call in WRITES.values():
            assert_refused(store, call)
        assert content_of(root) == {}
        subprocess.run(["umount", str(root)], check=True)
        assert read(store, upload(store, LARGE).data_id) == LARGE


WRITING = """
import sys
from tests.storage.objects import LARGE, upload
from vault.errors import StorageError
from vault_server.storage import EmbeddedStore
with EmbeddedStore(sys.argv[1]) as store:
    for number in range(1, 100_000):
        try:
            upload(store, LARGE[: 100_000] if number % 3 == 0 else b"x" * number, data_id=int(sys.argv[2]) + number)
        except StorageError as error:
            print(error.reason, flush=True)
            break
        print(int(sys.argv[2]) + number, flush=True)
"""


def test_of_several_processes_at_work_each_stops_and_all_they_acknowledged_is_in_what_was_moved(root: Path) -> None:
    processes = [start(WRITING, root, str(1_000_000 * (number + 1))) for number in range(2)]
    for process in processes:
        assert process.stdout is not None
        for _ in range(10):
            process.stdout.readline()
    another_store(root)
    acknowledged: list[int] = []
    for number, process in enumerate(processes):
        out, _ = process.communicate(timeout=60)
        *ids, last = out.split()
        assert last == "DIRECTORY_CHANGED"
        acknowledged += [1_000_000 * (number + 1) + seen for seen in range(1, 11)] + [int(each) for each in ids]
    with EmbeddedStore(root) as other:
        assert other.check(deep=True).ok
        assert other.revision == 3
    with closing(EmbeddedStore(aside(root))) as old:
        assert all(old.exists_many(UNIT, acknowledged[:1000]))


def test_an_audit_that_the_directory_is_moved_under_takes_no_file_for_missing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedStore(root) as store:
        begun(store)
        rows = audit.all_rows

        def move(engine: Engine, table: str) -> Iterator[audit.Generation]:
            for row in rows(engine, table):
                if not aside(root).exists():
                    another_store(root)
                yield row

        monkeypatch.setattr(audit, "all_rows", move)
        assert_refused(store, lambda store: store.check(deep=True))


def test_what_is_moved_between_the_placing_of_a_file_and_the_commit_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedStore(root) as store:
        begun(store)

        def move(point: Point) -> None:
            if point == "before the fsync of folders" and not aside(root).exists():
                moved(root)
            reached(point)

        monkeypatch.setattr("vault_server.storage.commit.placement.reached", move)
        assert_refused(store, WRITES["a large upload"])
        monkeypatch.undo()
        aside(root).rename(root)
        assert read(store, upload(store, LARGE).data_id) == LARGE
        assert store.check(deep=True).ok
