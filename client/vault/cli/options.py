"""Options that many commands share, and what the command line says about where the vault is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import click

from vault.cli.arguments import UNIT
from vault.cli.setting_options import type_of
from vault.store.connection import DEFAULT_CONNECTION, ConnectionSettings
from vault.store.setting import settings_of

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Settings:
    """What holds for the whole command; its flags may stand before or after the command's name.

    Attributes:
        location: A directory or the URL of a server; None: not given.
        connection: How a server is reached.
    """

    location: str | None = None
    connection: ConnectionSettings = DEFAULT_CONNECTION


def _set(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None:
        settings = ctx.ensure_object(Settings)
        if param.name == "vault":
            settings.location = value
        else:
            changed: dict[str, Any] = {str(param.name): value or None}
            settings.connection = replace(settings.connection, **changed)


def _where(*, environment: bool) -> Callable[[F], F]:
    """`--vault` and the connection's settings. Only the group's read the environment, so that any flag wins over it."""

    def decorate(function: F) -> F:
        for name, variable, more in reversed(list(_flags())):
            function = click.option(
                f"--{name}",
                envvar=variable if environment else None,
                allow_from_autoenv=False,
                expose_value=False,
                callback=_set,
                **more,
            )(function)
        return function

    return decorate


def _flags() -> Iterator[tuple[str, str, dict[str, Any]]]:
    location = "A directory, grpc://HOST:PORT or unix:PATH."
    yield "vault", "VAULT_GRPC_URL", {"metavar": "LOCATION", "help": f"{location} Also: VAULT_GRPC_URL."}
    for name, setting in settings_of(ConnectionSettings).items():
        default, variable = getattr(DEFAULT_CONNECTION, name), f"VAULT_GRPC_{name.upper()}"
        after = f" Also: {variable}." if default is None else f"; {default:g} by default."
        yield name, variable, {"type": type_of(setting), "metavar": setting.metavar, "help": f"{setting.help}{after}"}


group_location_options = _where(environment=True)
location_options = _where(environment=False)

unit_option = click.option(
    "--unit", "-u", required=True, type=UNIT, envvar="VAULT_GRPC_UNIT", help="The unit. Also: VAULT_GRPC_UNIT."
)

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, one document on a line, for programs.")

dry_run_option = click.option("--dry-run", is_flag=True, help="Do nothing: print what would be done, and count it.")

no_skip_option = click.option("--no-skip", is_flag=True, help="Also what is there and equal.")
