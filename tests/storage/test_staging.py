"""Somebody empties `.staging`, or parts of it: what was being uploaded, and what is uploaded next, is stored."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from vault import ConnectionSettings, RemoteStore
from vault.errors import VaultError
from vault.store.contract import BlockWriter
from vault.store.specs import UploadSpec
from vault.store.values import Block, ObjectInfo, checksum
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.files.staging import leftovers

from tests.server.process import Served
from tests.storage.objects import (
    LARGE,
    UNIT,
    blob_files,
    blob_of,
    delete,
    read,
    small,
    start,
    succeeded,
    update,
    upload,
)

Cleaning = Callable[[Path], None]
FILE = LARGE[:200_000]
"""In a file of its own, and in one block."""


def all_of_it(root: Path) -> None:
    shutil.rmtree(root / ".staging")


def what_is_in_it(root: Path) -> None:
    for path in (root / ".staging").iterdir():
        shutil.rmtree(path)


def every_file(root: Path) -> None:
    for path in (root / ".staging").rglob("*"):
        if path.is_file():
            path.unlink()


def empty_folders(root: Path) -> None:
    for folder, _, _ in os.walk(root / ".staging", topdown=False):
        try:
            Path(folder).rmdir()
        except OSError:
            continue


def the_folder_of_writes(root: Path) -> None:
    shutil.rmtree(root / ".staging" / "writes", ignore_errors=True)


CLEANINGS = (all_of_it, what_is_in_it, every_file, empty_folders, the_folder_of_writes)


def begin(store: EmbeddedStore, data_id: int, *, resumable: bool) -> BlockWriter:
    writer = store.upload(UNIT, UploadSpec(data_id), resumable=resumable)
    writer.write(block_of(0))
    return writer


def block_of(index: int) -> Block:
    data = LARGE[index << 20 : (index + 1) << 20]
    return Block(index << 20, data, checksum(data))


def end(writer: BlockWriter) -> ObjectInfo:
    writer.write(block_of(1))
    writer.write(block_of(2))
    return writer.commit(len(LARGE), checksum(LARGE))


@pytest.mark.parametrize("cleaning", CLEANINGS)
@pytest.mark.parametrize("resumable", [False, True])
def test_uploads_that_were_under_way_and_those_after_them_are_stored(
    directory: Path, cleaning: Cleaning, resumable: bool
) -> None:
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=1)
        writers = [begin(store, number, resumable=resumable) for number in (2, 3)]
        cleaning(directory)
        succeeded(store.upload_many(UNIT, [small(FILE, data_id=4)])[0])
        end(writers[0])
        upload(store, LARGE, data_id=5)
        cleaning(directory)
        end(writers[1])
        update(store, 1, LARGE)
        for number in (1, 2, 3, 5):
            assert read(store, number) == LARGE
        assert read(store, 4) == FILE
    assert leftovers_in(directory) == []


@pytest.mark.parametrize("cleaning", [all_of_it, every_file])
def test_a_commit_that_is_killed_after_a_cleaning_leaves_nothing(directory: Path, cleaning: Cleaning) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
from tests.storage.objects import LARGE, upload
from tests.storage.test_staging import {cleaning.__name__}
from vault_server.storage import EmbeddedStore, failpoints
store = EmbeddedStore(sys.argv[1])
upload(store, LARGE, data_id=1)
{cleaning.__name__}(Path(sys.argv[1]))
def die(point):
    if point == "before COMMIT":
        os.kill(os.getpid(), signal.SIGKILL)
failpoints.switch_on(die)
upload(store, LARGE, data_id=2)
"""
    with start(script, directory) as process:
        assert process.wait(60) == -9
    assert blob_files(directory) == ["1.1.vault", "2.2.vault"]
    with EmbeddedStore(directory) as store:
        upload(store, LARGE, data_id=3)
        while store.engine.writer._sweeper.wanted:
            time.sleep(0.01)
        assert read(store, 1) == LARGE
    assert leftovers_in(directory) == []
    assert blob_files(directory) == ["1.1.vault", "3.2.vault"]


def leftovers_in(directory: Path) -> list[Path]:
    for leftover in leftovers(directory):
        leftover.release()
        return [leftover.folder]
    return [path for path in (directory / ".staging").rglob("*") if path.is_file()]


def test_another_opener_takes_no_folder_for_a_leftover_that_was_made_anew(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        writer = begin(store, 1, resumable=False)
        all_of_it(directory)
        second = begin(store, 2, resumable=False)
        EmbeddedStore(directory).close()
        end(second)
        end(writer)
        assert read(store, 1) == read(store, 2) == LARGE


def test_suspended_writes_that_were_removed_begin_anew(directory: Path) -> None:
    with EmbeddedStore(directory) as store:
        spec = UploadSpec(1)
        writer = store.upload(UNIT, spec, resumable=True)
        writer.write(block_of(0))
        writer.suspend()
        all_of_it(directory)
        with pytest.raises(VaultError) as raised:
            store.write_status(UNIT, spec.request_id)
        assert raised.value.reason == "WRITE_NOT_FOUND"
        again = store.upload(UNIT, spec, resumable=True)
        assert again.persisted_size == 0
        again.write(block_of(0))
        end(again)
        assert read(store, 1) == LARGE


def test_a_units_folder_and_that_of_what_was_put_aside_are_made_anew(directory: Path) -> None:
    with EmbeddedStore(directory, StoreOptions(retention=0)) as store:
        for number in (1, 2):
            upload(store, LARGE, data_id=number)
            shutil.copyfile(blob_of(directory, number), directory / UNIT / f"99{number}.vault")
            assert len(store.check(repair=True).repairs) == 1
            shutil.rmtree(directory / ".lost")
            delete(store, number)
            while blob_files(directory):
                time.sleep(0.01)
            (directory / UNIT).rmdir()


@pytest.mark.parametrize("cleaning", [all_of_it, empty_folders])
def test_a_server_goes_on_too(directory: Path, cleaning: Cleaning) -> None:
    server = Served(directory, "--listen", "127.0.0.1:0")
    try:
        with RemoteStore(server.address, ConnectionSettings(timeout=30)) as remote:
            upload(remote, LARGE, data_id=1)
            upload(remote, FILE, data_id=2)
            for number in (3, 4):
                writer = remote.upload(UNIT, UploadSpec(number), resumable=number == 4)
                writer.write(block_of(0))
                cleaning(directory)
                end(writer)
                upload(remote, LARGE, data_id=10 + number)
                assert read(remote, number) == read(remote, 10 + number) == LARGE
        assert server.terminate()[0] == 0
    finally:
        server.process.kill()
        server.process.wait()
