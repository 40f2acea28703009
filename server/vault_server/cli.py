"""`vault-grpc serve`: settings from flags, the environment and a file, and a server until a signal comes."""

import asyncio
import logging
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
from vault.errors import InvalidArgumentError

from vault_server.app import AsyncServer
from vault_server.config import DEFAULT_GRACE, ServerSettings
from vault_server.listen import Listen
from vault_server.logs import FORMATS, LEVELS, LogFormat, configure
from vault_server.storage import AsyncEmbeddedStore
from vault_server.storage.engine import DURABILITIES, Durability

logger: Final = logging.getLogger("vault_server")

_NUMBER: Final = (int, float)
_KEYS: Final[dict[str, tuple[type, ...]]] = {
    "listen": (str,),
    "units": (list,),
    "durability": (str,),
    "grace": _NUMBER,
    "max_concurrent_rpcs": (int,),
    "log_format": (str,),
    "log_level": (str,),
    "insecure": (bool,),
}
"""What a configuration file may hold: the options, under the names that the environment knows them by."""


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
        raise refuse(f"unknown {', '.join(map(repr, unknown))}; known are {', '.join(_KEYS)}")
    for key, value in values.items():
        if not isinstance(value, _KEYS[key]) or (isinstance(value, bool) and bool not in _KEYS[key]):
            raise refuse(f"{key} is {value!r}; expected {' or '.join(kind.__name__ for kind in _KEYS[key])}")
    if not all(isinstance(unit, str) for unit in values.get("units", [])):
        raise refuse("units is a list of names")
    context.default_map = {**(context.default_map or {}), **values}
    return path


@click.command("serve")
@click.argument("directory", type=click.Path(path_type=Path))
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
    type=click.Choice(DURABILITIES),
    default="full",
    show_default=True,
    show_envvar=True,
    help="full: what is acknowledged survives a crash of the machine. relaxed: of the process only.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=DEFAULT_GRACE,
    show_default=True,
    show_envvar=True,
    metavar="SECONDS",
    help="How long running transfers may take to finish after SIGTERM.",
)
@click.option(
    "--max-concurrent-rpcs",
    type=click.IntRange(min=1),
    show_envvar=True,
    metavar="NUMBER",
    help="Calls that may run at the same time, watches not counted. Without it: any number.",
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
    durability: Durability,
    grace: float,
    max_concurrent_rpcs: int | None,
    log_format: LogFormat,
    log_level: str,
    insecure: bool,
) -> None:
    """Serve DIRECTORY to clients, over gRPC.

    The directory is made if it is not there. When clients can connect, one line with the address is printed.
    SIGTERM or SIGINT drains: health says NOT_SERVING, running transfers finish within the grace, then the
    server exits 0. A second signal ends it at once.

    Flags win over the environment, the environment over the configuration file.
    """
    if not insecure and not Listen.parse(listen).is_local():
        raise InvalidArgumentError(
            f"refusing to listen on {listen}: channels are not encrypted, so only loopback addresses and unix "
            "sockets are allowed; --insecure allows the others"
        )
    configure(log_format, log_level)
    settings = ServerSettings(allowed_units=units, max_concurrent_rpcs=max_concurrent_rpcs)
    asyncio.run(_serve(directory, listen, durability, settings, grace))


async def _serve(directory: Path, listen: str, durability: Durability, settings: ServerSettings, grace: float) -> None:
    stop = asyncio.Event()
    async with AsyncEmbeddedStore(directory, durability=durability) as store:
        server = AsyncServer(store, listen, settings=settings)
        await server.start()
        _on_first_signal(stop.set)
        click.echo(f"vault-grpc listening on {server.address}")
        logger.info("serving", extra={"address": server.address, "directory": str(directory)})
        await stop.wait()
        logger.info("draining", extra={"grace": grace})
        await server.stop(grace)
    logger.info("stopped")


def _on_first_signal(call: Callable[[], Any]) -> None:
    """Calls once, for SIGTERM or SIGINT. The next one ends the process: the store is made for that."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def handle() -> None:
        for each in signals:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        call()

    for each in signals:
        loop.add_signal_handler(each, handle)
