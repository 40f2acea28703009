"""ls, stat, find, tag, rm and units, the same against a directory and a server."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import xxhash
from vault.store.specs import SmallUpload, UploadSpec, new_data_id
from vault.store.values import checksum
from vault_server import EmbeddedStore, Server, StoreOptions

from tests.cli.program import UNIT, Program


def test_ls_lists_ids_sizes_and_names_between_tabs(program: Program) -> None:
    first, second = program.put("b", b"12345"), program.put("two words ä", b"")
    listed = program.text("ls", "--unit", UNIT)
    assert sorted(listed.splitlines()) == sorted([f"{first}\t5\tb", f"{second}\t0\ttwo words ä"])
    assert program.text("ls", "-u", UNIT, "--prefix", "two") == f"{second}\t0\ttwo words ä\n"
    assert [line.split("\t")[2] for line in program.text("ls", "-u", UNIT, "-p", "").splitlines()] == [
        "b",
        "two words ä",
    ]


def test_ls_selects_by_every_tag(program: Program) -> None:
    program.put("a", b"", x="1", y="2")
    program.put("b", b"", x="1")
    assert [d["name"] for d in program.documents("ls", "-u", UNIT, "-t", "x=1", "-t", "y=2")] == ["a"]
    assert len(program.documents("ls", "-u", UNIT, "-t", "x=1")) == 2
    assert program.documents("ls", "-u", UNIT, "-t", "x=3") == []


def test_ls_long_adds_what_is_known(embedded: Program) -> None:
    data_id = embedded.put("a", b"1", x="1", b="2")
    fields = embedded.text("ls", "-u", UNIT, "--long").rstrip("\n").split("\t")
    assert [fields[i] for i in (0, 1, 2, 5, 7, 8)] == [str(data_id), "1", "1", "", "b=2 x=1", "a"]
    assert fields[3] == fields[4], "last changed when its bytes were written"


def test_ls_of_a_unit_without_objects_is_empty(embedded: Program) -> None:
    embedded.put("a", b"")
    assert embedded.out("ls", "--unit", "empty") == b""


def test_ls_lists_more_than_a_page(embedded: Program) -> None:
    assert embedded.directory is not None
    with EmbeddedStore(embedded.directory) as store:
        store.upload_many(
            UNIT, [SmallUpload(UploadSpec(new_data_id(), f"n{i:04}"), b"", checksum(b"")) for i in range(2500)]
        )
    names = [line.split("\t")[2] for line in embedded.text("ls", "-u", UNIT, "-p", "n").splitlines()]
    assert names == [f"n{i:04}" for i in range(2500)]
    assert len(set(embedded.text("ls", "-u", UNIT).splitlines())) == 2500


def test_stat_is_one_json_document_with_ids_as_text(program: Program) -> None:
    data = b"hello" * 100
    data_id = program.put("gruß", data, k="ü")
    (document,) = program.documents("stat", "gruß", "--unit", UNIT)
    assert document["data_id"] == str(data_id)
    assert document["checksum"] == xxhash.xxh3_64_hexdigest(data)
    assert (document["unit"], document["name"], document["size"]) == (UNIT, "gruß", 500)
    assert document["tags"] == {"k": "ü"}
    assert document["generation"] == document["revision"] == 1
    assert document["created_at"].endswith("+00:00")
    assert set(document) >= {"datatype", "updated_at"}


def test_stat_by_id_and_by_name_is_the_same(embedded: Program) -> None:
    data_id = embedded.put("a", b"1")
    by_name = embedded.text("stat", "a", "-u", UNIT)
    assert embedded.text("stat", str(data_id), "-u", UNIT) == by_name
    assert embedded.text("stat", f"id:{data_id}", "-u", UNIT) == by_name
    assert f"data_id\t{data_id}\n" in by_name


def test_a_name_of_digits_is_found_when_it_is_said_to_be_one(embedded: Program) -> None:
    data_id = embedded.put("2024", b"x")
    assert "no object with id 2024" in embedded.assert_fails(3, "stat", "2024", "-u", UNIT)
    assert embedded.documents("stat", "name:2024", "-u", UNIT)[0]["data_id"] == str(data_id)
    assert embedded.text("find", "2024") == f"{UNIT}\t{data_id}\t1\t2024\n"


def test_find_looks_in_every_unit_or_in_one(program: Program) -> None:
    one = program.put("a", b"1")
    two = program.put("a", b"22", unit="other")
    assert program.text("find", "a") == f"{UNIT}\t{one}\t1\ta\nother\t{two}\t2\ta\n"
    assert program.text("find", "a", "-u", "other") == f"other\t{two}\t2\ta\n"
    assert [d["unit"] for d in program.documents("find", "a")] == [UNIT, "other"]
    assert "no unit has an object named 'b'" in program.assert_fails(3, "find", "b")
    assert "unit 'other' has no object named 'b'" in program.assert_fails(3, "find", "b", "-u", "other")


def test_tag_shows_sets_and_removes_and_leaves_the_rest(program: Program) -> None:
    program.put("a", b"1", x="1", y="2")
    assert program.text("tag", "a", "-u", UNIT) == "x=1\ny=2\n"
    assert program.text("tag", "a", "-u", UNIT, "z=3=3", "x=", "--remove", "y") == "x=\nz=3=3\n"
    (document,) = program.documents("stat", "a", "-u", UNIT)
    assert document["tags"] == {"x": "", "z": "3=3"}
    assert (document["generation"], document["revision"]) == (1, 2)
    assert program.documents("tag", "a", "-u", UNIT, "--remove", "x", "--remove", "z")[0]["tags"] == {}


def test_tag_renames(program: Program) -> None:
    data_id = program.put("a", b"1", x="1")
    program.put("b", b"1")
    assert program.documents("tag", "a", "-u", UNIT, "--name", "c d")[0]["name"] == "c d"
    assert program.documents("stat", "c d", "-u", UNIT)[0]["tags"] == {"x": "1"}
    program.assert_fails(4, "tag", "c d", "-u", UNIT, "--name", "b")
    assert program.documents("tag", "c d", "-u", UNIT, "--no-name")[0]["name"] is None
    program.assert_fails(3, "stat", "c d", "-u", UNIT)
    assert program.documents("stat", str(data_id), "-u", UNIT)[0]["data_id"] == str(data_id)


def test_tag_refuses_what_contradicts_itself(embedded: Program) -> None:
    embedded.put("a", b"1")
    embedded.assert_fails(2, "tag", "a", "x=1", "--remove", "x", "-u", UNIT)
    embedded.assert_fails(2, "tag", "a", "--name", "b", "--no-name", "-u", UNIT)
    embedded.assert_fails(2, "tag", "a", "x", "-u", UNIT)
    embedded.assert_fails(3, "tag", "b", "x=1", "-u", UNIT)


def test_rm_deletes_what_is_there_and_says_what_is_not(program: Program) -> None:
    kept, data_id = program.put("a", b"1"), program.put("b", b"2")
    program.put("c", b"3")
    done = program.run("rm", "c", "nothing", str(data_id), "-u", UNIT)
    assert done.returncode == 3
    assert done.stderr.decode() == f"vault-grpc: unit '{UNIT}' has no object named 'nothing'\n"
    assert program.text("ls", "-u", UNIT) == f"{kept}\t1\ta\n"
    assert program.out("rm", "nothing", "--force", "-u", UNIT) == b""


def test_rm_at_another_generation_deletes_nothing(program: Program) -> None:
    program.put("a", b"1")
    program.assert_fails(4, "rm", "a", "-u", UNIT, "--if-generation", "7")
    program.assert_fails(2, "rm", "a", "b", "-u", UNIT, "--if-generation", "1")
    assert program.out("rm", "a", "-u", UNIT, "--if-generation", "1") == b""
    program.assert_fails(3, "stat", "a", "-u", UNIT)


def test_units_are_those_with_objects_in_alphabetical_order(program: Program) -> None:
    for unit in ("z", "a.b"):
        program.put(None, b"", unit=unit)
    assert program.text("units") == "a.b\nz\n"
    assert json.loads(program.out("units", "--json")) == ["a.b", "z"]


@pytest.mark.parametrize("unit", ["..", "a/b", "ä", "u" * 129, ""])
def test_a_unit_that_cannot_be_is_a_usage_error(embedded: Program, unit: str) -> None:
    assert "bad unit name" in embedded.assert_fails(2, "put", "-", "--unit", unit)
    assert embedded.directory is not None
    assert not embedded.directory.exists()


def test_a_unit_that_the_server_does_not_serve_is_a_usage_error(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "v", StoreOptions(allowed_units=("only",))) as store, Server(store) as server:
        program = Program(f"grpc://{server.address}")
        assert "other" in program.assert_fails(2, "put", "-", "--unit", "other", data=b"x")
        assert int(program.out("put", "-", "--unit", "only", data=b"x"))


def test_a_directory_that_pyvault_wrote_is_a_vault(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "77.vault").write_bytes(b"raw")
    program = Program(str(tmp_path), directory=tmp_path)
    assert program.text("ls", "-u", "docs") == "77\t3\t\n"
    assert program.out("cat", "77", "-u", "docs") == b"raw"


def test_a_register_that_is_not_one_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "register.db").write_bytes(b"not a database" * 100)
    Program(str(tmp_path)).assert_fails(1, "units")
    with closing(sqlite3.connect(tmp_path / "register.db")) as connection, pytest.raises(sqlite3.DatabaseError):
        connection.execute("SELECT 1 FROM sqlite_master")
