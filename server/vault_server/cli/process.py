"""One server process of `vault-grpc serve`: its settings, and its life from its address to its last reply."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vault._runtime.blocking import on_thread_or_here
from vault._runtime.memory import return_free_memory
from vault.cli import signals
from vault.store.setting import check_settings, choice, number, path, seconds, texts, whole

from vault_server.access.append_file import reopen_files
from vault_server.access.settings import AccessSettings
from vault_server.cli.logging_config import FORMATS, LEVELS, LogFormat
from vault_server.server import AsyncServer
from vault_server.settings import DEFAULT_GRACE, ServerSettings
from vault_server.storage import AsyncEmbeddedStore, StoreOptions
from vault_server.storage.maintenance.scrub import FASTEST, SCRUB_RATE, check_rate

logger: Final = logging.getLogger("vault_server")

MAX_WORKERS: Final = 1000
"""Far more than a machine has cores; each takes 50 MB."""

_TRIM_SECONDS: Final = 60.0
"""Often enough for a host that others use, too; a busy server takes its buffers anew then, in some milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What `serve` was asked for: flags, variables and keys of its file are made of these fields, in this order.

    It is pickled on its way to worker processes.

    Attributes:
        directory: Of the store.
        store: How the directory is opened.
        server: The server's own settings. Its units and its socket's access are the store's.
    """

    directory: Path
    listen: tuple[str, ...] = texts(
        ("127.0.0.1:50051",),
        "Where to listen: with TLS when there is a certificate or it begins with grpcs://, plain when it begins with "
        "grpc://; also unix:PATH. After ? client-certs=required|none, identity=required|none, joined by &. "
        "Port 0: any free one. May be repeated.",
        metavar="HOST:PORT",
    )
    store: StoreOptions
    grace: float = seconds(DEFAULT_GRACE, "How long running transfers may take to finish after SIGTERM.", zero=True)
    scrub_rate: float = number(
        SCRUB_RATE,
        "How fast everything stored is read in the background and verified, once a day at most. 0: not at all.",
        least=0,
        most=FASTEST,
        metavar="MIB_PER_SECOND",
    )
    server: ServerSettings
    workers: int = whole(
        1,
        "Server processes that share the port; for HOST:PORT. The other limits are each worker's own.",
        least=1,
        most=MAX_WORKERS,
    )
    log_file: str | None = path(
        "Append log lines to this file rather than write them to standard error. SIGHUP opens it anew."
    )
    log_format: LogFormat = choice("console", FORMATS)
    log_level: str = choice("info", LEVELS)
    access: AccessSettings

    def __post_init__(self) -> None:
        check_settings(self)
        if self.scrub_rate:
            check_rate(self.scrub_rate)

    @property
    def has_files(self) -> bool:
        """Whether lines are appended to files, which SIGHUP opens anew."""
        return self.log_file is not None or self.access.audit is not None


async def serve_until_signal(serving: Serving, announce: Callable[[Sequence[str]], None]) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP comes, then drains. A second signal ends the process at once. Where lines
    are appended to files, SIGHUP opens them anew instead.

    Args:
        announce: Is called with the addresses, when clients can connect.
    """
    stop = asyncio.Event()
    labels = {} if serving.server.worker is None else {"worker": serving.server.worker}
    async with AsyncEmbeddedStore(serving.directory, serving.store) as store:
        server = AsyncServer(store, serving.listen, access=serving.access, settings=serving.server)
        # Until here a signal ends the process at once: it holds nothing that a client was told of.
        on_first_signal(stop.set, hang_up=reopen_files if serving.has_files else None)
        await server.start()
        try:
            announce(server.addresses)
            where = {"address": ", ".join(server.addresses), "directory": str(serving.directory)}
            logger.info("serving", extra={**where, **labels})
            if serving.scrub_rate:
                await store.start_scrub(serving.scrub_rate)
            await _keep_trim(stop)
            logger.info("draining", extra={"grace": serving.grace, **labels})
        finally:
            await server.stop(serving.grace)
    logger.info("stopped", extra=labels)


async def _keep_trim(stop: asyncio.Event) -> None:
    """Waits, and returns free memory to the system meanwhile: what a burst of transfers took stays with the allocator
    where something that is still in use lies above it."""
    while not stop.is_set():
        try:
            async with asyncio.timeout(_TRIM_SECONDS):
                await stop.wait()
        except TimeoutError:
            await on_thread_or_here(return_free_memory)


def on_first_signal(call: Callable[[], Any], *, hang_up: Callable[[], Any] | None = None) -> None:
    """Calls once, for SIGTERM, SIGINT or SIGHUP. The next one ends the process: the store is made for that.

    Args:
        hang_up: Called for each SIGHUP, which ends nothing then: there are files to open anew.
    """
    loop = asyncio.get_running_loop()
    ending = list(signals.ENDING)
    if hang_up is not None:
        ending.remove(signal.SIGHUP)
        loop.add_signal_handler(signal.SIGHUP, hang_up)
    handled = [each for each in ending if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN]

    def handle() -> None:
        for each in handled:
            loop.remove_signal_handler(each)
            signals.end_at_once(each)
        call()

    for each in handled:
        loop.add_signal_handler(each, handle)
