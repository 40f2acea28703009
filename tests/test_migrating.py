"""docs/MIGRATING.md: every call in its tables is made, and gives what stands behind its arrow."""

import ast
import builtins
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vault as vault_package
from vault import Vault

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "MIGRATING.md").read_text()
(SETUP,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
CODE = re.compile(r"`([^`]+)`(?: → `([^`]+)`)?")
RUNNABLE = {"Files": None, "diskcache": "diskcache", "joblib": "joblib"}
"""Sections whose left column is run, too, with the library that it takes."""


def function(number: int) -> int:
    return number * number


def verbose(number: int, *, loud: bool = False) -> int:
    return number * number if not loud else 0


def calls(section: str, column: int) -> list[tuple[str, str]]:
    """The pieces of code in a column that are calls, or assignments of one, and what each gives ("": anything)."""
    rows = [line for line in SECTIONS[section].splitlines() if line.startswith("| ")][2:]
    found = []
    for row in rows:
        cell = re.split(r"(?<!\\) \| ", row.strip("| "))[column]
        for code, gives in CODE.findall(cell):
            try:
                tree = ast.parse(code)
            except SyntaxError:
                continue  # a piece of a statement
            if "…" not in code and any(isinstance(node, ast.Call | ast.Subscript | ast.In) for node in ast.walk(tree)):
                found.append((code, gives))
    return found


def run(code: str, names: dict[str, Any]) -> Any:
    """Runs the statements; what the last one gives, where it is an expression."""
    *before, last = ast.parse(code).body
    for statement in before:
        exec(compile(ast.Module([statement], []), code, "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), code, "eval"), names)
    exec(compile(ast.Module([last], []), code, "exec"), names)
    return None


def check(code: str, gives: str, names: dict[str, Any]) -> None:
    error = getattr(builtins, gives, None) or getattr(vault_package, gives, None) if gives.isidentifier() else None
    if isinstance(error, type) and issubclass(error, Exception):
        with pytest.raises(error):
            run(code, names)
        return
    given = run(code, names)
    if gives:
        wanted = ast.literal_eval(gives)
        assert (list(given) if isinstance(wanted, list) else given) == wanted, code


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def names(here: Path) -> Iterator[dict[str, Any]]:
    """What the page says at its beginning, in a directory with the files that the tables speak of."""
    for name in ("a.txt", "b.txt"):
        (here / name).write_bytes(b"line")
    found: dict[str, Any] = {"function": function, "verbose": verbose}
    run(SETUP, found)
    assert isinstance(found["vault"], Vault)
    found["files"].put("logs/a", b"a")
    yield found
    found["vault"].close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # tickets and files that a line of a table leaves open
@pytest.mark.parametrize("section", SECTIONS)
def test_every_call_of_vault_does_what_the_page_says(section: str, names: dict[str, Any]) -> None:
    found = calls(section, 1)
    assert len(found) > 8
    for code, gives in found:
        check(code, gives, names)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("section", RUNNABLE)
def test_every_call_of_the_peer_does_what_the_page_says(section: str, here: Path) -> None:
    peer = RUNNABLE[section]
    found: dict[str, Any] = {"os": os, "shutil": shutil, "Path": Path, "function": function, "verbose": verbose}
    if peer is not None:
        found[peer] = pytest.importorskip(peer)
    if peer == "diskcache":
        found["cache"] = found[peer].Cache("cache")
    if peer == "joblib":
        found["memory"] = found[peer].Memory("joblib", verbose=0)
    lines = calls(section, 0)
    assert len(lines) > 8
    for code, gives in lines:
        check(code, gives, found)
