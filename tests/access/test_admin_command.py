"""`vault-grpc admin`: what the service does, by command."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.access.identified import IdentityFile
from tests.cli.program import COMMAND, Inside, Program
from tests.server.conftest import serve, serving
from tests.server.process import Serve
from tests.waiting import assert_soon

__all__ = ["serve"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Path, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("command")
    identities = IdentityFile(folder)
    root = identities.add("root", "*:admin", "files:*")
    (folder / "allowed").write_text("127.0.0.1\n10.0.0.0/8\n")
    with contextlib.contextmanager(serving)() as begin:
        served = begin(
            folder / "own", "--listen", "127.0.0.1:0", "--tokens", identities.path,
            "--allow-file", folder / "allowed",
        )  # fmt: skip
        yield Inside(f"grpc://{served.address}"), folder, {"VAULT_GRPC_TOKEN": root}


def documents(place: Any, *arguments: str) -> list[Any]:
    program, _, env = place
    done = program.run("admin", *arguments, "--json", env=env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_whoami_is_for_everybody(place: Any) -> None:
    (root,) = documents(place, "whoami")
    assert root == {
        "principal": "root", "grants": ["*:admin", "files:read,write,delete,list,watch"], "expires": None,
    }  # fmt: skip
    program, folder, _ = place
    token = IdentityFile(folder).add("guest", "docs*:list", expires_in=3600)
    assert_soon(lambda: program.run("admin", "whoami", env={"VAULT_GRPC_TOKEN": token}).returncode == 0)
    done = program.run("admin", "whoami", env={"VAULT_GRPC_TOKEN": token})
    assert done.stdout.startswith(b"principal\tguest\ngrants\tdocs*:list\nexpires\t20")
    refused = program.run("admin", "tokens", env={"VAULT_GRPC_TOKEN": token})
    assert refused.returncode != 0
    assert b"admin" in refused.stderr
    assert token.encode() not in refused.stderr


def test_tokens_are_added_used_listed_and_revoked(place: Any) -> None:
    program, _, env = place
    made = program.run("admin", "token-add", "ann", "--grant", "files:*", "--expires", "90d", env=env)
    assert made.returncode == 0, made.stderr
    token = made.stdout.decode().strip()
    assert re.fullmatch(r"vt_[0-9a-z]+_[A-Za-z0-9_-]{43}", token)
    ann = {"VAULT_GRPC_TOKEN": token}
    assert program.run("put", "-", "--unit", "files", "--name", "n", data=b"1", env=ann).returncode == 0
    known = {each["name"]: each for each in documents(place, "tokens")}
    assert known["ann"]["grants"] == ["files:read,write,delete,list,watch"]
    (kept,) = known["ann"]["tokens"]
    assert kept["id"] == token.split("_")[1]
    assert kept["expires"] > kept["created"]
    lines = program.run("admin", "tokens", env=env).stdout.decode()
    assert f"ann\tfiles:read,write,delete,list,watch\ttoken {kept['id']}\t" in lines
    assert token not in lines
    revoked = program.run("admin", "token-revoke", "ann", "--id", kept["id"], env=env)
    assert revoked.stderr == b"revoked 1 token of principal ann\n"
    assert program.run("ls", "--unit", "files", env=ann).returncode != 0
    assert program.run("admin", "token-revoke", "ann", env=env).returncode == 0
    assert program.run("admin", "token-revoke", "ann", env=env).returncode == 3


def test_the_allowlist_is_shown_and_changed(place: Any) -> None:
    program, folder, env = place
    assert documents(place, "allowlist", "get") == [["127.0.0.1/32", "10.0.0.0/8"]]
    assert program.run("admin", "allowlist", "add", "192.0.2.0/24", env=env).returncode == 0
    assert program.run("admin", "allowlist", "remove", "10.0.0.0/8", env=env).returncode == 0
    assert program.run("admin", "allowlist", "remove", "10.0.0.0/8", env=env).returncode == 2
    refused = program.run("admin", "allowlist", "set", "192.0.2.0/24", env=env)
    assert refused.returncode == 2
    assert b"shut out" in refused.stderr
    assert (folder / "allowed").read_text() == "127.0.0.1/32\n192.0.2.0/24\n"
    assert program.run("admin", "allowlist", "set", "127.0.0.1", "10.0.0.0/8", env=env).returncode == 0


def test_calls_are_listed_and_cut(place: Any) -> None:
    program, _, env = place
    watching = subprocess.Popen(
        [COMMAND, "watch", "--unit", "files"], env={**program.environment, **env}, stdout=subprocess.PIPE
    )
    try:
        assert_soon(lambda: "Watch" in str(documents(place, "calls")))
        (call,) = [each for each in documents(place, "calls") if each["method"].endswith("Watch")]
        assert call["principal"] == "root"
        assert call["peer"].startswith("ipv4:127.0.0.1:")
        done = program.run("admin", "cut", "--principal", "root", "--address", "127.0.0.1", env=env)
        assert done.stderr.startswith(b"ended ")
        assert not done.stderr.startswith(b"ended 0")
    finally:
        watching.kill()
        watching.communicate()
    assert program.run("admin", "cut", env=env).returncode == 2


def test_what_is_retained_is_purged_at_a_server_and_in_a_directory_that_is_served_or_not(
    place: Any, tmp_path: Path
) -> None:
    program, folder, env = place
    alone, served = Inside(str(tmp_path / "own")), Inside(str(folder / "own"))
    for writing, purging in ((program, program), (alone, alone), (program, served)):
        for data in (b"1" * 100_000, b"2"):
            done = writing.run("put", "-f", "-", "-u", "files", "--name", "purged", data=data, env=env)
            assert done.returncode == 0
        done = purging.run("admin", "purge", "--unit", "files", "--json", env=env)
        assert json.loads(done.stdout)["bytes"] >= 100_000
        done = purging.run("admin", "purge", env=env)
        assert done.stderr == b"removed 0 generations (0 B)\n"


def test_a_server_without_administrators_and_a_directory_say_so(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path / "own", "--listen", "127.0.0.1:0")
    program = Inside(f"grpc://{served.address}")
    done = program.run("admin", "calls")
    assert done.returncode == 1
    assert b"cannot be administered" in done.stderr
    assert program.run("admin", "whoami").stdout.startswith(b"principal\t\n")
    assert Inside(str(tmp_path / "own")).run("admin", "calls").returncode == 2
