"""Who somebody is, by what he shows and one version of the identities."""

import hmac
import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from vault._runtime.watched_file import WatchedFile
from vault.errors import UnauthenticatedError

from vault_server.access.grants import Principal
from vault_server.access.identities import Identities
from vault_server.access.identity_file import check_private, parse_identities
from vault_server.access.tokens import hash_of, id_of

_NEVER: Final = float("inf")
_NO_HASH: Final = bytes(32)
_MOST_SHOWN: Final = 4096  # headers that are kept


class _Known(NamedTuple):
    """Who shows a token, its hash, and when it ends by `time.time`."""

    sha256: bytes
    principal: Principal | None
    until: float


_UNKNOWN: Final = _Known(_NO_HASH, None, _NEVER)


class Authenticator:
    """Knows principals by their tokens and certificates.

    Attributes:
        identities: What it was made of.
        has_certificates: Whether any principal is known by one.
    """

    __slots__ = ("_by_certificate", "_by_id", "_shown", "has_certificates", "identities")

    def __init__(self, identities: Identities) -> None:
        self.identities = identities
        self._by_id: dict[str, _Known] = {}
        self._by_certificate: dict[str, Principal] = {}
        # By headers that were found good: to hash one takes 11 µs where other work has had the processor's caches. A
        # dict compares texts only where their keyed hashes are equal, so that its time tells nothing of those it has.
        self._shown: dict[str | bytes, _Known] = {}
        for each in identities.values():
            for token in each.tokens:
                until = _NEVER if token.expires is None else token.expires.timestamp()
                principal = Principal(each.name, each.grants, token.expires, each.budget, (token.id, token.sha256))
                self._by_id[token.id] = _Known(token.sha256, principal, until)
            for name in each.certificates:
                self._by_certificate[name] = Principal(each.name, each.grants, None, each.budget, name)
        self.has_certificates = bool(self._by_certificate)

    def authenticate(self, authorization: Sequence[str | bytes], certificate: Iterable[str]) -> Principal:
        """Who calls with these headers `authorization`, over a connection whose client showed a certificate with these
        names, as `certificate_name` has them.

        A token that is shown has to be valid, whatever the certificate says, and to be the same principal's.

        Raises:
            UnauthenticatedError: It is not known who; the text says what is missing, and nothing of what is known here.
        """
        by_certificate = {known.name: known for name in certificate if (known := self._by_certificate.get(name))}
        if len(by_certificate) > 1:
            raise UnauthenticatedError("the certificate is that of several principals")
        shown = next(iter(by_certificate.values()), None)
        if not authorization:
            if shown is None:
                raise UnauthenticatedError(
                    "this server asks who calls: a token, or a certificate that it knows, is needed"
                )
            return shown
        if len(authorization) > 1:
            raise UnauthenticatedError("one token is needed, not several")
        principal = self._by_token(authorization[0])
        if shown is not None and shown.name != principal.name:
            raise UnauthenticatedError("the token and the certificate are those of two principals")
        return principal

    def _by_token(self, header: str | bytes) -> Principal:
        known = self._shown.get(header)
        if known is None:
            known = self._looked_up(header)
            if len(self._shown) >= _MOST_SHOWN:
                self._shown.clear()
            self._shown[header] = known
        if known.principal is None or time.time() >= known.until:
            raise UnauthenticatedError("the token has expired")
        return known.principal

    def _looked_up(self, header: str | bytes) -> _Known:
        scheme, _, token = header.partition(" ") if isinstance(header, str) else ("", "", "")
        token_id = id_of(token) if scheme.lower() == "bearer" else None
        if token_id is None:
            raise UnauthenticatedError("this is no token of a server like this one: Bearer vt_…")
        known = self._by_id.get(token_id, _UNKNOWN)
        # The same work whether or not the id is known.
        if not hmac.compare_digest(hash_of(token), known.sha256) or known.principal is None:
            raise UnauthenticatedError("the token is not known to this server, or was revoked")
        return known

    def renewed(self, principal: Principal) -> Principal | None:
        """The principal of another version as he is in this one, by what he has shown; None: he is not known by it any
        more."""
        credential = principal.credential
        if isinstance(credential, str):
            found = self._by_certificate.get(credential)
        elif isinstance(credential, tuple):
            known = self._by_id.get(credential[0], _UNKNOWN)
            over = known.sha256 != credential[1] or time.time() >= known.until
            found = None if over else known.principal
        else:
            return principal
        return found if found is not None and found.name == principal.name else None

    def next_expiry(self) -> float:
        """When a token is the next to end, by `time.time`; infinity: none is."""
        now = time.time()
        return min((known.until for known in self._by_id.values() if known.until > now), default=_NEVER)


def watched_identities(path: str) -> WatchedFile[Authenticator]:
    """Who is known by a file that is read again when it changes.

    Raises:
        InvalidArgumentError: It is not usable.
    """
    return WatchedFile(path, lambda content: Authenticator(parse_identities(content)), check=check_private)
