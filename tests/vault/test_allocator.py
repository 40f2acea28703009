"""The allocator, told to keep what is freed: in processes of their own, since it holds for all of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = """
import resource
from vault import tune_allocator
from vault._runtime.memory import give_back, resident

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        buffers = [b"x" * (1 << 20) for _ in range(4)]
        del buffers
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""

PAGES = (1 << 20) // os.sysconf("SC_PAGE_SIZE")


def run(program: str, **environment: str) -> str:
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_", "PYTHONMALLOC"))
    }
    done = subprocess.run(
        [sys.executable, "-c", COUNT + program],
        capture_output=True,
        text=True,
        env={**clean, **environment},
        check=True,
    )
    return done.stdout.strip()


def only_with_glibc() -> None:
    if run("print(tune_allocator())") != "True":
        pytest.skip("the C library is not glibc")


def test_buffers_of_a_block_are_not_faulted_in_again_and_again() -> None:
    only_with_glibc()
    assert int(run("tune_allocator(); tune_allocator(); faults(5); print(faults(100))")) < 4 * PAGES


KEPT = """
import os
statm = os.open("/proc/self/statm", os.O_RDONLY)
def held():  # unlike resident(), takes no memory of the heap, on top of which something would be left
    return int(os.pread(statm, 200, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

tune_allocator()
give_back()
buffers = [None] * 128
before = held()
for number in range(128):
    buffers[number] = b"x" * (1 << 20)
most = held()
"""


def test_what_is_kept_at_the_end_of_the_heap_is_little() -> None:
    only_with_glibc()
    program = KEPT + "for number in range(128): buffers[number] = None\nprint(most - before, held() - before)"
    most, kept = map(int, run(program).split())
    assert most >= 120
    assert kept <= 24


def test_what_lies_below_something_in_use_is_given_back_when_asked() -> None:
    only_with_glibc()
    program = (
        KEPT
        + """
last = b"x" * (1 << 20)  # what is freed lies below it, and does not go by itself
for number in range(128):
    buffers[number] = None
kept = held()
give_back()
print(most - before, kept - before, held() - before)
"""
    )
    most, kept, left = map(int, run(program).split())
    assert most >= 120
    assert kept >= 120
    assert left <= 8


SERVED = """
import signal, sys, threading, time
import vault_server.cli.process
from vault.cli.program import program
vault_server.cli.process._TRIM_SECONDS = 0.1

def watch():
    deadline = time.monotonic() + 60
    while held() > before + 24 and time.monotonic() < deadline:
        time.sleep(0.05)
    print(kept - before, held() - before, flush=True)
    signal.raise_signal(signal.SIGTERM)

last = b"x" * (1 << 20)
for number in range(128):
    buffers[number] = None
kept = held()
threading.Thread(target=watch).start()
program.main(["serve", sys.argv[1], "--listen", "127.0.0.1:0", "--log-level", "error"], standalone_mode=False)
"""


def test_a_server_gives_it_back_by_itself(tmp_path: Path) -> None:
    only_with_glibc()
    program = "import vault_server.cli.serve\n" + KEPT + SERVED.replace("sys.argv[1]", repr(str(tmp_path / "store")))
    kept, left = map(int, run(program).splitlines()[-1].split())
    assert kept >= 120
    assert left <= 24


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("MALLOC_ARENA_MAX", "1"),
        ("GLIBC_TUNABLES", "glibc.malloc.top_pad=131072"),
    ],
)
def test_what_the_environment_says_stands(name: str, value: str) -> None:
    assert run("print(tune_allocator())", **{name: value}) == "False"
