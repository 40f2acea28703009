"""A file system that turns read-only: writes are refused, reads go on, and nothing is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest
from vault.errors import StorageError, VaultError
from vault.store.specs import DeleteSpec, MetadataSpec
from vault_server import EmbeddedStore

from tests.faults.filesystems import mounted, why_not
from tests.storage.objects import LARGE, SMALL, UNIT, blob_files, read, small, update, upload


def told(outcome: list[object]) -> object:
    """Raises the error of the only item of a batch."""
    (found,) = outcome
    if isinstance(found, VaultError):
        raise found
    return found


WRITES: dict[str, Callable[[EmbeddedStore], object]] = {
    "upload a large object": lambda store: upload(store, LARGE, data_id=3),
    "upload a small object": lambda store: upload(store, SMALL, data_id=4),
    "update": lambda store: update(store, 1, SMALL),
    "delete": lambda store: told([*store.delete_many(UNIT, [DeleteSpec(2)])]),
    "rename": lambda store: store.set_metadata(UNIT, MetadataSpec(1, "other")),
    "upload a batch": lambda store: told([*store.upload_many(UNIT, [small(data_id=5)])]),
}


@pytest.mark.skipif(bool(why_not("ext4")), reason=why_not("ext4"))
def test_a_file_system_that_fails_under_a_store_refuses_writes_and_goes_on_reading(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "ext4", 32) as disk:
        directory = disk.path / "store"
        with EmbeddedStore(directory) as store:
            upload(store, LARGE, data_id=1)
            upload(store, SMALL, data_id=2)
            disk.abort()
            for what, write in WRITES.items():
                with pytest.raises(StorageError, match=r"Read-only file system|readonly|I/O error"):
                    pytest.fail(f"{what}: not refused, {write(store)}")
            assert read(store, 1) == LARGE
            assert read(store, 2) == SMALL
        disk.unmount()
        disk.mount()
        with EmbeddedStore(directory) as store:
            assert read(store, 1) == LARGE
            assert read(store, 2) == SMALL
            for write in WRITES.values():
                write(store)
            assert store.check(deep=True).ok
            assert store.exists_many(UNIT, [1, 2, 3, 4, 5]).count(0) == 1


@pytest.mark.skipif(bool(why_not("tmpfs")), reason=why_not("tmpfs"))
def test_a_store_on_a_read_only_file_system_is_not_opened(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "tmpfs", 16) as disk:
        directory = disk.path / "store"
        with EmbeddedStore(directory) as store:
            upload(store, LARGE, data_id=1)
        disk.remount("ro")
        for place in (directory, disk.path / "another"):
            with pytest.raises(StorageError, match=r"ead-?only"):
                EmbeddedStore(place).close()
        disk.remount("rw")
        with EmbeddedStore(directory) as store:
            assert read(store, 1) == LARGE
            upload(store, LARGE, data_id=2)
            assert store.check(deep=True).ok
        assert blob_files(directory) == ["1.1.vault", "2.2.vault"]
