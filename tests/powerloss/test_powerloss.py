"""A power loss at any point: what was acknowledged is whole, what was not is wholly there or not at all.

The system calls of a real process are recorded, and what a disk may keep of each beginning of them is opened
and audited. `scripts/torture/powerloss` does the same at every system call.
"""

from pathlib import Path

import pytest

from torture.powerloss.calls import strace_missing
from torture.powerloss.changes import BREAKAGES, FAILURES, KILLS
from torture.powerloss.events import Said
from torture.powerloss.replay import record_scenario, replay
from torture.powerloss.scenario import SCENARIOS

SEED = 20

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(strace_missing()), reason=strace_missing())]


@pytest.mark.parametrize("name", SCENARIOS)
def test_whatever_a_disk_keeps_the_store_recovers(tmp_path: Path, name: str) -> None:
    history = record_scenario(name, tmp_path)
    found = replay(history, SCENARIOS[name], tmp_path, seed=SEED)
    assert found.wrong == []
    assert found.states > found.points > 30


@pytest.mark.parametrize("kill", KILLS)
def test_the_next_process_makes_durable_what_a_killed_one_did_not(tmp_path: Path, kill: str) -> None:
    history = record_scenario("few", tmp_path, kill, "")
    found = replay(history, SCENARIOS["few"], tmp_path, seed=SEED, dice_per_point=0)
    assert found.wrong == []


@pytest.mark.parametrize("failure", FAILURES)
def test_the_next_try_makes_durable_what_a_failed_one_did_not(tmp_path: Path, failure: str) -> None:
    history = record_scenario("few", tmp_path, failure)
    assert any(isinstance(event, Said) and event.line.startswith("refused") for event in history.events)
    found = replay(history, SCENARIOS["few"], tmp_path, seed=SEED, dice_per_point=0)
    assert found.wrong == []


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_wrong_protocol_is_told(tmp_path: Path, breakage: str) -> None:
    history = record_scenario("few", tmp_path, breakage)
    assert replay(history, SCENARIOS["few"], tmp_path, seed=SEED, enough=1).wrong
