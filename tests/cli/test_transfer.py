"""put, get and cat move bytes unchanged, the same against a directory and a server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import xxhash
from vault.cli.transfer import _name_in_directory
from vault.errors import InvalidArgumentError
from vault.store.limits import BLOCK_SIZE

from tests.cli.program import COMMAND, UNIT, Program


def test_put_prints_the_id_and_names_the_object_after_the_file(program: Program, random_file: Path) -> None:
    data_id = program.text("put", random_file, "--unit", UNIT, "--tag", "k=v")
    (document,) = program.documents("stat", data_id.strip(), "-u", UNIT)
    assert (document["name"], document["size"], document["tags"]) == (random_file.name, (3 << 20) + 17, {"k": "v"})
    assert document["checksum"] == xxhash.xxh3_64_hexdigest(random_file.read_bytes())


def test_put_json_is_what_stat_says(embedded: Program, random_file: Path) -> None:
    stored = embedded.documents("put", random_file, "-u", UNIT)
    assert stored == embedded.documents("stat", random_file.name, "-u", UNIT)


def test_put_takes_a_name_or_none(embedded: Program, random_file: Path) -> None:
    assert embedded.documents("put", random_file, "-u", UNIT, "--name", "2024")[0]["name"] == "2024"
    assert embedded.documents("put", random_file, "-u", UNIT, "--no-name")[0]["name"] is None
    assert embedded.documents("put", random_file, "-u", UNIT)[0]["name"] == random_file.name
    assert embedded.documents("put", "-", "-u", UNIT)[0]["name"] is None


def test_put_stores_several_files_and_goes_on_after_one_that_fails(program: Program, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode())
    program.put("b", b"there already")
    done = program.run("put", tmp_path / "a", tmp_path / "b", tmp_path / "missing", tmp_path / "c", "-u", UNIT)
    assert done.returncode == 4
    assert len(done.stdout.split()) == 2
    first, second = done.stderr.decode().splitlines()
    assert "'b'" in first
    assert str(tmp_path / "missing") in second
    assert [program.out("cat", name, "-u", UNIT) for name in ("a", "b", "c")] == [b"a", b"there already", b"c"]


def test_put_of_a_name_that_is_taken_changes_nothing(program: Program, random_file: Path) -> None:
    program.put("a", b"old")
    assert "; --replace takes it" in program.assert_fails(4, "put", random_file, "-u", UNIT, "--name", "a")
    assert program.out("cat", "a", "-u", UNIT) == b"old"
    assert len(program.documents("ls", "-u", UNIT)) == 1


def test_put_replaces_the_bytes_of_a_name_when_told_to(program: Program, random_file: Path) -> None:
    data_id = program.put("a", b"old", k="v")
    (document,) = program.documents("put", random_file, "-u", UNIT, "--name", "a", "--replace")
    assert (document["data_id"], document["tags"], document["size"]) == (str(data_id), {"k": "v"}, (3 << 20) + 17)
    assert document["generation"] == 2
    (document,) = program.documents("put", random_file, "-u", UNIT, "--replace", "--datatype", "video")
    assert (document["name"], document["datatype"]) == (random_file.name, "video")
    program.assert_fails(2, "put", "-", "-u", UNIT, "--replace")
    program.assert_fails(2, "put", random_file, "-u", UNIT, "--replace", "--tag", "k=v")
    program.assert_fails(2, "put", random_file, "-u", UNIT, "--replace", "--expires-in", "5")


def test_put_refuses_what_contradicts_itself(embedded: Program, random_file: Path) -> None:
    embedded.assert_fails(2, "put", random_file, "-u", UNIT, "--name", "a", "--no-name")
    embedded.assert_fails(2, "put", random_file, random_file, "-u", UNIT, "--name", "a")
    embedded.assert_fails(2, "put", "-", "-", "-u", UNIT)
    embedded.assert_fails(2, "put", random_file)
    embedded.assert_fails(2, "put", "-u", UNIT)
    embedded.assert_fails(2, "put", random_file, "-u", UNIT, "--tag", "k")
    assert embedded.directory is not None
    assert not embedded.directory.exists()


def test_put_of_a_file_that_cannot_be_read_stores_nothing(embedded: Program, tmp_path: Path) -> None:
    assert "No such file" in embedded.assert_fails(1, "put", tmp_path / "missing", "-u", UNIT)
    assert embedded.assert_fails(1, "put", tmp_path, "-u", UNIT)
    assert embedded.text("units") == ""


def test_get_writes_the_bytes_that_were_put(program: Program, random_file: Path, tmp_path: Path) -> None:
    program.out("put", random_file, "-u", UNIT)
    copy = tmp_path / "copy ü"
    assert program.out("get", random_file.name, copy, "-u", UNIT) == b""
    assert copy.read_bytes() == random_file.read_bytes()


def test_sizes_around_a_block_come_back(program: Program, tmp_path: Path) -> None:
    sizes = [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1]
    files = [tmp_path / f"{size} bytes" for size in sizes]
    for file, size in zip(files, sizes, strict=True):
        file.write_bytes(os.urandom(size))
    ids = program.text("put", *files, "-u", UNIT).split()
    assert program.out("cat", *ids, "-u", UNIT) == b"".join(file.read_bytes() for file in files)
    for data_id, file in zip(ids, files, strict=True):
        program.out("get", data_id, tmp_path / "copy", "-u", UNIT)
        assert (tmp_path / "copy").read_bytes() == file.read_bytes()


def test_get_replaces_a_file_and_leaves_nothing_beside_it(embedded: Program, tmp_path: Path) -> None:
    embedded.put("a", b"new")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "file").write_bytes(b"something longer")
    embedded.out("get", "a", folder / "file", "-u", UNIT)
    assert [(p.name, p.read_bytes()) for p in folder.iterdir()] == [("file", b"new")]


def test_get_of_what_does_not_exist_leaves_the_file_as_it_was(program: Program, tmp_path: Path) -> None:
    program.put("a", b"new")
    (tmp_path / "file").write_bytes(b"old")
    assert "no object" in program.assert_fails(3, "get", "b", tmp_path / "file", "-u", UNIT)
    assert (tmp_path / "file").read_bytes() == b"old"
    program.assert_fails(3, "get", "b", tmp_path / "other", "-u", UNIT)
    assert not (tmp_path / "other").exists()


def test_get_goes_through_a_symbolic_link(embedded: Program, tmp_path: Path) -> None:
    embedded.put("a", b"new")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    embedded.out("get", "a", tmp_path / "link", "-u", UNIT)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_get_into_a_directory_takes_the_name_that_was_asked_for_but_none_of_its_folders(
    embedded: Program, tmp_path: Path
) -> None:
    folder = tmp_path / "in" / "side"
    folder.mkdir(parents=True)
    embedded.put("../../escaped", b"1")
    embedded.put("/etc/absolute", b"2")
    embedded.out("get", "../../escaped", folder, "-u", UNIT)
    embedded.out("get", "/etc/absolute", folder, "-u", UNIT)
    (folder / "absolute").write_bytes(b"old")
    embedded.out("get", "/etc/absolute", f"{folder}/", "-u", UNIT)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {"escaped": b"1", "absolute": b"2"}
    assert list((tmp_path / "in").iterdir()) == [folder]


@pytest.mark.parametrize("name", [".bashrc", "a/..", "a/.", "a/", "..", "a/.ssh", "n" * 256, "ü" * 128, "a\x1bb"])
def test_no_file_in_a_directory_is_called_what_nobody_would_call_one(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="give FILE"):
        _name_in_directory(name)


def test_get_into_a_directory_does_not_take_the_name_of_a_hidden_file(embedded: Program, tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_bytes(b"mine")
    embedded.put(".bashrc", b"theirs")
    assert "give FILE" in embedded.assert_fails(2, "get", ".bashrc", tmp_path, "-u", UNIT)
    assert (tmp_path / ".bashrc").read_bytes() == b"mine"
    embedded.out("get", ".bashrc", tmp_path / "copy", "-u", UNIT)
    embedded.assert_fails(2, "get", ".bashrc", "", "-u", UNIT)  # of a shell's variable that is not set


def test_get_by_id_into_a_directory_is_called_by_the_id_whatever_the_objects_name(
    program: Program, tmp_path: Path
) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    (folder / "link").symlink_to(outside)
    data_id = program.put("link", b"theirs")
    program.out("get", str(data_id), folder, "-u", UNIT)
    assert (folder / str(data_id)).read_bytes() == b"theirs"
    assert outside.read_bytes() == b"mine"
    assert sorted(p.name for p in folder.iterdir()) == sorted(["link", str(data_id)])


@pytest.mark.parametrize("there", ["file", "link", "dangling", "folder"])
def test_get_by_id_into_a_directory_replaces_nothing(embedded: Program, tmp_path: Path, there: str) -> None:
    folder, outside = tmp_path / "home", tmp_path / "outside"
    folder.mkdir()
    data_id = embedded.put("name", b"theirs")
    target = folder / str(data_id)
    if there == "file":
        target.write_bytes(b"mine")
    elif there == "folder":
        target.mkdir()
    else:
        target.symlink_to(outside)
        if there == "link":
            outside.write_bytes(b"mine")
    said = embedded.assert_fails(1, "get", f"id:{data_id}", folder, "-u", UNIT)
    assert str(target) in said
    assert list(folder.iterdir()) == [target]
    assert outside.exists() == (there == "link")
    if there == "file":
        assert target.read_bytes() == b"mine"
        embedded.out("get", str(data_id), target, "-u", UNIT)  # named, it is replaced
        assert target.read_bytes() == b"theirs"


def test_get_keeps_the_mode_of_a_file(embedded: Program, tmp_path: Path) -> None:
    embedded.put("a", b"new")
    target = tmp_path / "file"
    target.write_bytes(b"old")
    target.chmod(0o600)
    (tmp_path / "link").symlink_to("file")
    embedded.out("get", "a", tmp_path / "link", "-u", UNIT)
    assert (target.read_bytes(), target.stat().st_mode & 0o7777) == (b"new", 0o600)
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("how", [">", ">>", "|"])
def test_get_to_dev_stdout_writes_where_the_shell_said(embedded: Program, tmp_path: Path, how: str) -> None:
    embedded.put("a", b"new")
    out = tmp_path / "out"
    out.write_bytes(b"old ")
    to = f"| cat > {out}" if how == "|" else f"{how} {out}"
    link = tmp_path / "stdout"  # as /dev/stdout is one; a test never lays hands on the system's own
    link.symlink_to("/proc/self/fd/1")
    command = f"{COMMAND} get a {link} -u {UNIT} {to}"
    subprocess.run(["/bin/sh", "-c", command], env=embedded.environment, timeout=60, check=True)
    assert out.read_bytes() == (b"old new" if how == ">>" else b"new")
    assert link.is_symlink()


def test_get_writes_into_a_pipe_that_has_a_name_and_does_not_replace_it(embedded: Program, tmp_path: Path) -> None:
    embedded.put("a", b"through")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Opened for both, so that neither side waits for the other.
    descriptor = os.open(pipe, os.O_RDWR)
    try:
        embedded.out("get", "a", pipe, "-u", UNIT)
        assert os.read(descriptor, 100) == b"through"
    finally:
        os.close(descriptor)
    assert pipe.is_fifo()


def test_get_into_a_folder_that_is_not_there_fails(embedded: Program, tmp_path: Path) -> None:
    embedded.put("a", b"1")
    missing = tmp_path / "missing" / "file"
    assert f"{missing}: No such file" in embedded.assert_fails(1, "get", "a", missing, "-u", UNIT)


def test_cat_writes_objects_one_after_the_other(embedded: Program) -> None:
    embedded.put("a", b"1\n")
    data_id = embedded.put("b", b"2\n")
    assert embedded.out("cat", "a", str(data_id), "a", "-u", UNIT) == b"1\n2\n1\n"
    assert embedded.out("get", "a", "-", "-u", UNIT) == b"1\n"
    embedded.assert_fails(3, "cat", "c", "-u", UNIT)


def test_cat_writes_part_of_an_object(program: Program, random_file: Path) -> None:
    data = random_file.read_bytes()
    program.out("put", random_file, "-u", UNIT, "-n", "a")
    assert program.out("cat", "a", "-u", UNIT, "--offset", "1MiB", "--length", "10") == data[1 << 20 :][:10]
    assert program.out("cat", "a", "-u", UNIT, "--offset", "5") == data[5:]
    assert program.out("cat", "a", "-u", UNIT, "--length", "1GiB") == data
    assert program.out("cat", "a", "-u", UNIT, "--offset", str(len(data))) == b""
    assert "past the end" in program.assert_fails(2, "cat", "a", "-u", UNIT, "--offset", str(len(data) + 1))
    program.assert_fails(2, "cat", "a", "a", "-u", UNIT, "--offset", "1")
    program.assert_fails(2, "cat", "a", "-u", UNIT, "--offset", "-1")


def test_64_mib_pass_through_pipes_both_ways(program: Program) -> None:
    data = os.urandom(64 << 20)
    data_id = program.text("put", "-", "-u", UNIT, data=data).strip()
    assert program.out("cat", data_id, "-u", UNIT) == data


def peak_memory(program: Program, *arguments: str | Path) -> int:
    """The most memory that a run of the command held (VmHWM), bytes."""
    code = (
        "import re, sys; from pathlib import Path; from vault.cli import main; code = main();"
        "sys.stderr.write(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        env=program.environment,
        timeout=100,
        check=True,
    )
    return int(done.stderr) << 10


def test_large_files_pass_in_the_memory_that_small_ones_need(program: Program, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(bytes(2 << 20))
    with large.open("wb") as file:
        file.truncate(192 << 20)
    grown = peak_memory(program, "put", large, "-u", UNIT) - peak_memory(program, "put", small, "-u", UNIT)
    assert grown < 32 << 20
    copy = tmp_path / "copy"
    grown = peak_memory(program, "get", "large", copy, "-u", UNIT) - peak_memory(
        program, "get", "small", copy, "-u", UNIT
    )
    assert grown < 32 << 20
