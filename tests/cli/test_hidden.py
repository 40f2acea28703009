"""Whatever a store holds, what the command writes does not steer the terminal, and a line stays a line."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from vault import ConnectionSettings
from vault._escaping import holds_hidden
from vault._sync.remote.store import RemoteStore
from vault.errors import InvalidArgumentError, NotFoundError
from vault.store.specs import MetadataSpec
from vault_server import EmbeddedStore, Server

from tests import before
from tests.cli.program import UNIT, Program, on_terminal
from tests.server.process import Served

NAME = "n" + before.HIDDEN
TYPED = NAME.replace("\0", "")  # no argument of a command holds a NUL
TAGS = {"k\x1b\x9b\u202e\n": before.HIDDEN[1:]}
DATATYPE = "d\x1b\x9b\u202e\u2028\n"

_OWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n\t]")
"""What the command's own tables and bars are made of."""


class Stored(NamedTuple):
    """A store of before the rule, and two objects in it."""

    program: Program
    ids: tuple[int, int]


@pytest.fixture
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    directory = tmp_path / "vault"
    ids = tuple(
        before.store_before(directory, UNIT, b"text", name=name, tags=TAGS, datatype=DATATYPE)[0].data_id
        for name in (NAME, TYPED)
    )
    if getattr(request, "param", "embedded") == "embedded":
        yield Stored(Program(str(directory), directory=directory), (ids[0], ids[1]))
        return
    with EmbeddedStore(directory) as store, Server(store) as server:
        yield Stored(Program(f"grpc://{server.address}", directory=directory), (ids[0], ids[1]))


def assert_lines(shown: bytes, count: int | None = None) -> list[str]:
    """Asserts that these are lines, so many, with nothing hidden in them but tabs between fields."""
    text = shown.decode()
    assert text == "" or text.endswith("\n")
    lines = text.split("\n")[:-1]
    for line in lines:
        assert not holds_hidden(line.replace("\t", "")), ascii(line)
    assert count is None or len(lines) == count
    return lines


def test_lines_in_a_pipe_are_whole_and_hold_no_control_characters(stored: Stored, tmp_path: Path) -> None:
    program, (first, _) = stored
    for arguments, count, fields in (
        (("ls", "-u", UNIT), 2, 3),
        (("ls", "-u", UNIT, "--long"), 2, 9),
        (("ls", "-u", UNIT, "--prefix", TYPED), 1, 3),
        (("find", TYPED), 1, 4),
        (("stat", str(first), "-u", UNIT), 13, 2),
        (("tag", TYPED, "-u", UNIT, "new=1"), 2, 1),
        (("du", "-u", UNIT, "--level"), 1, 4),
        (("quota",), 1, 7),
        (("get", "--prefix", "x", tmp_path / "none", "-u", UNIT), 0, None),
    ):
        lines = assert_lines(program.out(*arguments), count)
        assert {line.count("\t") + 1 for line in lines} == ({fields} - {None})
    assert "\\x1b" in program.text("ls", "-u", UNIT)
    assert program.out("cat", TYPED, "-u", UNIT) == b"text"
    program.out("get", TYPED, tmp_path / "copy", "-u", UNIT)
    program.out("put", tmp_path / "copy", "-u", UNIT, "--name", TYPED, "--replace")
    refused: list[tuple[int, tuple[str | Path, ...]]] = [
        (2, ("put", tmp_path / "copy", "-u", UNIT, "--name", TYPED + "x")),
        (2, ("put", tmp_path / "copy", "-u", UNIT, "--tag", f"k={TYPED}")),
        (2, ("put", tmp_path / "copy", "-u", TYPED)),
        (2, ("tag", str(first), "-u", UNIT, "--name", TYPED + "x")),
        (2, ("get", TYPED, tmp_path, "-u", UNIT)),
        (2, ("get", "--prefix", TYPED, tmp_path / "none", "-u", UNIT)),
        (3, ("rm", TYPED + "x", "-u", UNIT)),
        (1, ("put", tmp_path / f"no{TYPED}"[:60], "-u", UNIT)),
    ]
    for code, words in refused:
        done = program.run(*words)
        assert_lines(done.stderr, 1)
        assert (done.returncode, done.stdout) == (code, b"")
    program.out("tag", str(first), "-u", UNIT, "--name", "renamed")
    program.out("rm", TYPED, "-u", UNIT)
    assert [each["name"] for each in program.documents("ls", "-u", UNIT)] == ["renamed"]


def test_json_is_exact_and_plain(stored: Stored) -> None:
    program, _ = stored
    shown = program.out("ls", "-u", UNIT, "--json")
    documents = [json.loads(line) for line in assert_lines(shown, 2)]
    assert {each["name"] for each in documents} == {NAME, TYPED}
    assert all((each["tags"], each["datatype"]) == (TAGS, DATATYPE) for each in documents)


@pytest.mark.parametrize("stored", ["remote"], indirect=True)
def test_nothing_steers_a_terminal(stored: Stored, tmp_path: Path) -> None:
    program, (first, second) = stored
    shows: list[tuple[int, tuple[str | Path, ...]]] = [
        (0, ("ls", "-u", UNIT, "--long")),
        (0, ("stat", str(first), "-u", UNIT)),
        (0, ("get", TYPED, tmp_path / "copy\x9b\u202e", "-u", UNIT)),
        (0, ("tag", str(second), "-u", UNIT)),
        (3, ("get", TYPED + "x", tmp_path / "copy", "-u", UNIT)),
    ]
    for code, arguments in shows:
        ended, shown = on_terminal(program, *arguments, columns=4000)
        assert ended == code
        assert not holds_hidden(_OWN.sub("", shown)), ascii(shown)
        assert "\x1b]" not in shown


def test_a_check_shows_the_names_of_strange_files_harmlessly(tmp_path: Path) -> None:
    directory = tmp_path / "vault"
    before.store_before(directory, UNIT, b"text", name=NAME, tags=TAGS)
    for name in ("1.vault\n", "9\x1b.vault", "\u202e.vault", "5.vault"):
        (directory / UNIT / name).parent.mkdir(exist_ok=True)
        (directory / UNIT / name).write_bytes(b"strange")
    program = Program(str(directory), directory=directory)
    done = program.run("check", directory)
    assert_lines(done.stdout)
    assert_lines(done.stderr)
    for line in assert_lines(program.run("check", directory, "--json").stdout, 1):
        json.loads(line)


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_servers_log_has_a_line_for_each_event_whatever_it_is_asked_for(tmp_path: Path, style: str) -> None:
    directory = tmp_path / "vault"
    for folder in ("evil\n2026-01-01 [error] forged", "\x1b[2J\x9b\u202e"):
        (directory / folder).mkdir(parents=True)
    (directory / UNIT).mkdir()
    (directory / UNIT / "5.vault").write_bytes(b"adopted")
    (directory / UNIT / "not\n\x1b adopted").write_bytes(b"")
    served = Served(directory, "--listen", "127.0.0.1:0", "--log-format", style, "--log-level", "debug")
    try:
        with RemoteStore(served.address, ConnectionSettings(timeout=30)) as store:
            for name in (NAME, "\n2026-01-01 [error] forged", "\x1b]0;title\x07"):
                assert store.load(UNIT, name) is None
                with pytest.raises(NotFoundError):
                    store.set_metadata(UNIT, MetadataSpec(name, name="new"))
                with pytest.raises(InvalidArgumentError):
                    store.set_metadata(UNIT, MetadataSpec(5, name=name))
    finally:
        code, _, log = served.terminate()
    assert code == 0
    lines = assert_lines(log.encode())
    assert any("forged" in line for line in lines)
    assert not [line for line in lines if line.startswith("2026-01-01 [error] forged")]
    if style == "json":
        for line in lines:
            json.loads(line)


def test_a_name_that_the_locale_cannot_write_is_escaped_too(tmp_path: Path) -> None:
    program = Program(str(tmp_path / "vault"), directory=tmp_path / "vault")
    program.put("ä 𝄞", b"1")
    done = program.run("ls", "-u", UNIT, env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"\t\\xe4 \\U0001d11e" + os.linesep.encode())
