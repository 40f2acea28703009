"""Why no connection could be made: certificates, or the network. gRPC says UNAVAILABLE of both.

A handshake by Python's `ssl`, made once gRPC's has failed, tells them apart: it says what is wrong, and takes what gRPC
would. It blocks, and nothing is sent in it but the handshake.
"""

import re
import socket
import ssl
import time
from typing import Final

from vault._grpc.address import Address, host_and_port
from vault._grpc.certificates import Certificates
from vault.errors import VaultError

LONGEST: Final = 5.0
"""Seconds that it may take."""

_FAILED: Final = re.compile(r"failed to connect to all addresses|tls handshake failed", re.IGNORECASE)
_NETWORK: Final = re.compile(
    r"connection refused|no such file|timed out|timeout|unreachable|no route|dns|network is down", re.IGNORECASE
)
# What gRPC says of a certificate, for where the handshake here succeeds.
_CERTIFICATE: Final = re.compile(r"CERTIFICATE_VERIFY_FAILED: ([^:]*)|(Hostname Verification Check failed)")
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER")
_MOST_HEAD: Final = 16 << 10  # bytes of a proxy's answer

# Of OpenSSL's numbers for what is wrong with a certificate.
_NOT_YET_VALID: Final = (9,)
_EXPIRED: Final = (10,)
_NO_AUTHORITY: Final = (18, 19, 20, 21)
_OTHER_NAME: Final = (62, 63, 64)


def is_suspicious(error: VaultError) -> bool:
    """Whether a call failed because no connection could be made, perhaps for a matter of certificates."""
    return _FAILED.search(error.message) is not None and _NETWORK.search(error.message) is None


def mistrust(route: Address, certificates: Certificates | None, said: str, seconds: float) -> str | None:
    """Which side does not trust the other, why, and what to do; None: that is not what is wrong. Blocks.

    Args:
        certificates: Those of the channel; None: it is not encrypted.
        said: What gRPC said.
        seconds: That this may take; LONGEST at most.
    """
    deadline = time.monotonic() + min(seconds, LONGEST)
    try:
        found = _of_plain(route, deadline) if certificates is None else _of_tls(route, certificates, deadline)
    except OSError:  # the network, or a peer that went away
        found = None
    return found or (None if certificates is None else _of_grpc(said, certificates))


def _of_plain(route: Address, deadline: float) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is believed that comes
    if not route.server:
        return None
    with _connect(route, deadline) as raw, _wrapped(raw, context):
        return f"it speaks TLS: its address is grpcs://{route.server}"


def _of_tls(route: Address, certificates: Certificates, deadline: float) -> str | None:
    context = certificates.context()
    try:
        for _ in range(2):  # a server that ends may cut one handshake short, but not two
            with (
                _connect(route, deadline) as raw,
                _wrapped(raw, context, certificates.name) as secure,
            ):
                if secure.selected_alpn_protocol() != "h2":
                    return "it speaks TLS but not HTTP/2, so no gRPC: is the port the right one?"
                # A server that accepts the client begins with HTTP/2's settings; gRPC's hangs up on others.
                if _goes_on(secure):
                    return None
    except ssl.SSLCertVerificationError as error:
        return _of_servers(error.verify_code, error.verify_message, certificates)
    except ssl.SSLError as error:
        reason = error.reason or ""
        if reason.startswith(_NO_TLS):
            return f"it does not speak TLS: is the port the right one? Without TLS it is grpc://{route.server}"
        if "PROTOCOL" in reason:
            return "it speaks only versions of TLS before 1.2, which are not secure"
        if "ALERT" not in reason or not any(word in reason for word in ("CERTIFICATE", "CA", "HANDSHAKE_FAILURE")):
            return None
    return _of_own(certificates)


def _wrapped(raw: socket.socket, context: ssl.SSLContext, name: str | None = None) -> ssl.SSLSocket:
    raw.getpeername()  # one that was reset by now raises here: `wrap_socket` would leave it open, for nobody to close
    return context.wrap_socket(raw, server_hostname=name)


def _goes_on(secure: ssl.SSLSocket) -> bool:
    try:
        return bool(secure.recv(1))
    except ConnectionError:
        return False


def _of_servers(code: int, text: str, certificates: Certificates) -> str:
    if code in _EXPIRED:
        return "its certificate has expired: it needs a new one"
    if code in _NOT_YET_VALID:
        return "its certificate is not valid yet: look at the clocks of both machines"
    if code in _NO_AUTHORITY:
        return "its certificate is not of an authority that is trusted here: ca=FILE (--ca) names the one that it is of"
    if code in _OTHER_NAME:
        return (
            f"its certificate is not for {certificates.name!r}: reach it by a name that it is for, or say that name by "
            "server_name (--server-name)"
        )
    return f"its certificate is not accepted: {text}"


def _of_own(certificates: Certificates) -> str:
    if certificates.pair is None:
        return "it wants to see a client's certificate: cert=FILE and key=FILE (--cert, --key) give one"
    return (
        "it does not accept the client's certificate: it has expired, is of an authority that is not trusted there, or "
        "has a key that is neither RSA's nor of the curves P-256 and P-384"
    )


def _of_grpc(said: str, certificates: Certificates) -> str | None:
    if (found := _CERTIFICATE.search(said)) is None:
        return None
    text = found[1] or ""
    codes = {"expired": 10, "not yet valid": 9, "issuer": 20, "self": 18, "": 62 if found[2] else 0}
    return _of_servers(next(code for word, code in codes.items() if word in text), text, certificates)


def _connect(route: Address, deadline: float) -> socket.socket:
    """A connection to the server, through the proxy if there is one."""
    left = max(deadline - time.monotonic(), 0.01)
    raw = socket.create_connection(host_and_port(route.proxy or route.server), left)
    try:
        if route.proxy:
            _pass_proxy(raw, route, deadline)
    except BaseException:
        raw.close()
        raise
    return raw


def _pass_proxy(raw: socket.socket, route: Address, deadline: float) -> None:
    login = f"Proxy-Authorization: {route.login}\r\n" if route.login else ""
    raw.sendall(f"CONNECT {route.server} HTTP/1.1\r\nHost: {route.server}\r\n{login}\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = raw.recv(1)  # what comes after the head is the server's
        if not byte or len(head) >= _MOST_HEAD or time.monotonic() > deadline:
            raise ConnectionError("the proxy does not answer")
        head += byte
    if re.match(rb"HTTP/1\.[01] 2\d\d\b", head) is None:
        raise ConnectionError("the proxy refuses")
