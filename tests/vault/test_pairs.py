"""Async and sync are one interface: the same methods, with the same arguments."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from vault import AsyncRemoteVault, AsyncTicket, AsyncVault, RemoteVault, Ticket, Vault
from vault._async.upkeeping import AsyncUpkeeping
from vault._sync.upkeeping import Upkeeping

DUNDERS = {"__aenter__": "__enter__", "__aexit__": "__exit__"}


def interface(kind: type) -> dict[str, list[Any]]:
    """The public methods, and the arguments of each: name, kind, default."""
    found = {}
    for name, member in inspect.getmembers(kind):
        if callable(member) and (not name.startswith("_") or name in {"__init__", *DUNDERS, *DUNDERS.values()}):
            arguments = inspect.signature(member).parameters.values()
            found[DUNDERS.get(name, name)] = [(one.name, one.kind, one.default) for one in arguments]
    return found


@pytest.mark.parametrize(
    ("asynchronous", "synchronous"),
    [(AsyncVault, Vault), (AsyncRemoteVault, RemoteVault), (AsyncTicket, Ticket), (AsyncUpkeeping, Upkeeping)],
)
def test_both_sides_have_the_same_methods(asynchronous: type, synchronous: type) -> None:
    assert interface(asynchronous) == interface(synchronous)


def test_options_are_named_never_counted() -> None:
    """Beyond what a call is about, every argument is keyword-only."""
    about = {
        "unit",
        "units",
        "key",
        "keys",
        "data",
        "objects",
        "name",
        "path",
        "function",
        "seconds",
        "location",
        "structure",
    }
    for name, arguments in interface(Vault).items():
        for argument, kind, _ in arguments:
            if name not in DUNDERS.values() and argument != "self" and kind is not inspect.Parameter.KEYWORD_ONLY:
                assert argument in about, f"{name}({argument})"


def test_an_embedded_vault_does_without_grpc(tmp_path: Path) -> None:
    program = (
        "import sys; from vault import TextWrapper, Vault\n"
        "with Vault(sys.argv[1], {'notes': (TextWrapper, 0)}) as vault:\n"
        "    vault.load('notes', vault.upload('notes', TextWrapper('x'))).close()\n"
        "print('grpc' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "store"], capture_output=True, text=True, check=True
    ).stdout
    assert shown == "False\n"
