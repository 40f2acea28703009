"""Many clients and watchers at the same time: no error, and nothing of them stays."""

import secrets
from pathlib import Path

import pytest

from torture.soak.harness import Load, soak

pytestmark = pytest.mark.slow


def test_clients_and_watchers_leave_nothing_behind(tmp_path: Path) -> None:
    load = Load(clients=20, watchers=50, seconds=6, seed=secrets.randbelow(1 << 32), processes=2, units=5, pause=0.2)
    print(load)
    soaked = soak(tmp_path, load)
    print(soaked)
    assert not soaked.problems
    assert soaked.operations > 50
