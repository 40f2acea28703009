"""put, get and cat move bytes unchanged, the same against a directory and a server."""

import os
import subprocess
import sys
from pathlib import Path

import xxhash
from vault.rules import BLOCK_SIZE

from tests.cli.program import UNIT, Program


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
    assert "'a'" in program.fails(4, "put", random_file, "-u", UNIT, "--name", "a")
    assert program.out("cat", "a", "-u", UNIT) == b"old"
    assert len(program.documents("ls", "-u", UNIT)) == 1


def test_put_replaces_the_bytes_of_a_name_when_told_to(program: Program, random_file: Path) -> None:
    data_id = program.put("a", b"old", k="v")
    (document,) = program.documents("put", random_file, "-u", UNIT, "--name", "a", "--replace")
    assert (document["data_id"], document["tags"], document["size"]) == (str(data_id), {"k": "v"}, (3 << 20) + 17)
    assert document["generation"] == 2
    (document,) = program.documents("put", random_file, "-u", UNIT, "--replace", "--datatype", "video")
    assert (document["name"], document["datatype"]) == (random_file.name, "video")
    program.fails(2, "put", "-", "-u", UNIT, "--replace")
    program.fails(2, "put", random_file, "-u", UNIT, "--replace", "--tag", "k=v")


def test_put_refuses_what_contradicts_itself(embedded: Program, random_file: Path) -> None:
    embedded.fails(2, "put", random_file, "-u", UNIT, "--name", "a", "--no-name")
    embedded.fails(2, "put", random_file, random_file, "-u", UNIT, "--name", "a")
    embedded.fails(2, "put", "-", "-", "-u", UNIT)
    embedded.fails(2, "put", random_file)
    embedded.fails(2, "put", "-u", UNIT)
    embedded.fails(2, "put", random_file, "-u", UNIT, "--tag", "k")
    assert embedded.directory is not None
    assert not embedded.directory.exists()


def test_put_of_a_file_that_cannot_be_read_stores_nothing(embedded: Program, tmp_path: Path) -> None:
    assert "No such file" in embedded.fails(1, "put", tmp_path / "missing", "-u", UNIT)
    assert embedded.fails(1, "put", tmp_path, "-u", UNIT)
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
    assert "no object" in program.fails(3, "get", "b", tmp_path / "file", "-u", UNIT)
    assert (tmp_path / "file").read_bytes() == b"old"
    program.fails(3, "get", "b", tmp_path / "other", "-u", UNIT)
    assert not (tmp_path / "other").exists()


def test_get_goes_through_a_symbolic_link(embedded: Program, tmp_path: Path) -> None:
    embedded.put("a", b"new")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    embedded.out("get", "a", tmp_path / "link", "-u", UNIT)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_get_into_a_directory_takes_the_objects_name_but_none_of_its_folders(embedded: Program, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "side"
    folder.mkdir(parents=True)
    embedded.put("../../escaped", b"1")
    data_id = embedded.put(None, b"2")
    embedded.put("a/..", b"3")
    embedded.out("get", "../../escaped", folder, "-u", UNIT)
    embedded.out("get", str(data_id), folder, "-u", UNIT)
    embedded.fails(2, "get", "a/..", folder, "-u", UNIT)
    assert sorted(p.name for p in folder.iterdir()) == sorted(["escaped", str(data_id)])
    assert not (tmp_path / "escaped").exists()


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
    assert f"{missing}: No such file" in embedded.fails(1, "get", "a", missing, "-u", UNIT)


def test_cat_writes_objects_one_after_the_other(embedded: Program) -> None:
    embedded.put("a", b"1\n")
    data_id = embedded.put("b", b"2\n")
    assert embedded.out("cat", "a", str(data_id), "a", "-u", UNIT) == b"1\n2\n1\n"
    assert embedded.out("get", "a", "-", "-u", UNIT) == b"1\n"
    embedded.fails(3, "cat", "c", "-u", UNIT)


def test_cat_writes_part_of_an_object(program: Program, random_file: Path) -> None:
    data = random_file.read_bytes()
    program.out("put", random_file, "-u", UNIT, "-n", "a")
    assert program.out("cat", "a", "-u", UNIT, "--offset", "1MiB", "--length", "10") == data[1 << 20 :][:10]
    assert program.out("cat", "a", "-u", UNIT, "--offset", "5") == data[5:]
    assert program.out("cat", "a", "-u", UNIT, "--length", "1GiB") == data
    assert program.out("cat", "a", "-u", UNIT, "--offset", str(len(data))) == b""
    assert "past the end" in program.fails(2, "cat", "a", "-u", UNIT, "--offset", str(len(data) + 1))
    program.fails(2, "cat", "a", "a", "-u", UNIT, "--offset", "1")
    program.fails(2, "cat", "a", "-u", UNIT, "--offset", "-1")


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
