"""What README.md shows is run as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from vault_server import EmbeddedStore, Server

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
(EXAMPLE,) = [block for block in BLOCKS if "sys.argv" in block]


def run(code: str, cwd: Path, *arguments: str) -> str:
    script = cwd / "example.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", script.name, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_python_block_runs(number: int, tmp_path: Path) -> None:
    assert run(BLOCKS[number], tmp_path)


def test_the_example_does_the_same_embedded_and_remote(tmp_path: Path) -> None:
    embedded = run(EXAMPLE, tmp_path)
    with EmbeddedStore(tmp_path / "storage") as store, Server(store) as server:
        remote = run(EXAMPLE, tmp_path, f"grpc://{server.address}")
    assert embedded.splitlines()[0] == remote.splitlines()[0] == "hello world"
    assert embedded == remote


def test_importing_vault_does_not_import_grpc() -> None:
    names = "('grpc', 'google', 'fsspec', 'click', 'rich')"
    code = f"import sys, vault; vault.Vault; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
