"""Help says everything, and costs little."""

import subprocess
import sys
from pathlib import Path

import pytest
from vault.cli.exits import MEANINGS
from vault.cli.program import program as group

from tests.cli.program import Program

COMMANDS = [
    "put",
    "get",
    "cat",
    "ls",
    "stat",
    "rm",
    "tag",
    "find",
    "cp",
    "mv",
    "units",
    "du",
    "quota",
    "watch",
    "ping",
    "completion",
    "serve",
    "check",
]
NOWHERE = Program(None)


def test_help_lists_every_command_and_every_exit_code() -> None:
    text = NOWHERE.text("--help")
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("  ") and line.split()]
    assert set(COMMANDS) <= set(listed)
    assert {str(code.value) for code in MEANINGS} <= set(listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_needs_no_vault_for_it(command: str) -> None:
    text = NOWHERE.text(command, "--help")
    assert text.startswith(f"Usage: vault-grpc {command} ")
    assert "--help" in text


def test_help_imports_neither_grpc_nor_rich_nor_the_server() -> None:
    code = (
        "import sys; from vault.cli import main; sys.argv = ['vault-grpc', '--help']; main();"
        "print(sorted({'grpc', 'rich', 'fsspec', 'google', 'vault_server', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_the_packages() -> None:
    assert NOWHERE.text("--version").startswith("vault-grpc, version ")


def test_python_m_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "vault.cli", "--help"], capture_output=True, check=True, timeout=60)
    assert done.stdout == NOWHERE.out("--help")


def test_the_document_has_every_command_option_and_exit_code() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "COMMAND.md").read_text()
    context = group.make_context("vault-grpc", ["units"])
    for name in COMMANDS:
        assert f"## {name}" in text, name
        command = group.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            for option in parameter.opts:
                assert parameter.param_type_name == "argument" or f"`{option}" in text, (name, option)
    for code in MEANINGS:
        assert f"| {code.value} |" in text


def test_a_command_whose_package_is_missing_is_said_so(tmp_path: Path) -> None:
    metadata = tmp_path / "broken-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[vault.commands]\nbroken = not_installed.cli:main\nodd = json:dumps\n")
    env = {"PYTHONPATH": str(tmp_path)}
    for name, said in (("broken", "'not_installed', which is not installed"), ("odd", "not a click command")):
        done = NOWHERE.run(name, env=env)
        assert done.returncode == 1
        assert said in done.stderr.decode()
    assert "'not_installed', which is not installed" in " ".join(NOWHERE.run("--help", env=env).stdout.decode().split())
