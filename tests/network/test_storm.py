"""Whatever becomes of connections, transfers end with equal bytes and each write is applied once."""

import secrets
from pathlib import Path

import pytest

from torture.network.storm import Forecast, storm

pytestmark = pytest.mark.slow


def test_nothing_is_lost_through_bad_connections(tmp_path: Path) -> None:
    forecast = Forecast(5, secrets.randbelow(1 << 32))
    print(forecast)
    damage = storm(tmp_path, forecast)
    print(damage)
    assert damage.figures.unacknowledged == 0
    assert damage.lost == 0
    assert damage.figures.acknowledged > 20
    assert damage.files > 0
