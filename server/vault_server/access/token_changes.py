"""What an administrator does with identities: adds, rotates and revokes tokens, and replaces grants. No I/O.

Each takes the identities as they are, and returns them as they are to be, with what there is to tell: for
`identity_file.change_identities`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from vault.errors import InvalidArgumentError, NotFoundError
from vault.store.limits import check_principal

from vault_server.access.grants import Grant
from vault_server.access.identities import Identities, Identity, Token, certificate_name
from vault_server.access.tokens import hash_of, make_token


def add_token(
    identities: Identities,
    name: str,
    *,
    now: datetime,
    grants: Sequence[Grant] = (),
    expires: datetime | None = None,
) -> tuple[Identities, str]:
    """Makes a token for a principal, new or known. The token is what is returned besides: it is nowhere else.

    Raises:
        InvalidArgumentError: BAD_PRINCIPAL; BAD_GRANT, a new one has none, or a known one has others; BAD_TIME, it is
            over already.
    """
    _check_expires(expires, now)
    identity, token = _with_token(_known_or_new(identities, name, grants), now, expires)
    return identities.with_identity(identity), token


def add_certificates(
    identities: Identities, name: str, certificates: Sequence[str], *, grants: Sequence[Grant] = ()
) -> tuple[Identities, None]:
    """Lets who shows one of these certificates be a principal, new or known.

    Raises:
        InvalidArgumentError: BAD_IDENTITIES, it is none, or another one's; and as `add_token`.
    """
    identity = _known_or_new(identities, name, grants)
    new = dict.fromkeys((*identity.certificates, *map(certificate_name, certificates)))
    return identities.with_identity(replace(identity, certificates=tuple(new))), None


def rotate_token(
    identities: Identities,
    name: str,
    *,
    now: datetime,
    expires: datetime | None = None,
    keep: timedelta | None = None,
) -> tuple[Identities, str]:
    """Makes a new token for a known principal, whose old ones live on: until they are revoked, or for `keep`.

    Raises:
        NotFoundError: PRINCIPAL_NOT_FOUND.
        InvalidArgumentError: BAD_TIME.
    """
    _check_expires(expires, now)
    identity = _known(identities, name)
    if keep is not None:
        last = now + keep
        old = (replace(each, expires=min(last, each.expires or last)) for each in identity.tokens)
        identity = replace(identity, tokens=tuple(old))
    identity, token = _with_token(identity, now, expires)
    return identities.with_identity(identity), token


def revoke_tokens(identities: Identities, name: str, token_id: str | None = None) -> tuple[Identities, int]:
    """Takes back one token of a principal; or all, and the principal with its grants and certificates. What is returned
    besides is how many tokens these were.

    Raises:
        NotFoundError: PRINCIPAL_NOT_FOUND; TOKEN_NOT_FOUND.
    """
    identity = _known(identities, name)
    if token_id is None:
        return identities.without(name), len(identity.tokens)
    left = tuple(each for each in identity.tokens if each.id != token_id)
    if left == identity.tokens:
        raise NotFoundError(f"principal {name!r} has no token {token_id!r}", reason="TOKEN_NOT_FOUND")
    return identities.with_identity(replace(identity, tokens=left)), 1


def set_grants(identities: Identities, name: str, grants: Sequence[Grant]) -> tuple[Identities, None]:
    """Replaces what a known principal may do.

    Raises:
        NotFoundError: PRINCIPAL_NOT_FOUND.
    """
    return identities.with_identity(replace(_known(identities, name), grants=tuple(grants))), None


def _known(identities: Identities, name: str) -> Identity:
    found = identities.get(name)
    if found is None:
        raise NotFoundError(f"there is no principal {name!r}", reason="PRINCIPAL_NOT_FOUND")
    return found


def _known_or_new(identities: Identities, name: str, grants: Sequence[Grant]) -> Identity:
    found = identities.get(name)
    if found is None:
        check_principal(name)
        if not grants:
            raise InvalidArgumentError(f"{name!r} is a new principal, which needs a grant", reason="BAD_GRANT")
        return Identity(name=name, grants=tuple(grants))
    if grants and set(grants) != set(found.grants):
        raise InvalidArgumentError(
            f"principal {name!r} has other grants ({' '.join(map(str, found.grants))}): replace them first",
            reason="BAD_GRANT",
        )
    return found


def _with_token(identity: Identity, now: datetime, expires: datetime | None) -> tuple[Identity, str]:
    token, token_id = make_token()
    kept = Token(id=token_id, sha256=hash_of(token), created=now.replace(microsecond=0), expires=expires)
    return replace(identity, tokens=(*identity.tokens, kept)), token


def _check_expires(expires: datetime | None, now: datetime) -> None:
    if expires is not None and expires <= now:
        raise InvalidArgumentError(f"{expires.isoformat()} is over already", reason="BAD_TIME")
