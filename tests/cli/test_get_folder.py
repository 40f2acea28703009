"""get of several objects: files of their names below a folder, never outside of it, whatever the names are."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vault.cli.folder import Target
from vault.errors import InvalidArgumentError
from vault.store.specs import SmallUpload, UploadSpec, new_data_id
from vault.store.values import checksum
from vault_server import EmbeddedStore

from tests.cli.folders import files_of, make
from tests.cli.program import UNIT, Inside
from tests.faults.filesystems import mounted, why_not

FILES = {"a": b"1", "b/c": b"22", "b/.hidden": b"", "b/d/two words ä": b"333", "bc": b"4"}


def fill(inside: Inside, files: dict[str, bytes], **tags: str) -> None:
    """Stores these, in one go."""
    assert inside.directory is not None
    with EmbeddedStore(inside.directory) as store:
        store.upload_many(
            UNIT, [SmallUpload(UploadSpec(new_data_id(), name, tags), d, checksum(d)) for name, d in files.items()]
        )


def test_objects_become_files_of_their_names_below_the_level(inside: Inside, tmp_path: Path) -> None:
    fill(inside, FILES)
    for words, wanted in {
        ("--all",): FILES,
        ("--prefix", ""): FILES,
        ("--prefix", "b/"): {"c": b"22", ".hidden": b"", "d/two words ä": b"333"},
        ("--prefix", "b"): {name: data for name, data in FILES.items() if name != "a"},
        ("--prefix", "b/d/two"): {"two words ä": b"333"},
        ("--recursive", "b"): {"c": b"22", ".hidden": b"", "d/two words ä": b"333"},
        ("--recursive", "b/d/"): {"two words ä": b"333"},
        ("--prefix", "nothing"): {},
    }.items():
        folder = tmp_path / "-".join(words).replace("/", "_")
        lines = inside.text("get", *words, folder, "-u", UNIT).splitlines()
        assert files_of(folder) == wanted
        assert len(lines) == len(wanted)


def test_tags_and_age_choose_what_is_fetched(inside: Inside, tmp_path: Path) -> None:
    fill(inside, {"a": b"1", "x/b": b"2"}, k="v")
    fill(inside, {"c": b"3"})
    inside.out("get", "-t", "k=v", tmp_path / "tagged", "-u", UNIT)
    assert files_of(tmp_path / "tagged") == {"a": b"1", "x/b": b"2"}
    inside.out("get", "-t", "k=v", "-p", "x/", tmp_path / "both", "-u", UNIT)
    assert files_of(tmp_path / "both") == {"b": b"2"}
    inside.out("get", "--older-than", "1h", tmp_path / "old", "-u", UNIT)
    assert files_of(tmp_path / "old") == {}
    inside.out("get", "--older-than", "0s", tmp_path / "now", "-u", UNIT)
    assert len(files_of(tmp_path / "now")) == 3


def test_what_is_there_and_equal_is_left_alone_and_what_differs_is_replaced(inside: Inside, tmp_path: Path) -> None:
    large = os.urandom((1 << 20) + 5)
    fill(inside, FILES)
    inside.put("large", large)
    folder = tmp_path / "out"
    inside.out("get", "--all", folder, "-u", UNIT)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert inside.out("get", "--all", folder, "-u", UNIT) == b""
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    (folder / "large").write_bytes(large[::-1])
    (folder / "a").write_bytes(b"!")
    (folder / "a").chmod(0o600)
    done = inside.run("get", "--all", folder, "-u", UNIT, "--dry-run")
    assert done.stderr == b"2 objects (1.0 MiB) would be written; 4 equal\n"
    assert (folder / "a").read_bytes() == b"!"
    assert len(inside.documents("get", "--all", folder, "-u", UNIT)) == 2
    assert files_of(folder) == {**FILES, "large": large}
    assert (folder / "a").stat().st_mode & 0o777 == 0o600
    assert len(inside.documents("get", "--all", folder, "-u", UNIT, "--no-skip")) == len(FILES) + 1


BAD = ["../up", "/absolute", "a/../../up", "..", ".", "b//c", "b/./c", "end/", "n" * 256, "ü" * 128 + "/x", "/", "a//"]


def test_names_that_lead_elsewhere_are_said_and_the_others_written(inside: Inside, tmp_path: Path) -> None:
    fill(inside, {**FILES, **dict.fromkeys(BAD, b"theirs")})
    inside.put(None, b"nameless")
    folder = tmp_path / "in" / "side"
    done = inside.run("get", "--all", folder, "-u", UNIT)
    said = done.stderr.decode().splitlines()
    assert (done.returncode, len(said)) == (2, len(BAD) + 1)
    for name in BAD:
        assert any(repr(name) in line for line in said), name
    assert files_of(tmp_path / "in") == {f"side/{name}": data for name, data in FILES.items()}
    assert not Path("/absolute").exists()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.sampled_from("ab./\0\n~ü"), max_size=12))
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in" / "side"
    try:
        Target(str(folder), make=True).write(name, lambda file: file.write(b"x"))
    except (InvalidArgumentError, OSError):
        pass
    else:
        assert (folder / name).read_bytes() == b"x"
    assert set(tmp_path.iterdir()) == {tmp_path / "in"}
    assert set((tmp_path / "in").iterdir()) == {folder}


def test_a_name_that_is_a_file_and_a_folder_is_one_of_them_and_the_other_is_said(
    inside: Inside, tmp_path: Path
) -> None:
    fill(inside, {"a": b"1", "a/b": b"2", "c": b"3"})
    folder = tmp_path / "out"
    for _ in range(2):
        done = inside.run("get", "-p", "", folder, "-u", UNIT)
        assert done.returncode == 1
        assert f"{folder}/a is there and is not a folder" in done.stderr.decode()
        assert files_of(folder) == {"a": b"1", "c": b"3"}
    other = make(tmp_path / "other", {"c/d": b"mine"})
    done = inside.run("get", "-p", "", other, "-u", UNIT)
    assert f"{other}/c: it is there and is not a file" in done.stderr.decode()
    assert files_of(other) == {"a": b"1", "c/d": b"mine"}


def test_links_below_the_folder_are_not_followed_and_devices_not_written_to(inside: Inside, tmp_path: Path) -> None:
    fill(inside, {"folder/file": b"theirs", "link": b"theirs", "pipe": b"theirs", "z": b"1", "dangling": b"theirs"})
    outside = make(tmp_path / "outside", {"file": b"mine"})
    folder = make(tmp_path / "out", {})
    (folder / "folder").symlink_to(outside)
    (folder / "link").symlink_to(outside / "file")
    (folder / "dangling").symlink_to(outside / "new")
    os.mkfifo(folder / "pipe")
    (tmp_path / "way").symlink_to(folder)
    done = inside.run("get", "--all", tmp_path / "way", "-u", UNIT)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 4)
    assert f"{folder}/link: it is a link, which is not followed" in done.stderr.decode()
    assert f"{folder}/folder/file: {folder}/folder is a link" in done.stderr.decode()
    assert files_of(outside) == {"file": b"mine"}
    assert files_of(folder) == {"z": b"1"}
    assert (folder / "link").is_symlink()
    assert (folder / "pipe").is_fifo()


@pytest.mark.skipif(bool(why_not("tmpfs")), reason="nothing can be mounted here")
def test_names_that_the_file_system_takes_for_one_do_not_overwrite_each_other(inside: Inside, tmp_path: Path) -> None:
    fill(inside, {"D/x": b"large", "d/x": b"small"})
    folder = make(tmp_path / "out", {"d/y": b"", "D/y": b""})
    subprocess.run(["mount", "--bind", folder / "d", folder / "D"], check=True)  # as where case does not count
    try:
        done = inside.run("get", "-p", "", folder, "-u", UNIT)
        assert done.returncode == 1
        assert "d/x: another object's file has this name" in done.stderr.decode()
        assert (folder / "d" / "x").read_bytes() == b"large"
    finally:
        subprocess.run(["umount", folder / "D"], check=True)


def test_files_with_several_names_are_no_collision(inside: Inside, tmp_path: Path) -> None:
    fill(inside, {"a": b"1", "b": b"1", "c": b"3"})
    folder = make(tmp_path / "out", {"a": b"1"})
    (folder / "b").hardlink_to(folder / "a")
    (folder / "c").hardlink_to(folder / "a")
    inside.out("get", "--all", folder, "-u", UNIT)
    assert files_of(folder) == {"a": b"1", "b": b"1", "c": b"3"}


@pytest.mark.skipif(bool(why_not("tmpfs")), reason="nothing can be mounted here")
def test_a_full_disk_names_what_did_not_fit_and_leaves_no_part(inside: Inside, tmp_path: Path) -> None:
    fill(inside, {"a": b"1", "b": bytes(1 << 20), "c": b"3"})
    inside.put("large", bytes(5 << 20))
    with mounted(tmp_path / "small", "tmpfs", 1) as small:
        (small.path / "ballast").write_bytes(bytes(600 << 10))
        done = inside.run("get", "--all", small.path, "-u", UNIT)
        assert done.returncode == 1
        said = sorted(line.split(": ")[1:] for line in done.stderr.decode().splitlines())
        assert said == [[f"{small.path}/{name}", "No space left on device"] for name in ("b", "large")]
        assert set(files_of(small.path)) == {"a", "c", "ballast"}


def test_what_contradicts_itself_is_refused(inside: Inside, tmp_path: Path) -> None:
    fill(inside, FILES)
    out = tmp_path / "out"
    for words in (
        ("a", out, "--prefix", "b"),
        ("a", out, "--all"),
        ("-r", out),
        ("-r", "id:5", out),
        ("-r", "a", out, "--all"),
        ("--all", "-"),
        ("--all", ""),
        ("a", out, "--dry-run"),
        ("a", out, "--json"),
        ("a", out, "--no-skip"),
        (out,),
        ("a", "b", out),
        ("--older-than", "5", out),
        ("--older-than", "99999999w", out),
        ("--tag", "k", out),
    ):
        inside.assert_fails(2, "get", *words, "-u", UNIT)
    assert not out.exists()
    assert str(out) in inside.assert_fails(1, "get", "--all", make(out, {"f": b""}) / "f", "-u", UNIT)
