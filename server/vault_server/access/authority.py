"""A small certificate authority in a folder, for deployments that have none: its key, and what it issues."""

import datetime as dt
import ipaddress
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from vault._runtime.extras import extra
from vault._runtime.fsync import sync
from vault.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from vault.store.limits import shown

with extra("tls", "vault-grpc cert"):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY: Final = "ca"
AUTHORITY_DAYS: Final = 3650
LEAF_DAYS: Final = 398
"""The most that browsers and systems accept of an authority's certificates."""

_SKEW: Final = dt.timedelta(minutes=5)
"""How far the clocks of who looks at a new certificate may be behind."""

_DNS: Final = re.compile(
    r"(?=.{1,253}\Z)(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]*://[!-~]+")


class Files(NamedTuple):
    """Where a certificate and its key were written."""

    cert: Path
    key: Path


def make_authority(folder: Path, *, name: str, days: int = AUTHORITY_DAYS, force: bool = False) -> Files:
    """Makes the key and the certificate of an authority: ca.key (0600) and ca.crt. The folder is made, too (0700).

    Args:
        name: Its name, for people.
        days: How long it is valid.
        force: Also in the place of one that is there. What that issued is not accepted any more by who gets this one.

    Raises:
        AlreadyExistsError: There is one.
        InvalidArgumentError: BAD_NAME, a name of no or too many characters.
        OSError: The folder cannot be written.
    """
    if not 1 <= len(name) <= 64:
        raise InvalidArgumentError(f"bad name {shown(name)}: 1 to 64 characters", reason="BAD_NAME")
    folder.mkdir(0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        _builder(subject, subject, key.public_key(), _end(days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _write(folder, AUTHORITY, builder.sign(key, hashes.SHA256()), key, force=force)


def issue(
    folder: Path,
    names: Sequence[str],
    uris: Sequence[str] = (),
    *,
    client: bool = False,
    days: int | None = None,
    force: bool = False,
) -> Files:
    """Makes a key and a certificate that the folder's authority signs: NAME.key (0600) and NAME.crt, of the first name.

    Args:
        names: DNS names and IP addresses that it is good for.
        uris: URIs, as spiffe://…, that it is good for.
        client: For clients; otherwise for servers.
        days: How long it is valid, at most as long as its authority. None: LEAF_DAYS, or what is left of that.
        force: Also in the place of one that is there.

    Raises:
        NotFoundError: There is no authority.
        AlreadyExistsError: There is a certificate or key of that name.
        InvalidArgumentError: BAD_NAME, no name or a bad one; BAD_CERTIFICATE, the authority is not usable, or not for
            as long.
        OSError: The folder cannot be written.
    """
    alternatives = [_name(each) for each in names] + [_uri(each) for each in uris]
    if not alternatives:
        raise InvalidArgumentError("a certificate needs a name: DNS, IP address or URI", reason="BAD_NAME")
    authority, authority_key = _authority(folder)
    left = authority.not_valid_after_utc
    end = min(_end(LEAF_DAYS), left) if days is None else _end(days)
    if end > left or left <= dt.datetime.now(dt.UTC):
        raise InvalidArgumentError(
            f"the authority's certificate ends at {left.isoformat()}, before what it is to issue",
            reason="BAD_CERTIFICATE",
        )
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        # Without a subject: names are looked for among the alternatives alone, which are critical then (RFC 5280).
        _builder(x509.Name([]), authority.subject, key.public_key(), end)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", (*names, *uris)[0])
    if name == AUTHORITY:
        raise InvalidArgumentError(f"the files of the name {name!r} are the authority's", reason="BAD_NAME")
    return _write(folder, name, builder.sign(authority_key, hashes.SHA256()), key, force=force)


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    files = _files(folder, AUTHORITY)
    try:
        cert = x509.load_pem_x509_certificate(files.cert.read_bytes())
        key = load_pem_private_key(files.key.read_bytes(), None)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no authority in {str(folder)!r}: vault-grpc cert init makes one") from error
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(
            f"the authority in {str(folder)!r} is damaged, or its key has a password", reason="BAD_CERTIFICATE"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key():
        raise InvalidArgumentError(
            f"the key in {str(folder)!r} is not that of the authority's certificate", reason="BAD_CERTIFICATE"
        )
    return cert, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, end: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.UTC) - _SKEW)
        .not_valid_after(end)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _end(days: int) -> dt.datetime:
    return dt.datetime.now(dt.UTC) - _SKEW + dt.timedelta(days=days)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        if _DNS.fullmatch(text) is None or text.rpartition(".")[2].isdigit():
            raise InvalidArgumentError(
                f"bad name {shown(text)}: a DNS name (of others than ASCII its xn-- form) or an IP address; "
                "URIs go by --uri",
                reason="BAD_NAME",
            ) from None
        return x509.DNSName(text)


def _uri(text: str) -> x509.GeneralName:
    if _URI.fullmatch(text) is None:
        raise InvalidArgumentError(f"bad URI {shown(text)}: as spiffe://example.org/worker", reason="BAD_NAME")
    return x509.UniformResourceIdentifier(text)


def _files(folder: Path, name: str) -> Files:
    return Files(folder / f"{name}.crt", folder / f"{name}.key")


def _write(folder: Path, name: str, cert: x509.Certificate, key: ec.EllipticCurvePrivateKey, *, force: bool) -> Files:
    files = _files(folder, name)
    if not force and (there := [str(path) for path in files if os.path.lexists(path)]):
        raise AlreadyExistsError(f"{', '.join(map(repr, there))} is there already; --force replaces it")
    # The key first: a server that reads between the two keeps the last pair.
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _put(files.key, secret, 0o600, force=force)
    _put(files.cert, cert.public_bytes(Encoding.PEM), 0o644, force=force)
    return files


def _put(path: Path, content: bytes, mode: int, *, force: bool) -> None:
    """Makes the file whole, and durable, or not at all."""
    descriptor, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
            file.write(content)
            os.fchmod(descriptor, mode)
            file.flush()
            sync(descriptor)
        if force:
            Path(new).replace(path)
            return
        try:
            os.link(new, path)
        except FileExistsError:
            raise AlreadyExistsError(f"{str(path)!r} is there already; --force replaces it") from None
    finally:
        Path(new).unlink(missing_ok=True)
