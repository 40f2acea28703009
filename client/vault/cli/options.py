"""Options that many commands share, and what the command line says about where the vault is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from vault.cli.arguments import NumberRange, UnitType
from vault.store.limits import MAX_SECONDS

DEFAULT_TIMEOUT = 60.0

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Settings:
    """What holds for the whole command; `--vault`, `--timeout` and `--proxy` may stand before or after its name.

    Attributes:
        location: A directory or the URL of a server; None: not given.
        timeout: Seconds that a server may take to answer.
        proxy: The URL of an HTTP proxy on the way to a server.
    """

    location: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    proxy: str | None = None


def _set_location(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Settings).location = value


def _set_timeout(ctx: click.Context, _param: click.Parameter, value: float | None) -> None:
    if value is not None:
        ctx.ensure_object(Settings).timeout = value


def _set_proxy(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Settings).proxy = value or None


def _where(*, environment: bool) -> Callable[[F], F]:
    """`--vault`, `--timeout` and `--proxy`. Only the group's read the environment, so that any flag wins over it."""

    def decorate(function: F) -> F:
        function = click.option(
            "--timeout",
            type=NumberRange(0, MAX_SECONDS, min_open=True),
            metavar="SECONDS",
            envvar="VAULT_GRPC_TIMEOUT" if environment else None,
            allow_from_autoenv=False,
            expose_value=False,
            callback=_set_timeout,
            help=f"How long a server may take to answer; {DEFAULT_TIMEOUT:g} by default.",
        )(function)
        function = click.option(
            "--proxy",
            metavar="URL",
            envvar="VAULT_GRPC_PROXY" if environment else None,
            allow_from_autoenv=False,
            expose_value=False,
            callback=_set_proxy,
            help="An HTTP proxy to reach the server through, http://[USER:PASSWORD@]HOST:PORT. Also: VAULT_GRPC_PROXY.",
        )(function)
        return click.option(
            "--vault",
            metavar="LOCATION",
            envvar="VAULT_GRPC_URL" if environment else None,
            allow_from_autoenv=False,
            expose_value=False,
            callback=_set_location,
            help="A directory, grpc://HOST:PORT or unix:PATH. Also: VAULT_GRPC_URL.",
        )(function)

    return decorate


group_location_options = _where(environment=True)
location_options = _where(environment=False)

unit_option = click.option(
    "--unit", "-u", required=True, type=UnitType(), envvar="VAULT_GRPC_UNIT", help="The unit. Also: VAULT_GRPC_UNIT."
)

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, one document on a line, for programs.")
