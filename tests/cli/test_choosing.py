"""Which objects a command takes when they are chosen rather than named: ls, rm, du, the same for all of them."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault.cli.arguments import parse_age
from vault.cli.choice import level_of
from vault.errors import InvalidArgumentError

from tests.cli.program import COMMAND, UNIT, Inside, Program
from tests.cli.test_get_folder import fill

NAMES = ["a/1", "a/2", "b/1", "b/c/1", "b/c/2", "top"]


@pytest.fixture
def stocked(inside: Inside) -> Inside:
    """Objects on several levels, those of b tagged, one without a name."""
    fill(inside, {name: name.encode() for name in NAMES if not name.startswith("b")})
    fill(inside, {name: name.encode() for name in NAMES if name.startswith("b")}, level="b")
    inside.put(None, b"nameless", level="none")
    return inside


def names(program: Program) -> list[str]:
    return sorted(each["name"] or "" for each in program.documents("ls", "-u", UNIT))


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (("--prefix", "a/"), ["a/1", "a/2"]),
        (("--prefix", "b"), ["b/1", "b/c/1", "b/c/2"]),
        (("-r", "b/c"), ["b/c/1", "b/c/2"]),
        (("-r", "b/"), ["b/1", "b/c/1", "b/c/2"]),
        (("-t", "level=b"), ["b/1", "b/c/1", "b/c/2"]),
        (("-t", "level=b", "-p", "b/c"), ["b/c/1", "b/c/2"]),
        (("--older-than", "0s"), [*NAMES, ""]),
        (("--older-than", "1m"), []),
        (("--prefix", "a", "--older-than", "0s"), ["a/1", "a/2"]),
        (("--all",), [*NAMES, ""]),
        (("--prefix", "nothing"), []),
    ],
)
def test_rm_deletes_what_is_chosen_prints_it_and_with_dry_run_only_that(
    stocked: Inside, words: tuple[str, ...], gone: list[str]
) -> None:
    before = names(stocked)
    done = stocked.run("rm", *words, "-u", UNIT, "--dry-run")
    assert done.returncode == 0
    assert done.stderr.decode().startswith(f"{len(gone)} object{'s' * (len(gone) != 1)} (")
    assert names(stocked) == before
    shown = stocked.text("rm", *words, "-u", UNIT).splitlines()
    assert sorted(shown) == sorted(done.stdout.decode().splitlines())
    assert sorted(line.split("\t")[2] for line in shown) == sorted(gone)
    assert names(stocked) == sorted(set(before) - set(gone))


def test_rm_refuses_what_contradicts_itself_or_was_probably_not_meant(stocked: Inside) -> None:
    before = names(stocked)
    for words in (
        (),
        ("--prefix", ""),
        ("top", "--all"),
        ("top", "--prefix", "a"),
        ("-r",),
        ("-r", ""),
        ("-r", "5"),
        ("-r", "a", "b"),
        ("-r", "a", "--all"),
        ("--all", "--force"),
        ("--all", "--if-generation", "1"),
        ("top", "--dry-run", "--if-generation", "1"),
        ("top", "--json"),
        ("--older-than", "1"),
        ("--older-than", "-1d"),
        ("--older-than", "1.5d"),
    ):
        stocked.assert_fails(2, "rm", *words, "-u", UNIT)
    assert names(stocked) == before


def test_rm_says_which_of_those_named_would_go(stocked: Inside) -> None:
    before = names(stocked)
    done = stocked.run("rm", "a/1", "missing", "top", "-u", UNIT, "--dry-run")
    missing, counted = done.stderr.decode().splitlines()
    assert (done.returncode, counted) == (3, "2 objects (6 B) would be deleted")
    assert "no object named 'missing'" in missing
    assert [line.split("\t")[2] for line in done.stdout.decode().splitlines()] == ["a/1", "top"]
    described = stocked.run("rm", "top", "-u", UNIT, "-f", "--dry-run", "--json")
    assert [json.loads(line)["name"] for line in described.stdout.splitlines()] == ["top"]
    assert names(stocked) == before


def test_rm_of_more_than_a_batch(inside: Inside) -> None:
    fill(inside, {f"{index}": b"" for index in range(2345)})
    inside.put("kept", b"")
    assert inside.text("rm", "-p", "1", "-u", UNIT).count("\n") == len([i for i in range(2345) if str(i)[0] == "1"])
    assert inside.text("rm", "--all", "-u", UNIT).count("\n") == len([i for i in range(2345) if str(i)[0] != "1"]) + 1
    assert names(inside) == []


def answered(program: Program, answer: bytes, *arguments: str) -> tuple[int, str]:
    """Runs the command with input and errors on a terminal where somebody types an answer."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [COMMAND, *arguments], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, env=program.environment
    ) as process:
        os.close(theirs)
        asked = b""
        while not asked.endswith(b"]: "):
            asked += os.read(ours, 1000)
        os.write(ours, answer)
        process.communicate(timeout=60)
    os.close(ours)
    return process.returncode, asked.decode()


def test_rm_asks_on_a_terminal_and_takes_only_yes_for_it(embedded: Program) -> None:
    fill(Inside(embedded.location, directory=embedded.directory), {"a": b"1", "b": b"2"})
    for answer in (b"n\n", b"\n", b"\x04"):
        code, asked = answered(embedded, answer, "rm", "--all", "-u", UNIT)
        assert (code, "Delete 2 objects (2 B) of unit 'files'?" in asked) == (130, True)
        assert names(embedded) == ["a", "b"]
    assert answered(embedded, b"y\n", "rm", "-p", "a", "-u", UNIT)[0] == 0
    assert names(embedded) == ["b"]


def test_rm_leaves_what_came_after_it_asked(embedded: Program) -> None:
    inside = Inside(embedded.location, directory=embedded.directory)
    fill(inside, {"a": b"1", "b": b"2"})
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "rm", "--all", "-u", UNIT],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        env=embedded.environment,
    ) as process:
        os.close(theirs)
        while b"]: " not in os.read(ours, 1000):
            pass
        fill(inside, {"new": b"3"})
        inside.out("put", "-", "-u", UNIT, "-n", "b", "-f", data=b"changed")
        os.write(ours, b"y\n")
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert out.split()[2] == b"a"
    assert names(inside) == ["b", "new"]


def test_ls_takes_the_same_choice(stocked: Inside) -> None:
    def listed(*words: str) -> list[str]:
        return [line.split("\t")[2] for line in stocked.text("ls", "-u", UNIT, *words).splitlines()]

    assert listed("-p", "b/", "-t", "level=b") == ["b/1", "b/c/1", "b/c/2"]
    assert listed("--older-than", "1h") == []
    assert sorted(listed("--older-than", "0s")) == ["", *NAMES]


@pytest.mark.parametrize("words", [("ls", "-u", UNIT), ("ls", "-u", UNIT, "--level"), ("du",)])
def test_who_names_a_level_where_no_key_is_taken_is_told_of_prefixes(stocked: Inside, words: tuple[str, ...]) -> None:
    assert "--prefix 'b/' is for all names that begin so" in stocked.assert_fails(2, *words, "b/")


@pytest.mark.parametrize("command", ["get", "mv", "cp"])
def test_who_names_a_level_as_if_it_were_an_object_is_told_how_to_take_it(
    stocked: Inside, tmp_path: Path, command: str
) -> None:
    for key in ("b", "b/"):
        said = stocked.assert_fails(3, command, key, tmp_path / "new", "-u", UNIT)
        assert said.endswith("; --recursive is for those below 'b/'")
    for key in ("top/", "x" * 1024):
        assert "--recursive" not in stocked.assert_fails(3, command, key, tmp_path / "new", "-u", UNIT)


@given(st.text("ab/", max_size=8))
def test_a_level_is_the_prefix_up_to_its_last_slash(prefix: str) -> None:
    level = level_of(prefix)
    assert prefix.startswith(level)
    assert level == "" or level.endswith("/")
    assert "/" not in prefix.removeprefix(level)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("30m", 1800), ("12 h", 43200), ("7d", 604800), ("2W", 1209600)]
)
def test_ages_have_units(text: str, seconds: int) -> None:
    assert parse_age(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "d", "-1d", "1.5h", "1y", "9" * 9 + "w", "99999999d", "٣d", "1d1h"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_age(text)
