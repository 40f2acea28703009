"""One server process of `vault-grpc serve`: its settings, and its life from its address to its last reply."""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vault._cache.memory import return_free_memory
from vault._runtime.blocking import on_thread_or_here
from vault.cli import signals

from vault_server.cli.logging_config import LogFormat, configure
from vault_server.server import AsyncServer
from vault_server.settings import ServerSettings
from vault_server.storage import AsyncEmbeddedStore, StoreOptions

logger: Final = logging.getLogger("vault_server")

_TRIM_SECONDS: Final = 60.0
"""Often enough for a host that others use, too; a busy server takes its buffers anew then, in some milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What `serve` was asked for. It is pickled on its way to worker processes.

    Attributes:
        directory: Of the store.
        listen: Where; see AsyncServer.
        store: How the directory is opened.
        settings: The server's.
        grace: Seconds for running transfers, when it stops.
        scrub_rate: MiB a second of the background scrub; 0: none.
        log_format, log_level: See `logs.configure`.
        worker: Which of several workers this is, from 0; None: there is only one process.
    """

    directory: Path
    listen: str
    store: StoreOptions
    settings: ServerSettings
    grace: float
    scrub_rate: float
    log_format: LogFormat
    log_level: str
    worker: int | None = None

    def configure_logs(self) -> None:
        """Sends the log lines of this process where they were asked for."""
        configure(self.log_format, self.log_level)

    def open_store(self) -> AsyncEmbeddedStore:
        """The store, opened."""
        return AsyncEmbeddedStore(self.directory, self.store)

    @property
    def labels(self) -> dict[str, Any]:
        """What its log lines carry, to be told apart."""
        return {} if self.worker is None else {"worker": self.worker}


async def serve_until_signal(serving: Serving, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP comes, then drains. A second signal ends the process at once.

    Args:
        announce: Is called with the address, when clients can connect.
    """
    stop = asyncio.Event()
    labels = serving.labels
    async with serving.open_store() as store:
        server = AsyncServer(store, serving.listen, settings=serving.settings)
        # Until here a signal ends the process at once: it holds nothing that a client was told of.
        on_first_signal(stop.set)
        await server.start()
        try:
            announce(server.address)
            logger.info("serving", extra={"address": server.address, "directory": str(serving.directory), **labels})
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


def on_first_signal(call: Callable[[], Any]) -> None:
    """Calls once, for SIGTERM, SIGINT or SIGHUP. The next one ends the process: the store is made for that."""
    loop = asyncio.get_running_loop()
    handled = [each for each in signals.ENDING if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN]

    def handle() -> None:
        for each in handled:
            loop.remove_signal_handler(each)
            signals.end_at_once(each)
        call()

    for each in handled:
        loop.add_signal_handler(each, handle)
