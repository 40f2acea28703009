"""Transfers under lost connections, changing files, odd files and cancelled tasks."""

import asyncio
import io
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from fsspec.callbacks import Callback, TqdmCallback
from rich.console import Console
from rich.progress import Progress
from vault import ConnectionSettings
from vault._async.files.transfer import download_file as async_download_file
from vault._async.files.transfer import upload_file as async_upload_file
from vault._sync.files.object_reader import open_reader
from vault._sync.files.transfer import download_file, upload_file
from vault._sync.remote.store import RemoteStore
from vault.errors import ConflictError, CorruptionError, InvalidArgumentError
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, SmallUpdate, UpdateSpec, UploadSpec, new_data_id
from vault.store.values import checksum
from vault_server import AsyncEmbeddedStore, EmbeddedStore, Server, StoreOptions

from tests.files.objects import put, some_bytes, staged_files
from tests.storage.objects import blob_of


def begin(store: Store) -> Any:
    return partial(store.upload, "files", UploadSpec(new_data_id()))


class At(Callback):  # type: ignore[misc]  # fsspec has no annotations
    """Does something once, when so many bytes have moved."""

    def __init__(self, position: int, action: Callable[[], None]) -> None:
        super().__init__()
        self._position = position
        self._action: Callable[[], None] | None = action

    def relative_update(self, inc: int = 1) -> None:
        super().relative_update(inc)
        if self.value >= self._position and self._action is not None:
            action, self._action = self._action, None
            action()


def cancel_this_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


class Restartable:
    """A server that can be stopped in the middle of everything, and be there again at the same address."""

    def __init__(self, store: EmbeddedStore, servers: ExitStack, listen: str) -> None:
        self._store = store
        self._servers = servers
        self._server = servers.enter_context(Server(store, listen=listen))
        self.address = self._server.address

    def restart(self) -> None:
        self._server.stop(grace=0)
        self._server = self._servers.enter_context(Server(self._store, listen=self.address))


@pytest.fixture
def server(store: EmbeddedStore, tmp_path: Path) -> Iterator[Restartable]:
    with ExitStack() as servers:
        yield Restartable(store, servers, f"unix:{tmp_path}/socket")


def test_an_upload_outlives_its_connection_and_is_stored_once(
    server: Restartable, store: EmbeddedStore, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.write_bytes(some_bytes(6 * BLOCK_SIZE + 1))
    progress = At(3 * BLOCK_SIZE, server.restart)
    with RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
        info = upload_file(begin(remote), source, progress)
    assert (info.size, progress.value, progress.size) == (source.stat().st_size,) * 3
    assert [found.data_id for found in store.list_page("files").objects] == [info.data_id]
    with open_reader(store, "files", info.data_id) as reader:
        assert reader.read() == source.read_bytes()


def test_a_download_outlives_its_connection(server: Restartable, store: EmbeddedStore, tmp_path: Path) -> None:
    data = some_bytes(40 * BLOCK_SIZE)
    info = put(store, data)
    target = tmp_path / "out"
    progress = At(2 * BLOCK_SIZE, server.restart)
    with RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
        assert download_file(remote, "files", info.data_id, target, progress) == info
    assert target.read_bytes() == data
    assert progress.value == len(data)


@pytest.mark.parametrize("fate", ["replaced", "deleted"])
def test_a_download_goes_on_with_the_old_bytes_when_its_object_changed_while_the_connection_was_away(
    server: Restartable, store: EmbeddedStore, tmp_path: Path, fate: str
) -> None:
    data = some_bytes(40 * BLOCK_SIZE)
    info = put(store, data)

    def change() -> None:
        if fate == "replaced":
            store.update_many("files", [SmallUpdate(UpdateSpec(info.data_id), b"new", checksum(b"new"))])
        else:
            store.delete_many("files", [DeleteSpec(info.data_id)])
        server.restart()

    with RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
        assert download_file(remote, "files", info.data_id, tmp_path / "out", At(2 * BLOCK_SIZE, change)) == info
    assert (tmp_path / "out").read_bytes() == data


@pytest.mark.parametrize("store", [StoreOptions(retention=0)], indirect=True)
def test_a_download_whose_old_bytes_are_gone_when_the_connection_is_back_leaves_nothing(
    server: Restartable, store: EmbeddedStore, tmp_path: Path
) -> None:
    info = put(store, some_bytes(40 * BLOCK_SIZE))

    def replace() -> None:
        store.update_many("files", [SmallUpdate(UpdateSpec(info.data_id), b"new", checksum(b"new"))])
        server.restart()

    folder = tmp_path / "folder"
    folder.mkdir()
    with (
        RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote,
        pytest.raises(ConflictError, match="replaced"),
    ):
        download_file(remote, "files", info.data_id, folder / "out", At(2 * BLOCK_SIZE, replace))
    assert list(folder.iterdir()) == []


def test_a_file_that_is_written_while_it_is_read_is_not_stored(any_store: Store, tmp_path: Path) -> None:
    source = tmp_path / "in"
    data = some_bytes(5 * BLOCK_SIZE)

    def grow() -> None:
        with source.open("ab") as file:
            file.write(b"more")

    for change in (grow, lambda: os.truncate(source, 100)):
        source.write_bytes(data)
        with pytest.raises(ConflictError, match="written while it was read") as caught:
            upload_file(begin(any_store), source, At(2 * BLOCK_SIZE, change))
        assert caught.value.reason == "FILE_CHANGED"
    assert any_store.list_units() == []


def test_a_pipe_is_read_to_its_end(any_store: Store, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = some_bytes(2 * BLOCK_SIZE + 77)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    progress = Callback()
    info = upload_file(begin(any_store), pipe, progress)
    writer.join()
    assert (info.size, info.checksum) == (len(data), checksum(data))
    assert (progress.size, progress.value) == (None, len(data))


def test_files_that_give_no_bytes_or_nothing_yet_are_refused(any_store: Store) -> None:
    with pytest.raises(InvalidArgumentError, match="binary mode"):
        upload_file(begin(any_store), cast(Any, io.StringIO("text")), None)
    with pytest.raises(InvalidArgumentError, match="a path or a binary file object, not int"):
        upload_file(begin(any_store), cast(Any, 5), None)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with io.FileIO(reading) as empty, io.FileIO(writing, "w"), pytest.raises(BlockingIOError):
        upload_file(begin(any_store), cast(Any, empty), None)
    assert any_store.list_units() == []


def test_a_name_of_any_length_can_be_downloaded_to(any_store: Store, tmp_path: Path) -> None:
    info = put(any_store, b"data")
    target = tmp_path / ("ü" * 127)
    download_file(any_store, "files", info.data_id, target, None)
    assert target.read_bytes() == b"data"


def test_bars_of_tqdm_and_rich_follow_a_transfer(any_store: Store, tmp_path: Path) -> None:
    class RichCallback(Callback):  # type: ignore[misc]  # fsspec has no annotations
        def __init__(self, bars: Progress) -> None:
            super().__init__()
            self.bars = bars
            self.task = bars.add_task("transfer", total=None)

        def call(self, *_: object, **__: object) -> None:
            self.bars.update(self.task, total=self.size, completed=self.value)

    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(some_bytes(3 * BLOCK_SIZE))
    shown = io.StringIO()
    tqdm = TqdmCallback(tqdm_kwargs={"file": shown, "mininterval": 0})
    info = upload_file(begin(any_store), source, tqdm)
    tqdm.close()
    assert "100%" in shown.getvalue()
    with Progress(console=Console(file=io.StringIO())) as bars:
        rich = RichCallback(bars)
        download_file(any_store, "files", info.data_id, target, rich)
        assert bars.tasks[0].finished


def test_damage_leaves_no_file_and_no_byte_of_the_damaged_block(tmp_path: Path) -> None:
    data = some_bytes(3 * BLOCK_SIZE)
    with EmbeddedStore(tmp_path / "store") as store:
        info = put(store, data)
        with blob_of(tmp_path / "store", info.data_id, "files").open("r+b") as file:
            file.seek(BLOCK_SIZE)
            file.write(bytes([data[BLOCK_SIZE] ^ 1]))
        target = io.BytesIO()
        with pytest.raises(CorruptionError):
            download_file(store, "files", info.data_id, target, None)
        assert target.getvalue() == data[:BLOCK_SIZE]


async def test_cancelled_transfers_leave_nothing(store: EmbeddedStore, tmp_path: Path) -> None:
    data = some_bytes(20 * BLOCK_SIZE)
    source, folder = tmp_path / "in", tmp_path / "folder"
    source.write_bytes(data)
    folder.mkdir()
    info = put(store, data)
    async with AsyncEmbeddedStore(store) as face:
        for position in (1, 7 * BLOCK_SIZE):
            uploading = partial(face.upload, "others", UploadSpec(new_data_id()))
            upload = asyncio.create_task(async_upload_file(uploading, source, At(position, cancel_this_task)))
            download = asyncio.create_task(
                async_download_file(face, "files", info.data_id, folder / "out", At(position, cancel_this_task))
            )
            await asyncio.wait([upload, download])
            assert upload.cancelled()
            assert download.cancelled()
        assert await face.list_units() == ["files"]
    assert list(folder.iterdir()) == []
    assert staged_files(store) == []


async def test_the_loop_turns_while_files_are_moved_in_flat_memory(store: EmbeddedStore, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    with source.open("wb") as file:
        for number in range(64):
            file.write(bytes([number]) * BLOCK_SIZE)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with AsyncEmbeddedStore(store) as face:
        turning = asyncio.create_task(turn())
        tracemalloc.start()
        try:
            uploading = partial(face.upload, "files", UploadSpec(new_data_id()))
            info = await async_upload_file(uploading, source, None)
            await async_download_file(face, "files", info.data_id, target, None)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            turning.cancel()
    assert peak < 16 * BLOCK_SIZE
    assert turns > 100
    assert target.read_bytes() == source.read_bytes()
