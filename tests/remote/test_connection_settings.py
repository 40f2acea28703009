"""ConnectionSettings go whole from a vault, or a command, to the channel."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from vault import AsyncRemoteStore, AsyncVault, ConnectionSettings, RemoteStore, RemoteVault, Vault
from vault._runtime.backoff import Backoff
from vault.errors import InvalidArgumentError
from vault.store import open_store
from vault.store.connection import ConnectionOptions

WAYS: dict[str, Callable[[Any, Path], object]] = {
    "RemoteStore": lambda given, _: RemoteStore("127.0.0.1:1", given),
    "AsyncRemoteStore": lambda given, _: AsyncRemoteStore("127.0.0.1:1", given),
    "RemoteVault": lambda given, _: RemoteVault("127.0.0.1:1", {}, connection=given),
    "Vault": lambda given, _: Vault("grpc://127.0.0.1:1", {}, connection=given),
    "AsyncVault": lambda given, _: AsyncVault("grpc://127.0.0.1:1", {}, connection=given),
    "Vault in a directory": lambda given, folder: Vault(folder / "store", {}, connection=given),
    "open_store": lambda given, _: open_store("grpc://127.0.0.1:1", given),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("given", [5, None, {"timeout": 5}])
def test_what_are_no_settings_of_a_connection_is_refused_and_nothing_made(way: str, given: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="made with ConnectionSettings, not") as caught:
        WAYS[way](given, tmp_path)
    assert caught.value.reason == "BAD_SETTING"
    assert list(tmp_path.iterdir()) == []


def test_a_vault_takes_each_setting_as_a_keyword_too() -> None:
    assert list(ConnectionOptions.__annotations__) == [each.name for each in fields(ConnectionSettings)]
    for kind in (Vault, RemoteVault):
        with kind("grpcs://127.0.0.1:1", connection=ConnectionSettings(timeout=3), server_name="a.example") as vault:
            assert isinstance(vault._store, RemoteStore)
            assert vault._store._channel.timeout == 3
        with pytest.raises(InvalidArgumentError, match="timeout"):
            kind("grpc://127.0.0.1:1", timeout=0)
        with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
            kind("grpc://127.0.0.1:1", colour=1)  # type: ignore[call-arg]
    with pytest.raises(InvalidArgumentError, match="ca"):
        Vault("memory://", ca="ca.crt")


def test_a_password_in_the_proxy_is_not_printed_with_them() -> None:
    connection = ConnectionSettings(proxy="http://me:secret@host:1")
    assert repr(connection) == "ConnectionSettings(timeout=60.0)"


def test_waits_grow_to_the_last_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(1, 8)
    for _ in range(2):
        for middle in (1, 2, 4, 8, 8):
            assert middle * 0.5 <= backoff.next() <= middle * 1.5
        backoff.reset()
