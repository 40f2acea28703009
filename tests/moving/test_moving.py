"""A store's directory is moved away and back under its writers for some seconds."""

from pathlib import Path

import pytest

from torture.moving.harness import moving

pytestmark = pytest.mark.slow


def test_nothing_acknowledged_is_lost_and_nothing_else_is_written_to(tmp_path: Path) -> None:
    figures = moving(tmp_path, 7, 3)
    assert figures.moves
    assert figures.acknowledged
    assert figures.refused
