"""What a location may be, and what is said of one that is none."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from vault.errors import InvalidArgumentError, StorageError
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore, StoreOptions, opener
from vault_server.storage.index.schema import SCHEMA_VERSION

from tests.storage.objects import LARGE, SMALL, blob_files, delete, read, upload


def test_a_directory_is_made_with_its_parents_and_keeps_its_identity(directory: Path) -> None:
    nested = directory / "a" / "b"
    with EmbeddedStore(nested) as store:
        identity = store.capabilities().store_id
        upload(store, SMALL, data_id=1)
    with EmbeddedStore(str(nested)) as store:
        assert store.capabilities().store_id == identity
        assert read(store, 1) == SMALL
        assert store.check(deep=True).ok
    with EmbeddedStore(directory / "c") as other:
        assert other.capabilities().store_id != identity


def test_a_relative_location_stays_where_it_was(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir()
    monkeypatch.chdir(directory)
    with EmbeddedStore("here") as store:
        monkeypatch.chdir("/")
        upload(store, LARGE, data_id=1)
        assert read(store, 1) == LARGE
    assert blob_files(directory / "here") == ["1.1.vault"]


@pytest.mark.parametrize("location", ["file", "file/below"])
def test_a_file_is_no_directory(tmp_path: Path, location: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidArgumentError, match="is a file") as raised:
        EmbeddedStore(tmp_path / location)
    assert raised.value.reason == "BAD_LOCATION"


@pytest.mark.parametrize("location", ["", "a\0b", b"bytes", 7, None])
def test_what_is_no_path_is_refused(location: object) -> None:
    with pytest.raises(InvalidArgumentError, match="bad location"):
        EmbeddedStore(location)  # type: ignore[arg-type]


@pytest.mark.parametrize("location", ["/proc/self/store", "/proc/self"])
def test_where_nothing_can_be_written_is_a_storage_error(location: str) -> None:
    with pytest.raises(StorageError, match="could not"):
        EmbeddedStore(location)


def test_a_register_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "register.db").write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(StorageError, match="not a database") as raised:
        EmbeddedStore(tmp_path)
    assert raised.value.reason == "REGISTER_DAMAGED"


def test_a_register_that_is_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "register.db").mkdir()
    with pytest.raises(StorageError, match="unable to open"):
        EmbeddedStore(tmp_path)


@pytest.mark.parametrize("pragma", ["user_version=7", "application_id=7", "user_version=0"])
def test_somebody_elses_database_is_left_alone(tmp_path: Path, pragma: str) -> None:
    with closing(sqlite3.connect(tmp_path / "register.db")) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.execute(f"PRAGMA {pragma}")
    before = (tmp_path / "register.db").read_bytes()
    with pytest.raises(StorageError, match="somebody else's") as raised:
        EmbeddedStore(tmp_path)
    assert raised.value.reason == "NOT_A_REGISTER"
    assert (tmp_path / "register.db").read_bytes() == before


def test_a_later_versions_register_is_refused(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "register.db")) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    with pytest.raises(StorageError, match=f"schema version {SCHEMA_VERSION + 1}, made by a later Vault") as raised:
        EmbeddedStore(tmp_path)
    assert raised.value.reason == "REGISTER_TOO_NEW"


def test_a_register_that_was_only_begun_is_made(directory: Path) -> None:
    directory.mkdir()
    (directory / "register.db").write_bytes(b"")
    with EmbeddedStore(directory) as store:
        assert upload(store, SMALL).revision == store.revision == 1


@pytest.mark.parametrize("durability", ["none", "", None, "FULL"])
def test_a_durability_that_is_none_is_refused(tmp_path: Path, durability: str) -> None:
    with pytest.raises(InvalidArgumentError, match="'full' or 'relaxed'"):
        EmbeddedStore(tmp_path, StoreOptions(durability=durability))  # type: ignore[arg-type]


def test_relaxed_keeps_what_it_took(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(durability="relaxed")) as store:
        upload(store, LARGE, data_id=1)
    with EmbeddedStore(directory) as store:
        assert read(store, 1) == LARGE


def test_what_a_power_loss_takes_from_a_relaxed_store_is_not_told_as_damage(directory: Path, tmp_path: Path) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1)
    before = tmp_path / "before"
    shutil.copytree(directory, before)
    with EmbeddedStore(directory, StoreOptions(durability="relaxed")) as relaxed, EmbeddedStore(directory) as store:
        upload(relaxed, LARGE, data_id=2)  # on no disk yet
        assert delete(store, 3) == 0  # and this writes nothing, so it brings nothing there
        # The machine goes down with the register's pages in its memory; this file's were written.
        shutil.copy(directory / "register.db-turn", before)
    with EmbeddedStore(before) as store:
        assert store.revision == 1
        assert store.check(deep=True).problems == []


def test_a_store_that_nobody_closed_gives_everything_back(directory: Path) -> None:
    store = EmbeddedStore(directory)
    upload(store, LARGE)
    engine = store.engine
    del store
    assert engine.closed
    with pytest.raises(FileNotFoundError):
        (directory / "register.db-wal").stat()


async def test_the_entry_point_opens_both_faces(directory: Path) -> None:
    with opener.open(str(directory), StoreOptions(durability="relaxed")) as store:
        assert isinstance(store, EmbeddedStore)
    async with opener.open_async(str(directory)) as async_store:
        assert isinstance(async_store, AsyncEmbeddedStore)
    for call in (opener.open, opener.open_async):
        with pytest.raises(InvalidArgumentError, match="a directory takes StoreOptions, not dict"):
            call(str(directory), {"retention": 0})  # type: ignore[arg-type]
