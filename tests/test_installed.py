"""The library does without what only the command or the server needs; they say what to install when it is missing."""

import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import vault
from packaging.requirements import Requirement
from vault._runtime.extras import install

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]

EXTRAS = {"cli": ["click", "rich"], "server": ["grpc_health", "grpc_reflection", "structlog"]}


def run(without: list[str], program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs a program for which some libraries are not installed."""
    blocked = f"import sys\nfor name in {without!r}: sys.modules[name] = None\n"
    return subprocess.run(
        [sys.executable, "-c", blocked + program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


COMMAND = "from vault.cli import main; sys.exit(main())"


@pytest.mark.parametrize("library", EXTRAS["cli"])
def test_the_command_says_what_it_needs(library: str) -> None:
    done = run([library], COMMAND, "units")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"vault-grpc: {library} is not installed; for vault-grpc: {install('cli')}\n"


@pytest.mark.parametrize("library", EXTRAS["server"])
def test_serve_says_what_it_needs(library: str, tmp_path: Path) -> None:
    done = run([library], COMMAND, "serve", str(tmp_path / "store"))
    assert (done.returncode, done.stdout) == (1, "")
    needed = f"the Python package {library!r}, which is not installed: {install('server')}"
    assert done.stderr == f"vault-grpc: serve needs {needed}\n"


def test_a_server_in_a_program_says_what_it_needs() -> None:
    done = run(["grpc_health"], "from vault_server import Server")
    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: grpc_health is not installed; for vault_server.Server: {install('server')}"
    )


def test_vaults_in_a_directory_and_on_a_server_need_neither(tmp_path: Path) -> None:
    program = """
from vault import ConnectionSettings, TextWrapper, Vault
for location in sys.argv[1], "grpc://127.0.0.1:1":
    with Vault(location, {"notes": (TextWrapper, 0)}, connection=ConnectionSettings(timeout=0.1)) as opened:
        try:
            print(opened.upload("notes", TextWrapper("hello")) > 0)
        except Exception as error:
            print(type(error).__name__)
"""
    done = run([*EXTRAS["cli"], *EXTRAS["server"], "fsspec"], program, str(tmp_path))
    assert done.stdout.split() == ["True", "UnavailableError"], done.stderr


def test_checking_a_directory_needs_no_server(tmp_path: Path) -> None:
    with vault.Vault(tmp_path, {"notes": (vault.TextWrapper, 0)}):
        pass
    done = run(EXTRAS["server"], COMMAND, "check", str(tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_is_to_be_installed_is_what_the_project_asks_for(extra: str) -> None:
    wanted = [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]
    assert [Requirement(text) for text in shlex.split(install(extra))[2:]] == wanted


def test_the_version_is_the_projects_and_costs_an_import_nothing() -> None:
    assert vault.__version__ == version("vault-grpc") == PROJECT["version"]
    done = run([], "import vault; print('importlib.metadata' in sys.modules)")
    assert done.stdout == "False\n"
