"""Whole files in and out."""

import io
from functools import partial
from pathlib import Path

import pytest
from fsspec.callbacks import Callback
from vault import ConnectionSettings
from vault._async.files.transfer import download_file as async_download_file
from vault._async.files.transfer import upload_file as async_upload_file
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.files.transfer import download_file, upload_file
from vault.errors import CorruptionError, NotFoundError
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.progress import ProgressCallback
from vault.store.values import ObjectInfo, UploadSpec, new_data_id
from vault_server import EmbeddedStore, Server

from tests.files.objects import SIZES, put, some_bytes
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
