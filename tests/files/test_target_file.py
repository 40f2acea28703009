"""Where a download goes: what is there already keeps its place, its rights and its kind."""

import asyncio
import ctypes
import errno
import os
import pty
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import tty
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from vault._async.files.transfer import download_file as async_download_file
from vault._async.files.transfer import upload_file as async_upload_file
from vault._runtime.target_file import find_target
from vault._sync.files.transfer import download_file, upload_file
from vault.errors import ConflictError, CorruptionError, InvalidArgumentError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import UploadSpec, new_data_id
from vault_server import AsyncEmbeddedStore, EmbeddedStore

from tests.files.objects import put, some_bytes
from tests.storage.objects import blob_of

DATA = some_bytes(2 * BLOCK_SIZE + 5)


class Watcher:
    """A progress callback that looks when the first byte has not been written, and after every block."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look

    def set_size(self, size: int | None, /) -> None:
        self._look()

    def relative_update(self, inc: int = 1, /) -> None:
        self._look()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    return path


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody finds and may write in."""
    with tempfile.TemporaryDirectory(prefix="vault-targets-") as made:
        Path(made).chmod(0o755)
        path = Path(made) / "folder"
        path.mkdir()
        path.chmod(0o777)
        yield path


@pytest.fixture
def stored(store: EmbeddedStore) -> int:
    return put(store, DATA).data_id


@pytest.fixture(params=["sync", "async"])
def download(request: pytest.FixtureRequest, store: EmbeddedStore, stored: int) -> Callable[..., None]:
    """Downloads the object to a path."""

    def sync(path: str | Path, look: Callable[[], None] | None = None, *, replace: bool = True) -> None:
        download_file(store, "files", stored, path, Watcher(look) if look else None, replace=replace)

    def on_a_loop(path: str | Path, look: Callable[[], None] | None = None, *, replace: bool = True) -> None:
        async def run() -> None:
            watcher = Watcher(look) if look else None
            async with AsyncEmbeddedStore(store.directory) as opened:
                await async_download_file(opened, "files", stored, path, watcher, replace=replace)

        asyncio.run(run())

    return sync if request.param == "sync" else on_a_loop


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# Rights


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o777, 0o700])
def test_a_file_that_is_replaced_keeps_its_mode(download: Callable[..., None], folder: Path, mode: int) -> None:
    target = folder / "file"
    target.write_bytes(b"old")
    target.chmod(mode)
    with umask(0o022):
        download(target)
    assert (mode_of(target), target.read_bytes()) == (mode, DATA)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0])
def test_a_new_file_has_the_mode_that_the_umask_leaves(download: Callable[..., None], folder: Path, mask: int) -> None:
    with umask(mask):
        download(folder / "file")
    assert mode_of(folder / "file") == 0o666 & ~mask


@pytest.mark.parametrize("mode", [None, 0o600, 0o640, 0o444])
def test_a_part_is_never_open_to_more_than_the_file_will_be(
    download: Callable[..., None], folder: Path, mode: int | None
) -> None:
    target = folder / "file"
    if mode is not None:
        target.write_bytes(b"old")
        target.chmod(mode)
    seen: list[tuple[int, int]] = []

    def look() -> None:
        (part,) = (path for path in folder.iterdir() if path != target)
        seen.append((part.stat().st_size, mode_of(part)))

    if mode == 0o444 and os.geteuid() != 0:
        pytest.skip("only root writes into a read-only file")
    with umask(0o027):
        download(target, look)
    assert seen[0][0] == 0, "the first look is before the first byte"
    assert {mode for _, mode in seen} == {0o640 if mode is None else mode}


def test_bits_that_lend_rights_are_not_handed_to_other_bytes(download: Callable[..., None], folder: Path) -> None:
    target = folder / "file"
    target.write_bytes(b"old")
    target.chmod(0o6755)
    download(target)
    assert mode_of(target) == 0o755


def test_rights_that_change_while_it_comes_are_kept_as_they_are_at_the_end(
    download: Callable[..., None], folder: Path
) -> None:
    target = folder / "file"
    target.write_bytes(b"old")
    target.chmod(0o644)
    download(target, lambda: target.chmod(0o600))
    assert mode_of(target) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_and_group_are_kept_where_that_is_permitted(download: Callable[..., None], folder: Path) -> None:
    target = folder / "file"
    target.write_bytes(b"old")
    target.chmod(0o640)
    os.chown(target, 65534, 65533)
    download(target)
    status = target.stat()
    assert (status.st_uid, status.st_gid, mode_of(target)) == (65534, 65533, 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other people's files")
def test_a_group_that_cannot_be_kept_leaves_its_successor_no_more_than_everybody(open_folder: Path) -> None:
    target = open_folder / "file"
    target.write_bytes(b"old")
    os.chown(target, 65534, 12345)
    target.chmod(0o664)

    def replace() -> None:
        with rights_of(65534):
            part = find_target(str(target))
            part.open()
            part.write(b"new")
            part.finish()

    in_a_thread(replace)
    assert target.read_bytes() == b"new"
    assert target.stat().st_gid != 12345
    assert mode_of(target) == 0o644


def test_an_access_control_list_is_kept_and_the_folders_default_is_not_added(
    download: Callable[..., None], folder: Path
) -> None:
    # Version 2; of tag, rights and id: the owner, user 1, the group, the mask, the others.
    acl = bytes.fromhex("0200000001000600ffffffff020004000100000004000000ffffffff10000400ffffffff20000000ffffffff")
    listed, plain = folder / "listed", folder / "plain"
    plain.write_bytes(b"old")
    plain.chmod(0o640)
    listed.write_bytes(b"old")
    try:
        os.setxattr(listed, "system.posix_acl_access", acl)
        os.setxattr(folder, "system.posix_acl_default", acl)
    except OSError as error:
        pytest.skip(f"no access control lists here: {error}")
    download(listed)
    download(plain)
    assert os.getxattr(listed, "system.posix_acl_access") == acl
    assert "system.posix_acl_access" not in os.listxattr(plain)
    assert (mode_of(listed), mode_of(plain)) == (0o640, 0o640)


def in_a_thread(call: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result()


@contextmanager
def rights_of(user: int) -> Iterator[None]:
    """Takes root's rights over files from this thread, where it has them."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    libc.setfsgid(user)
    libc.setfsuid(user)
    try:
        yield
    finally:
        libc.setfsuid(0)
        libc.setfsgid(0)


@pytest.mark.parametrize("where", ["file", "folder"])
def test_what_may_not_be_written_is_left_as_it_is(open_folder: Path, where: str) -> None:
    target = open_folder / "file"
    target.write_bytes(b"old")
    target.chmod(0o444 if where == "file" else 0o666)
    open_folder.chmod(0o777 if where == "file" else 0o555)

    def refused() -> None:
        with rights_of(65534):
            part = find_target(str(target))
            with pytest.raises(PermissionError) as caught:
                part.open()
        assert caught.value.filename == str(target)

    in_a_thread(refused)
    open_folder.chmod(0o755)
    assert (target.read_bytes(), list(open_folder.iterdir())) == (b"old", [target])


# Links


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("links", [1, 2, 5])
def test_links_are_followed_to_what_they_lead_to(
    download: Callable[..., None], folder: Path, *, relative: bool, there: bool, links: int
) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    if there:
        (elsewhere / "file").write_bytes(b"old")
        (elsewhere / "file").chmod(0o600)
    target = folder / "link"
    for number in range(links - 1):
        following = folder / f"link {number}"
        target.symlink_to(following.name if relative else following)
        target = following
    target.symlink_to("elsewhere/file" if relative else elsewhere / "file")
    with umask(0o022):
        download(folder / "link")
    assert (folder / "link").is_symlink()
    assert target.is_symlink()
    assert (elsewhere / "file").read_bytes() == DATA
    assert mode_of(elsewhere / "file") == (0o600 if there else 0o644)
    assert list(elsewhere.iterdir()) == [elsewhere / "file"]


def test_the_folders_of_a_path_may_be_links_and_dots(download: Callable[..., None], folder: Path) -> None:
    (folder / "real" / "below").mkdir(parents=True)
    (folder / "link").symlink_to("real/below")
    download(f"{folder}/link/../file")
    assert (folder / "real" / "file").read_bytes() == DATA


def test_a_circle_of_links_is_an_error_that_says_so(download: Callable[..., None], folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    for path in (folder / "a", folder / "a" / "file"):
        with pytest.raises(OSError, match="symbolic links") as caught:
            download(path)
        assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, str(path))
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


def test_the_part_lies_beside_the_file_that_a_link_leads_to(download: Callable[..., None], folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="vault-targets-") as made:
        other = Path(made)
        if other.stat().st_dev == folder.stat().st_dev:
            pytest.skip("one device holds both")
        (folder / "link").symlink_to(other / "file")
        seen: list[int] = []
        download(folder / "link", lambda: seen.append(len(list(other.iterdir()))))
        assert seen[0] == 1
        assert (other / "file").read_bytes() == DATA
        assert list(folder.iterdir()) == [folder / "link"]


def test_other_names_of_a_file_keep_the_old_bytes(download: Callable[..., None], folder: Path) -> None:
    (folder / "file").write_bytes(b"old")
    (folder / "other").hardlink_to(folder / "file")
    download(folder / "file")
    assert ((folder / "file").read_bytes(), (folder / "other").read_bytes()) == (DATA, b"old")


# What is no file


@pytest.mark.parametrize(
    "path", ["", "/", ".", "..", "folder", "folder/", "link", "new/", "file/", "file/below", "a\0b"]
)
def test_what_can_be_no_file_is_refused_and_nothing_is_made(
    download: Callable[..., None], folder: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("folder")
    (folder / "file").write_bytes(b"old")
    kinds = (InvalidArgumentError,) if "\0" in path else (IsADirectoryError, NotADirectoryError, FileNotFoundError)
    with pytest.raises(kinds):
        download(path)
    assert sorted(each.name for each in folder.rglob("*")) == ["file", "folder", "link"]
    assert (folder / "file").read_bytes() == b"old"


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


# Parts

_KILLED = """
import os, signal, sys
from vault._sync.files.transfer import download_file
from vault_server import EmbeddedStore
from tests.storage.objects import blob_of

class Kill:
    def set_size(self, size): pass
    def relative_update(self, inc=1): os.kill(os.getpid(), signal.SIGKILL)

with EmbeddedStore(sys.argv[1]) as store:
    download_file(store, "files", int(sys.argv[2]), sys.argv[3], Kill())
"""


@pytest.mark.parametrize("mode", [None, 0o600])
def test_the_next_download_removes_what_a_killed_one_left(
    download: Callable[..., None], store: EmbeddedStore, stored: int, folder: Path, mode: int | None
) -> None:
    target = folder / "file"
    if mode is not None:
        target.write_bytes(b"old")
        target.chmod(mode)
    (folder / "link").symlink_to("file")
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", _KILLED, store.directory, str(stored), folder / "link"])
        assert killed.returncode == -signal.SIGKILL
        left = {path.name for path in folder.iterdir()} - {"file", "link"}
        assert len(left) == 1, "the second found the first's"
        assert target.exists() == (mode is not None)
    download(target)
    assert sorted(path.name for path in folder.iterdir()) == ["file", "link"]
    assert target.read_bytes() == DATA


def test_a_download_that_starts_while_another_runs_does_not_touch_it(
    download: Callable[..., None], store: EmbeddedStore, folder: Path
) -> None:
    target = folder / "file"
    other = some_bytes(3 * BLOCK_SIZE)
    data_id = put(store, other).data_id
    seen: list[bytes] = []

    def look() -> None:
        download_file(store, "files", data_id, target, None)
        seen.append(target.read_bytes())

    download(target, look)
    assert seen
    assert all(each == other for each in seen)
    assert target.read_bytes() == DATA
    assert list(folder.iterdir()) == [target]


def test_many_downloads_to_one_path_leave_one_of_them_whole(store: EmbeddedStore, folder: Path) -> None:
    target = folder / "file"
    contents = [some_bytes(BLOCK_SIZE + size) for size in range(24)]
    ids = [put(store, data).data_id for data in contents]
    with ThreadPoolExecutor(len(ids)) as pool:
        for _ in range(3):
            list(pool.map(lambda data_id: download_file(store, "files", data_id, target, None), ids))
            assert target.read_bytes() in contents
            assert list(folder.iterdir()) == [target]


def test_what_lies_beside_the_file_is_not_touched(download: Callable[..., None], folder: Path) -> None:
    target = folder / "file"
    own = [folder / name for name in ("file.vault-part", "file.vault-part-0123456789abcdef", "file.part", ".file")]
    parts: set[str] = set()
    download(target, lambda: parts.update(path.name for path in folder.iterdir()))
    (part,) = parts - {"file"}
    (folder / part).symlink_to(own[0])  # as somebody might who knows the name
    for path in own:
        path.write_bytes(b"own")
    download(target)
    assert [path.read_bytes() for path in own] == [b"own"] * len(own)
    assert (folder / part).is_symlink()
    assert target.read_bytes() == DATA


def test_a_failed_download_leaves_mode_and_bytes_and_no_part(tmp_path: Path, folder: Path) -> None:
    target = folder / "file"
    target.write_bytes(b"old")
    target.chmod(0o600)
    with EmbeddedStore(tmp_path / "damaged") as store:
        stored = put(store, DATA).data_id
        with blob_of(tmp_path / "damaged", stored, "files").open("r+b") as blob:
            blob.seek(BLOCK_SIZE + 1)
            blob.write(b"damage")
        with pytest.raises(CorruptionError):
            download_file(store, "files", stored, target, None)
    assert (target.read_bytes(), mode_of(target), list(folder.iterdir())) == (b"old", 0o600, [target])


@pytest.mark.parametrize("length", [200, 251, 255])
def test_the_longest_names_have_parts_too(download: Callable[..., None], folder: Path, length: int) -> None:
    for name in ("n" * length, "ü" * (length // 2), "𝄞" * (length // 4)):
        download(folder / name)
        assert (folder / name).read_bytes() == DATA
        (folder / name).unlink()
    with pytest.raises(OSError, match="too long"):
        download(folder / ("n" * 256))


# Nothing replaced


@pytest.mark.parametrize("there", ["file", "link", "pipe"])
def test_nothing_is_replaced_nor_followed_where_that_is_not_wanted(
    download: Callable[..., None], folder: Path, there: str
) -> None:
    target = folder / "target"
    if there == "file":
        target.write_bytes(b"old")
    elif there == "link":
        target.symlink_to("nothing")
    else:
        os.mkfifo(target)
    before = target.lstat()
    with pytest.raises(FileExistsError):
        download(target, replace=False)
    assert os.path.samestat(before, target.lstat())
    assert list(folder.iterdir()) == [target]


def test_what_appears_meanwhile_is_not_replaced_either(download: Callable[..., None], folder: Path) -> None:
    target = folder / "target"
    with pytest.raises(FileExistsError) as caught:
        download(target, lambda: target.write_bytes(b"theirs"), replace=False)
    assert caught.value.filename == str(target)
    assert (target.read_bytes(), list(folder.iterdir())) == (b"theirs", [target])
    target.unlink()
    download(target, replace=False)
    assert (target.read_bytes(), list(folder.iterdir())) == (DATA, [target])


# Where the process goes


def test_a_relative_path_is_meant_where_the_download_began(
    download: Callable[..., None], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "there").mkdir()
    monkeypatch.chdir(folder)
    download("file", lambda: os.chdir(folder / "there"))
    assert (folder / "file").read_bytes() == DATA
    assert list((folder / "there").iterdir()) == []


# Uploads


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
