"""Whether anything was committed is told by the header of SQLite's shared index of its log."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from vault_server import EmbeddedStore
from vault_server.storage.index import wal_index
from vault_server.storage.index.wal_index import WalIndex

from tests.storage.objects import upload

COMMITS = 3000

WRITER = """
import sqlite3, sys
def connect():
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA wal_autocheckpoint=50")
    return connection
connection = connect()
for number in range(1, int(sys.argv[2]) + 1):
    if number % 100 == 0:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if number % 333 == 0:
        connection.close()
        connection = connect()
    connection.execute("UPDATE meta SET revision = revision + 1")
    print(number, flush=True)
    sys.stdin.readline()
"""


def locks_on(path: Path) -> list[str]:
    """Of this process."""
    there = path.stat()
    place = f"{os.major(there.st_dev):02x}:{os.minor(there.st_dev):02x}:{there.st_ino}"
    lines = Path("/proc/locks").read_text().splitlines()
    return [line for line in lines if f" {os.getpid()} " in line and place in line]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_commit_of_another_process_is_missed(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store:
        upload(store, b"first")
        began = store.revision
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "register.db"), str(COMMITS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            for number in range(1, COMMITS + 1):
                assert int(writer.stdout.readline()) == number
                assert store.revision == began + number
                assert store.revision == began + number
                writer.stdin.write("\n")
                writer.stdin.flush()
        assert writer.returncode == 0
        assert store.engine.connections._log.header() is not None


def test_commits_of_threads_and_of_another_store_are_seen_at_once(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path) as store, EmbeddedStore(tmp_path) as other:

        def write(to: EmbeddedStore) -> None:
            for _ in range(50):
                info = upload(to, b"x")
                assert store.revision >= info.revision
                assert other.revision >= info.revision

        threads = [threading.Thread(target=write, args=(to,)) for to in (store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.revision == other.revision


def test_closing_one_store_leaves_sqlite_the_locks_of_another_on_the_same_directory(tmp_path: Path) -> None:
    index = tmp_path / "register.db-shm"
    with EmbeddedStore(tmp_path) as store:
        upload(store, b"x")
        with EmbeddedStore(tmp_path) as other:
            assert other.revision == store.revision
        del other
        gc.collect()
        assert locks_on(index) != []
        assert store.revision == 1


def test_there_is_one_descriptor_of_a_file_and_none_is_left(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "warm") as store:
        upload(store, b"x")
    before = descriptors()
    with EmbeddedStore(tmp_path / "s") as store, EmbeddedStore(tmp_path / "s") as other:
        assert upload(store, b"x").revision == other.revision
        (file,) = wal_index._files.values()
        assert file.users == 2
    assert wal_index._files == {}
    assert descriptors() == before


def test_a_header_of_another_version_is_not_gone_by(tmp_path: Path) -> None:
    file = tmp_path / "register.db-shm"
    index = WalIndex(tmp_path / "register.db")
    index.open()
    assert index.header() is None  # there is none
    for content in (
        b"",
        b"\x00" * 48,
        (3007001).to_bytes(4, sys.byteorder) + bytes(44),
        wal_index._VERSION + bytes(40),
    ):
        file.write_bytes(content)
        index.open()
        assert index.header() is None
        index.close()
    file.write_bytes(wal_index._VERSION + bytes(44))
    index.open()
    assert index.header() == wal_index._VERSION + bytes(44)
    index.close()
    assert index.header() is None


@pytest.mark.parametrize("cached", [True, False])
def test_a_forked_child_and_its_parent_each_see_what_the_other_commits(tmp_path: Path, cached: bool) -> None:
    with EmbeddedStore(tmp_path) as store:
        upload(store, b"x")
        if cached:
            assert store.revision == store.revision == 1
        child = os.fork()
        if child == 0:
            seen = upload(store, b"of the child").revision
            os._exit(0 if seen == store.revision == 2 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store.revision == 2
        assert locks_on(tmp_path / "register.db-shm") != []
        assert upload(store, b"y").revision == 3 == store.revision
