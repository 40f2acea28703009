"""Directories that pyvault wrote open as they are."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from vault.errors import StorageError
from vault.store.limits import MAX_DATA_ID
from vault.store.values import checksum
from vault_server.storage import EmbeddedStore, StoreOptions

from tests.storage.objects import LARGE, SMALL, blob_files, delete, read, reader_of, run, stat, update, upload

OPENING = """
import json, sys
from vault_server.storage import EmbeddedStore
with EmbeddedStore(sys.argv[1]) as store:
    print(json.dumps([store.capabilities().store_id, store.revision]))
"""


def pyvault_directory(path: Path) -> dict[tuple[str, int], bytes]:
    """What `upload` of pyvault-client 0.1.1 writes: `<unit>/<id>.vault`, an object's dump and nothing else."""
    objects = {
        ("Document", 1): SMALL,
        ("Document", MAX_DATA_ID): LARGE,
        ("folders", 120934876): json.dumps({"name": "ü"}).encode(),
        ("folders", 2): b"",
    }
    for (unit, data_id), data in objects.items():
        (path / unit).mkdir(parents=True, exist_ok=True)
        (path / unit / f"{data_id}.vault").write_bytes(data)
    return objects


def test_every_object_loads_and_no_file_is_touched(directory: Path) -> None:
    objects = pyvault_directory(directory)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in directory.rglob("*.vault")}
    with EmbeddedStore(directory) as store:
        assert store.list_units() == ["Document", "folders"]
        for (unit, data_id), data in objects.items():
            assert read(store, data_id, unit=unit) == data
            info = stat(store, data_id, unit=unit)
            assert (info.size, info.checksum, info.datatype, info.name) == (len(data), checksum(data), "", None)
            assert info.created_at.timestamp() == pytest.approx(
                (directory / unit / f"{data_id}.vault").stat().st_mtime, abs=0.001
            )
        with reader_of(store, 1, unit="Document") as reader:
            assert bytes(reader.map() or b"") == SMALL
        assert store.revision == len(objects)
        assert store.changes(store.revision) == (len(objects), [])
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in directory.rglob("*.vault")} == before


def test_adopted_objects_are_objects_like_any_other(directory: Path) -> None:
    pyvault_directory(directory)
    with EmbeddedStore(directory, StoreOptions(retention=0)) as store:
        changed = update(store, MAX_DATA_ID, LARGE[1:], unit="Document")
        delete(store, 2, unit="folders")
        upload(store, LARGE, unit="folders", data_id=2)
        assert read(store, MAX_DATA_ID, unit="Document") == LARGE[1:]
        assert read(store, 2, unit="folders") == LARGE
    assert blob_files(directory, "Document") == ["1.vault", f"{MAX_DATA_ID}.{changed.generation}.vault"]
    with EmbeddedStore(directory) as store:
        assert len(store.list_page("folders").objects) == 2


def test_other_files_are_left_alone_and_named_in_the_log(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    others = [
        "unit/readme.txt",
        "unit/007.vault",
        "unit/0.vault",
        "unit/-5.vault",
        "unit/+5.vault",
        f"unit/{MAX_DATA_ID + 1}.vault",
        "unit/٣.vault",
        "unit/5.vault.bak",
        "not a unit/5.vault",
        "loose.vault",
        ".hidden/5.vault",
    ]
    for other in others:
        (directory / other).parent.mkdir(parents=True, exist_ok=True)
        (directory / other).write_bytes(b"somebody's")
    (directory / "unit" / "6.vault").mkdir()
    (directory / "unit" / "5.vault").write_bytes(SMALL)
    with caplog.at_level(logging.WARNING), EmbeddedStore(directory) as store:
        assert [info.data_id for info in store.list_page("unit").objects] == [5]
    assert "007.vault" in caplog.text
    assert "not a unit" in caplog.text
    assert all((directory / other).read_bytes() == b"somebody's" for other in others)


def test_only_a_directory_without_a_register_is_adopted(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, unit="unit", data_id=1)
    stranger = directory / "unit" / "2.vault"
    stranger.write_bytes(SMALL)
    with EmbeddedStore(directory) as store:
        assert store.exists_many("unit", [1, 2]) == [1, 0]
        (problem,) = store.check().problems
        assert problem.data_id == 2
    stranger.unlink()


def test_an_adoption_that_fails_is_begun_again(directory: Path) -> None:
    objects = pyvault_directory(directory)
    # It can be opened and not be read: an I/O error in the middle of the adoption.
    unreadable = directory / "Document" / "3.vault"
    unreadable.symlink_to("/proc/self/mem")
    with pytest.raises(StorageError, match=r"could not adopt .*3\.vault"):
        EmbeddedStore(directory)
    unreadable.unlink()
    with EmbeddedStore(directory) as store:
        assert store.revision == len(objects)


def test_processes_that_open_at_the_same_time_adopt_once(directory: Path) -> None:
    objects = pyvault_directory(directory)
    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(lambda _: run(OPENING, directory), range(4)))
    (answer,) = answers
    assert json.loads(answer)[1] == len(objects)
