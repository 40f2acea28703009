"""A copy is a hard link where there can be one, and bytes where not; what is left over of either is nothing."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from vault.errors import AlreadyExistsError, CorruptionError, NotFoundError, StorageFullError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import CopySpec, PutSpec, SmallPut
from vault.store.usage import UnitLimits
from vault.store.values import ObjectInfo, checksum
from vault_server import MemoryStore
from vault_server.storage import AsyncEmbeddedStore, EmbeddedStore, StoreOptions

from tests.storage.objects import LARGE, SMALL, UNIT, blob_of, delete, read, staged_files, succeeded, update, upload

NO_LINK = [errno.EMLINK, errno.EXDEV, errno.EPERM, errno.ENOTSUP]


def copy(store: EmbeddedStore, key: int | str, name: str | None = None, *, to_unit: str = "copies") -> ObjectInfo:
    (outcome,) = store.copy_many(UNIT, [CopySpec(key, name)], to_unit=to_unit)
    return succeeded(outcome)


def assert_sound(store: EmbeddedStore) -> None:
    assert staged_files(store.directory) == []
    assert store.check(deep=True).problems == []


def no_link(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The system refuses hard links from here on."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.parametrize("store", [StoreOptions(retention=0), StoreOptions()], indirect=True)
def test_a_copy_of_a_file_is_one_more_name_of_it(store: EmbeddedStore) -> None:
    info = upload(store, LARGE)
    blob = blob_of(store.directory, info.data_id, UNIT)
    before = os.statvfs(store.directory).f_bfree
    made = [copy(store, info.data_id), copy(store, info.data_id, to_unit=UNIT)]
    assert blob.stat().st_nlink == 3
    for each in made:
        other = blob_of(store.directory, each.data_id, each.unit)
        assert (other.stat().st_ino, other.name) == (blob.stat().st_ino, other.name)
        assert other != blob
        assert read(store, each.data_id, unit=each.unit) == LARGE
    assert_sound(store)
    delete(store, info.data_id)
    update(store, made[1].data_id, SMALL)
    assert read(store, made[0].data_id, unit="copies") == LARGE
    assert_sound(store)
    assert before - os.statvfs(store.directory).f_bfree < 10_000  # blocks: of a shared disk, and nothing like its bytes


@pytest.mark.parametrize("number", NO_LINK, ids=[errno.errorcode[number] for number in NO_LINK])
def test_where_there_can_be_no_link_bytes_are_copied(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    info = upload(store, LARGE, tags={"k": "v"})
    no_link(monkeypatch, number)
    made = copy(store, info.data_id)
    blob = blob_of(store.directory, made.data_id, "copies")
    assert blob.stat().st_nlink == 1
    assert blob.stat().st_mode & 0o777 == 0o600
    assert (made.checksum, dict(made.tags)) == (info.checksum, {"k": "v"})
    delete(store, info.data_id)
    assert read(store, made.data_id, unit="copies") == LARGE
    assert_sound(store)


def test_damaged_bytes_are_not_copied_for_sound_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        info = upload(store, LARGE)
        with blob_of(store.directory, info.data_id, UNIT).open("r+b") as file:
            file.seek(BLOCK_SIZE + 7)
            file.write(bytes([LARGE[BLOCK_SIZE + 7] ^ 1]))
        no_link(monkeypatch, errno.EXDEV)
        (outcome,) = store.copy_many(UNIT, [CopySpec(info.data_id)])
        assert isinstance(outcome, CorruptionError)
        assert outcome.context["block"] == 1
        assert staged_files(store.directory) == []


def test_a_source_whose_file_is_gone_is_damaged_and_does_not_wait_for_ever(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        info = upload(store, LARGE)
        blob_of(store.directory, info.data_id, UNIT).unlink()
        (outcome,) = store.copy_many(UNIT, [CopySpec(info.data_id)])
        assert isinstance(outcome, CorruptionError)


@pytest.mark.parametrize("number", [None, errno.EMLINK], ids=["link", "bytes"])
def test_a_copy_that_is_refused_at_the_commit_leaves_nothing(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    info = upload(store, LARGE)
    upload(store, SMALL, name="taken")
    if number is not None:
        no_link(monkeypatch, number)
    (outcome,) = store.copy_many(UNIT, [CopySpec(info.data_id, "taken")])
    assert isinstance(outcome, AlreadyExistsError)
    assert_sound(store)
    assert blob_of(store.directory, info.data_id, UNIT).stat().st_nlink == 1


def test_what_was_staged_goes_with_the_store_that_was_emptied_under_it(store: EmbeddedStore) -> None:
    info = upload(store, LARGE)
    copy(store, info.data_id)
    for folder in (store.directory / ".staging").iterdir():
        for path in sorted(folder.rglob("*"), reverse=True):
            path.unlink()
        folder.rmdir()
    made = copy(store, info.data_id)
    assert read(store, made.data_id, unit="copies") == LARGE
    assert_sound(store)


def test_a_copy_takes_room_in_the_unit_that_it_goes_to(store: EmbeddedStore) -> None:
    info = upload(store, LARGE)
    store.set_unit_limits("copies", UnitLimits(max_bytes=2 * len(LARGE)))
    first, second = copy(store, info.data_id), copy(store, info.data_id)
    (outcome,) = store.copy_many(UNIT, [CopySpec(info.data_id)], to_unit="copies")
    assert isinstance(outcome, StorageFullError)
    assert outcome.reason == "QUOTA"
    assert_sound(store)
    store.set_unit_limits("copies", UnitLimits(max_objects=2, when_full="evict"))
    third = copy(store, info.data_id)
    assert store.exists_many("copies", [first.data_id]) == [0]
    for each in (second, third):
        assert read(store, each.data_id, unit="copies") == LARGE
    assert store.unit_info("copies").bytes == 2 * len(LARGE)
    assert_sound(store)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("store", [StoreOptions(retention=0), StoreOptions()], indirect=True)
def test_a_copy_for_which_its_source_is_evicted_is_whole(store: EmbeddedStore, data: bytes) -> None:
    with MemoryStore(store.options) as in_memory:
        for each in (store, in_memory):
            upload(each, data, name="source")
            each.set_unit_limits(UNIT, UnitLimits(max_objects=1, when_full="evict"))
            copies = [CopySpec("source", "first"), CopySpec("source", "second")]
            first, second = map(succeeded, each.copy_many(UNIT, copies))
            assert each.exists_many(UNIT, ["source", first.data_id, second.data_id]) == [0, 0, second.generation]
            assert read(each, "second") == data
    assert_sound(store)


def test_what_has_expired_by_the_commit_is_not_copied(store: EmbeddedStore) -> None:
    (source,) = store.put_many(UNIT, [SmallPut(PutSpec("source", expires_in=1e-6), SMALL, checksum(SMALL))])
    assert isinstance(source, ObjectInfo)
    (outcome,) = store.copy_many(UNIT, [CopySpec("source", "copy")], to_unit="copies")
    assert isinstance(outcome, NotFoundError)
    assert store.exists_many("copies", ["copy"]) == [0]


async def test_an_async_store_copies_large_and_small(store: EmbeddedStore) -> None:
    large, small = upload(store, LARGE), upload(store, SMALL)
    async with AsyncEmbeddedStore(store) as face:
        outcomes = await face.copy_many(UNIT, [CopySpec(large.data_id, "l"), CopySpec(small.data_id, "s")])
    assert [succeeded(outcome).checksum for outcome in outcomes] == [large.checksum, small.checksum]
    assert blob_of(store.directory, large.data_id, UNIT).stat().st_nlink == 2
    assert (read(store, "l"), read(store, "s")) == (LARGE, SMALL)
