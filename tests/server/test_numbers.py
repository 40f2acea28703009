"""Numbers of settings: what cannot be held, or waited for, is refused before anything begins."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from vault import AsyncRemoteVault, AsyncVault, ConnectionSettings, RemoteStore, RemoteVault, TextWrapper, Vault
from vault.cli.objects import units
from vault.cli.program import program as group
from vault.errors import InvalidArgumentError
from vault.store.limits import MAX_GRPC_SECONDS, MAX_SECONDS
from vault_server import AsyncEmbeddedStore, EmbeddedStore, Server, ServerSettings, StoreOptions
from vault_server.cli.serve import serve
from vault_server.settings import MAX_NUMBER

from tests.cli.program import Program
from tests.server.process import Served

STRUCTURE = {"notes": (TextWrapper, 0)}
NEVER = [math.nan, math.inf, -math.inf, -1, 1e300, 10**400, True, "1"]
"""No number of any setting."""

SECONDS = [
    "keepalive",
    "keepalive_timeout",
    "min_ping_interval",
    "max_connection_age",
    "slow_watcher",
    "handshake_timeout",
    "idle_timeout",
]
NUMBERS = ["max_concurrent_rpcs", "max_transfers", "max_connections", "max_streams"]


def setting(name: str) -> Callable[[Any, Path], object]:
    return lambda value, _: ServerSettings(**{name: value})


USES: dict[str, Callable[[Any, Path], object]] = {
    **{f"ServerSettings.{name}": setting(name) for name in [*SECONDS, *NUMBERS, "max_message_size"]},
    "EmbeddedStore.retention": lambda value, folder: EmbeddedStore(folder, StoreOptions(retention=value)),
    "EmbeddedStore.resume_window": lambda value, folder: EmbeddedStore(folder, StoreOptions(resume_window=value)),
    "EmbeddedStore.inline_limit": lambda value, folder: EmbeddedStore(folder, StoreOptions(inline_limit=value)),
    "EmbeddedStore.feed_history": lambda value, folder: EmbeddedStore(folder, StoreOptions(feed_history=value)),
    "AsyncEmbeddedStore.retention": lambda value, folder: AsyncEmbeddedStore(folder, StoreOptions(retention=value)),
    "Vault.timeout": lambda value, _: Vault(
        "grpc://127.0.0.1:1", STRUCTURE, connection=ConnectionSettings(timeout=value)
    ),
    "AsyncVault.timeout": lambda value, _: AsyncVault(
        "grpc://127.0.0.1:1", STRUCTURE, connection=ConnectionSettings(timeout=value)
    ),
    "RemoteVault.timeout": lambda value, _: RemoteVault(
        "127.0.0.1:1", STRUCTURE, connection=ConnectionSettings(timeout=value)
    ),
    "AsyncRemoteVault.timeout": lambda value, _: AsyncRemoteVault(
        "127.0.0.1:1", STRUCTURE, connection=ConnectionSettings(timeout=value)
    ),
    "RemoteStore.timeout": lambda value, _: RemoteStore("127.0.0.1:1", ConnectionSettings(timeout=value)),
}


@pytest.mark.parametrize("use", USES)
def test_what_is_no_number_for_a_setting_is_refused_and_nothing_made(use: str, tmp_path: Path) -> None:
    for value in NEVER:
        with pytest.raises(InvalidArgumentError) as caught:
            USES[use](value, tmp_path / "store")
        assert caught.value.reason in ("BAD_SETTING", "BAD_TIMEOUT")
        assert use.partition(".")[2] in caught.value.message
        assert len(caught.value.message) < 300
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", NEVER)
def test_calls_that_take_a_number_of_seconds_refuse_it_too(value: Any, store: EmbeddedStore) -> None:
    with Server(store) as server:
        with pytest.raises(InvalidArgumentError, match="grace"):
            server.stop(value)
        with pytest.raises(InvalidArgumentError, match="rate"):
            store.start_scrub(value)
        with pytest.raises(InvalidArgumentError, match="interval"):
            store.start_scrub(1, interval=value)
        with Vault(store, STRUCTURE) as vault, pytest.raises(InvalidArgumentError) as caught:
            vault.spawn_upkeeping_thread(value)
        assert caught.value.reason == "BAD_INTERVAL"


def test_the_largest_numbers_are_held(store: EmbeddedStore) -> None:
    largest = ServerSettings(
        **dict.fromkeys(SECONDS, MAX_GRPC_SECONDS),  # type: ignore[arg-type]  # they are numbers of seconds
        **dict.fromkeys(NUMBERS, MAX_NUMBER),  # type: ignore[arg-type]  # so are these
        max_message_size=MAX_NUMBER,
    )
    assert all(-MAX_NUMBER <= value <= MAX_NUMBER for _, value in largest.options() if isinstance(value, int))
    with Server(store, settings=largest) as server:
        with RemoteVault(server.address, STRUCTURE, connection=ConnectionSettings(timeout=MAX_SECONDS)) as vault:
            vault.spawn_upkeeping_thread(MAX_SECONDS)
            data_id = vault.upload("notes", TextWrapper("x"))
            ticket = vault.load("notes", data_id)
            assert ticket is not None
            ticket.close()
        server.stop(MAX_SECONDS)


OPTIONS = [
    "retention",
    "grace",
    "resume-window",
    "scrub-rate",
    "max-concurrent-rpcs",
    "max-transfers",
    "max-connections",
    "max-streams",
    "handshake-timeout",
    "idle-timeout",
    "max-connection-age",
    "workers",
]


def assert_refused(arguments: list[str]) -> str:
    """What the command line says to arguments that it must refuse, before anything is done."""
    with pytest.raises(click.UsageError) as caught:
        command, rest = group.make_context("vault-grpc", arguments), arguments[1:]
        serve.make_context("serve", rest, parent=command)
    return caught.value.format_message()


@pytest.mark.parametrize("option", OPTIONS)
def test_serve_refuses_them_however_they_are_given(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = option in ("max-concurrent-rpcs", "max-transfers", "max-connections", "max-streams", "workers")
    asked = ["serve", str(tmp_path / "store")]
    for text in ("nan", "inf", "-inf", "-1", "1e300", "9" * 400, "9" * 5000):
        assert f"--{option}" in assert_refused([*asked, f"--{option}={text}"])
    key = option.replace("-", "_")
    with monkeypatch.context() as environment:
        environment.setenv(f"VAULT_GRPC_SERVE_{key.upper()}", "inf")
        assert f"--{option}" in assert_refused(asked)
    config = tmp_path / "server.toml"
    for value in ("9" * 400, "-1", *([] if whole else ["nan", "inf", "-inf", "1e300"])):
        config.write_text(f"{key} = {value}")
        assert f"--{option}" in assert_refused([*asked, "--config", str(config)])


def test_an_age_that_grpc_cannot_hold_is_refused_and_the_largest_one_served(tmp_path: Path) -> None:
    asked = ["serve", str(tmp_path / "store"), "--listen", "127.0.0.1:0", "--max-connection-age"]
    assert "2147483" in Program(None).assert_fails(2, *asked, "2592000")
    assert not (tmp_path / "store").exists()
    served = Served(*asked[1:], str(MAX_GRPC_SECONDS))
    try:
        with RemoteVault(served.address, STRUCTURE) as vault:
            assert vault.units() == []
    finally:
        assert served.terminate()[0] == 0


@pytest.mark.parametrize("timeout", ["nan", "inf", "0", "-1", "1e300", "x"])
def test_the_commands_timeout_is_checked_whatever_the_location(timeout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command: click.Command
    for command, after in ((group, ["units"]), (units, [])):
        with pytest.raises(click.UsageError) as caught:
            command.make_context("vault-grpc", ["--timeout", timeout, *after])
        assert "--timeout" in caught.value.format_message()
    monkeypatch.setenv("VAULT_GRPC_TIMEOUT", timeout)
    with pytest.raises(click.UsageError):
        group.make_context("vault-grpc", ["units"])
