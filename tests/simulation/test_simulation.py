"""Simulated servers over a store in memory: what is promised holds in any order of events, and what is wrong is found.

`scripts/torture/simulation` runs more seeds; its `--seed N --count 1` runs one of these again.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from vault_server.storage.generic._async import suspended, watch
from vault_server.storage.generic._async.index_store import AsyncIndexStore

from torture.simulation.clients import run
from torture.simulation.world import Node, World
from torture.simulation.wrong import WRONG

SEEDS = 1_000


def test_what_is_promised_holds_whatever_happens_when() -> None:
    changes = crashes = unknown = 0
    for seed in range(SEEDS):
        try:
            ran = run(seed)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        changes, crashes, unknown = changes + ran.changes, crashes + ran.crashes, unknown + ran.unknown
    assert changes > 4 * SEEDS, "it simulates less than it did"
    assert crashes > SEEDS // 2
    assert unknown > SEEDS // 20


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_protocol_that_is_wrong_on_purpose_is_found(wrong: Callable[[World, Node], AsyncIndexStore]) -> None:
    seeds = iter(range(200))
    found = 0
    while found < 2 and (seed := next(seeds, None)) is not None:
        try:
            run(seed, wrong)
        except Exception:  # noqa: BLE001  # a violation, or what comes of tables that contradict each other
            found += 1
    assert found == 2, "200 seeds did not find it twice"


@pytest.mark.parametrize("wrong", [None, *WRONG.values()], ids=["sound", *WRONG.keys()])
def test_what_runs_after_it_has_its_own_clock_again(wrong: Callable[[World, Node], AsyncIndexStore] | None) -> None:
    for seed in range(10):
        with contextlib.suppress(Exception):
            run(seed, wrong) if wrong else run(seed)
        assert all(module.__dict__["time"] is time for module in (watch, suspended))


def test_a_seed_comes_to_the_same_in_every_process() -> None:
    program = "from torture.simulation.clients import run; print([run(seed) for seed in range(40)])"
    told = set()
    for hashing in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hashing},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        told.add(done.stdout)
    told.add(f"{[run(seed) for seed in range(40)]}\n")
    assert len(told) == 1
