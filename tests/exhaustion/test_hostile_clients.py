"""A polite client beside all attacks of `torture/hostile_clients` at once: it never fails."""

import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from vault_server import EmbeddedStore, Server
from vault_server.access.budgets import Budget
from vault_server.access.settings import AccessSettings
from vault_server.settings import ServerSettings

from tests.server.process import COMMAND
from torture.hostile_clients.attacks import ATTACKS, Peers, fill
from torture.hostile_clients.greedy import greedy
from torture.hostile_clients.polite import waits

pytestmark = pytest.mark.slow

OTHER = "127.0.0.2"


def token(path: Path, name: str) -> str:
    add: list[str | Path] = [COMMAND, "token", "add", path, name, "--grant", "*:*"]
    return subprocess.run(add, capture_output=True, text=True, check=True).stdout.split()[-1]


@pytest.mark.parametrize("asked", [False, True], ids=["anonymous", "tokens"])
def test_beside_all_attacks_at_once_a_polite_client_never_fails(
    store: EmbeddedStore, tmp_path: Path, *, asked: bool
) -> None:
    fill(store)
    path = tmp_path / "tokens.toml"
    polite, hostile = (token(path, "polite"), token(path, "hostile")) if asked else ("", "")
    access = AccessSettings(tokens=str(path) if asked else None)
    settings = ServerSettings(budget=Budget(transfers=20, watches=40, calls=20, calls_per_second=200))
    with ExitStack() as stack:
        server = stack.enter_context(Server(store, ["127.0.0.1:0", "[::1]:0"], access=access, settings=settings))
        calls = server._server._running._calls  # type: ignore[union-attr]
        address, other_address = server.addresses
        for name in ("exists of one", "list of what nobody has"):
            stack.enter_context(greedy(other_address, name, 10, hostile))
        peers = stack.enter_context(Peers(address, OTHER, hostile))
        for attack in ATTACKS.values():
            attack(peers, 30)
        told = waits(address, 3, token=polite)
        accounts = calls.callers.accounts
        theirs = [accounts._principals["hostile"]] if asked else [accounts._addresses[OTHER]]
        assert told.seconds
        assert told.errors == []
        for account in theirs:
            assert all(map(int.__le__, account.running, account.limits))  # none of them is without a limit here
            assert account.held <= 30 * len(ATTACKS) + 20
        server.stop(0)
    assert not any(any(account.running) or account.held for account in theirs)
