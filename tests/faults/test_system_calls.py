"""A fault at a system call: a clear error, what was acknowledged whole, what was not invisible, and the store goes on.

Some calls of each kind, another choice with each seed; `scripts/torture/system_calls` tries every one.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from torture.powerloss.calls import strace_missing
from torture.system_calls.stage import Stage
from torture.system_calls.sweep import CASES, sweep

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(strace_missing()), reason=strace_missing())]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as opened:
        yield opened


@pytest.mark.parametrize(("fault", "call"), CASES)
def test_a_fault_at_a_system_call_loses_nothing(stage: Stage, tmp_path: Path, fault: str, call: str) -> None:
    for number, _, wrong in sweep(stage, tmp_path, fault, call, numbers=2):
        assert wrong == [], f"{fault} at {call} {number}"
