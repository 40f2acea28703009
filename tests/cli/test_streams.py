"""Standard streams that are closed, or take nothing: every command ends as it would, and says what it can."""

import json
import subprocess

import pytest

from tests.cli.program import COMMAND, UNIT, Program

PRINTING = {
    "put": ["put", "FILE", "-u", UNIT],
    "get": ["get", "a", "-", "-u", UNIT],
    "cat": ["cat", "a", "-u", UNIT],
    "part": ["cat", "a", "-u", UNIT, "--length", "1"],
    "ls": ["ls", "-u", UNIT, "--json"],
    "stat": ["stat", "a", "-u", UNIT],
    "find": ["find", "a"],
    "tag": ["tag", "a", "k=v", "-u", UNIT],
    "units": ["units"],
    "check": ["check", "DIRECTORY"],
    "help": ["ls", "--help"],
    "version": ["--version"],
}
"""Every command, so that it prints something."""

FAILING = {
    "put": (4, ["put", "FILE", "-u", UNIT, "-n", "a"]),
    "get": (3, ["get", "nothere", "x", "-u", UNIT]),
    "cat": (3, ["cat", "nothere", "-u", UNIT]),
    "ls": (2, ["ls", "-u", "../a"]),
    "stat": (3, ["stat", "nothere", "-u", UNIT]),
    "find": (3, ["find", "nothere"]),
    "tag": (3, ["tag", "nothere", "k=v", "-u", UNIT]),
    "rm": (3, ["rm", "nothere", "-u", UNIT]),
    "units": (5, ["units", "--vault", "nowhere"]),
    "check": (5, ["check", "nowhere"]),
    "serve": (2, ["serve", "DIRECTORY", "--listen", "nonsense"]),
    "none": (2, ["nothing"]),
}
"""Every command, so that it has to say why it fails."""


def run(
    program: Program, arguments: list[str], streams: str, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """Runs the command with its streams as a shell redirects them."""
    directory = program.directory
    assert directory is not None
    file = directory.parent / "file"
    file.write_bytes(b"file")
    words = [{"FILE": str(file), "DIRECTORY": str(directory)}.get(word, word) for word in arguments]
    clean = {key: value for key, value in program.environment.items() if key != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {streams}', "sh", COMMAND, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**clean, **environment},
        cwd=directory.parent,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize("name", PRINTING)
def test_output_on_a_full_device_is_a_failure_with_one_line(embedded: Program, name: str) -> None:
    embedded.put("a", b"1" * 100)
    done = run(embedded, PRINTING[name], ">/dev/full")
    assert (done.returncode, done.stderr) == (1, b"vault-grpc: No space left on device\n")


@pytest.mark.parametrize("name", ["put", "cat", "ls", "help"])
def test_output_that_is_closed_is_a_failure_with_one_line(embedded: Program, name: str) -> None:
    embedded.put("a", b"1" * 100)
    done = run(embedded, PRINTING[name], ">&-")
    assert (done.returncode, done.stderr) == (1, b"vault-grpc: a standard stream that is needed is closed\n")


@pytest.mark.parametrize(
    ("name", "streams"),
    [*zip(FAILING, ["2>&-", "2>/dev/full >/dev/full"] * len(FAILING), strict=False), ("get", "2>&-")],
)
def test_errors_that_nobody_hears_end_with_the_same_code(embedded: Program, name: str, streams: str) -> None:
    embedded.put("a", b"1")
    code, arguments = FAILING[name]
    done = run(embedded, arguments, streams)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_it_is_the_same_whether_output_is_buffered_or_not(embedded: Program, unbuffered: str) -> None:
    embedded.put("a", b"1" * 100)
    for command in (PRINTING["ls"], PRINTING["cat"]):
        done = run(embedded, command, ">/dev/full", PYTHONUNBUFFERED=unbuffered)
        assert (done.returncode, done.stderr) == (1, b"vault-grpc: No space left on device\n")
    code, arguments = FAILING["get"]
    assert run(embedded, arguments, "2>/dev/full", PYTHONUNBUFFERED=unbuffered).returncode == code


def test_what_prints_nothing_needs_no_streams(embedded: Program) -> None:
    embedded.put("a", b"1" * 100)
    assert run(embedded, ["get", "a", "copy", "-u", UNIT], "<&- >&- 2>&-").returncode == 0
    assert embedded.directory is not None
    assert (embedded.directory.parent / "copy").read_bytes() == b"1" * 100
    assert run(embedded, ["rm", "a", "-u", UNIT], "<&- >&- 2>&-").returncode == 0


def test_input_that_is_closed_is_a_failure_and_nothing_is_stored(embedded: Program) -> None:
    embedded.put("a", b"1")
    done = run(embedded, ["put", "-", "-u", UNIT, "-n", "b"], "<&-")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"vault-grpc: b: a standard stream that is needed is closed\n"
    embedded.assert_fails(3, "stat", "b", "-u", UNIT)


def test_no_file_of_the_store_gets_the_number_of_a_stream(embedded: Program) -> None:
    embedded.put("a", b"1")
    for _ in range(3):  # what is said on a closed stream would otherwise be written into the register
        run(embedded, ["put", "FILE", "-u", UNIT], "<&- >&- 2>&-")
    assert json.loads(embedded.out("check", embedded.location or "", "--deep", "--json"))["ok"]
    assert embedded.out("cat", "a", "-u", UNIT) == b"1"


def test_a_name_that_the_outputs_encoding_lacks_is_escaped(embedded: Program) -> None:
    embedded.put("ä", b"1")
    done = run(embedded, ["ls", "-u", UNIT], "", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"\t\\xe4\n")
