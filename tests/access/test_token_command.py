"""`vault-grpc token`, as a shell runs it."""

import json
import re
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from vault_server.access.identity_file import read_identities
from vault_server.access.tokens import hash_of, id_of

from tests.cli.program import COMMAND, Inside

NOWHERE = Inside(None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "identities.toml"


def made(file: Path, command: str, *arguments: str) -> str:
    """The token that a command prints, alone on its standard output."""
    done = NOWHERE.run("token", command, file, *arguments)
    assert done.returncode == 0, done.stderr.decode()
    token = done.stdout.decode().removesuffix("\n")
    assert id_of(token) is not None
    assert token not in done.stderr.decode()
    assert token not in file.read_text()
    return token


def refused(file: Path, *arguments: str) -> tuple[int, str]:
    before = file.read_bytes() if file.exists() else None
    done = NOWHERE.run("token", arguments[0], file, *arguments[1:])
    assert done.returncode != 0
    assert done.stdout == b""
    assert (file.read_bytes() if file.exists() else None) == before
    return done.returncode, done.stderr.decode()


def test_a_shell_takes_the_token_and_nothing_else(file: Path) -> None:
    script = f'T=$("{COMMAND}" token add "{file}" a --grant x:read 2>"{file}.err"); printf %s "$T"'
    token = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=100).stdout.decode()
    assert read_identities(file)["a"].tokens[0].sha256 == hash_of(token)
    assert "shown this once" in Path(f"{file}.err").read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_principal_is_added_rotated_regranted_and_revoked(file: Path) -> None:
    first = made(file, "add", "a", "--grant", "docs*:read,list", "--grant", "x:*", "--expires", "90d")
    (kept,) = read_identities(file)["a"].tokens
    assert kept.expires is not None
    assert abs(kept.expires - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=5)

    second = made(file, "rotate", "a", "--expires", "9999-01-01")
    found = read_identities(file)["a"].tokens
    assert [each.sha256 for each in found] == [hash_of(first), hash_of(second)]  # two live at once
    assert found[0] == kept
    assert found[1].expires == datetime(9999, 1, 1, tzinfo=UTC)

    third = made(file, "rotate", "a", "--keep", "24h")
    ends = [each.expires for each in read_identities(file)["a"].tokens]
    assert ends[2] is None
    assert all(each is not None and each < datetime.now(UTC) + timedelta(hours=24) for each in ends[:2])

    another = made(file, "add", "a")  # of a known one, with what it may do
    assert len({first, second, third, another}) == 4

    assert NOWHERE.run("token", "grant", file, "a", "--grant", "y:watch").stdout == b""
    assert list(map(str, read_identities(file)["a"].grants)) == ["y:watch"]

    assert NOWHERE.run("token", "revoke", file, "a", "--id", str(id_of(second))).stdout == b""
    assert hash_of(second) not in [each.sha256 for each in read_identities(file)["a"].tokens]
    assert b"revoked 3 tokens" in NOWHERE.run("token", "revoke", file, "a").stderr
    assert not read_identities(file)


def test_a_certificate_is_taken_and_no_token_made(file: Path) -> None:
    done = NOWHERE.run(
        "token",
        "add",
        file,
        "a",
        "--grant",
        "x:read",
        "--certificate",
        "spiffe://x/y",
        "--certificate",
        "dns:A.example",
    )
    assert (done.returncode, done.stdout) == (0, b"")
    found = read_identities(file)["a"]
    assert (found.certificates, found.tokens) == (("uri:spiffe://x/y", "dns:a.example"), ())


def test_ls_shows_everything_but_secrets(file: Path) -> None:
    token = made(file, "add", "a", "--grant", "x:read", "--expires", "2099-01-31")
    NOWHERE.run("token", "add", file, "b", "--grant", "y:*", "--certificate", "dns:b.example")
    lines = [line.split("\t") for line in NOWHERE.out("token", "ls", file).decode().splitlines()]
    assert [line[:4] for line in lines] == [
        ["a", "x:read", "token", id_of(token)],
        ["b", "y:read,write,delete,list,watch", "certificate", "dns:b.example"],
    ]
    document = json.loads(NOWHERE.out("token", "ls", file, "--json"))
    assert [each["name"] for each in document] == ["a", "b"]
    assert document[0]["tokens"][0]["id"] == id_of(token)
    assert document[0]["tokens"][0]["expires"] == "2099-01-31T00:00:00+00:00"
    shown = json.dumps(document) + str(lines)
    assert hash_of(token).hex() not in shown
    assert token not in shown


def test_what_cannot_be_is_refused_and_changes_nothing(file: Path) -> None:
    assert refused(file, "ls")[0] == 3
    assert refused(file, "rotate", "a")[0] == 3
    assert "needs a grant" in refused(file, "add", "a")[1]
    assert not file.exists()
    made(file, "add", "a", "--grant", "x:read")
    for arguments, expected in {
        ("add", "a/b", "--grant", "x:read"): "bad principal",
        ("add", "b", "--grant", "x:fly"): "bad grant",
        ("add", "b", "--grant", "x:read", "--expires", "2020-01-01"): "over already",
        ("add", "b", "--grant", "x:read", "--expires", "soon"): "bad time",
        ("add", "b", "--grant", "x:read", "--certificate", "cn:b"): "common name",
        ("add", "b", "--grant", "x:read", "--certificate", "dns:b", "--expires", "1d"): "certificate says itself",
        ("add", "a", "--grant", "x:write"): "other grants",
        ("grant", "a"): "--grant",
        ("grant", "b", "--grant", "x:read"): "no principal 'b'",
        ("revoke", "b"): "no principal 'b'",
        ("revoke", "a", "--id", "zz"): "no token 'zz'",
    }.items():
        code, text = refused(file, *arguments)
        assert expected in text, text
        assert code in (2, 3)


def test_no_variable_of_the_environment_grants_anything(file: Path) -> None:
    env = {
        f"VAULT_GRPC_TOKEN_{command}_{option}": value
        for command in ("ADD", "GRANT", "ROTATE")
        for option, value in {
            "GRANT": "*:*",
            "GRANTS": "*:*",
            "EXPIRES": "1d",
            "CERTIFICATE": "dns:x",
            "KEEP": "1s",
        }.items()
    }
    made(file, "add", "a", "--grant", "x:read")
    before = read_identities(file)["a"]
    assert NOWHERE.run("token", "add", file, "b", env=env).returncode == 2
    done = NOWHERE.run("token", "rotate", file, "a", env=env)
    assert re.fullmatch(rb"vt_[0-9a-z]+_\S{43}\n", done.stdout)
    after = read_identities(file)["a"]
    assert after.tokens[0] == before.tokens[0]
    assert after.tokens[1].expires is None
    assert (after.grants, after.certificates) == (before.grants, ())
