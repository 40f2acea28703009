"""What clients of a server saw, kills included, is what a register may show."""

import secrets
from pathlib import Path

import pytest

from tests.linearizability.judge import judge
from tests.linearizability.record import Setting, record


@pytest.mark.parametrize("consistency", ["strict", "watch"])
def test_clients_see_what_their_consistency_promises(tmp_path: Path, consistency: str) -> None:
    setting = Setting(3, consistency, secrets.randbelow(1 << 32), kills=1)
    print(setting)
    judgement = judge(record(tmp_path, setting), consistency)
    print(judgement)
    assert not judgement.violations
    assert judgement.kinds.total() > 100
