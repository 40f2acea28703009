"""`vault-grpc cert`: an authority and what it signs, as others read them."""

import datetime as dt
import ipaddress
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.cli.program import Inside, Program
from tests.tls import Authority


@pytest.fixture
def program() -> Program:
    return Inside(None)


@pytest.fixture
def folder(tmp_path: Path, program: Program) -> Path:
    program.out("cert", "init", tmp_path / "tls")
    return tmp_path / "tls"


def read(folder: Path, name: str) -> x509.Certificate:
    cert = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
    key = load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
    assert key.public_key() == cert.public_key()
    return cert


def names(cert: x509.Certificate) -> list[object]:
    return [each.value for each in cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value]


def purposes(cert: x509.Certificate) -> list[object]:
    return list(cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def lasts(cert: x509.Certificate) -> dt.timedelta:
    assert cert.not_valid_before_utc < dt.datetime.now(dt.UTC)
    return cert.not_valid_after_utc - cert.not_valid_before_utc


def test_keys_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path, program: Program) -> None:
    before = os.umask(0)
    try:
        program.out("cert", "init", tmp_path / "tls")
        program.out("cert", "issue", tmp_path / "tls", "a.example")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "a.example.crt": 0o644, "a.example.key": 0o600}
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_finds_nothing_wrong_with_them(folder: Path, program: Program) -> None:
    program.out("cert", "issue", folder, "a.example", "10.0.0.1", "::1")
    program.out("cert", "issue", folder, "--client", "--uri", "spiffe://example.org/worker")
    for name, purpose in (("a.example", "sslserver"), ("spiffe_example.org_worker", "sslclient")):
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.crt", f"{name}.crt"],
            cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout == f"{name}.crt: OK\n", done.stderr


def test_what_is_issued_names_what_was_asked_for_and_lasts_398_days(folder: Path, program: Program) -> None:
    said = program.documents("cert", "issue", folder, "*.a.example", "127.0.0.1", "::1", "--uri", "spiffe://e/x")
    assert said == [{"cert": str(folder / "_.a.example.crt"), "key": str(folder / "_.a.example.key")}]
    cert = read(folder, "_.a.example")
    addresses = [ipaddress.ip_address(each) for each in ("127.0.0.1", "::1")]
    assert names(cert) == ["*.a.example", *addresses, "spiffe://e/x"]
    assert (purposes(cert), len(cert.subject.rdns)) == ([ExtendedKeyUsageOID.SERVER_AUTH], 0)
    assert lasts(cert) == dt.timedelta(days=398)
    program.out("cert", "issue", folder, "client.example", "--client", "--days", "7")
    client = read(folder, "client.example")
    assert purposes(client) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert lasts(client) == dt.timedelta(days=7)
    authority = read(folder, "ca")
    assert lasts(authority) == dt.timedelta(days=3650)
    for each in (cert, client):
        each.verify_directly_issued_by(authority)


def test_nothing_is_written_over_unless_that_is_asked_for(folder: Path, program: Program) -> None:
    program.out("cert", "issue", folder, "a.example")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for arguments in (("init", folder), ("issue", folder, "a.example")):
        assert "--force" in program.assert_fails(4, "cert", *arguments)
    (folder / "b.example.crt").write_text("mine")
    assert "b.example.crt" in program.assert_fails(4, "cert", "issue", folder, "b.example")
    (folder / "b.example.crt").unlink()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    program.out("cert", "issue", folder, "a.example", "--force")
    assert (folder / "a.example.key").read_bytes() != before["a.example.key"]
    read(folder, "a.example").verify_directly_issued_by(read(folder, "ca"))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "needs a name"),
        (["a b"], "bad name"),
        (["a..b"], "bad name"),
        (["a.-b"], "bad name"),
        (["ä.example"], "xn--"),
        (["1.2.3"], "bad name"),
        (["spiffe://a/b"], "--uri"),
        (["--uri", "worker"], "bad URI"),
        (["--uri", "spiffe://a/ b"], "bad URI"),
        (["x" * 64 + "." + "y" * 200], "bad name"),
        (["ca"], "the authority's"),
        (["a.example", "--days", "4000"], "ends at"),
        (["a.example", "--days", "0"], "--days"),
    ],
)
def test_what_cannot_be_named_is_refused(arguments: list[str], why: str, folder: Path, program: Program) -> None:
    assert why in program.assert_fails(2, "cert", "issue", folder, *arguments)
    assert {path.name for path in folder.iterdir()} == {"ca.crt", "ca.key"}


def test_without_a_usable_authority_nothing_is_issued(folder: Path, program: Program, tmp_path: Path) -> None:
    assert "cert init" in program.assert_fails(3, "cert", "issue", tmp_path / "none", "a.example")
    key = (folder / "ca.key").read_bytes()
    for harm in (b"nothing", Authority().server().key):
        (folder / "ca.key").write_bytes(harm)
        assert "authority" in program.assert_fails(2, "cert", "issue", folder, "a.example")
    (folder / "ca.key").write_bytes(key)
    program.out("cert", "init", folder, "--force", "--days", "1")
    program.out("cert", "issue", folder, "a.example")
    assert lasts(read(folder, "a.example")) <= dt.timedelta(days=1)


def test_a_key_that_cannot_be_written_whole_is_not_there(folder: Path, program: Program) -> None:
    """A folder of a file's name: the replacement fails, and leaves nothing beside it."""
    (folder / "a.example.key").mkdir()
    (folder / "a.example.key" / "x").touch()
    program.assert_fails(1, "cert", "issue", folder, "a.example", "--force")
    assert {path.name for path in folder.iterdir()} == {"ca.crt", "ca.key", "a.example.key"}
