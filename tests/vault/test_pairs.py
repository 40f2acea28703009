"""Async and sync are one interface: the same methods, with the same arguments."""

import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vault
from vault import AsyncRemoteVault, AsyncTicket, AsyncUnit, AsyncVault, RemoteVault, Ticket, Unit, Vault
from vault._async.vault.upkeeping import AsyncUpkeeping
from vault._sync.vault.upkeeping import Upkeeping

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
    [
        (AsyncVault, Vault),
        (AsyncRemoteVault, RemoteVault),
        (AsyncTicket, Ticket),
        (AsyncUnit, Unit),
        (AsyncUpkeeping, Upkeeping),
    ],
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
        "ranges",
        "data",
        "datatype",
        "objects",
        "name",
        "prefix",
        "names",
        "items",
        "changes",
        "path",
        "function",
        "seconds",
        "location",
        "structure",
    }
    for name, arguments in interface(Vault).items():
        for argument, kind, _ in arguments:
            named = kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
            if name not in DUNDERS.values() and argument != "self" and not named:
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


def docstrings(kind: type) -> Iterator[tuple[str, str]]:
    """The docstrings of a class and of its members."""
    yield kind.__name__, kind.__doc__ or ""
    for name, member in inspect.getmembers(kind):
        if not name.startswith("_") or name == "__init__":
            yield f"{kind.__name__}.{name}", inspect.getdoc(member) or ""


def test_no_docstring_speaks_of_the_other_side_as_if_it_were_this_one() -> None:
    """What is generated reads as if it had been written."""
    for name in vault.__all__:
        kind = getattr(vault, name)
        if not inspect.isclass(kind) or not kind.__module__.startswith("vault._"):
            continue
        for where, text in docstrings(kind):
            names = re.findall(r"`(\w+)`", text)
            assert not re.search(r"\ba [AEIO]\w+(Error|Store|Vault|Reader|Writer)\b(?<!UnknownUnitError)", text), where
            assert not re.search(r"\b[Aa]n `?[B-DF-HJ-NP-TV-Z][a-z]+", text), where
            if kind.__module__.startswith("vault._sync"):
                assert not re.search(r"\bAsync[A-Z]|\bawait\b|\banext\b|\baiter\b|\basync with\b", text), where
                assert "event loop" not in text or "asynchronous" in text, where
                for one in {*names}:  # "`Vault` may be shared by threads, `Vault` by tasks"
                    assert not re.search(rf"`{one}` may be [\w ]+, `{one}` by", text), where


def test_the_generator_refuses_texts_that_it_would_spoil(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    source = tmp_path / "client" / "vault" / "_async"
    shutil.copytree(root / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("benchmarks", "torture"))
    shutil.copytree(root / "client" / "vault" / "_async", source)
    (source.parent / "_sync").mkdir()
    unasync = [sys.executable, str(tmp_path / "scripts" / "unasync")]
    assert subprocess.run(unasync, capture_output=True, check=False).returncode == 0
    for text, said in (
        ('"""`Vault` may be shared by threads, `AsyncVault` by tasks."""', "both AsyncVault and Vault"),
        ("# on the event loop", "'event loop' needs 'asynchronous'"),
    ):
        (source / "added.py").write_text(text + "\n")
        done = subprocess.run(unasync, capture_output=True, text=True, check=False)
        assert (done.returncode, said in done.stderr) == (1, True)
    (source / "added.py").write_text('"""An AsyncVault, an AsyncObjectReader, an asynchronous event loop."""\n')
    assert subprocess.run(unasync, capture_output=True, check=False).returncode == 0
    written = (source.parent / "_sync" / "added.py").read_text().splitlines()[1]
    assert written == '"""A Vault, an ObjectReader, an asynchronous event loop."""'
