"""A store for storage tests: audited when the test is over, whatever the test did."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from vault_server.storage import EmbeddedStore, StoreOptions


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Where the test's store is; sound when the test is over."""
    path = tmp_path / "store"
    yield path
    if path.is_dir() and (path / "register.db").exists():
        with EmbeddedStore(path) as store:
            report = store.check(deep=True)
        assert report.ok, report.problems


@pytest.fixture
def store(directory: Path, request: pytest.FixtureRequest) -> Iterator[EmbeddedStore]:
    """Its parameter: options."""
    with EmbeddedStore(directory, getattr(request, "param", StoreOptions())) as opened:
        yield opened
