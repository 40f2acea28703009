"""Programs that end, or fork, with everything open: they end, and nobody else's work does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vault import forking, leaving
from tests.vault.places import Place

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def start(module: str, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_program_that_leaves_everything_open_ends(place: Place, colour: str) -> None:
    ways = leaving.WAYS if colour == "sync" else ("raise", "vault closed")
    programs = {how: start("tests.vault.leaving", place.location, colour, how) for how in ways}
    try:
        for how, program in programs.items():
            _, errors = program.communicate(timeout=100)
            assert program.returncode == leaving.WAYS[how], (how, errors)
            assert "Exception ignored" not in errors, (how, errors)
    finally:
        for program in programs.values():
            program.kill()


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_what_was_open_before_a_fork_is_dead_in_the_child_and_goes_on_in_the_parent(place: Place, colour: str) -> None:
    # With its own fork handlers gRPC crashes some children of programs that use it on an event loop, at the fork.
    environment = {"GRPC_ENABLE_FORK_SUPPORT": "0"} if colour == "async" else {}
    program = start("tests.vault.forking", place.location, colour, **environment)
    try:
        output, errors = program.communicate(timeout=110)
    finally:
        program.kill()
    assert program.returncode == 0, (output, errors)
    ways = forking.WAYS if colour == "sync" else forking.ASYNC_WAYS
    assert [line.split()[0] for line in output.splitlines()] == list(ways)
