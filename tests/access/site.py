"""Servers of each kind over one directory, everybody who may try them, and the ways there."""

import contextlib
import hashlib
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc
import tomli_w
from vault_server import EmbeddedStore

from tests.access.model import ALLOWED, DOCS, SCOPES, Who
from tests.server.process import Served
from tests.tls import Authority, Pair, replace

KNOWN_CERTIFICATE: Final = "reader.example"
"""The DNS name of a certificate that is a principal's."""

_MOMENT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_ALL: Final = ("read", "write", "delete", "list", "watch")


@dataclass(frozen=True, kw_only=True)
class Principal(Who):
    """Somebody who calls, and what he shows. None: nothing."""

    token: str | None = None


def _token() -> str:
    return f"vt_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"


def _new(title: str, **scopes: Any) -> Principal:
    return Principal(title=title, scopes={unit: frozenset(each) for unit, each in scopes.items()}, token=_token())


class Identities:
    """The identity file, written here by hand, and who is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed: dict[str, dict[str, Any]] = {}
        self._gone: set[str] = set()
        self.right = self.add(_new("right", docs=_ALL))
        self.admin = self.add(Principal(title="admin", admin=True, token=_token()))
        self.leaving = self.add(_new("leaving", docs=_ALL))
        by_scope = [self.add(_new(f"only-{scope}", docs=(scope,))) for scope in SCOPES]
        tenant = self.add(_new("tenant", theirs=_ALL))
        everything = self.add(_new("both-units", docs=SCOPES, theirs=SCOPES))
        nothing = self.add(_new("no-grants"))
        self.add(Principal(title="by-certificate", scopes={DOCS: frozenset({"read"})}), certificate=KNOWN_CERTIFICATE)
        expired = self.add(_new("expired", docs=SCOPES), expires=datetime.now(UTC) - timedelta(seconds=1))
        revoked = self.add(_new("revoked", docs=SCOPES))
        assert self.right.token is not None
        forged = f"{self.right.token[:-4]}{'AAAA' if self.right.token[-4:] != 'AAAA' else 'BBBB'}"
        unknown = [
            Principal(title="without a token", known=False),
            Principal(title="with an empty token", known=False, token=""),
            Principal(title="with a token of no form", known=False, token="secret"),
            Principal(title="with a token nobody has", known=False, token=_token()),
            Principal(title="with a token whose end is wrong", known=False, token=forged),
            Principal(title="with a hash for a token", known=False, token=_hash(self.right)),
        ]
        self.strangers: list[Principal] = [*unknown, _unknown(expired), _unknown(revoked)]
        self.known: list[Principal] = [self.right, self.admin, *by_scope, tenant, everything, nothing]
        self._write()
        self.revoke(revoked)

    @property
    def all(self) -> list[Principal]:
        return [*self.known, *self.strangers]

    def add(
        self, principal: Principal, *, expires: datetime | None = None, certificate: str | None = None
    ) -> Principal:
        grants = [f"{unit}*:{','.join(sorted(scopes))}" for unit, scopes in principal.scopes.items()]
        entry: dict[str, Any] = {"name": principal.title, "grants": grants + ["*:admin"] * principal.admin}
        if principal.token is not None:
            end = {} if expires is None else {"expires": expires}
            kept = {"id": principal.token.split("_")[1], "sha256": _hash(principal), "created": _MOMENT, **end}
            entry["token"] = [kept]
        if certificate is not None:
            entry["certificates"] = [f"dns:{certificate}"]
        self._listed[principal.title] = entry
        return principal

    def revoke(self, principal: Principal) -> None:
        """Takes his token back."""
        self._gone.add(principal.title)
        self._write()

    def restore(self, principal: Principal) -> None:
        """Gives it back to him."""
        self._gone.remove(principal.title)
        self._write()

    def _write(self) -> None:
        """Without what somebody else has written."""
        listed = [entry for title, entry in self._listed.items() if title not in self._gone]
        replace(self.path, tomli_w.dumps({"principal": listed}).encode())


def _hash(principal: Principal) -> str:
    assert principal.token is not None
    return hashlib.sha256(principal.token.encode()).hexdigest()


def _unknown(principal: Principal) -> Principal:
    return Principal(title=principal.title, known=False, token=principal.token)


@dataclass(frozen=True)
class Way:
    """A kind of channel to one of the servers.

    Attributes:
        reaches: Whether there is to be a connection.
        credentials: None: plain.
        certificate: Who calls, where no token is shown.
        name: Of the server's certificate, to be checked.
    """

    title: str
    server: str
    credentials: grpc.ChannelCredentials | None = None
    reaches: bool = True
    certificate: Principal | None = None
    options: tuple[tuple[str, Any], ...] = field(default=(("grpc.use_local_subchannel_pool", 1),))

    def channel(self, address: str) -> grpc.aio.Channel:
        if self.credentials is None:
            return grpc.aio.insecure_channel(address, options=self.options)
        return grpc.aio.secure_channel(address, self.credentials, options=self.options)


LISTEN: Final = {
    "plain": "grpc://127.0.0.1:0",
    "tls": "grpcs://127.0.0.1:0?client-certs=none",
    "mtls": "grpcs://127.0.0.1:0",
}
"""By kind: where a process listens that has all of them."""


WRONG: Final = """
import sys
from contextlib import ExitStack
from vault_server import AccessSettings, EmbeddedStore, Server
directory, tokens, *pairs = sys.argv[1:]
with ExitStack() as stack:
    store = stack.enter_context(EmbeddedStore(directory))
    for cert, key in zip(pairs[::2], pairs[1::2]):
        access = AccessSettings(tls_cert=cert, tls_key=key, tokens=tokens)
        print(stack.enter_context(Server(store, access=access)).address, flush=True)
    sys.stdin.read()
"""
"""Servers with certificates that no client accepts."""


class Site:
    """A server that listens in each way, others whose certificates are wrong, their store and who is known there.

    Attributes:
        store: Opened beside the server.
        addresses: host:port, by kind of listener.
        identities: Who there is.
        log: The server's.
        ways: To them.
    """

    def __init__(self, folder: Path, stack: contextlib.ExitStack, *flags: str) -> None:
        self.identities = Identities(folder / "tokens.toml")
        self.log = folder / "log"
        networks = replace(folder / "networks", "".join(f"{each}\n" for each in ALLOWED).encode())
        self.ca, self.other = Authority(), Authority("Another authority")
        cert, key = self.ca.server().write(folder)
        access: tuple[str | Path, ...] = (
            "--tls-cert",
            cert,
            "--tls-key",
            key,
            "--tls-client-ca",
            self.ca.write(folder),
        )
        listen = [f"--listen={each}" for each in LISTEN.values()]
        served = Served(
            *(folder / "storage", *listen, *access, *flags),
            *("--tokens", self.identities.path, "--allow-file", networks),
            streams=f"2>'{self.log}'",  # a pipe that nobody reads would hold it up
        )
        stack.callback(served.end)
        stack.callback(served.kill)
        assert served.process.stdout is not None
        lines = [served.line, *(served.process.stdout.readline() for _ in range(len(LISTEN) - 1))]
        self.addresses = {
            kind: line.rpartition(" ")[2].strip().rpartition("/")[2] for kind, line in zip(LISTEN, lines, strict=True)
        }
        self.store = stack.enter_context(EmbeddedStore(folder / "storage"))
        wrong = {"expired": self.ca.expired(), "wrong name": self.ca.wrong_name(), "name": self.ca.common_name_only()}
        pairs = [path for kind, pair in wrong.items() for path in pair.write(folder, kind.replace(" ", "-"))]
        command: list[str | Path] = [sys.executable, "-c", WRONG, folder / "storage", self.identities.path, *pairs]
        process = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        assert process.stdin is not None
        assert process.stdout is not None
        stack.callback(process.stdin.close)  # which ends it
        self.addresses |= {kind: process.stdout.readline().strip().rpartition("/")[2] for kind in wrong}
        self.ways = list(self._ways())

    def way(self, title: str) -> Way:
        """The one of this title."""
        (found,) = [way for way in self.ways if way.title == title]
        return found

    def _ways(self) -> Iterator[Way]:
        def tls(pair: Pair | None = None, authority: Authority = self.ca) -> grpc.ChannelCredentials:
            return grpc.ssl_channel_credentials(authority.pem, *((pair.key, pair.cert) if pair else ()))

        by_certificate = Principal(title="by-certificate", scopes={DOCS: frozenset({"read"})})
        yield Way("plain", "plain")
        yield Way("TLS", "tls", tls())
        yield Way("mTLS", "mtls", tls(self.ca.issue("somebody.example")))
        yield Way("mTLS, a known name", "mtls", tls(self.ca.issue(KNOWN_CERTIFICATE)), certificate=by_certificate)
        yield Way("mTLS, a known name as common name only", "mtls", tls(self.ca.common_name_only(KNOWN_CERTIFICATE)))
        yield Way("plain, to a server with TLS", "tls", reaches=False)
        yield Way("TLS, to a server without", "plain", tls(), reaches=False)
        yield Way("TLS, another authority trusted", "tls", tls(authority=self.other), reaches=False)
        yield Way("mTLS, no certificate", "mtls", tls(), reaches=False)
        yield Way("mTLS, of another authority", "mtls", tls(self.other.issue(KNOWN_CERTIFICATE)), reaches=False)
        yield Way("mTLS, expired", "mtls", tls(self.ca.expired(KNOWN_CERTIFICATE)), reaches=False)
        yield Way("mTLS, not valid yet", "mtls", tls(self.ca.not_yet_valid(KNOWN_CERTIFICATE)), reaches=False)
        yield Way("TLS, the server's expired", "expired", tls(), reaches=False)
        yield Way("TLS, the server's of another name", "wrong name", tls(), reaches=False)
        yield Way("TLS, the server's common name only", "name", tls(), reaches=False)
