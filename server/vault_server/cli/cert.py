"""`vault-grpc cert`: certificates for deployments that have no authority of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from vault.cli.options import json_option
from vault.cli.output import write_fields

if TYPE_CHECKING:
    from vault_server.access.authority import Files

_FOLDER = click.Path(path_type=Path, file_okay=False)
_DAYS = click.IntRange(1, 36500)
_force = click.option("--force", is_flag=True, help="In the place of what is there, too.")


@click.group("cert", no_args_is_help=False)
def cert() -> None:
    """Make certificates: an authority, and what it signs.

    \b
        vault-grpc cert init tls                        # tls/ca.crt for every client, tls/ca.key for nobody
        vault-grpc cert issue tls storage.example       # tls/storage.example.crt and .key, for serve
        vault-grpc cert issue tls --client --uri spiffe://example.org/worker

    Certificates name what they are for among their alternative names, never by a common name.
    """


@cert.command("init")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--name", default="Vault authority", show_default=True, help="What people know it by.")
@click.option("--days", type=_DAYS, default=3650, show_default=True, help="How long it is valid.")
@_force
@json_option
def init(*, folder: Path, name: str, days: int, force: bool, as_json: bool) -> None:
    """Make an authority in DIR: ca.crt, which clients are given, and ca.key, which stays here."""
    from vault_server.access import authority  # noqa: PLC0415  # an extra

    _show(authority.make_authority(folder, name=name, days=days, force=force), as_json=as_json)


@cert.command("issue")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--uri", "uris", metavar="URI", multiple=True, help="A URI that it names, as spiffe://example.org/worker."
)
@click.option("--client", is_flag=True, help="For a client; without it for a server.")
@click.option("--days", type=_DAYS, help="How long it is valid; without it 398, or what is left of the authority.")
@_force
@json_option
def issue(
    *,
    folder: Path,
    names: Sequence[str],
    uris: Sequence[str],
    client: bool,
    days: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Make a certificate for NAMEs (DNS names, IP addresses) and URIs, signed by the authority in DIR.

    Its files are DIR/NAME.crt and DIR/NAME.key, of the first one.
    """
    from vault_server.access import authority  # noqa: PLC0415  # an extra

    _show(authority.issue(folder, names, uris, client=client, days=days, force=force), as_json=as_json)


def _show(files: "Files", *, as_json: bool) -> None:
    write_fields({name: str(path) for name, path in files._asdict().items()}, as_json=as_json)
