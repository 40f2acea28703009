"""Clients that others wrote, at a server with TLS that asks who calls."""

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.server.conftest import serve
from tests.server.process import COMMAND, Serve
from tests.tls import Authority

__all__ = ["serve"]

UNIT = "files"
ROOT = Path(__file__).resolve().parents[2]
BUF = COMMAND.with_name("buf")


class Secured(NamedTuple):
    """Where a server is, whom to trust, and who calls."""

    port: str
    ca: Path
    token: str


@pytest.fixture
def secured(serve: Serve, tmp_path: Path) -> Secured:
    authority = Authority()
    cert, key = authority.server().write(tmp_path)
    tokens = tmp_path / "tokens.toml"
    add: list[str | Path] = [COMMAND, "token", "add", tokens, "team", "--grant", f"{UNIT}:*"]
    done = subprocess.run(add, capture_output=True, text=True, timeout=60, check=True)
    flags = ("--tls-cert", cert, "--tls-key", key, "--tokens", tokens)
    served = serve(tmp_path / "storage", "--listen", "127.0.0.1:0", *flags)
    return Secured(served.address.rpartition(":")[2], authority.write(tmp_path), done.stdout.strip())


def curl(secured: Secured, *options: str, token: str | None) -> "subprocess.CompletedProcess[str]":
    """`buf curl` of WhoAmI, which learns from the server's reflection what there is, unless options say it."""
    header = f"authorization: Bearer {token}"
    shown = [] if token is None else ["--header", header, *(() if options else ("--reflect-header", header))]
    url = f"https://localhost:{secured.port}/vault.v1.VaultService/WhoAmI"
    return subprocess.run(
        [str(BUF), "curl", "--protocol", "grpc", "--cacert", str(secured.ca), *shown, *options, "--data", "{}", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "HOME": str(secured.ca.parent)},
    )


def test_buf_curl_learns_by_reflection_and_calls_with_a_token(secured: Secured) -> None:
    done = curl(secured, token=secured.token)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["principal"], told["grants"][0]["units"]) == ("team", UNIT)


def test_buf_curl_without_the_right_token_learns_nothing(secured: Secured) -> None:
    for token in (None, secured.token[:-1]):
        done = curl(secured, token=token)
        assert (done.returncode, done.stdout, "failed to find service" in done.stderr) == (1, "", True)
        done = curl(secured, "--schema", str(ROOT / "proto"), token=token)
        assert (done.returncode == 0, done.stdout, "unauthenticated" in done.stderr) == (False, "", True)
