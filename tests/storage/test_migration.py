"""Registers of older versions: migrated when they are opened, in one transaction, and nothing of them is lost."""

import json
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from vault.errors import StorageError
from vault.store.contract import BlockReader
from vault.store.values import ChangeKind, checksum
from vault_server.storage import EmbeddedStore
from vault_server.storage.index.objects import pack_checksums, signed
from vault_server.storage.index.schema import APPLICATION_ID, SCHEMA_VERSION

from tests.storage.objects import LARGE, SMALL, UNIT, blob_files, blocks_of, read, run, start, stat, update

MOMENT = 1_700_000_000_000_000


def make_version_1(directory: Path) -> None:
    """What version 1 left: two objects, one replaced (its first file not removed yet), one deleted, and their feed."""
    (directory / UNIT).mkdir(parents=True)
    for name in ("1.2.vault", "1.vault", "4.vault"):
        (directory / UNIT / name).write_bytes(LARGE)
    script = (Path(__file__).parent / "register_v1.sql").read_text()
    with closing(sqlite3.connect(directory / "register.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(script)
        connection.execute("INSERT INTO meta VALUES ('0123456789abcdef0123456789abcdef', 5, 0)")
        for number, data_id, generation, data, file in (
            (1, 1, 2, LARGE, f"{UNIT}/1.2.vault"),
            (2, 2, 3, SMALL, None),
        ):
            tags = '{"k":"v"}' if file is None else None
            connection.execute(
                "INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, 'tag', ?, ?, ?, ?)",
                (
                    number,
                    UNIT,
                    data_id,
                    generation,
                    generation,
                    len(data),
                    signed(checksum(data)),
                    f"name{data_id}",
                    tags,
                    MOMENT,
                    MOMENT + generation,
                ),
            )
            packed = pack_checksums(block.checksum for block in blocks_of(data))
            inlined = data if file is None else None
            connection.execute("INSERT INTO contents VALUES (?, ?, ?, ?)", (number, file, inlined, packed))
        connection.execute("INSERT INTO tags VALUES (?, 'k', 'v', 2)", (UNIT,))
        connection.executemany("INSERT INTO trash VALUES (?, ?)", [(f"{UNIT}/1.vault", 2), (f"{UNIT}/4.vault", 5)])
        for revision, data_id, kind, generation, data in (
            (1, 1, 1, 1, LARGE),
            (2, 1, 2, 2, LARGE),
            (3, 2, 1, 3, SMALL),
            (4, 4, 1, 4, LARGE),
            (5, 4, 4, 4, LARGE),
        ):
            tags = '{"k":"v"}' if data is SMALL else None
            answer = json.dumps([len(data), checksum(data), "tag", tags, MOMENT, MOMENT + generation])
            name = f"name{data_id}"
            connection.execute(
                "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (revision, UNIT, data_id, kind, generation, name, bytes([revision] * 16), answer),
            )
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("PRAGMA user_version=1")


def version(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "register.db")) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def assert_whole(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        assert store.capabilities().store_id == "0123456789abcdef0123456789abcdef"
        assert (read(store, 1), read(store, "name2")) == (LARGE, SMALL)
        info = stat(store, 2)
        assert (info.generation, info.tags, info.datatype) == (3, {"k": "v"}, "tag")
        assert [found.data_id for found in store.list_page(UNIT, tags={"k": "v"}).objects] == [2]
        revision, changes = store.changes(0)
        assert revision == 5
        assert [(change.revision, change.kind) for change in changes] == [
            (1, ChangeKind.UPLOADED),
            (2, ChangeKind.UPDATED),
            (3, ChangeKind.UPLOADED),
            (4, ChangeKind.UPLOADED),
            (5, ChangeKind.DELETED),
        ]
        update(store, 1, LARGE[1:])
        reader = store.load(UNIT, 1, generation=2)
        assert isinstance(reader, BlockReader), "the new tables are at work"
        reader.close()
        update(store, 1, LARGE)
        assert store.check(deep=True).ok
    assert blob_files(directory) == ["1.2.vault", "1.6.vault", "1.7.vault"], "and what was trash is removed"
    assert version(directory) == SCHEMA_VERSION


def test_a_version_1_register_is_migrated_and_keeps_everything(directory: Path) -> None:
    make_version_1(directory)
    assert version(directory) == 1
    assert_whole(directory)


OPENING = """
import sys
from vault_server.storage import EmbeddedStore
sys.stdin.readline()
with EmbeddedStore(sys.argv[1]) as store:
    print(store.revision)
"""


def test_several_processes_may_open_an_older_register_at_once(directory: Path) -> None:
    make_version_1(directory)
    processes = [start(OPENING, directory) for _ in range(4)]
    with ThreadPoolExecutor(len(processes)) as pool:
        outputs = list(pool.map(lambda process: process.communicate("\n", timeout=100)[0], processes))
    assert outputs == ["5\n"] * len(processes)
    assert_whole(directory)


KILLED = """
import os, signal, sys
from vault_server.storage.index import schema
from vault_server.storage import EmbeddedStore
def die(connection):
    connection.execute("CREATE TABLE half (x)")
    os.kill(os.getpid(), signal.SIGKILL)
schema._STEPS = (*schema._STEPS, die)
EmbeddedStore(sys.argv[1])
"""


def test_a_kill_in_the_middle_leaves_the_older_version_whole(directory: Path) -> None:
    make_version_1(directory)
    with start(KILLED, directory) as process:
        pass
    assert process.returncode == -signal.SIGKILL
    assert version(directory) == 1
    with closing(sqlite3.connect(directory / "register.db")) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert "half" not in tables
    assert "retired" not in tables
    assert_whole(directory)


FAILING = """
import sqlite3, sys
from vault_server.storage.index import schema
from vault_server.storage import EmbeddedStore
def fail(connection):
    connection.execute("CREATE TABLE objects (x)")
schema._STEPS = (*schema._STEPS, fail)
try:
    EmbeddedStore(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_migration_that_fails_says_so_and_leaves_the_older_version_whole(directory: Path) -> None:
    make_version_1(directory)
    assert run(FAILING, directory).startswith("StorageError")
    assert version(directory) == 1
    assert_whole(directory)


def test_a_new_register_has_the_tables_of_a_migrated_one(tmp_path: Path) -> None:
    make_version_1(tmp_path / "old")
    shapes = []
    for name in ("old", "new"):
        with EmbeddedStore(tmp_path / name):
            pass
        with closing(sqlite3.connect(tmp_path / name / "register.db")) as connection:
            shapes.append(connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall())
    assert shapes[0] == shapes[1]


def test_an_older_register_that_is_damaged_is_refused(tmp_path: Path) -> None:
    make_version_1(tmp_path / "store")
    with closing(sqlite3.connect(tmp_path / "store" / "register.db")) as connection:
        connection.execute("PRAGMA user_version=-1")
    with pytest.raises(StorageError, match="somebody else's"):
        EmbeddedStore(tmp_path / "store")
