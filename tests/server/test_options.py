"""Settings come to options that gRPC knows: it ignores, without a word, a name that it does not."""

import math
from importlib.util import find_spec
from pathlib import Path

import pytest
from vault._grpc.settings import FLOW_CONTROL, OPTIONS
from vault.errors import InvalidArgumentError
from vault_server import ServerSettings


def test_every_option_is_one_that_the_grpc_library_knows() -> None:
    spec = find_spec("grpc._cython.cygrpc")
    assert spec is not None
    library = Path(str(spec.origin)).read_bytes()
    for name, _ in ServerSettings().options():
        assert name.encode() + b"\0" in library, name
    assert b"grpc.no_such_option\0" not in library


def test_options_are_the_settings_in_grpcs_units() -> None:
    options = dict(ServerSettings(keepalive=1.5, max_message_size=8 << 20).options())
    assert options["grpc.keepalive_time_ms"] == 1500
    assert options["grpc.max_receive_message_length"] == 8 << 20
    assert options["grpc.so_reuseport"] == 0
    assert dict(ServerSettings(share_port=True).options())["grpc.so_reuseport"] == 1
    assert options["grpc.max_connection_age_ms"] == 1_800_000
    assert "grpc.max_connection_age_ms" not in dict(ServerSettings(max_connection_age=None).options())


def test_client_and_server_hold_streams_to_the_same_numbers() -> None:
    assert set(FLOW_CONTROL) <= set(OPTIONS) & set(ServerSettings().options())
    client, server = dict(OPTIONS), dict(ServerSettings().options())
    for name in ("grpc.max_receive_message_length", "grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms"):
        assert client[name] == server[name]


@pytest.mark.parametrize(
    "bad",
    [
        {"max_message_size": 1 << 20},
        {"max_concurrent_rpcs": 0},
        {"keepalive": 0},
        {"keepalive_timeout": -1},
        {"min_ping_interval": math.nan},
        {"max_connection_age": 0},
        {"slow_watcher": -1},
    ],
)
def test_settings_that_cannot_work_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(bad))):
        ServerSettings(**bad)  # type: ignore[arg-type]  # that is what is tested
