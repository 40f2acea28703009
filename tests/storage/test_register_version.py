"""Registers of other versions: refused, whoever opens them, and left as they are. It is no damage, and not rebuilt."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from vault.errors import StorageError
from vault_server.storage import EmbeddedStore, check_directory
from vault_server.storage.files.revision_note import note_revision, turn_file
from vault_server.storage.index.schema import UNRELEASED_ID

from tests.storage.objects import LARGE, SMALL, UNIT, upload


def make_unreleased(directory: Path, version: int) -> None:
    """What a version before 0.1.0 left: a register of its own kind, a file, and the note of what was acknowledged."""
    (directory / UNIT).mkdir(parents=True)
    (directory / UNIT / "1.2.vault").write_bytes(LARGE)
    with closing(sqlite3.connect(directory / "register.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE meta (store_id TEXT NOT NULL, revision INTEGER NOT NULL)")
        connection.execute("INSERT INTO meta VALUES ('0123456789abcdef0123456789abcdef', 5)")
        connection.execute(f"PRAGMA application_id={UNRELEASED_ID}")
        connection.execute(f"PRAGMA user_version={version}")
    with turn_file(directory / "register.db").open("w+b") as note:
        note_revision(note.fileno(), 5)


def left(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal", "-open"))
    }


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("way", ["open", "check", "repair"])
def test_a_register_of_before_the_first_release_is_refused_and_stays_as_it_is(
    tmp_path: Path, version: int, way: str
) -> None:
    directory = tmp_path / "store"
    make_unreleased(directory, version)
    before = left(directory)
    with pytest.raises(StorageError, match=r"before 0\.1\.0") as raised:
        if way == "open":
            EmbeddedStore(directory)
        else:
            check_directory(directory, deep=True, repair=way == "repair")
    assert raised.value.reason == "REGISTER_TOO_OLD"
    assert left(directory) == before


def test_a_register_whose_version_is_damaged_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "store"
    with EmbeddedStore(directory) as store:
        upload(store, SMALL)
    with closing(sqlite3.connect(directory / "register.db")) as connection:
        connection.execute("PRAGMA user_version=-1")
    with pytest.raises(StorageError) as raised:
        EmbeddedStore(directory)
    assert raised.value.reason == "REGISTER_DAMAGED"
