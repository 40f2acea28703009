"""What may happen to the directory of an open store, and the calls that must be refused then."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from vault.errors import StorageError, VaultError
from vault.store.specs import DeleteSpec, LoadItem, MetadataSpec, SmallUpdate, UpdateSpec, UploadSpec
from vault.store.values import Block, checksum
from vault_server.storage import EmbeddedStore

from tests.storage.objects import LARGE, SMALL, UNIT, read, small, update, upload

Change = Callable[[Path], None]


def aside(root: Path) -> Path:
    return root.with_name("moved")


def moved(root: Path) -> None:
    root.rename(aside(root))


def another_store(root: Path) -> None:
    moved(root)
    with EmbeddedStore(root) as other:
        upload(other, SMALL, data_id=1)
        upload(other, LARGE, data_id=2)
        update(other, 2, LARGE[1:])


def empty_folder(root: Path) -> None:
    moved(root)
    root.mkdir()


def a_file(root: Path) -> None:
    moved(root)
    root.write_text("no directory")


def copied(root: Path) -> None:
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    moved(root)
    copy.rename(root)


def linked_copy(root: Path) -> None:
    copy = root.with_name("copy")
    shutil.copytree(root, copy, copy_function=os.link)
    moved(root)
    copy.rename(root)


def removed(root: Path) -> None:
    shutil.rmtree(root)


def removed_for_another(root: Path) -> None:
    shutil.rmtree(root)
    with EmbeddedStore(root) as other:
        upload(other, SMALL, data_id=1)


def register_restored(root: Path) -> None:
    shutil.copy2(root / "register.db", root / "restored")
    (root / "register.db").rename(root / "kept")
    (root / "restored").rename(root / "register.db")


def register_overwritten(root: Path) -> None:
    times = root.stat()
    shutil.copy2(root / "register.db", root / "restored")
    (root / "restored").replace(root / "register.db")
    os.utime(root, ns=(times.st_atime_ns, times.st_mtime_ns))  # as rsync and cp -a leave it


def register_removed(root: Path) -> None:
    (root / "register.db").unlink()


def log_removed(root: Path) -> None:
    (root / "register.db-wal").unlink()


def log_replaced(root: Path) -> None:
    shutil.copy2(root / "register.db-wal", root / "restored")
    (root / "restored").replace(root / "register.db-wal")


def shared_memory_removed(root: Path) -> None:
    (root / "register.db-shm").unlink()


def link_repointed(root: Path) -> None:
    target = root.resolve()
    with EmbeddedStore(target.with_name("elsewhere")) as other:
        upload(other, SMALL, data_id=1)
    root.unlink()
    root.symlink_to(target.with_name("elsewhere"))


CHANGES: tuple[Change, ...] = (
    moved,
    another_store,
    empty_folder,
    a_file,
    copied,
    linked_copy,
    removed,
    removed_for_another,
    register_restored,
    register_overwritten,
    register_removed,
    log_removed,
    log_replaced,
    shared_memory_removed,
    link_repointed,
)
SAME_REGISTER = (linked_copy, log_removed, log_replaced, shared_memory_removed)


def begun(store: EmbeddedStore) -> None:
    upload(store, SMALL, data_id=1, name="small")
    upload(store, LARGE, data_id=2, name="large")
    update(store, 2, LARGE[::-1])


def content_of(root: Path) -> dict[str, bytes | None]:
    """Every file below, and folders. SQLite's shared memory, which readers write to, but for its being there."""
    if not root.is_dir():
        return {}
    found: dict[str, bytes | None] = {}
    for path in sorted(root.rglob("*")):
        plain = path.is_file() and not path.name.endswith("-shm")
        found[str(path.relative_to(root))] = path.read_bytes() if plain else None
    return found


def whole(data: bytes) -> tuple[bytes, int]:
    return data, checksum(data)


WRITES: dict[str, Callable[[EmbeddedStore], object]] = {
    "a small upload": lambda store: upload(store, SMALL),
    "a large upload": lambda store: upload(store, LARGE),
    "a resumable upload": lambda store: _resumable(store),
    "an update": lambda store: update(store, 2, LARGE),
    "a change of metadata": lambda store: store.set_metadata(UNIT, MetadataSpec(1, name="other")),
    "a batch of uploads": lambda store: store.upload_many(UNIT, [small(), small(LARGE[:200_000])]),
    "a batch of updates": lambda store: store.update_many(UNIT, [SmallUpdate(UpdateSpec(1), *whole(b"new"))]),
    "a batch of deletions": lambda store: store.delete_many(UNIT, [DeleteSpec(1), DeleteSpec(2)]),
    "a repair": lambda store: store.check(repair=True),
}
READS: dict[str, Callable[[EmbeddedStore], object]] = {
    "the revision": lambda store: store.revision,
    "exists": lambda store: store.exists_many(UNIT, [1]),
    "stat": lambda store: store.stat_many(UNIT, [2]),
    "listing": lambda store: store.list_page(UNIT),
    "the units": lambda store: store.list_units(),
    "a load": lambda store: read(store, 2),
    "a batch of loads": lambda store: store.load_many(UNIT, [LoadItem(1)]),
    "the changes": lambda store: store.changes(0),
    "a watch": lambda store: next(iter(store.watch(since=0))),
    "an audit": lambda store: store.check(deep=True),
    "the scrub's state": lambda store: store.scrub_status(),
}


def _resumable(store: EmbeddedStore) -> None:
    with store.upload(UNIT, UploadSpec(77), resumable=True) as writer:
        for offset in range(0, len(LARGE), 1 << 20):
            data = LARGE[offset : offset + (1 << 20)]
            writer.write(Block(offset, data, checksum(data)))
        writer.commit(len(LARGE))


def assert_refused(store: EmbeddedStore, call: Callable[[EmbeddedStore], object]) -> None:
    with pytest.raises(StorageError) as raised:
        result = call(store)
        if isinstance(result, list) and result and isinstance(result[0], VaultError):
            raise result[0]
    assert raised.value.reason == "DIRECTORY_CHANGED", raised.value
    assert str(store.directory) in str(raised.value)


def until_reads_notice(store: EmbeddedStore) -> None:
    deadline = time.monotonic() + 20
    with suppress(StorageError):
        while time.monotonic() < deadline:
            store.exists_many(UNIT, [1])
        raise AssertionError("reads go on")
