"""Options that many commands share, and what the command line says about where the vault is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

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
        given: Of the connection's settings, those that are not as by default.
    """

    location: str | None = None
    given: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def connection(self) -> ConnectionSettings:
        """How a server is reached.

        Raises:
            InvalidArgumentError: BAD_SETTING, what is given does not go together.
        """
        return ConnectionSettings(**self.given)


_PREFIX: Final = "where_"
"""Of the parameters' names: commands have arguments of the same."""

_READ_BY_LIBRARY: Final = ("ca", "cert", "key", "token_file")
"""Variables that every program with a vault has. What they name is used where the address is for it, and is no mistake
where it is not."""


def _set(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None:
        settings = ctx.ensure_object(Settings)
        name = str(param.name).removeprefix(_PREFIX)
        if name == "vault":
            settings.location = value
        elif name == "token_file":
            settings.given["token"] = Path(value)
        else:
            settings.given[name] = value or None


def _where(*, environment: bool) -> Callable[[F], F]:
    """`--vault` and the connection's settings. Only the group's read the environment, so that any flag wins over it."""

    def decorate(function: F) -> F:
        for name, variable, more in reversed(list(_flags())):
            function = click.option(
                f"--{name.replace('_', '-')}",
                f"{_PREFIX}{name}",
                envvar=variable if environment and name not in _READ_BY_LIBRARY else None,
                allow_from_autoenv=False,
                expose_value=False,
                callback=_set,
                **more,
            )(function)
        return function

    return decorate


def _flags() -> Iterator[tuple[str, str, dict[str, Any]]]:
    location = "A directory, grpc://HOST:PORT, grpcs://HOST:PORT or unix:PATH."
    yield "vault", "VAULT_GRPC_URL", {"metavar": "LOCATION", "help": f"{location} Also: VAULT_GRPC_URL."}
    for name, setting in settings_of(ConnectionSettings).items():
        if setting.help is None:
            continue
        default, variable = getattr(DEFAULT_CONNECTION, name), f"VAULT_GRPC_{name.upper()}"
        after = f" Also: {variable}." if default is None else f"; {default:g} by default."
        yield name, variable, {"type": type_of(setting), "metavar": setting.metavar, "help": f"{setting.help}{after}"}
    who = "The file of the token that says who calls; it is read again when it changes. Also: VAULT_GRPC_TOKEN_FILE."
    yield "token_file", "VAULT_GRPC_TOKEN_FILE", {"metavar": "FILE", "help": who}


group_location_options = _where(environment=True)
location_options = _where(environment=False)

unit_option = click.option(
    "--unit", "-u", required=True, type=UNIT, envvar="VAULT_GRPC_UNIT", help="The unit. Also: VAULT_GRPC_UNIT."
)

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, one document on a line, for programs.")

dry_run_option = click.option("--dry-run", is_flag=True, help="Do nothing: print what would be done, and count it.")

no_skip_option = click.option("--no-skip", is_flag=True, help="Also what is there and equal.")
