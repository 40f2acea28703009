"""`vault-grpc check`: what it says, in every form, and how it ends."""

import json
import subprocess
from pathlib import Path

import pytest
from vault.cli.exits import Exit

from tests.cli.program import UNIT, Program, on_terminal, plain

LARGE = bytes(range(256)) * 8192


@pytest.fixture
def damaged(embedded: Program) -> Program:
    """A vault with a flipped byte in the second block of its one file."""
    embedded.put("large", LARGE)
    (file,) = directory_of(embedded).glob(f"{UNIT}/*.vault")
    with file.open("r+b") as opened:
        opened.seek((1 << 20) + 5)
        opened.write(b"?")
    return embedded


def directory_of(program: Program) -> Path:
    assert program.directory is not None
    return program.directory


def check(program: Program, *options: str) -> "subprocess.CompletedProcess[bytes]":
    return program.run("check", directory_of(program), *options)


def test_a_sound_vault_ends_with_0_and_what_was_looked_at(embedded: Program) -> None:
    embedded.put("large", LARGE)
    embedded.put("small", b"small")
    done = check(embedded, "--deep")
    assert (done.returncode, done.stderr) == (Exit.OK, b"")
    fields = dict(line.split("\t") for line in done.stdout.decode().splitlines())
    assert (fields["ok"], fields["objects"], fields["files"], fields["size"]) == ("true", "2", "1", str(len(LARGE) + 5))
    assert "scrub" not in fields


def test_damage_ends_with_6_and_a_line_that_names_it(damaged: Program) -> None:
    assert check(damaged).returncode == Exit.OK  # nothing was read
    done = check(damaged, "--deep")
    assert done.returncode == Exit.CORRUPTION
    (problem,) = (line.split("\t") for line in done.stdout.decode().splitlines() if line.startswith("problem"))
    assert problem[1:3] == ["bad block", UNIT]
    assert problem[4] == "1"
    # Repair deletes nothing that an object has.
    assert check(damaged, "--deep", "--repair").returncode == Exit.CORRUPTION
    assert "checksum" in damaged.assert_fails(
        Exit.CORRUPTION, "get", "large", directory_of(damaged) / "copy", "-u", UNIT
    )


def test_json_is_one_document(damaged: Program) -> None:
    done = check(damaged, "--deep", "--json")
    document = json.loads(done.stdout)
    assert (document["ok"], document["deep"], document["objects"], document["repairs"]) == (False, True, 1, [])
    (problem,) = document["problems"]
    assert isinstance(problem.pop("data_id"), str)
    assert problem["kind"] == "bad block"
    assert (problem["unit"], problem["block"]) == (UNIT, 1)


def test_what_is_all_mended_ends_with_7_and_then_with_0(embedded: Program) -> None:
    embedded.put("large", LARGE)
    stray = directory_of(embedded) / UNIT / "77.vault"
    stray.write_bytes(b"nobody's")
    assert check(embedded).returncode == Exit.CORRUPTION
    done = check(embedded, "--repair")
    assert done.returncode == Exit.REPAIRED
    assert b"repaired\t\tfiles\t77\t\tfiles/77.vault belongs to no object" in done.stdout
    assert done.stderr == b"", "what was mended is told once"
    assert check(embedded).returncode == Exit.OK
    (kept,) = directory_of(embedded).glob(f".lost/{UNIT}/77.vault.*")
    assert kept.read_bytes() == b"nobody's"


def test_a_lost_register_is_told_by_every_command_and_rebuilt(embedded: Program) -> None:
    embedded.put("large", LARGE)
    (directory_of(embedded) / "register.db").unlink()
    assert "vault-grpc check DIRECTORY --repair" in embedded.assert_fails(Exit.FAILURE, "ls", "-u", UNIT)
    done = check(embedded)
    assert done.returncode == Exit.CORRUPTION
    assert b"problem\tdamaged register" in done.stdout
    done = check(embedded, "--repair", "--json")
    assert done.returncode == Exit.CORRUPTION  # it cannot be known what was in the register alone
    (lost,) = json.loads(done.stdout)["problems"]
    assert lost["kind"] == "lost object"
    (data_id,) = (line.split("\t")[0] for line in embedded.text("ls", "-u", UNIT).splitlines())
    assert embedded.out("cat", f"id:{data_id}", "-u", UNIT) == LARGE
    assert check(embedded, "--deep").returncode == Exit.OK


def test_where_no_vault_is_there_is_nothing_to_check(tmp_path: Path) -> None:
    program = Program(None)
    assert "no vault" in program.assert_fails(Exit.UNAVAILABLE, "check", tmp_path)
    assert "no vault" in program.assert_fails(Exit.UNAVAILABLE, "check", tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_there_are_a_table_and_a_bar(damaged: Program) -> None:
    code, shown = on_terminal(damaged, "check", directory_of(damaged), "--deep", columns=200)
    text = plain(shown)
    assert code == Exit.CORRUPTION
    assert "2.0/2.0 MiB" in text
    assert "bad block" in text
