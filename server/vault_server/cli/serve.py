"""`vault-grpc serve`: settings from flags, the environment and a file, and a server until a signal comes."""

import asyncio
import difflib
import errno
import os
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from vault.cli import streams
from vault.cli.location import Directory
from vault.cli.output import write_line
from vault.cli.setting_options import assembled, setting_options, settings_by_key

from vault_server.access.listeners import given_away, listeners_of
from vault_server.cli.logging_config import configure
from vault_server.cli.process import Serving, serve_until_signal
from vault_server.cli.workers import serve_with_workers
from vault_server.process_limits import raise_limit

_KEYS: Final = settings_by_key(Serving)

_KINDS: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "text": ((str,), "a text"),
    "path": ((str,), "a path"),
    "texts": ((str, list), "a text or a list of texts"),
    "choice": ((str,), "a text"),
    "units": ((list,), "a list"),
    "seconds": ((int, float), "a number"),
    "number": ((int, float), "a number"),
    "whole": ((int,), "a whole number"),
    "switch": ((bool,), "true or false"),
}
"""What a value in a configuration file is, for each kind of setting."""


def _read_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    """Makes a file's values the defaults of the command, so that flags and environment win over them."""
    if path is None:
        return None

    def refuse(why: str) -> click.BadParameter:
        return click.BadParameter(f"{path}: {why}", context, parameter)

    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise refuse(error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise refuse(f"not TOML: {error}") from error
    if unknown := sorted(values.keys() - _KEYS.keys()):
        meant = [close for key in unknown for close in difflib.get_close_matches(key, _KEYS, 1)]
        hint = f" (did you mean {', '.join(map(repr, meant))}?)" if meant else ""
        raise refuse(f"unknown {', '.join(map(repr, unknown))}{hint}; known are {', '.join(_KEYS)}")
    for key, value in values.items():
        types, expected = _KINDS[_KEYS[key].kind]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise refuse(f"{key} is {value!r}; expected {expected}")
        if isinstance(value, list) and not all(isinstance(each, str) for each in value):
            raise refuse(f"{key} is a list of {'names' if key == 'units' else 'texts'}")
        if isinstance(value, str) and list in types:
            values[key] = [value]
    context.default_map = {**(context.default_map or {}), **values}
    return path


def _check_environment(context: click.Context) -> None:
    """Refuses a variable that is a setting's but for a slip. Others, as orchestrators set them, are not ours."""
    prefix = f"{context.auto_envvar_prefix}_"
    known = [str(parameter.name).upper() for parameter in context.command.params]
    given = {name.removeprefix(prefix) for name in os.environ if name.startswith(prefix)}
    for name in sorted(given.difference(known)):
        if meant := difflib.get_close_matches(name, known, 1):
            raise click.UsageError(f"unknown variable {prefix + name!r} (did you mean {prefix + meant[0]!r}?)", context)


@click.command("serve")
@click.argument("directory", type=Directory())
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_read_config,
    is_eager=True,
    expose_value=False,
    envvar="VAULT_GRPC_CONFIG",
    show_envvar=True,
    help=f"A TOML file with any of: {', '.join(_KEYS)}.",
)
@setting_options(Serving)
@click.pass_context
def serve(context: click.Context, /, *, directory: Path, **values: Any) -> None:
    """Serve DIRECTORY to clients, over gRPC.

    The directory is made if it is not there. When clients can connect, a line with each address is printed.
    SIGTERM, SIGINT or SIGHUP drains: health says NOT_SERVING, running transfers finish within the grace, then the
    server exits 0. A second signal ends it at once. With --log-file or --audit SIGHUP does not drain but opens these
    files anew, for whoever rotates them.

    With several workers, that is when all of them are ready, signals go to the first process,
    and a worker that dies is started anew.

    Flags win over the environment, the environment over the configuration file.
    """
    _check_environment(context)
    serving = assembled(Serving, values, directory=directory)
    warnings = given_away(listeners_of(serving.listen, serving.access), serving.access)

    def announce(addresses: Sequence[str]) -> None:
        for warning in warnings:
            click.echo(f"warning: {warning}", err=True)
        _announce(addresses)

    raise_limit()
    configure(serving.log_format, serving.log_level, serving.log_file)
    store = serving.store
    server = replace(serving.server, allowed_units=store.allowed_units, group_access=store.group_access)
    serving = replace(serving, server=server)
    if serving.workers > 1:
        serve_with_workers(serving, announce)
    else:
        asyncio.run(serve_until_signal(serving, announce))


def _announce(addresses: Sequence[str]) -> None:
    try:
        for address in addresses:
            write_line(f"vault-grpc listening on {address}")
        sys.stdout.flush()
    except OSError as error:
        if error.errno != errno.EBADF:  # closed: whoever started it does not want to know
            raise
        streams.flush_output()
