"""Where a download goes: what is there already keeps its place, its rights and its kind."""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vault._runtime.target_file import find_target
from vault.errors import InvalidArgumentError

from tests.files.objects import DATA, mode_of, umask
from tests.rights import in_a_thread, rights_of


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody finds and may write in."""
    with tempfile.TemporaryDirectory(prefix="vault-targets-") as made:
        Path(made).chmod(0o755)
        path = Path(made) / "folder"
        path.mkdir()
        path.chmod(0o777)
        yield path


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
