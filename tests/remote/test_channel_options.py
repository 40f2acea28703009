"""gRPC ignores an option whose name it does not know, so the names are looked up in the library itself."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from vault._grpc.settings import OPTIONS


@pytest.fixture(scope="module")
def library() -> bytes:
    spec = find_spec("grpc._cython.cygrpc")
    assert spec is not None
    return Path(str(spec.origin)).read_bytes()


@pytest.mark.parametrize("name", [name for name, _ in OPTIONS])
def test_grpc_knows_the_option(library: bytes, name: str) -> None:
    assert name.encode() + b"\0" in library


def test_a_name_that_grpc_does_not_know_would_be_noticed(library: bytes) -> None:
    assert b"grpc.keepalive_time_milliseconds\0" not in library
