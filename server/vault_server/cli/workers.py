"""`serve --workers`: several server processes on one directory and one port, kept by their parent.

The parent serves nobody. It holds the port with a bound socket that does not listen, starts the workers as
interpreters of their own (gRPC's threads do not cross a fork), says when all are ready, starts anew those
that die, and passes the first signal on. Each worker is a server with a store of its own on the directory;
the kernel spreads the connections over them (SO_REUSEPORT).

A worker learns its settings from its standard input, which stays open for as long as its parent lives. At
its end, however it came about, the worker ends too, at once: nobody would look after it.
"""

import asyncio
import contextlib
import logging
import os
import pickle
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from vault._runtime.allocator import tune_allocator
from vault._runtime.backoff import Backoff
from vault._runtime.blocking import start_thread
from vault.errors import UnavailableError

from vault_server.access.append_file import reopen_files
from vault_server.access.control import AccessControl
from vault_server.access.listeners import given_away, listeners_of
from vault_server.cli.logging_config import configure
from vault_server.cli.process import Serving, on_first_signal, serve_until_signal
from vault_server.listen_address import parse_listeners
from vault_server.storage import EmbeddedStore

logger: Final = logging.getLogger("vault_server.cli.workers")

_READY: Final = b"ready\n"
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 30.0  # beyond the grace
_LAST_BACKOFF: Final = 15.0
_SHORT: Final = 60
"""Characters of a temporary folder's path, to which a socket's name fits (107 bytes)."""

_GIVE_UP: Final = 5
"""Starts that may fail in a row while no worker serves; then starting again has no sense."""


def serve_with_workers(serving: Serving, announce: Callable[[Sequence[str]], None]) -> None:
    """Serves with its worker processes until SIGTERM, SIGINT or SIGHUP comes, then has them drain.

    Args:
        announce: Is called with the addresses, when all of them can be connected to.

    Raises:
        InvalidArgumentError: BAD_ADDRESS, a unix socket, which processes cannot share.
        UnavailableError: ADDRESS_IN_USE; or the workers cannot start.
        StorageError: The directory cannot be used.
    """
    with contextlib.ExitStack() as stack:
        listen = tuple(str(each.shared(stack)) for each in parse_listeners(serving.listen))
        # Here, so that what is wrong with the directory, or with a file, is said once, and one process does what there
        # is to do at a first opening.
        EmbeddedStore(serving.directory, serving.store).close()
        AccessControl(serving.access).stop()
        server = replace(serving.server, share_port=True)
        if serving.access.tokens is not None:  # then there may be an administrator, who asks about all of them
            server = replace(server, workers_folder=stack.enter_context(_private_folder()))
        serving = replace(serving, listen=listen, server=server)
        asyncio.run(_Parent(serving).run(announce))


class _Parent:
    """Keeps the workers going. Decides when that is hopeless."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._workers = [_Worker(serving, index) for index in range(serving.workers)]
        self._stopping = asyncio.Event()
        self._failures = 0

    async def run(self, announce: Callable[[Sequence[str]], None]) -> None:
        on_first_signal(self._stopping.set, hang_up=self._reopen if self._serving.has_files else None)
        try:
            if await self._done_before_stop(self._all(worker.start() for worker in self._workers)):
                listeners = listeners_of(self._serving.listen, self._serving.access)
                addresses = [each.shown(each.listen.port) for each in listeners]
                announce(addresses)
                for warning in given_away(listeners, self._serving.access):
                    logger.warning(warning)
                logger.info("serving", extra={"address": ", ".join(addresses), "workers": len(self._workers)})
                await self._all(self._keep(worker) for worker in self._workers)
        finally:
            for worker in self._workers:
                worker.kill()
            for worker in self._workers:
                await worker.ended()
        logger.info("stopped")

    def _reopen(self) -> None:
        """Opens the files that lines are appended to anew, here and in the workers."""
        reopen_files()
        for worker in self._workers:
            worker.reopen()

    @staticmethod
    async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Does all of it; the first failure ends the rest, and is raised."""
        try:
            async with asyncio.TaskGroup() as group:
                for each in work:
                    group.create_task(each)
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _keep(self, worker: "_Worker") -> None:
        """Starts a worker anew whenever it has ended, until all are to stop."""
        loop = asyncio.get_running_loop()
        backoff, began = Backoff(0.2, _LAST_BACKOFF), loop.time()
        while await self._done_before_stop(worker.ended()):
            if loop.time() - began > _LAST_BACKOFF:
                backoff.reset()
            wait = backoff.next()
            logger.error("a worker ended", extra={"worker": worker.index, "code": worker.code, "again_in": wait})
            if not await self._done_before_stop(asyncio.sleep(wait)):
                break
            try:
                await self._done_before_stop(worker.start())
                self._failures = 0
            except UnavailableError as error:
                self._failures += 1
                if self._failures >= _GIVE_UP and not any(each.serves for each in self._workers):
                    raise
                logger.error("a worker cannot start", extra={"detail": error.message})  # noqa: TRY400  # as its log says
            began = loop.time()
        await worker.stop(self._serving.grace)

    async def _done_before_stop(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the work was done before all are to stop; then what is left of it is cancelled."""
        task = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return False
            await task
            return True
        finally:
            stopping.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait([task])


class _Worker:
    def __init__(self, serving: Serving, index: int) -> None:
        self._serving = replace(serving, server=replace(serving.server, worker=index))
        self._process: asyncio.subprocess.Process | None = None
        self.index = index
        self.serves = False
        self._reopens = False

    @property
    def code(self) -> int | None:
        return None if self._process is None else self._process.returncode

    async def start(self) -> None:
        """Starts it, and returns when clients can connect; UnavailableError when it ended before, or took too long."""
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "vault_server.cli.workers",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=_environment(),
            process_group=0,  # Ctrl-C reaches the parent alone, which passes it on
        )
        process.stdin.write(pickle.dumps(self._serving))  # type: ignore[union-attr]  # a pipe
        try:
            async with asyncio.timeout(_START_SECONDS):
                if await process.stdout.readline() != _READY:  # type: ignore[union-attr]  # a pipe
                    code = await process.wait()
                    raise UnavailableError(
                        f"worker {self.index} ended with {code} before it was ready; its log says why"
                    )
            self.serves = True
            if self._reopens:
                self.reopen()
        except TimeoutError as error:
            raise UnavailableError(f"worker {self.index} was not ready within {_START_SECONDS:g} s") from error
        finally:
            if not self.serves:
                self.kill()

    def reopen(self) -> None:
        """Has it open its files anew, once it is ready: before that the signal would end it."""
        self._reopens = not self.serves
        if self.serves and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGHUP)

    async def ended(self) -> None:
        if self._process is not None:
            await self._process.wait()
        self.serves = False

    async def stop(self, grace: float) -> None:
        """Has it drain, and waits for its end."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace + _STOP_SECONDS):
                await self.ended()
        except TimeoutError:
            logger.error("a worker did not stop", extra={"worker": self.index})  # noqa: TRY400
            self.kill()
            await self.ended()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


@contextlib.contextmanager
def _private_folder() -> Iterator[str]:
    """A folder of this user alone, with a path that is short enough for sockets."""
    usual = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="vault-grpc-", dir=usual if len(usual) <= _SHORT else "/tmp")  # noqa: S108
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment() -> dict[str, str]:
    """A worker's: without the token of who started the server, which is for clients."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VAULT_GRPC_TOKEN")}


def work() -> None:
    tune_allocator()
    serving: Serving = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the parent
    start_thread(partial(_end_with_parent, serving.server.workers_folder), "vault-parent")
    configure(serving.log_format, serving.log_level, serving.log_file)

    def announce(_addresses: Sequence[str]) -> None:
        os.write(sys.stdout.fileno(), _READY)

    asyncio.run(serve_until_signal(serving, announce))


def _end_with_parent(folder: str | None) -> None:
    while os.read(sys.stdin.fileno(), 1):
        continue  # nothing is sent
    if folder is not None:  # which the parent has left behind
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    work()
