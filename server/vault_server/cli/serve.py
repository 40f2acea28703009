"""`vault-grpc serve`: settings from flags, the environment and a file, and a server until a signal comes."""

import asyncio
import difflib
import errno
import sys
import tomllib
from pathlib import Path
from typing import Final, Literal

import click
from vault.cli import streams
from vault.cli.arguments import NumberRange
from vault.cli.location import Directory
from vault.cli.output import write_line
from vault.errors import InvalidArgumentError
from vault.store.limits import MAX_GRPC_SECONDS, MAX_SECONDS

from vault_server.cli.logging_config import FORMATS, LEVELS, LogFormat
from vault_server.cli.process import Serving, serve_until_signal
from vault_server.cli.workers import MAX_WORKERS, serve_with_workers
from vault_server.listen_address import Listen
from vault_server.process_limits import raise_limit
from vault_server.settings import (
    DEFAULT_CONNECTION_AGE,
    DEFAULT_GRACE,
    DEFAULT_HANDSHAKE_TIMEOUT,
    DEFAULT_IDLE_TIMEOUT,
    DEFAULT_STREAMS,
    MAX_NUMBER,
    ServerSettings,
)
from vault_server.storage import StoreOptions
from vault_server.storage.maintenance.scrub import FASTEST, SCRUB_RATE, check_rate

_NUMBER: Final = (int, float)
_KEYS: Final[dict[str, tuple[type, ...]]] = {
    "listen": (str,),
    "units": (list,),
    "durability": (str,),
    "retention": _NUMBER,
    "grace": _NUMBER,
    "resume_window": _NUMBER,
    "group_access": (bool,),
    "allow_network_filesystem": (bool,),
    "scrub_rate": _NUMBER,
    "max_concurrent_rpcs": (int,),
    "max_transfers": (int,),
    "max_connections": (int,),
    "max_streams": (int,),
    "max_connection_age": _NUMBER,
    "handshake_timeout": _NUMBER,
    "idle_timeout": _NUMBER,
    "workers": (int,),
    "log_format": (str,),
    "log_level": (str,),
    "insecure": (bool,),
}
"""What a configuration file may hold: the options, under the names that the environment knows them by."""

_KINDS: Final[dict[tuple[type, ...], str]] = {
    (str,): "a text",
    (list,): "a list",
    _NUMBER: "a number",
    (int,): "a whole number",
    (bool,): "true or false",
}


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
        if not isinstance(value, _KEYS[key]) or (isinstance(value, bool) and bool not in _KEYS[key]):
            raise refuse(f"{key} is {value!r}; expected {_KINDS[_KEYS[key]]}")
    if not all(isinstance(unit, str) for unit in values.get("units", [])):
        raise refuse("units is a list of names")
    context.default_map = {**(context.default_map or {}), **values}
    return path


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
@click.option(
    "--listen",
    default="127.0.0.1:50051",
    show_default=True,
    show_envvar=True,
    metavar="HOST:PORT",
    help="Where to listen; also unix:PATH. Port 0: any free one.",
)
@click.option(
    "--unit",
    "units",
    multiple=True,
    show_envvar=True,
    metavar="NAME",
    help="Accept this unit; may be repeated. Without it: any unit.",
)
@click.option(
    "--durability",
    type=click.Choice(("full", "relaxed")),
    default="full",
    show_default=True,
    show_envvar=True,
    help="full: what is acknowledged survives a crash of the machine. relaxed: of the process only.",
)
@click.option(
    "--retention",
    type=NumberRange(0, MAX_SECONDS),
    default=StoreOptions().retention,
    show_default=True,
    show_envvar=True,
    metavar="SECONDS",
    help="How long the bytes of an object that was replaced or deleted stay, for readers that are not done with them.",
)
@click.option(
    "--grace",
    type=NumberRange(0, MAX_SECONDS),
    default=DEFAULT_GRACE,
    show_default=True,
    show_envvar=True,
    metavar="SECONDS",
    help="How long running transfers may take to finish after SIGTERM.",
)
@click.option(
    "--resume-window",
    type=NumberRange(0, MAX_SECONDS),
    default=StoreOptions().resume_window,
    show_default=True,
    show_envvar=True,
    metavar="SECONDS",
    help="How long what has arrived of an interrupted upload is kept, to be resumed. 0: not at all.",
)
@click.option(
    "--group-access",
    is_flag=True,
    show_envvar=True,
    help="Let the directory's group read and write the store too; without it what is made there is its owner's alone.",
)
@click.option(
    "--allow-network-filesystem",
    is_flag=True,
    show_envvar=True,
    help="Serve a directory on NFS, SMB and their like all the same. No other machine may use it then.",
)
@click.option(
    "--scrub-rate",
    type=NumberRange(0, FASTEST),
    default=SCRUB_RATE,
    show_default=True,
    show_envvar=True,
    metavar="MIB_PER_SECOND",
    help="How fast everything stored is read in the background and verified, once a day at most. 0: not at all.",
)
@click.option(
    "--max-concurrent-rpcs",
    type=click.IntRange(1, MAX_NUMBER),
    show_envvar=True,
    metavar="NUMBER",
    help="Calls that may run at the same time, watches not counted. Without it: any number.",
)
@click.option(
    "--max-transfers",
    type=click.IntRange(1, MAX_NUMBER),
    show_envvar=True,
    metavar="NUMBER",
    help="Uploads and downloads that may run at the same time. Without it: what descriptors and memory are enough for.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1, MAX_NUMBER),
    show_envvar=True,
    metavar="NUMBER",
    help="Connections at the same time; others are closed at once. Without it: what descriptors are enough for.",
)
@click.option(
    "--max-streams",
    type=click.IntRange(1, MAX_NUMBER),
    default=DEFAULT_STREAMS,
    show_default=True,
    show_envvar=True,
    metavar="NUMBER",
    help="Calls of one connection at the same time, watches counted; its next ones wait.",
)
@click.option(
    "--handshake-timeout",
    type=NumberRange(0, MAX_GRPC_SECONDS, min_open=True),
    default=DEFAULT_HANDSHAKE_TIMEOUT,
    show_default=True,
    show_envvar=True,
    metavar="SECONDS",
    help="How long a new connection may take to say that it speaks HTTP/2.",
)
@click.option(
    "--idle-timeout",
    type=NumberRange(0, MAX_GRPC_SECONDS, min_open=True),
    default=DEFAULT_IDLE_TIMEOUT,
    show_default=True,
    show_envvar=True,
    metavar="SECONDS",
    help="How long an upload may bring nothing, and a download not be read. Clients go on from where they were.",
)
@click.option(
    "--max-connection-age",
    type=NumberRange(0, MAX_GRPC_SECONDS),
    default=DEFAULT_CONNECTION_AGE,
    show_default=True,
    show_envvar=True,
    metavar="SECONDS",
    help="When clients are asked to connect anew, for load balancers; what runs is not cut. 0: never.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    default=1,
    show_default=True,
    show_envvar=True,
    metavar="NUMBER",
    help="Server processes that share the port; for HOST:PORT. The other limits are each worker's own.",
)
@click.option("--log-format", type=click.Choice(FORMATS), default="console", show_default=True, show_envvar=True)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, show_envvar=True)
@click.option(
    "--insecure",
    is_flag=True,
    show_envvar=True,
    help="Listen on other than loopback addresses too, although nothing is encrypted and nobody is asked who they are.",
)
def serve(
    *,
    directory: Path,
    listen: str,
    units: tuple[str, ...],
    durability: Literal["full", "relaxed"],
    retention: float,
    grace: float,
    resume_window: float,
    group_access: bool,
    allow_network_filesystem: bool,
    scrub_rate: float,
    max_concurrent_rpcs: int | None,
    max_transfers: int | None,
    max_connections: int | None,
    max_streams: int,
    handshake_timeout: float,
    idle_timeout: float,
    max_connection_age: float,
    workers: int,
    log_format: LogFormat,
    log_level: str,
    insecure: bool,
) -> None:
    """Serve DIRECTORY to clients, over gRPC.

    The directory is made if it is not there. When clients can connect, one line with the address is printed.
    SIGTERM, SIGINT or SIGHUP drains: health says NOT_SERVING, running transfers finish within the grace, then the
    server exits 0. A second signal ends it at once.

    With several workers, the line is printed when all of them are ready, signals go to the first process,
    and a worker that dies is started anew.

    Flags win over the environment, the environment over the configuration file.
    """
    if not insecure and not Listen.parse(listen).is_local():
        raise InvalidArgumentError(
            f"refusing to listen on {listen}: channels are not encrypted, so only loopback addresses and unix "
            "sockets are allowed; --insecure allows the others"
        )
    if scrub_rate:
        check_rate(scrub_rate)
    raise_limit()
    serving = Serving(
        directory=directory,
        listen=listen,
        store=StoreOptions(
            durability=durability,
            retention=retention,
            resume_window=resume_window,
            group_access=group_access,
            allow_network_filesystem=allow_network_filesystem,
        ),
        settings=ServerSettings(
            allowed_units=units,
            max_concurrent_rpcs=max_concurrent_rpcs,
            max_transfers=max_transfers,
            max_connections=max_connections,
            max_streams=max_streams,
            handshake_timeout=handshake_timeout,
            idle_timeout=idle_timeout,
            group_access=group_access,
            max_connection_age=max_connection_age or None,
        ),
        grace=grace,
        scrub_rate=scrub_rate,
        log_format=log_format,
        log_level=log_level,
    )
    serving.configure_logs()
    if workers > 1:
        serve_with_workers(serving, workers, _announce)
    else:
        asyncio.run(serve_until_signal(serving, _announce))


def _announce(address: str) -> None:
    try:
        write_line(f"vault-grpc listening on {address}")
        sys.stdout.flush()
    except OSError as error:
        if error.errno != errno.EBADF:  # closed: whoever started it does not want to know
            raise
        streams.flush_output()
