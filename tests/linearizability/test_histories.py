"""What clients of a server saw, kills included, is what a register may show."""

import secrets
from pathlib import Path

import pytest

from torture.linearizability.judge import judge
from torture.linearizability.record import Setting, record

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("consistency", "options"),
    [("strict", []), ("watch", []), ("strict", ["--workers", "2"]), ("watch", ["--workers", "2"])],
)
def test_clients_see_what_their_consistency_promises(tmp_path: Path, consistency: str, options: list[str]) -> None:
    setting = Setting(1.5, consistency, secrets.randbelow(1 << 32), kills=1, options=options, fewest=100)
    print(setting)
    judgement = judge(record(tmp_path, setting), consistency)
    print(judgement)
    assert not judgement.violations
    assert judgement.kinds.total() > 100
