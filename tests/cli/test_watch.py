"""watch: a line for each change, at once, until it is told to end or nobody reads."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from vault.store.specs import DeleteSpec, MetadataSpec
from vault_server import EmbeddedStore

from tests.cli.program import COMMAND, UNIT, Inside, Program
from tests.server.process import Served


@contextmanager
def watching(program: Program, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [COMMAND, "watch", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=program.environment
    )
    try:
        with process:
            yield process
    finally:
        process.kill()


def line_of(process: "subprocess.Popen[bytes]") -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_every_change_is_a_line_as_soon_as_it_is_committed(program: Program) -> None:
    first = program.put("a", b"1")
    with watching(program, "--json", "--since", "0") as process:
        assert line_of(process) == {
            "revision": 1,
            "kind": "uploaded",
            "unit": UNIT,
            "data_id": str(first),
            "generation": 1,
            "name": "a",
        }
        second = program.put("b", b"2", unit="other")
        assert line_of(process)["data_id"] == str(second)
        program.out("tag", "a", "-u", UNIT, "k=v")
        assert [line_of(process)["kind"]] == ["metadata"]
        program.out("rm", "a", "-u", UNIT)
        assert line_of(process)["kind"] == "deleted"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_units_and_prefixes_choose_and_lines_have_tabs(embedded: Program) -> None:
    for unit in ("one", "two", "three"):
        for name in ("a/1", "b/1", None):
            embedded.put(name, b"1", unit=unit)
    with watching(embedded, "-u", "one", "--unit", "three", "--prefix", "a/", "--since", "0") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().decode().rstrip("\n").split("\t") for _ in range(2)]
        assert [line[1:3] + line[5:] for line in lines] == [
            ["uploaded", "one", "a/1"],
            ["uploaded", "three", "a/1"],
        ]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_0_and_without_a_word(program: Program, number: int) -> None:
    program.put("a", b"1")
    with watching(program, "--since", "0", "--json") as process:
        line_of(process)
        process.send_signal(number)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out, errors) == (0, b"", b"")


@pytest.mark.parametrize("changes", [0, 1])
def test_it_ends_when_its_reader_does_whether_anything_changes_or_not(program: Program, changes: int) -> None:
    program.put("a", b"1")
    reading, writing = os.pipe()
    with subprocess.Popen(
        [COMMAND, "watch", "--since", "0"], stdout=writing, stderr=subprocess.PIPE, env=program.environment
    ) as process:
        os.close(writing)
        assert os.read(reading, 1000)
        os.close(reading)
        for _ in range(changes):
            program.put(None, b"")
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (141, b"")


def test_a_full_device_is_a_failure(embedded: Program) -> None:
    embedded.put("a", b"1")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [COMMAND, "watch", "--since", "0"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=embedded.environment,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (1, b"vault-grpc: No space left on device\n")


def test_it_goes_on_where_it_was_when_the_server_comes_back(tmp_path: Path) -> None:
    directory, socket = tmp_path / "vault", tmp_path / "socket"
    served = Served(directory, "--listen", f"unix:{socket}")
    program = Program(f"unix:{socket}", directory=directory)
    first = program.put("a", b"1")
    with watching(program, "--json", "--since", "0") as process:
        assert line_of(process)["data_id"] == str(first)
        served.terminate()
        with EmbeddedStore(directory) as store:
            store.set_metadata(UNIT, MetadataSpec(first, name="b"))
            store.delete_many(UNIT, [DeleteSpec(first)])
        served = Served(directory, "--listen", f"unix:{socket}")
        try:
            assert [line_of(process)["kind"] for _ in range(2)] == ["metadata", "deleted"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
        finally:
            served.terminate()


def test_what_it_cannot_follow_is_said(embedded: Program) -> None:
    inside = Inside(embedded.location, directory=embedded.directory)
    assert "no such directory" in inside.assert_fails(5, "watch")
    inside.put("a", b"1")
    assert "revision" in inside.assert_fails(1, "watch", "--since", "1000000")
    inside.assert_fails(2, "watch", "--since", "-1")
    inside.assert_fails(2, "watch", "--unit", "../a")
