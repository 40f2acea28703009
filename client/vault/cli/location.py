"""From `--vault` to an open store, without making a vault where one is only read."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from vault._escaping import escape_hidden
from vault.cli.exits import NAME
from vault.cli.options import Settings
from vault.errors import InvalidArgumentError, UnavailableError
from vault.store.connection import ConnectionSettings
from vault.store.contract import Store
from vault.store.location import parse_location
from vault.store.registry import open_store


@contextmanager
def opened_store(*, create: bool = False, shared: bool = False) -> Iterator[Store]:
    """The store that the command line names; closed at the end.

    Args:
        create: Make a directory that is not there.
        shared: See `opened_at`.

    Raises:
        click.UsageError: No location was given.
        UnavailableError: NO_VAULT, the directory holds none and `create` is off.
        InvalidArgumentError: What is given can be no location.
    """
    settings = click.get_current_context().ensure_object(Settings)
    if not settings.location:
        raise click.UsageError("where is the vault? Give --vault LOCATION or set VAULT_GRPC_URL.")
    if local_path(settings.location) is None and sys.stderr.isatty():
        _show_waiting()
    with opened_at(settings.location, settings.connection, create=create, shared=shared) as store:
        yield store


def opened_at(location: str, connection: ConnectionSettings, *, create: bool = False, shared: bool = False) -> Store:
    """The store at a location. Raises as `opened_store`.

    Args:
        shared: The command has another location, too: what only an encrypted channel takes may be meant for that.
    """
    scheme, rest = parse_location(location)
    if scheme == "file":
        if not create:
            check_vault(Path(rest))
        return open_store(location)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what fails is said in one line, and not by gRPC before
    if shared and scheme != "grpcs":
        connection = replace(connection, ca=None, cert=None, key=None, server_name=None)
    return open_store(location, connection)


class _OneLine(logging.Formatter):
    """Escapes what would steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_hidden(super().format(record))


def _show_waiting() -> None:
    """Shows on the terminal what the client says while a server does not answer."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine(f"{NAME}: %(message)s"))
    logger = logging.getLogger("vault.channel")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def local_path(location: str) -> Path | None:
    """The directory that a location names, None for a server's address."""
    scheme, rest = parse_location(location)
    return Path(rest) if scheme == "file" else None


def local_directory() -> Path | None:
    """The directory that the command line names; None: it names a server, or nothing."""
    location = click.get_current_context().ensure_object(Settings).location
    return local_path(location) if location else None


class Directory(click.Path):
    """A command's DIRECTORY: a path, or `file://`. An address is refused, before a directory of that name is made."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        try:
            path = local_path(os.fspath(value))
        except InvalidArgumentError as error:
            self.fail(error.message, param, ctx)
        if path is None:
            self.fail(f"{os.fspath(value)!r} is an address, and this command works on a directory itself.", param, ctx)
        return super().convert(path, param, ctx)


def check_vault(path: Path) -> None:
    """Raises UnavailableError (of a file InvalidArgumentError) unless there is a register, or what pyvault wrote.

    Opening a directory makes a vault of it, which nobody expects of `ls` and a misspelt path.
    """
    if not path.exists():
        raise UnavailableError(f"no vault at {path}: there is no such directory", reason="NO_VAULT")
    if not path.is_dir():
        raise InvalidArgumentError(f"no vault at {path}: it is not a directory", reason="BAD_LOCATION")
    if not any(path.glob("register.db*")) and not any(path.glob("*/*.vault")):
        raise UnavailableError(f"no vault at {path}: the directory holds no register.db", reason="NO_VAULT")
