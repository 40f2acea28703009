"""put --recursive: the files of a folder become objects, again and again, whatever lies in it."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from vault import Vault
from vault.store.limits import BLOCK_SIZE

from tests.cli.folders import files_of, make
from tests.cli.program import COMMAND, UNIT, Inside, Program
from tests.faults.filesystems import mounted, why_not

FILES = {"a": b"1", "b/c": b"22", "b/.hidden": b"", "b/d/two words ä": b"333", ".first": b"4", "5": b"5"}


def contents(program: Program, unit: str = UNIT) -> dict[str, bytes]:
    """The objects of a unit, by their names."""
    assert program.location is not None
    with Vault(program.location) as vault:
        return {info.name or "": vault.read(unit, info.data_id) for info in vault.list(unit)}


def test_a_folder_becomes_objects_named_by_the_paths_below_it(inside: Inside, tmp_path: Path) -> None:
    folder = make(tmp_path / "in", FILES)
    lines = inside.text("put", "-r", folder, "-u", UNIT).splitlines()
    assert sorted(line.split("\t")[2] for line in lines) == sorted(FILES)
    assert contents(inside) == FILES
    assert inside.text("put", "--recursive", f"{folder}//", "-u", "other", "-p", "x/").count("\n") == len(FILES)
    assert contents(inside, "other") == {f"x/{name}": data for name, data in FILES.items()}


def test_a_folder_that_is_given_as_a_file_is_refused_with_the_option_that_takes_it(
    inside: Inside, tmp_path: Path
) -> None:
    folder = make(tmp_path / "in", FILES)
    assert "Is a directory; --recursive stores" in inside.assert_fails(1, "put", folder, "-u", UNIT)
    assert contents(inside) == {}


def test_sizes_around_a_block_and_a_batch_arrive_whole(inside: Inside, tmp_path: Path) -> None:
    sizes = (0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE + 17)
    files = {f"{size}": os.urandom(size) for size in sizes} | {f"more{i}": os.urandom(BLOCK_SIZE) for i in range(9)}
    inside.out("put", "-r", make(tmp_path / "in", files), "-u", UNIT)
    inside.out("get", "--all", tmp_path / "out", "-u", UNIT)
    assert files_of(tmp_path / "out") == files


def test_what_is_there_and_equal_is_left_alone_and_what_differs_is_replaced(inside: Inside, tmp_path: Path) -> None:
    large = os.urandom(BLOCK_SIZE + 5)
    folder = make(tmp_path / "in", {**FILES, "large": large, "large too": large})
    inside.out("put", "-r", folder, "-u", UNIT, "-t", "k=v")
    before = {each["name"]: each for each in inside.documents("ls", "-u", UNIT)}
    assert inside.out("put", "-r", folder, "-u", UNIT) == b""
    (folder / "a").write_bytes(b"!")
    (folder / "large").write_bytes(large[::-1])
    (folder / "new").write_bytes(b"new")
    changed = inside.documents("put", "-r", folder, "-u", UNIT)
    assert sorted(each["name"] for each in changed) == ["a", "large", "new"]
    after = {each["name"]: each for each in inside.documents("ls", "-u", UNIT)}
    for name, then in before.items():
        kept = ["data_id", "tags"] if name in ("a", "large") else list(then)
        assert [after[name][field] for field in kept] == [then[field] for field in kept]
    assert contents(inside) == {**FILES, "large too": large, "a": b"!", "large": large[::-1], "new": b"new"}
    assert len(inside.documents("put", "-r", folder, "-u", UNIT, "--no-skip")) == len(FILES) + 3


def test_tags_and_a_datatype_that_are_given_are_those_of_every_object(inside: Inside, tmp_path: Path) -> None:
    folder = make(tmp_path / "in", {"a": b"1", "b": b"2", "large": os.urandom(BLOCK_SIZE + 1)})
    ids = {name: inside.put(name, (folder / name).read_bytes(), old="tag") for name in ("a", "large")}
    for options in (("-t", "k=v"), ("-t", "k=w", "--datatype", "text")):
        assert len(inside.documents("put", "-r", folder, "-u", UNIT, *options)) == 3
        assert inside.out("put", "-r", folder, "-u", UNIT, *options) == b""
        tags = dict([options[1].split("=")])
        for each in inside.documents("ls", "-u", UNIT):
            assert (each["tags"], each["datatype"]) == (tags, "text" if "text" in options else "")
            assert int(each["data_id"]) == ids.get(each["name"], int(each["data_id"]))
    assert inside.out("put", "-r", folder, "-u", UNIT) == b""


def test_new_objects_expire_when_they_are_told_to_and_others_keep_what_they_have(
    inside: Inside, tmp_path: Path
) -> None:
    folder = make(tmp_path / "in", {**FILES, "large": bytes((1 << 20) + 1)})
    inside.put("a", b"theirs")
    inside.out("put", "-r", folder, "-u", UNIT, "--expires-in", "1000")
    for each in inside.documents("ls", "-u", UNIT):
        assert (each["expires_at"] is None) == (each["name"] == "a")
    inside.out("put", folder / "large", "-", "-u", "other", "--expires-in", "1000.5")
    assert [each["expires_at"] is None for each in inside.documents("ls", "-u", "other")] == [False] * 2
    for wrong in ("0", "-1", "nan", "inf", "soon", "4e9"):
        assert "--expires-in" in inside.assert_fails(2, "put", folder / "a", "-u", UNIT, f"--expires-in={wrong}")
    inside.assert_fails(4, "put", folder / "a", "-u", UNIT, "--expires-in", "1000")


def test_no_replace_leaves_and_names_what_differs(inside: Inside, tmp_path: Path) -> None:
    folder = make(tmp_path / "in", FILES)
    inside.put("a", b"theirs")
    assert "the name 'a' is taken in unit 'files', by other bytes; --replace takes it" in inside.assert_fails(
        4, "put", "-r", folder, "-u", UNIT, "--no-replace"
    )
    assert contents(inside) == {**FILES, "a": b"theirs"}


def test_dry_run_says_what_would_be_stored_and_stores_nothing(inside: Inside, tmp_path: Path) -> None:
    folder = make(tmp_path / "in", {"a": b"1", "b": b"2", "c": b"333"})
    inside.put("a", b"1")
    inside.put("b", b"other")
    done = inside.run("put", "-r", folder, "-u", UNIT, "--dry-run")
    assert (done.returncode, done.stdout) == (0, b"changed\t1\tb\nnew\t3\tc\n")
    assert done.stderr == b"2 objects (4 B) would be stored; 1 equal\n"
    assert b'"name":"c"' in inside.run("put", "-r", folder, "-u", UNIT, "--dry-run", "--json").stdout
    assert contents(inside) == {"a": b"1", "b": b"other"}


def test_names_that_no_object_can_have_are_said_and_the_others_stored(inside: Inside, tmp_path: Path) -> None:
    folder = make(tmp_path / "in", {"a": b"1", "z/z": b"2"})
    deep = folder / "/".join(["n" * 200] * 6)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"")
    (folder / "line\nbreak").write_bytes(b"")
    (folder / "turned\u202e").write_bytes(b"")
    Path(os.fsdecode(os.fsencode(folder) + b"/no text \xff")).write_bytes(b"")
    done = inside.run("put", "-r", folder, "-u", UNIT)
    assert done.returncode == 2
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 4
    assert all(line.count(str(folder)) == 1 and "bad name" in line for line in lines)
    assert contents(inside) == {"a": b"1", "z/z": b"2"}


def test_links_lead_to_files_not_to_folders_and_what_is_no_file_is_skipped(inside: Inside, tmp_path: Path) -> None:
    folder = make(tmp_path / "in", {"a": b"1", "b/c": b"2"})
    make(tmp_path / "outside", {"file": b"3"})
    (folder / "b" / "up").symlink_to("..")
    (folder / "elsewhere").symlink_to(tmp_path / "outside")
    (folder / "link").symlink_to(tmp_path / "outside" / "file")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
        done = inside.run("put", "-r", folder, "-u", UNIT)
    assert done.returncode == 0
    said = [line.partition(": skipped ")[2] for line in done.stderr.decode().splitlines()]
    assert said == [
        f"{folder}/elsewhere: a link to a folder",
        f"{folder}/pipe: a named pipe",
        f"{folder}/socket: a socket",
        f"{folder}/b/up: a link to a folder",
    ]
    assert contents(inside) == {"a": b"1", "b/c": b"2", "link": b"3"}


def test_files_that_cannot_be_read_are_named_and_the_others_stored(inside: Inside, tmp_path: Path) -> None:
    folder = make(tmp_path / "in", {"a": b"1", "z": b"2"})
    (folder / "dangling").symlink_to("nothing")
    (folder / "loop").symlink_to("loop")
    done = inside.run("put", "-r", folder, "-u", UNIT)
    assert done.returncode == 1
    assert [line.split(": ")[1] for line in done.stderr.decode().splitlines()] == [
        f"{folder}/dangling",
        f"{folder}/loop",
    ]
    assert contents(inside) == {"a": b"1", "z": b"2"}
    for missing in (tmp_path / "missing", folder / "a"):
        assert str(missing) in inside.assert_fails(1, "put", "-r", missing, "-u", UNIT)


def test_the_vault_itself_is_not_stored_in_itself(tmp_path: Path) -> None:
    folder = make(tmp_path / "in", {"a": b"1"})
    inside = Inside(str(folder / "vault"), directory=folder / "vault")
    done = inside.run("put", "-r", folder, "-u", UNIT)
    assert (done.returncode, done.stderr) == (0, f"vault-grpc: skipped {folder}/vault: the vault itself\n".encode())
    assert contents(inside) == {"a": b"1"}


def test_more_files_than_a_batch_holds(inside: Inside, tmp_path: Path) -> None:
    files = {f"{index % 7}/{index}": b"%d" % index for index in range(2345)}
    inside.out("put", "-r", make(tmp_path / "in", files), "-u", UNIT)
    assert len(inside.documents("ls", "-u", UNIT)) == len(files)
    inside.out("get", "--all", tmp_path / "out", "-u", UNIT)
    assert files_of(tmp_path / "out") == files


@pytest.mark.skipif(bool(why_not("tmpfs")), reason="nothing can be mounted here")
def test_a_full_vault_names_what_did_not_fit_and_keeps_the_rest(tmp_path: Path) -> None:
    files = {f"{index}": os.urandom(600_000) for index in range(20)} | {"large": os.urandom(12 << 20), "z": b"1"}
    folder = make(tmp_path / "in", files)
    with mounted(tmp_path / "small", "tmpfs", 8) as small:
        inside = Inside(str(small.path / "vault"), directory=small.path / "vault")
        done = Program(inside.location).run("put", "-r", folder, "-u", UNIT)
        stored = contents(inside)
        assert done.returncode == 1
        said = [line for line in done.stderr.decode().splitlines() if line.startswith("vault-grpc: ")]
        assert sorted(line.split(": ")[1] for line in said) == sorted(
            f"{folder}/{name}" for name in files if name not in stored
        )
        assert "large" not in stored
        assert stored.items() <= files.items()


def test_what_contradicts_itself_is_refused(inside: Inside, tmp_path: Path) -> None:
    folder = make(tmp_path / "in", {"a": b"1"})
    for words in (
        (folder, folder, "-r"),
        ("-", "-r"),
        (folder, "-r", "--name", "x"),
        (folder, "-r", "--no-name"),
        (folder / "a", "--dry-run"),
        (folder / "a", "--no-skip"),
        (folder / "a", "--prefix", "x/"),
        (folder, "-r", "--prefix", "x" * 1025),
    ):
        inside.assert_fails(2, "put", *words, "-u", UNIT)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_put_that_was_ended_goes_on_when_it_is_run_again(embedded: Program, tmp_path: Path, how: int) -> None:
    files = {f"{index:05}": b"%d" % index for index in range(4000)} | {"z": os.urandom(2 << 20)}
    folder = make(tmp_path / "in", files)
    with subprocess.Popen(
        [COMMAND, "put", "-r", folder, "-u", UNIT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=embedded.environment,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(how)
        told = first.count(b"\n") + process.stdout.read().count(b"\n")
        process.wait(timeout=60)
    assert told < len(files)
    inside = Inside(embedded.location, directory=embedded.directory)
    there = len(inside.documents("ls", "-u", UNIT))
    assert there >= told
    rest = inside.text("put", "-r", folder, "-u", UNIT).splitlines()
    assert there + len(rest) == len(files)
    inside.out("get", "--all", tmp_path / "out", "-u", UNIT)
    assert files_of(tmp_path / "out") == files
