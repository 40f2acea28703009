"""Directories for the tests of faults."""

from pathlib import Path

import pytest


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the test's store is."""
    return tmp_path / "store"
