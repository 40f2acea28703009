"""A server's certificate and key: read, compared with each other, and watched for their end."""

import datetime as dt
import logging
from dataclasses import dataclass
from typing import Final, Self

from vault._runtime.extras import extra
from vault._runtime.watched_file import NotYetUsableError, WatchedFile
from vault.errors import InvalidArgumentError

from vault_server.access.settings import FilePath

logger: Final = logging.getLogger(__name__)

WARN_BEFORE: Final = dt.timedelta(days=14)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate that goes with its key.

    Attributes:
        chain, key: In PEM; the chain begins with the server's own.
        client_authorities: Whose certificates clients may show, in PEM; None: they are asked for none.
        serial: Of the server's own, in hexadecimal.
        begins_at, ends_at: When it is valid.
    """

    chain: bytes
    key: bytes
    client_authorities: bytes | None
    serial: str
    begins_at: dt.datetime
    ends_at: dt.datetime

    @classmethod
    def parse(cls, chain: bytes, key: bytes, client_authorities: bytes | None = None) -> Self:
        """Reads what is in the files.

        Raises:
            InvalidArgumentError: BAD_CERTIFICATE.
        """
        with extra("tls", "--tls-cert"):
            from cryptography import x509  # noqa: PLC0415  # an extra
            from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415  # an extra
            from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415  # an extra
        try:
            first = x509.load_pem_x509_certificates(chain)[0]
        except ValueError as error:
            raise _bad("the certificate is none in PEM") from error
        try:
            private = load_pem_private_key(key, None)
        except (ValueError, TypeError) as error:
            raise _bad("the key is none in PEM, without a password") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise _bad("the key is neither of an elliptic curve nor RSA's")
        if private.public_key() != first.public_key():
            raise _bad("the key is another certificate's")
        if client_authorities is not None:
            try:
                x509.load_pem_x509_certificates(client_authorities)
            except ValueError as error:
                raise _bad("the clients' authorities are no certificates in PEM") from error
        begins_at, ends_at = first.not_valid_before_utc, first.not_valid_after_utc
        return cls(chain, key, client_authorities, f"{first.serial_number:x}", begins_at, ends_at)

    def report(self) -> None:
        """Logs a warning when it is not valid, or will not be for long."""
        now = dt.datetime.now(dt.UTC)
        found = {"serial": self.serial, "begins_at": self.begins_at.isoformat(), "ends_at": self.ends_at.isoformat()}
        if now >= self.ends_at:
            logger.error("the server's certificate has expired: no client accepts it", extra=found)
        elif now < self.begins_at:
            logger.error("the server's certificate is not valid yet: no client accepts it", extra=found)
        elif self.ends_at - now < WARN_BEFORE:
            logger.warning("the server's certificate expires soon", extra=found)


def watched_certificate(
    cert: FilePath, key: FilePath, client_authorities: FilePath | None
) -> WatchedFile[ServerCertificate]:
    """The certificate in these files, read again when they change. What is not valid at that time does not take the
    place of what was; at first it is taken all the same.

    Raises:
        InvalidArgumentError: BAD_CERTIFICATE, BAD_SETTING.
    """
    first = True

    def parse(*content: bytes) -> ServerCertificate:
        nonlocal first
        found = ServerCertificate.parse(*content)
        now = dt.datetime.now(dt.UTC)
        if not first and now >= found.ends_at:
            raise _bad(f"the certificate expired at {found.ends_at.isoformat()}")
        if not first and now < found.begins_at:
            raise NotYetUsableError(f"the certificate is valid from {found.begins_at.isoformat()} on")
        first = False
        return found

    file = WatchedFile([path for path in (cert, key, client_authorities) if path is not None], parse)
    file.on_change(lambda new: logger.info("certificate was read again", extra={"serial": new.serial}))
    file.on_change(ServerCertificate.report)
    return file


def _bad(why: str) -> InvalidArgumentError:
    return InvalidArgumentError(why, reason="BAD_CERTIFICATE")
