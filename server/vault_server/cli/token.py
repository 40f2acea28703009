"""`vault-grpc token`: who may call a server, kept in a file of identities."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
from vault.cli import streams
from vault.cli.arguments import AGE, EXPIRES, Parsed
from vault.cli.options import json_option
from vault.cli.output import write_json, write_line
from vault.cli.wording import time_text
from vault.store.limits import check_principal

from vault_server.access import token_changes
from vault_server.access.grants import Grant
from vault_server.access.identities import Identities, Identity, certificate_name
from vault_server.access.identity_file import change_identities, read_identities


def _parse_principal(text: str) -> str:
    check_principal(text)
    return text


_FILE: Final = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_NAME: Final = click.argument("name", type=Parsed("name", _parse_principal))
_EXPIRES: Final = click.option(
    "--expires",
    type=EXPIRES,
    metavar="90d|DATE",
    allow_from_autoenv=False,
    help="When the token ends, and what runs by it: so much later, or at a date's beginning in UTC. Without: never.",
)


def _grants(*, required: bool) -> Callable[[Any], Any]:
    return click.option(
        "--grant",
        "grants",
        type=Parsed("grant", Grant.parse),
        multiple=True,
        required=required,
        allow_from_autoenv=False,
        metavar="UNITS:SCOPES",
        help="What it may do where, as docs*:read,list. Scopes: read, write, delete, list, watch, admin; * is all but "
        "admin. May be repeated.",
    )


@click.group("token")
def token() -> None:
    """Say who may call a server: FILE is what `vault-grpc serve --tokens FILE` reads.

    \b
        vault-grpc token add tokens.toml reports --grant 'docs*:read,list' --expires 90d > reports.token
        vault-grpc token rotate tokens.toml reports --keep 24h > reports.token
        vault-grpc token revoke tokens.toml reports

    A token is printed once, alone on standard output: FILE holds its hash. Servers read FILE again within a second
    of a change; what runs with a token that was revoked is cut. FILE is written anew by each change, readable by its
    owner alone, and comments in it are lost.
    """


@token.command("add")
@_FILE
@_NAME
@_grants(required=False)
@_EXPIRES
@click.option(
    "--certificate",
    "certificates",
    type=Parsed("certificate", certificate_name),
    multiple=True,
    allow_from_autoenv=False,
    metavar="URI",
    help="A name in client certificates, spiffe://…, uri:… or dns:…, never the common name: then there is no token. "
    "May be repeated.",
)
def add(
    *,
    file: Path,
    name: str,
    grants: Sequence[Grant],
    expires: datetime | None,
    certificates: Sequence[str],
) -> None:
    """Make a token for the principal NAME, and print it; or take certificates for it.

    FILE is made if it is not there. One whom FILE knows already gets another token, and keeps its grants.
    """
    if certificates:
        if expires is not None:
            raise click.UsageError("--expires is of a token: a certificate says itself when it ends.")
        change_identities(file, lambda old: token_changes.add_certificates(old, name, certificates, grants=grants))
        streams.say(f"principal {name} is known by {', '.join(certificates)}")
        return
    _write_token(
        name,
        expires,
        change_identities(
            file, lambda old: token_changes.add_token(old, name, now=_now(), grants=grants, expires=expires)
        ),
    )


@token.command("rotate")
@_FILE
@_NAME
@_EXPIRES
@click.option(
    "--keep",
    type=AGE,
    metavar="24h",
    allow_from_autoenv=False,
    help="End the old tokens so much later. Without: they go on until they are revoked.",
)
def rotate(*, file: Path, name: str, expires: datetime | None, keep: timedelta | None) -> None:
    """Make a new token for the principal NAME, and print it. The old ones go on meanwhile."""
    made = change_identities(
        file, lambda old: token_changes.rotate_token(old, name, now=_now(), expires=expires, keep=keep)
    )
    _write_token(name, expires, made)


@token.command("revoke")
@_FILE
@_NAME
@click.option("--id", "token_id", metavar="ID", allow_from_autoenv=False, help="This token only, as `ls` shows it.")
def revoke(*, file: Path, name: str, token_id: str | None) -> None:
    """Take back the tokens of the principal NAME, and remove it with its grants and certificates."""
    count = change_identities(file, lambda old: token_changes.revoke_tokens(old, name, token_id))
    left = "" if token_id is None else ", which stays"
    streams.say(f"revoked {count} token{'s' * (count != 1)} of principal {name}{left}")


@token.command("grant")
@_FILE
@_NAME
@_grants(required=True)
def grant(*, file: Path, name: str, grants: Sequence[Grant]) -> None:
    """Replace all that the principal NAME may do."""
    change_identities(file, lambda old: token_changes.set_grants(old, name, grants))
    streams.say(f"principal {name} may {' '.join(map(str, grants))}")


@token.command("ls")
@_FILE
@json_option
def list_tokens(*, file: Path, as_json: bool) -> None:
    """List the principals of FILE, with their grants, certificates and the ids of their tokens."""
    identities = read_identities(file)
    if as_json:
        write_json([_as_json(each) for each in identities.values()])
        return
    rows = list(_rows(identities))
    if sys.stdout.isatty():
        from vault.cli.table import show_rows  # noqa: PLC0415  # rich costs 80 ms

        show_rows(("principal", "grants", "known by", "", "created", "expires"), rows)
        return
    for row in rows:
        write_line(*row)


def _rows(identities: Identities) -> list[tuple[str, ...]]:
    """A line for each thing that a principal is known by; one that is known by nothing has one, too."""
    rows = []
    for each in identities.values():
        known: list[tuple[str, ...]] = [("certificate", name, "", "") for name in each.certificates]
        for kept in each.tokens:
            expires = "" if kept.expires is None else time_text(kept.expires)
            known.append(("token", kept.id, time_text(kept.created), expires))
        rows += [(each.name, " ".join(map(str, each.grants)), *by) for by in known or [("nothing", "", "", "")]]
    return rows


def _as_json(identity: Identity) -> dict[str, Any]:
    return {
        "name": identity.name,
        "grants": [str(each) for each in identity.grants],
        "certificates": list(identity.certificates),
        "tokens": [
            {
                "id": kept.id,
                "created": kept.created.isoformat(),
                "expires": None if kept.expires is None else kept.expires.isoformat(),
            }
            for kept in identity.tokens
        ],
    }


def _write_token(name: str, expires: datetime | None, made: str) -> None:
    until = "" if expires is None else f" until {time_text(expires)}"
    streams.say(f"a token for principal {name}{until}; it is shown this once")
    sys.stdout.write(f"{made}\n")


def _now() -> datetime:
    return datetime.now(UTC)
