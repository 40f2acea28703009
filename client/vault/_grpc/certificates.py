"""Certificates that a channel is made with: what gRPC and Python's ssl take of them, checked before either is asked."""

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc

from vault.store.connection import bad_setting

_SYSTEM_ROOTS: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Debian, Fedora, SUSE, and Alpine and macOS have the authorities that they trust, in one file."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the TLS of a connection is made with, in PEM.

    Attributes:
        roots: Of the authorities that are trusted; None: those that gRPC brings along.
        pair: The client's own certificate, with what leads to its authority, and its key; None: it has none.
        name: That the server's certificate has to be for.
    """

    roots: bytes | None = field(repr=False)
    pair: tuple[bytes, bytes] | None = field(repr=False)
    name: str

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For gRPC."""
        cert, key = self.pair or (None, None)
        return grpc.ssl_channel_credentials(self.roots, key, cert)

    def context(self) -> ssl.SSLContext:
        """For Python's ssl, which trusts then what gRPC would."""
        context = ssl.create_default_context() if self.roots is None else _trusting(self.roots)
        context.set_alpn_protocols(["h2"])
        if self.pair is not None:
            _show(context, *self.pair)
        return context


def checked_roots(roots: bytes) -> bytes:
    """The same; InvalidArgumentError, BAD_SETTING, unless they are certificates."""
    _trusting(roots)
    return roots


def checked_pair(cert: bytes, key: bytes) -> tuple[bytes, bytes]:
    """The same; InvalidArgumentError, BAD_SETTING, unless they are a certificate and its key."""
    if b"-----BEGIN CERTIFICATE-----" not in cert:
        raise bad_setting("there is no certificate in the first, in PEM")
    if b"PRIVATE KEY-----" not in key:
        raise bad_setting("there is no private key in the second, in PEM")
    if b"ENCRYPTED" in key:
        raise bad_setting("the key is encrypted, and there is nobody to ask for its password")
    _show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert, key)
    return cert, key


def system_roots() -> str | None:
    """The file of the authorities that this system trusts; None: it has none, and gRPC's own are trusted."""
    for path in (ssl.get_default_verify_paths().cafile, *_SYSTEM_ROOTS):
        if path is not None and Path(path).is_file():
            return path
    return None


def _trusting(roots: bytes) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=roots.decode("utf-8", "replace").encode("ascii", "replace").decode())
    except ssl.SSLError as error:
        raise bad_setting("there is no certificate in it, in PEM") from error


def _show(context: ssl.SSLContext, cert: bytes, key: bytes) -> None:
    with _as_file(cert) as cert_path, _as_file(key) as key_path:
        try:
            context.load_cert_chain(cert_path, key_path)
        except ssl.SSLError as error:
            other = error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")
            wrong = "the key is not that of the certificate" if other else "they are no PEM that can be read"
            raise bad_setting(wrong) from error


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path for who takes no bytes; on Linux the file is in memory."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("vault-pem"), "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
