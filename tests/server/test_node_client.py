"""The client in Node.js that VAULT_API.md shows, at a server of this version."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from vault import RemoteVault
from vault.wrappers import BytesWrapper

from tests.server.process import COMMAND, Serve
from tests.tls import Authority

ROOT = Path(__file__).resolve().parents[2]
CLIENT = Path("docs/clients/node")

pytestmark = pytest.mark.slow  # it fetches what the client depends on, once


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Path:
    """The client's folder in pytest's cache, with its dependencies and the contract."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not on this machine")
    cache = request.config.cache
    assert cache is not None
    tree = cache.mkdir("node-client")
    folder = tree / CLIENT
    shutil.copytree(ROOT / CLIENT, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(ROOT / "proto", tree / "proto", dirs_exist_ok=True)
    if not (folder / "node_modules").exists():
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
        if done.returncode != 0:
            shutil.rmtree(folder / "node_modules", ignore_errors=True)
            pytest.skip(f"npm cannot install what the client depends on: {done.stderr[-300:]}")
    return folder


def test_the_client_in_node_puts_reads_and_lists(client: Path, serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "storage", "--listen", "127.0.0.1:0")
    file = tmp_path / "video.bin"
    data = bytes(range(256)) * 10_000
    file.write_bytes(data)

    def transfer(name: str) -> str:
        command = ["node", "transfer.js", served.address, "files", str(file), name]
        done = subprocess.run(command, cwd=client, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = transfer("videos/one")
    assert f"ends with {data[-8:].hex()}" in first
    assert "beside it: videos/one" in first
    transfer("videos/old/two")
    file.write_bytes(data[:3])
    again = transfer("videos/one")
    assert f"ends with {data[:3].hex()}" in again
    assert re.findall("beside it: (.*)", again) == ["videos/old/", "videos/one"]
    assert re.findall("id [0-9]+", again) == re.findall("id [0-9]+", first), "it was replaced, and kept its id"
    with RemoteVault(served.address, {"files": (BytesWrapper, 0)}) as vault:
        assert vault.get("files", "videos/one").data == data[:3]
        assert vault.get("files", "videos/old/two").data == data
    wrong = ["node", "transfer.js", served.address, "no unit", str(file), "name"]
    refused = subprocess.run(wrong, cwd=client, capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, "INVALID_ARGUMENT" in refused.stderr) == (1, True)


def test_the_client_in_node_shows_a_token_over_tls(client: Path, serve: Serve, tmp_path: Path) -> None:
    authority, tokens, file = Authority(), tmp_path / "tokens.toml", tmp_path / "file"
    file.write_bytes(b"of a team")
    cert, key = authority.server().write(tmp_path)
    add: list[str | Path] = [COMMAND, "token", "add", tokens, "team", "--grant", "files:*"]
    token = subprocess.run(add, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    flags = ("--tls-cert", cert, "--tls-key", key, "--tokens", tokens)
    served = serve(tmp_path / "storage", "--listen", "127.0.0.1:0", *flags)

    def transfer(**settings: str | Path) -> tuple[int, str]:
        environment = {**os.environ, **{f"VAULT_GRPC_{name}": str(value) for name, value in settings.items()}}
        command = ["node", "transfer.js", served.address, "files", str(file), "name"]
        done = subprocess.run(
            command, cwd=client, capture_output=True, text=True, timeout=60, check=False, env=environment
        )
        return done.returncode, done.stdout + done.stderr

    trusted, untrusted = authority.write(tmp_path), Authority("Another").write(tmp_path, "other")
    code, shown = transfer(CA=trusted, TOKEN=token)
    assert (code, f"ends with {b'f a team'.hex()}" in shown) == (0, True), shown
    code, shown = transfer(CA=trusted, TOKEN=f"{token[:-1]}")
    assert (code, "UNAUTHENTICATED" in shown) == (1, True), shown
    code, shown = transfer(CA=untrusted, TOKEN=token)
    assert (code, "UNAVAILABLE" in shown) == (1, True), shown
