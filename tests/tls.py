"""Authorities and certificates for tests: good ones, and each kind that is to be refused."""

import datetime as dt
import ipaddress
import os
from pathlib import Path
from typing import Final, NamedTuple

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
"""The names of a server's certificate that is in order."""

_DAY: Final = dt.timedelta(days=1)


class Pair(NamedTuple):
    """A certificate with what leads to its authority, and its key, in PEM."""

    cert: bytes
    key: bytes

    @property
    def serial(self) -> int:
        """The certificate's serial number."""
        return x509.load_pem_x509_certificate(self.cert).serial_number

    def write(self, folder: Path, name: str = "own") -> tuple[Path, Path]:
        """Puts NAME.crt and NAME.key there, each replaced atomically, the key 0600. Returns their paths."""
        return replace(folder / f"{name}.crt", self.cert), replace(folder / f"{name}.key", self.key)


class Authority:
    """An authority that signs certificates.

    Attributes:
        pem: Its own certificate.
    """

    def __init__(self, name: str = "Authority of a test") -> None:
        self._ca = trustme.CA(organization_name=name)
        self.pem: bytes = self._ca.cert_pem.bytes()
        self._cert = x509.load_pem_x509_certificate(self.pem)
        key = serialization.load_pem_private_key(self._ca.private_key_pem.bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    def write(self, folder: Path, name: str = "ca") -> Path:
        """Puts NAME.crt there, replaced atomically. Returns its path."""
        return replace(folder / f"{name}.crt", self.pem)

    def issue(
        self,
        *names: str,
        common_name: str | None = None,
        begins: dt.timedelta = -_DAY,
        ends: dt.timedelta = _DAY,
    ) -> Pair:
        """A certificate for servers and clients.

        Args:
            names: Its subject alternative names: addresses of IP, URIs (with ://), or else DNS names.
            common_name: The subject, which names nobody. Without one it is "nobody".
            begins, ends: When it begins to be valid and when it ends, from now on.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or "nobody")]))
            .issuer_name(self._cert.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name(each) for each in names]), critical=False
            )
        cert = builder.sign(self._key, hashes.SHA256())
        return Pair(
            cert.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def server(self) -> Pair:
        """A server's on loopback, in order."""
        return self.issue(*LOOPBACK)

    def expired(self, *names: str) -> Pair:
        """One that was valid until yesterday; without names a server's on loopback."""
        return self.issue(*(names or LOOPBACK), begins=-10 * _DAY, ends=-_DAY)

    def not_yet_valid(self, *names: str) -> Pair:
        """One that is valid from tomorrow on; without names a server's on loopback."""
        return self.issue(*(names or LOOPBACK), begins=_DAY, ends=10 * _DAY)

    def wrong_name(self) -> Pair:
        """A server's of another name."""
        return self.issue("elsewhere.example")

    def common_name_only(self, name: str = "localhost") -> Pair:
        """One whose name stands in its subject alone, where nobody is to look for it."""
        return self.issue(common_name=name)


def replace(path: Path, content: bytes) -> Path:
    """Puts a file of this content, 0600, in the place of what is there, atomically. Returns the path."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)
    return path


def _name(text: str) -> x509.GeneralName:
    if "://" in text:
        return x509.UniformResourceIdentifier(text)
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
