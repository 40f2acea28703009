"""The allocator, told to keep what is freed: in processes of their own, since it holds for all of one."""

import os
import subprocess
import sys

import pytest

COUNT = """
import resource
from vault import tune_allocator
from vault.memory import give_back, resident

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        buffers = [b"x" * (1 << 20) for _ in range(4)]
        del buffers
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""

PAGES = (1 << 20) // os.sysconf("SC_PAGE_SIZE")


def run(program: str, **environment: str) -> str:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
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


def test_what_is_kept_is_little_and_given_back_when_asked() -> None:
    only_with_glibc()
    program = """
tune_allocator()
before = resident()
buffers = [b"x" * (1 << 20) for _ in range(128)]
most = resident()
del buffers
kept = resident()
buffers = [b"x" * (1 << 20) for _ in range(128)]
last = b"x" * (1 << 20)  # what was freed lies below it, and does not go by itself
del buffers
give_back()
print(most - before, kept - before, resident() - before)
"""
    most, kept, left = (int(number) >> 20 for number in run(program).split())
    assert most >= 120
    assert kept <= 24
    assert left <= 8


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
