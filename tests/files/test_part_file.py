"""Downloads beside the file that they replace: the parts, what killed ones leave, and several at once."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from vault._sync.files.transfer import download_file
from vault.errors import CorruptionError
from vault.store.limits import BLOCK_SIZE
from vault_server import EmbeddedStore

from tests.files.objects import DATA, mode_of, put, some_bytes, umask
from tests.storage.objects import blob_of


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
