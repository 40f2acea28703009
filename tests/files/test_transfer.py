"""Whole files in and out."""

import asyncio
import io
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from fsspec.callbacks import Callback
from vault import ConnectionSettings
from vault._async.files.transfer import download_file as async_download_file
from vault._async.files.transfer import upload_file as async_upload_file
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.files.transfer import download_file, upload_file
from vault.errors import ConflictError, CorruptionError, NotFoundError
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.progress import ProgressCallback
from vault.store.specs import UploadSpec, new_data_id
from vault.store.values import ObjectInfo
from vault_server import AsyncEmbeddedStore, EmbeddedStore, Server

from tests.files.objects import DATA, SIZES, Watcher, put, some_bytes
from tests.storage.objects import blob_of


def upload(store: Store, source: Path | io.BytesIO, progress: ProgressCallback | None = None) -> ObjectInfo:
    return upload_file(partial(store.upload, "files", UploadSpec(new_data_id())), source, progress)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_back_as_it_was(any_store: Store, tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(some_bytes(size))
    progress = Callback()
    info = upload(any_store, source, progress)
    assert (progress.size, progress.value) == (size, size)
    progress = Callback()
    assert download_file(any_store, "files", info.data_id, target, progress) == info
    assert (progress.size, progress.value) == (size, size)
    assert target.read_bytes() == source.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["in", "out"]


def test_file_objects_are_read_and_written_where_they_stand(any_store: Store) -> None:
    source = io.BytesIO(some_bytes(2 * BLOCK_SIZE + 9))
    source.seek(9)
    info = upload(any_store, source)
    target = io.BytesIO()
    download_file(any_store, "files", info.data_id, target, None)
    assert target.getvalue() == source.getvalue()[9:]


def test_a_failed_download_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "out" / "file"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with EmbeddedStore(tmp_path / "store") as store:
        info = put(store, some_bytes(3 * BLOCK_SIZE))
        blob = blob_of(tmp_path / "store", info.data_id, "files")
        with blob.open("r+b") as file:
            file.truncate(2 * BLOCK_SIZE + 5)
        with pytest.raises(CorruptionError):
            download_file(store, "files", info.data_id, target, None)
        with pytest.raises(NotFoundError):
            download_file(store, "files", "nothing", target, None)
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_paths_that_cannot_be_read_or_written_are_said_as_python_says_them(any_store: Store, tmp_path: Path) -> None:
    info = put(any_store, b"data")
    with pytest.raises(FileNotFoundError):
        upload(any_store, tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        upload(any_store, tmp_path)
    with pytest.raises(IsADirectoryError):
        download_file(any_store, "files", info.data_id, tmp_path, None)
    with pytest.raises(FileNotFoundError):
        download_file(any_store, "files", info.data_id, tmp_path / "no" / "folder", None)


async def test_async_transfers_do_the_same(store: EmbeddedStore, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(some_bytes(3 * BLOCK_SIZE + 5))
    with Server(store) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            begin = partial(remote.upload, "files", UploadSpec(new_data_id()))
            info = await async_upload_file(begin, source, None)
            assert await async_download_file(remote, "files", info.data_id, target, None) == info
    assert target.read_bytes() == source.read_bytes()


def test_an_upload_of_a_relative_path_reads_what_was_meant_where_it_began(
    store: EmbeddedStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "there").mkdir()
    (folder / "file").write_bytes(DATA)
    monkeypatch.chdir(folder)
    spec = UploadSpec(new_data_id())
    info = upload_file(partial(store.upload, "files", spec), "file", Watcher(lambda: os.chdir(folder / "there")))
    assert info.size == len(DATA)


def test_an_upload_follows_links_and_reads_pipes_to_their_end(store: EmbeddedStore, folder: Path) -> None:
    (folder / "file").write_bytes(DATA)
    (folder / "link").symlink_to("file")
    os.mkfifo(folder / "pipe")
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit((folder / "pipe").write_bytes, DATA)
        for name in ("link", "pipe"):
            info = upload_file(partial(store.upload, "files", UploadSpec(new_data_id())), folder / name, None)
            download_file(store, "files", info.data_id, folder / "copy", None)
            assert (folder / "copy").read_bytes() == DATA
        written.result()


def test_an_upload_from_a_pipe_waits_for_a_writer_and_takes_an_empty_one(store: EmbeddedStore, folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        stored = pool.submit(upload_file, partial(store.upload, "files", UploadSpec(new_data_id())), pipe, None)
        with pipe.open("wb"):  # which waits for the reader
            assert not stored.done()
        assert stored.result().size == 0


async def test_an_upload_from_a_pipe_that_nobody_writes_can_be_cancelled(store: EmbeddedStore, folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    async with AsyncEmbeddedStore(store.directory) as opened:
        begin = partial(opened.upload, "files", UploadSpec(new_data_id()))
        running = asyncio.create_task(async_upload_file(begin, pipe, None))
        done, _ = await asyncio.wait([running], timeout=0.3)
        assert not done
        running.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait([running])
        assert running.cancelled()


@pytest.mark.parametrize("change", ["longer", "shorter", "other"])
def test_a_file_that_changes_while_it_is_read_is_not_stored(store: EmbeddedStore, folder: Path, change: str) -> None:
    file = folder / "file"
    file.write_bytes(DATA)

    def act() -> None:
        with file.open("r+b") as opened:
            if change == "shorter":
                opened.truncate(5)
            else:
                opened.seek(0, os.SEEK_END if change == "longer" else os.SEEK_SET)
                opened.write(b"changed")

    spec = UploadSpec(new_data_id())
    # One that grows faster than it is read would never end.
    with pytest.raises(ConflictError, match="was written while it was read") as caught:
        upload_file(partial(store.upload, "files", spec), file, Watcher(act))
    assert caught.value.reason == "FILE_CHANGED"
    assert store.exists_many("files", [spec.data_id]) == [0]


def test_a_file_that_is_replaced_while_it_is_read_is_stored_as_it_was(store: EmbeddedStore, folder: Path) -> None:
    file, other = folder / "file", folder / "other"
    file.write_bytes(DATA)

    def act() -> None:
        other.write_bytes(b"other")
        other.replace(file)

    info = upload_file(partial(store.upload, "files", UploadSpec(new_data_id())), file, Watcher(act))
    assert info.size == len(DATA)
