"""The command, against a directory and against a server over it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from vault_server import EmbeddedStore, Server

from tests.cli.program import Inside, Program


@pytest.fixture
def embedded(tmp_path: Path) -> Program:
    """The command against a directory that is not there yet."""
    return Program(str(tmp_path / "vault"), directory=tmp_path / "vault")


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Program]:
    """The command against a server."""
    directory = tmp_path / "vault"
    with EmbeddedStore(directory) as store, Server(store) as server:
        yield Program(f"grpc://{server.address}", directory=directory)


@pytest.fixture(params=["directory", pytest.param("server", marks=pytest.mark.slow)])
def inside(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Inside]:
    """The command in this process, against each."""
    directory = tmp_path / "vault"
    if request.param == "directory":
        yield Inside(str(directory), directory=directory)
        return
    with EmbeddedStore(directory) as store, Server(store) as server:
        yield Inside(f"grpc://{server.address}", directory=directory)


@pytest.fixture(params=["embedded", pytest.param("remote", marks=pytest.mark.slow)])
def program(request: pytest.FixtureRequest) -> Program:
    """The command, against each."""
    chosen: Program = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def random_file(tmp_path: Path) -> Path:
    """Three blocks and a bit, in a file whose name needs care."""
    path = tmp_path / "two words ä.bin"
    path.write_bytes(os.urandom((3 << 20) + 17))
    return path
