"""get_or_compute in several processes: which of them computes, when one is killed, forks or ends."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from vault import Vault
from vault_server import EmbeddedStore, Server

from tests.storage.objects import run, start
from tests.vault.computing import PROGRAM, Counting, is_free, together
from tests.vault.places import STRUCTURE
from tests.waiting import assert_soon


@pytest.mark.parametrize("kind", ["embedded", "remote"])
def test_processes_compute_once_and_never_two_at_a_time(kind: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with ExitStack() as stack:
        location = str(tmp_path / "store")
        if kind == "remote":
            store = stack.enter_context(EmbeddedStore(location))
            location = f"grpc://{stack.enter_context(Server(store)).address}"
        processes = [start(PROGRAM, location, log, "0.3", "10", "a") for _ in range(2)]
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        told = together(*[lambda process=process: process.communicate("go\n", timeout=60)[0] for process in processes])
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [what for what, _ in lines] == ["begin", "end"]
    assert set(told) == {f"of {lines[0][1]}\n"}


@pytest.mark.parametrize("kind", ["embedded", "remote"])
def test_the_computation_of_a_process_that_is_killed_is_anothers_within_a_lease(kind: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    with ExitStack() as stack:
        location = str(tmp_path / "store")
        if kind == "remote":
            store = stack.enter_context(EmbeddedStore(location))
            location = f"grpc://{stack.enter_context(Server(store)).address}"
        doomed = start(PROGRAM, location, log, "60", "2", "a")
        assert doomed.stdin
        assert doomed.stdout
        assert doomed.stdout.readline() == "ready\n"
        doomed.stdin.write("go\n")
        doomed.stdin.flush()
        assert_soon(lambda: log.read_text() == f"begin {doomed.pid}\n")
        with Vault(location, STRUCTURE) as vault:
            assert not is_free(vault, "a")
            doomed.kill()
            doomed.communicate()
            began = time.monotonic()
            assert vault.get_or_compute("notes", "a", Counting("after"), timeout=60).text == "after"
            assert time.monotonic() - began < 30


FORKING = """
import os, signal, sys
signal.alarm(60)
from vault import ClosedError, Vault
from tests.vault.places import STRUCTURE, Note
with Vault(sys.argv[1], STRUCTURE) as vault:
    def function():
        pid = os.fork()
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
            return Note("parent's")
        assert vault.get_or_compute("notes", "b", lambda: Note("child's")).text == "child's"
        return Note("child's")
    parent = os.getpid()
    try:
        print(vault.get_or_compute("notes", "a", function).text)
    except ClosedError:
        os._exit(os.getpid() == parent)
    assert vault.load("notes", "b") is None or os.getpid() == parent
    with vault.load("notes", "b") as ticket:
        print(ticket.get_data().text)
"""


def test_a_child_that_is_forked_by_a_function_computes_its_own_and_not_its_parents(tmp_path: Path) -> None:
    assert run(FORKING, tmp_path / "store") == "parent's\nchild's\n"


def test_a_process_that_ends_in_the_middle_ends(tmp_path: Path) -> None:
    program = (
        "import sys, threading\nfrom vault import Vault\nfrom tests.vault.places import STRUCTURE\n"
        "vault = Vault(sys.argv[1], STRUCTURE)\nbegun = threading.Event()\n"
        "def function():\n    begun.set()\n    threading.Event().wait()\n"
        "threading.Thread(target=vault.get_or_compute, args=('notes', 'a', function), daemon=True).start()\n"
        "assert begun.wait(30)\nprint('ends')\n"
    )
    assert run(program, tmp_path / "store") == "ends\n"
