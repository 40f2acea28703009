"""The commands of an administrator: who may do what at a server, from where, what runs there, and what it retains."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import click

from vault._display import size_text
from vault._sync.remote.channel import Channel
from vault.cli import streams
from vault.cli.arguments import EXPIRES, UNIT
from vault.cli.location import local_path, opened_store
from vault.cli.options import Settings, json_option, location_options
from vault.cli.output import write_fields, write_json, write_line, write_records
from vault.errors import ProtocolError, UnsupportedError
from vault.store.location import parse_location
from vault.v1 import admin_pb2 as pb
from vault.v1 import vault_pb2

_SERVERS: Final = frozenset({"grpc", "grpcs"})

_NETWORKS: Final = click.argument("networks", nargs=-1, required=True, metavar="NETWORK...")


@click.group("admin")
def admin() -> None:
    """Administer a server: the one at --vault, by a token with the scope admin on all units (*:admin).

    \b
        vault-grpc admin whoami
        vault-grpc admin token-add reports --grant 'docs*:read,list' --expires 90d > reports.token
        vault-grpc admin cut --principal reports

    Only `whoami` is for everybody. What is changed applies at once, in all workers of the server.
    """


@admin.command()
@json_option
@location_options
def whoami(*, as_json: bool) -> None:
    """Show who the server takes you for, and what you may do there."""
    reply: vault_pb2.WhoAmIResponse = _asked("WhoAmI", vault_pb2.WhoAmIRequest())
    expires = _moment(reply, "expires_at")
    document = {"principal": reply.principal, "grants": tuple(map(_grant_text, reply.grants)), "expires": expires}
    write_fields(document, as_json=as_json)


@admin.command()
@json_option
@location_options
def tokens(*, as_json: bool) -> None:
    """List the principals, their grants, and what each is known by; never a token itself."""
    reply: pb.ListPrincipalsResponse = _asked("ListPrincipals", pb.ListPrincipalsRequest())
    if as_json:
        for each in reply.principals:
            write_json(_principal(each))
        return
    write_records(list(_rows(reply.principals)), as_json=False)


@admin.command("token-add")
@click.argument("name")
@click.option(
    "--grant", "grants", multiple=True, metavar="UNITS:SCOPES",
    help="What it may do where, as docs*:read,list. May be repeated. Without: what it may do already.",
)  # fmt: skip
@click.option("--expires", type=EXPIRES, metavar="90d|DATE", help="When the token ends. Without: never.")
@location_options
def token_add(*, name: str, grants: Sequence[str], expires: datetime | None) -> None:
    """Make a token for the principal NAME, new or known, and print it, this once."""
    request = pb.AddTokenRequest(principal=name, grants=[_grant(text) for text in grants])
    if expires is not None:
        request.expires_at.FromDatetime(expires)
    reply: pb.AddTokenResponse = _asked("AddToken", request)
    streams.say(f"a token for principal {name}; it is shown this once")
    sys.stdout.write(f"{reply.token}\n")


@admin.command("token-revoke")
@click.argument("name")
@click.option("--id", "token_id", default="", help="Only this token, as `tokens` lists it.")
@location_options
def token_revoke(*, name: str, token_id: str) -> None:
    """Take back the tokens of the principal NAME, and remove it with its grants; or take back one token.

    What runs by them is cut within a second.
    """
    reply: pb.RevokeTokensResponse = _asked("RevokeTokens", pb.RevokeTokensRequest(principal=name, id=token_id))
    streams.say(f"revoked {reply.tokens} token{'s' * (reply.tokens != 1)} of principal {name}")


@admin.group()
def allowlist() -> None:
    """The networks from which clients may connect."""


@allowlist.command("get")
@json_option
@location_options
def allowlist_get(*, as_json: bool) -> None:
    """List the networks; none: clients may connect from everywhere."""
    networks = _networks()
    if as_json:
        write_json(networks)
        return
    for network in networks:
        write_line(network)


@allowlist.command("set")
@_NETWORKS
@location_options
def allowlist_set(networks: Sequence[str]) -> None:
    """Replace the list. What comes from elsewhere is cut; a list without your own address is refused."""
    _set_networks(networks)


@allowlist.command("add")
@_NETWORKS
@location_options
def allowlist_add(networks: Sequence[str]) -> None:
    """Add networks to the list."""
    _set_networks([*_networks(), *networks])


@allowlist.command("remove")
@_NETWORKS
@location_options
def allowlist_remove(networks: Sequence[str]) -> None:
    """Remove networks from the list, as `get` shows them."""
    known = _networks()
    if unknown := [each for each in networks if each not in known]:
        raise click.UsageError(f"not on the list: {', '.join(unknown)}.")
    _set_networks([each for each in known if each not in networks])


@admin.command()
@json_option
@location_options
def calls(*, as_json: bool) -> None:
    """List the calls that run, in all workers: since when, of whom, from where, and of which unit."""
    reply: pb.ListCallsResponse = _asked("ListCalls", pb.ListCallsRequest())
    rows = [
        {
            "began": _moment(call, "began_at"),
            "principal": call.principal,
            "peer": call.peer,
            "method": call.method,
            "unit": call.unit,
            "worker": call.worker,
        }
        for call in reply.calls
    ]
    write_records(sorted(rows, key=lambda row: str(row["began"])), as_json=as_json)


@admin.command()
@click.option("--principal", default="", help="Those of this principal.")
@click.option("--address", default="", metavar="ADDRESS|NETWORK", help="Those that come from there.")
@location_options
def cut(*, principal: str, address: str) -> None:
    """End the running calls of a principal, or from an address, within a second.

    It may call again: `token-revoke` and `allowlist` keep it out.
    """
    if not principal and not address:
        raise click.UsageError("whose calls? Give --principal, --address, or both.")
    reply: pb.CutCallsResponse = _asked("CutCalls", pb.CutCallsRequest(principal=principal, address=address))
    streams.say(f"ended {reply.calls} call{'s' * (reply.calls != 1)}")


@admin.command()
@click.option("--unit", "-u", type=UNIT, help="Of this unit alone.")
@json_option
@location_options
def purge(*, unit: str | None, as_json: bool) -> None:
    """Remove the bytes of replaced and deleted objects now, of a server's store or of a directory.

    Readers that have them open read on; downloads that lose their connection then cannot go on.
    """
    if _is_local():
        with opened_store() as store:
            purge_retained = getattr(store, "purge_retained", None)
            if purge_retained is None:
                raise UnsupportedError(f"{type(store).__name__} does not tell what it retains")
            purged = purge_retained(unit)
    else:
        purged = _asked("PurgeRetained", pb.PurgeRetainedRequest(unit=unit or ""))
    if as_json:
        write_json({"objects": purged.objects, "bytes": purged.bytes})
    else:
        streams.say(f"removed {purged.objects} generation{'s' * (purged.objects != 1)} ({size_text(purged.bytes)})")


def _is_local() -> bool:
    location = click.get_current_context().ensure_object(Settings).location
    return bool(location) and parse_location(str(location))[0] not in _SERVERS


@contextmanager
def _channel() -> Iterator[Channel]:
    """The way to the server that the command line names.

    Raises:
        click.UsageError: It names none, or a directory.
    """
    settings = click.get_current_context().ensure_object(Settings)
    if not settings.location:
        raise click.UsageError("where is the server? Give --vault LOCATION or set VAULT_GRPC_URL.")
    if local_path(settings.location) is not None:
        raise click.UsageError(f"{settings.location} is a directory, which has no administrators: name its server.")
    if parse_location(settings.location)[0] not in _SERVERS:
        raise click.UsageError(f"{settings.location} is no server.")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is said in one line, and not by gRPC before
    with closing(Channel(settings.location, settings.connection)) as channel:
        yield channel


def _asked(method: str, request: Any) -> Any:
    with _channel() as channel:
        try:
            return channel.unary(method, request)
        except (UnsupportedError, ProtocolError) as error:
            if method == "WhoAmI" or (
                isinstance(error, ProtocolError) and error.context.get("code") != "UNIMPLEMENTED"
            ):
                raise
            raise UnsupportedError(
                f"the server at {channel.address} cannot be administered: it can where its file of identities names a "
                "principal with *:admin when it starts"
            ) from error


def _networks() -> list[str]:
    reply: pb.GetAllowlistResponse = _asked("GetAllowlist", pb.GetAllowlistRequest())
    return list(reply.networks)


def _set_networks(networks: Sequence[str]) -> None:
    _asked("SetAllowlist", pb.SetAllowlistRequest(networks=networks))
    streams.say(f"{len(set(networks))} networks may connect")


def _grant(text: str) -> vault_pb2.Grant:
    units, _, scopes = text.partition(":")  # the server says what is wrong with it
    return vault_pb2.Grant(units=units, scopes=scopes.split(","))


def _grant_text(grant: vault_pb2.Grant) -> str:
    return f"{grant.units}:{','.join(grant.scopes)}"


def _moment(message: Any, field: str) -> str | None:
    if not message.HasField(field):
        return None
    moment: datetime = getattr(message, field).ToDatetime(UTC)
    return moment.isoformat()


def _principal(each: pb.Principal) -> dict[str, Any]:
    return {
        "name": each.name,
        "grants": [_grant_text(grant) for grant in each.grants],
        "certificates": list(each.certificates),
        "tokens": [
            {"id": token.id, "created": _moment(token, "created_at"), "expires": _moment(token, "expires_at")}
            for token in each.tokens
        ],
    }


def _rows(principals: Sequence[pb.Principal]) -> Iterator[dict[str, Any]]:
    """A line for each thing that a principal is known by; one that is known by nothing has one, too."""
    for each in principals:
        known: list[tuple[str, str | None, str | None]] = [
            (f"certificate {name}", None, None) for name in each.certificates
        ]
        known += [
            (f"token {token.id}", _moment(token, "created_at"), _moment(token, "expires_at")) for token in each.tokens
        ]
        for by, created, expires in known or [("nothing", None, None)]:
            grants = " ".join(map(_grant_text, each.grants))
            yield {"principal": each.name, "grants": grants, "known by": by, "created": created, "expires": expires}
