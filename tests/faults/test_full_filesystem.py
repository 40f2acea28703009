"""A full file system under a server: StorageFullError, nothing lost, and deleting makes room again."""

import contextlib
import errno
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vault import ConnectionSettings, RemoteStore
from vault.errors import StorageFullError
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import CopySpec, DeleteSpec
from vault.store.values import ObjectInfo, checksum
from vault_server import EmbeddedStore, StoreOptions

from tests.faults.filesystems import KINDS, Mounted, mounted, why_not
from tests.server.process import Served
from tests.storage.objects import UNIT, read, small, staged_files, update, upload
from tests.waiting import assert_soon

MEBIBYTES = 24


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mounted]:
    if why_not(request.param):
        pytest.skip(why_not(request.param))
    with mounted(tmp_path / "disk", request.param, MEBIBYTES) as file_system:
        yield file_system


@contextlib.contextmanager
def served(directory: Path) -> Iterator[RemoteStore]:
    server = Served(directory, "--listen", "127.0.0.1:0")
    try:
        with RemoteStore(server.address, ConnectionSettings(timeout=60)) as remote:
            yield remote
        assert server.terminate()[0] == 0
    finally:
        server.process.kill()
        server.process.wait()


def bytes_of(data_id: int, size: int) -> bytes:
    return random.Random(data_id).randbytes(size)


def fill(store: Store, size: int, first: int, stored: dict[int, int]) -> None:
    """Uploads objects of one size until no more fits."""
    data_id = first
    while True:
        try:
            upload(store, bytes_of(data_id, size), data_id=data_id)
        except StorageFullError:
            return
        stored[data_id] = size
        data_id += 1


def assert_whole(store: Store, stored: dict[int, int]) -> None:
    found = {info.data_id: info.size for info in store.list_page(UNIT, page_size=1000).objects}
    assert found == stored
    for data_id, size in stored.items():
        assert read(store, data_id) == bytes_of(data_id, size)


def test_a_full_disk_refuses_keeps_and_goes_on_after_deletes(disk: Mounted) -> None:
    directory = disk.path / "store"
    stored: dict[int, int] = {}
    with served(directory) as remote:
        # In staging while blocks come, at the end of an upload, and in the register's commit.
        for first, size in ((1, 2 * BLOCK_SIZE + 1), (1000, 300_000), (2000, 70_000), (3000, 30_000), (4000, 100)):
            fill(remote, size, first, stored)
        assert len(stored) > 5
        assert_whole(remote, stored)
        with pytest.raises(StorageFullError) as raised:
            update(remote, 1, bytes_of(9, 3 * BLOCK_SIZE))
        assert raised.value.reason == "STORAGE_FULL"
        outcomes = remote.upload_many(UNIT, [small(bytes_of(n, 60_000), data_id=n) for n in range(5000, 5020)])
        stored |= {outcome.data_id: 60_000 for outcome in outcomes if isinstance(outcome, ObjectInfo)}
        assert any(isinstance(outcome, StorageFullError) for outcome in outcomes)
    # Ended, and begun again, with no room at all.
    with served(directory) as remote:
        assert_whole(remote, stored)
        deleted = sorted(stored)[:4]
        assert all(isinstance(outcome, int) for outcome in remote.delete_many(UNIT, [DeleteSpec(n) for n in deleted]))
        for data_id in deleted:
            del stored[data_id]
        deadline = time.monotonic() + 30
        while 7000 not in stored:
            with contextlib.suppress(StorageFullError):
                upload(remote, bytes_of(7000, 3 * BLOCK_SIZE), data_id=7000)
                stored[7000] = 3 * BLOCK_SIZE
            assert time.monotonic() < deadline, "deleting made no room"
        upload(remote, bytes_of(7001, 100), data_id=7001)
        stored[7001] = 100
        assert_whole(remote, stored)
    with EmbeddedStore(directory) as store:
        assert store.check(deep=True).ok
        assert_whole(store, stored)
    assert staged_files(directory) == []


def test_one_object_after_the_other_can_be_deleted_on_a_full_disk(disk: Mounted) -> None:
    stored: dict[int, int] = {}
    with EmbeddedStore(disk.path / "store") as store:
        for first, size in ((1, 500_000), (1000, 70_000), (2000, 1000), (3000, 10)):
            fill(store, size, first, stored)
        for data_id in sorted(stored):
            assert isinstance(store.delete_many(UNIT, [DeleteSpec(data_id)])[0], int)
        assert store.check(deep=True).ok
        assert store.list_units() == []
        data = bytes_of(1, 4 * BLOCK_SIZE)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(StorageFullError):
                assert upload(store, data, data_id=1).checksum == checksum(data)
                break
            assert time.monotonic() < deadline, "deleting made no room"
        assert store.check(deep=True).ok


@pytest.mark.parametrize("linked", [True, False], ids=["by link", "by bytes"])
def test_copies_on_a_full_disk_are_made_or_refused(
    disk: Mounted, linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))

    stored: dict[int, int] = {}
    with EmbeddedStore(disk.path / "store", StoreOptions(retention=0)) as store:
        for first, size in ((1, 2 * BLOCK_SIZE + 1), (1000, 70_000), (2000, 1000)):
            fill(store, size, first, stored)
        if not linked:
            monkeypatch.setattr(os, "link", refuse)
        specs = [CopySpec(1, data_id=number) for number in range(5000, 5040)]
        outcomes = store.copy_many(UNIT, specs)
        made = [outcome.data_id for outcome in outcomes if isinstance(outcome, ObjectInfo)]
        assert all(isinstance(outcome, ObjectInfo | StorageFullError) for outcome in outcomes)
        assert linked or not made, "there is no room for so many bytes"
        for data_id in made:
            assert read(store, data_id) == bytes_of(1, 2 * BLOCK_SIZE + 1)
        # Links that were made for copies which were refused then go with a transaction of their own.
        assert_soon(lambda: staged_files(store.directory) == [])
        store.delete_many(UNIT, [DeleteSpec(data_id) for data_id in made])
        assert_whole(store, stored)
        assert store.check(deep=True).ok


def test_deletes_need_no_reserve_where_there_is_room(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        upload(store, b"x", data_id=1)
        (tmp_path / "store" / "register.db-reserve").unlink()
        assert store.delete_many(UNIT, [DeleteSpec(1)]) == [2]
        assert store.check(deep=True).ok
