"""Downloads into what is no file: pipes, terminals, devices and open descriptors take the bytes and stay."""

import asyncio
import os
import pty
import socket
import stat
import threading
import tty
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from vault._async.files.transfer import download_file as async_download_file
from vault_server import AsyncEmbeddedStore, EmbeddedStore

from tests.files.objects import DATA


def test_a_pipe_is_written_into(download: Callable[..., None], folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        download(pipe)
        assert read.result() == DATA
    assert list(folder.iterdir()) == [pipe]
    assert pipe.is_fifo()


def test_a_terminal_is_written_into(download: Callable[..., None], folder: Path) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    (folder / "link").symlink_to(os.ttyname(theirs))
    got = bytearray()

    def read() -> None:
        with suppress(OSError):
            while len(got) < len(DATA):
                got.extend(os.read(ours, 65536))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        download(folder / "link")
        reader.join(60)
        assert bytes(got) == DATA
        assert stat.S_ISCHR(Path(os.ttyname(theirs)).stat().st_mode)
    finally:
        os.close(theirs)
        os.close(ours)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_stays_one(download: Callable[..., None], folder: Path) -> None:
    null = folder / "null"
    os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    try:
        os.close(os.open(null, os.O_WRONLY))
    except PermissionError:
        pytest.skip("no devices in this file system")
    download(null)
    assert stat.S_ISCHR(null.lstat().st_mode)
    assert list(folder.iterdir()) == [null]


@pytest.mark.parametrize("where", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_an_open_file_is_written_where_it_stands(download: Callable[..., None], folder: Path, where: str) -> None:
    file = folder / "file"
    file.write_bytes(b"before ")
    with file.open("ab") as opened:
        path = where.format(opened.fileno())
        if where == "link":
            (folder / "link").symlink_to(f"/dev/fd/{opened.fileno()}")
            path = str(folder / "link")
        inode = file.stat().st_ino
        download(path)
        opened.write(b" after")
    assert (file.read_bytes(), file.stat().st_ino) == (b"before " + DATA + b" after", inode)


def test_an_open_pipe_is_written_into(download: Callable[..., None]) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, ThreadPoolExecutor(1) as pool:
        read = pool.submit(source.read)
        download(f"/dev/fd/{writing}")
        os.close(writing)
        assert read.result() == DATA


def test_errors_of_writing_name_the_path_that_was_asked_for(download: Callable[..., None], folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        closed = pool.submit(lambda: os.close(os.open(pipe, os.O_RDONLY)))
        with pytest.raises(BrokenPipeError) as caught:
            download(pipe)
        assert caught.value.filename == str(pipe)
        closed.result()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    with listener, pytest.raises(OSError, match="socket") as refused:
        download(folder / "socket")
    assert refused.value.filename == str(folder / "socket")


def test_a_descriptor_that_is_not_open_is_an_error(download: Callable[..., None]) -> None:
    with pytest.raises(OSError, match="9999"):
        download("/dev/fd/9999")


@pytest.mark.parametrize("reader", ["none", "stalled"])
async def test_a_download_into_a_pipe_that_nobody_reads_can_be_cancelled(
    store: EmbeddedStore, stored: int, folder: Path, reader: str
) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK) if reader == "stalled" else None
    async with AsyncEmbeddedStore(store.directory) as opened:
        running = asyncio.create_task(async_download_file(opened, "files", stored, pipe, None))
        done, _ = await asyncio.wait([running], timeout=0.3)
        assert not done
        running.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait([running])
        assert running.cancelled()
    if held is not None:
        os.close(held)
