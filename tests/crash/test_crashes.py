"""Whatever is killed at whatever moment: what was acknowledged is there, whole, and once."""

import secrets
from pathlib import Path

import pytest

from torture.crash.harness import Plan, crash_embedded, crash_server

pytestmark = pytest.mark.slow


def test_a_server_that_is_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    plan = Plan(cycles=20, seed=secrets.randbelow(1 << 32))
    print(plan)
    figures, loads = crash_server(tmp_path, plan)
    print(figures, loads, "reads")
    assert figures.audits == 21
    assert figures.acknowledged > 200


def test_processes_on_one_directory_lose_nothing_when_one_is_killed(tmp_path: Path) -> None:
    plan = Plan(cycles=12, seed=secrets.randbelow(1 << 32))
    print(plan)
    figures, loads = crash_embedded(tmp_path, plan)
    print(figures, loads, "reads")
    assert figures.audits == 13
    assert figures.acknowledged > 200
