"""The two kinds of place that a vault can be opened on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from vault import Vault

from tests.vault.places import Place


@pytest.fixture(params=["embedded", "remote"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A directory, or a server on one."""
    opened = Place(request.param, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Place]:
    """A server."""
    opened = Place("remote", tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def vault(place: Place) -> Vault:
    """A vault with notes and counts."""
    return place.open()
