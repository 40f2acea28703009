"""Where there is no vault, no server, no space or no reader: one line, and a code that says which."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from vault.cli.program import _OWN

from tests.cli.folders import make
from tests.cli.program import COMMAND, UNIT, Inside, Program


@pytest.mark.parametrize("command", [["ls", "-u", UNIT], ["units"], ["cat", "a", "-u", UNIT], ["rm", "a", "-u", UNIT]])
def test_reading_makes_no_vault_where_there_is_none(embedded: Program, command: list[str]) -> None:
    assert embedded.directory is not None
    assert "no such directory" in embedded.assert_fails(5, *command)
    assert not embedded.directory.exists()
    embedded.directory.mkdir()
    assert "no register.db" in embedded.assert_fails(5, *command)
    assert list(embedded.directory.iterdir()) == []
    assert embedded.put("a", b"1")


def test_a_file_is_not_a_vault(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "not a directory" in Program(str(tmp_path / "file")).assert_fails(2, "units")
    assert "is a file" in Program(str(tmp_path / "file")).assert_fails(2, "put", "-", "-u", UNIT)


def test_a_server_without_its_scheme_is_recognised(tmp_path: Path) -> None:
    for command in (["units"], ["put", "-", "-u", UNIT]):
        assert "'grpc://localhost:50051'" in Program("localhost:50051").assert_fails(2, *command)


@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize("address", ["grpc://127.0.0.1:1", "unix:socket", "nothing://x", "localhost:1"])
def test_an_address_is_no_directory_and_none_is_made_of_it(tmp_path: Path, command: str, address: str) -> None:
    done = subprocess.run(
        [COMMAND, command, address],
        cwd=tmp_path,
        env=Program(None).environment,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert repr(address) in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


def test_no_location_and_no_known_scheme_are_usage_errors() -> None:
    assert "--vault" in Program(None).assert_fails(2, "units")
    assert "--vault" in Program("").assert_fails(2, "units")
    assert "known schemes" in Program("nothing://x").assert_fails(2, "units")
    assert "bad address" in Program("grpc://x").assert_fails(2, "units")


def test_the_location_may_stand_before_or_after_the_command_and_wins_over_the_environment(
    embedded: Program, tmp_path: Path
) -> None:
    embedded.put("a", b"1")
    assert embedded.location is not None
    nowhere = str(tmp_path / "nowhere")
    assert Program(nowhere).text("--vault", embedded.location, "units") == f"{UNIT}\n"
    assert Program(nowhere).text("units", "--vault", embedded.location) == f"{UNIT}\n"
    assert Program(None).text("--vault", nowhere, "units", "--vault", f"file://{embedded.location}") == f"{UNIT}\n"


def test_the_unit_and_any_option_may_come_from_the_environment(embedded: Program) -> None:
    embedded.put("a", b"1")
    done = embedded.run("ls", env={"VAULT_GRPC_UNIT": UNIT, "VAULT_GRPC_LS_AS_JSON": "1"})
    assert done.stdout.startswith(b"{")
    assert embedded.run("units", env={"VAULT_GRPC_UNITS_VAULT": "/nowhere"}).returncode == 0


def test_a_server_that_is_away_is_said_within_the_timeout() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: nobody else gets the port, and nobody answers
        program = Program(f"grpc://127.0.0.1:{taken.getsockname()[1]}")
        began = time.monotonic()
        program.assert_fails(5, "--timeout", "2", "units")
        program.assert_fails(5, "put", "-", "-u", UNIT, "--timeout", "2", data=b"x")
        assert time.monotonic() - began < 30


def test_a_unix_socket_that_nobody_listens_on_is_a_server_that_is_away(tmp_path: Path) -> None:
    Program(f"unix:{tmp_path}/socket").assert_fails(5, "--timeout", "1", "units")


@pytest.mark.parametrize(
    "arguments", [["nothing"], [], ["ls", "--nothing", "-u", "a"], ["get", "a"], ["--timeout", "0", "units"]]
)
def test_a_wrong_command_line_is_one_line_and_names_the_help(embedded: Program, arguments: list[str]) -> None:
    assert "--help'." in embedded.assert_fails(2, *arguments)


def test_what_was_wrong_ends_with_a_full_stop_before_the_help_is_named(embedded: Program) -> None:
    assert "a letter or digit. Try 'vault-grpc ls --help'." in embedded.assert_fails(2, "ls", "-u", "../a")


def test_corrupt_bytes_are_not_written_and_have_a_code_of_their_own(
    program: Program, random_file: Path, tmp_path: Path
) -> None:
    program.out("put", random_file, "-u", UNIT, "-n", "a")
    assert program.directory is not None
    (blob,) = program.directory.glob(f"{UNIT}/*.vault")
    with blob.open("r+b") as file:
        file.seek((2 << 20) + 5)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    assert "block 2" in program.assert_fails(6, "get", "a", tmp_path / "copy", "-u", UNIT)
    assert not (tmp_path / "copy").exists()
    done = program.run("cat", "a", "-u", UNIT)
    assert done.returncode == 6
    assert random_file.read_bytes().startswith(done.stdout)
    assert len(done.stdout) <= 2 << 20


WRITING: dict[str, list[list[str]]] = {
    "put": [["put", "FILE"], ["put", "-r", "FOLDER"]],
    "get": [["get", "a", "-"], ["get", "--all", "OUT"]],
    "cat": [["cat", "a"]],
    "ls": [["ls"], ["ls", "--json", "--sort", "size"], ["ls", "--level"]],
    "stat": [["stat", "a"]],
    "find": [["find", "a"]],
    "tag": [["tag", "a", "k=v"]],
    "units": [["units"]],
    "du": [["du"]],
    "quota": [["quota"], ["quota", "--principal", "ann", "--max-objects", "7"]],
    "watch": [["watch", "--since", "0"]],
    "admin": [["admin", "purge", "--json"]],
    "ping": [["ping"]],
    "completion": [["completion", "bash"]],
    "cp": [["cp", "a", "b"]],
    "mv": [["mv", "b", "c"]],
    "rm": [["rm", "-p", "a"]],
}
"""Every command, with arguments by which it writes something; those that delete at the end."""

_ONE_BY_ONE = """
import os, sys
from vault.cli import program, objects, listing, transfer, copying, watching, usage, quota, ping, completion, admin
from vault_server import EmbeddedStore
output = int(sys.argv[1])
for line in sys.stdin.read().splitlines():
    if not (child := os.fork()):
        os.dup2(output, 1)
        sys.argv = ["vault-grpc", *line.split("\t")]
        sys.stdout = open(1, "w", closefd=False)
        os._exit(program.run())
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("where", "code", "said"), [("full", 1, "vault-grpc: No space left on device\n"), ("closed", 141, "")]
)
def test_every_command_says_that_a_device_is_full_and_nothing_when_its_reader_is_gone(
    embedded: Program, tmp_path: Path, where: str, code: int, said: str
) -> None:
    assert set(WRITING) == set(_OWN)
    embedded.put("a", b"1")
    folder = make(tmp_path / "in", {"in": b"2"})
    places = {"FILE": str(folder / "in"), "FOLDER": str(make(folder / "more", {"x": b"3"})), "OUT": str(tmp_path / "o")}
    unit = {"find", "units", "du", "quota", "watch", "ping", "completion", "admin"}
    lines = [
        [places.get(word, word) for word in words] + ([] if words[0] in unit else ["-u", UNIT])
        for commands in WRITING.values()
        for words in commands
    ]
    if where == "full":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, output = os.pipe()
        os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", _ONE_BY_ONE, str(output)],
        input="\n".join("\t".join(words) for words in lines),
        capture_output=True,
        text=True,
        pass_fds=[output],
        env=embedded.environment,
        timeout=100,
        check=True,
    )
    os.close(output)
    assert dict(zip(map(tuple, lines), map(int, done.stdout.split()), strict=True)) == {
        tuple(words): code for words in lines
    }
    assert done.stderr == said * len(lines)


@pytest.mark.parametrize("words", [words for commands in WRITING.values() for words in commands], ids=" ".join)
def test_no_command_but_put_makes_a_vault_and_each_says_that_a_server_is_away(words: list[str], tmp_path: Path) -> None:
    if words[0] == "completion":
        return
    folder = make(tmp_path / "in", {"in": b"2"})
    places = {"FILE": str(folder / "in"), "FOLDER": str(folder), "OUT": str(tmp_path / "o")}
    unit = [] if words[0] in ("units", "du", "quota", "find", "watch", "ping") else ["-u", UNIT]
    command = [*(places.get(word, word) for word in words), *unit]
    Inside("grpc://127.0.0.1:1").assert_fails(5, *command, "--timeout", "0.2")
    if words[0] != "put":
        Inside(str(tmp_path / "nothing")).assert_fails(5, *command)
        assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("command", ["ls", "cat"])
def test_a_reader_that_stops_reading_is_no_error(program: Program, command: str) -> None:
    program.put("a", bytes(4 << 20))
    arguments = ["cat", "a"] if command == "cat" else ["ls"]
    reading, writing = os.pipe()
    with subprocess.Popen(
        [COMMAND, *arguments, "-u", UNIT], stdout=writing, stderr=subprocess.PIPE, env=program.environment
    ) as process:
        os.close(writing)
        if command == "cat":
            assert os.read(reading, 10) == bytes(10)
        os.close(reading)
        _, errors = process.communicate(timeout=60)
    assert errors == b""
    assert process.returncode == 141


def test_an_interrupted_put_stores_nothing_and_ends_with_130(program: Program) -> None:
    with subprocess.Popen(
        [COMMAND, "put", "-", "-u", UNIT, "-n", "a"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=program.environment,
    ) as process:
        assert process.stdin is not None
        # More than pipes and read-ahead hold: when it is all taken, the transfer is running.
        process.stdin.write(os.urandom(8 << 20))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (130, b"", b"")
    assert program.text("units") == ""


def test_names_that_would_steer_a_terminal_do_not_reach_it_in_errors(embedded: Program) -> None:
    embedded.put("a", b"1")
    assert "\x9b" not in embedded.assert_fails(3, "stat", "x\x9b31m", "-u", UNIT)
