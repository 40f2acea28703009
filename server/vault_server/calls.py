"""Which calls may run, and how they end when the server stops. Knows nothing of gRPC."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from typing import Final

from vault.errors import UnavailableError

WATCH: Final = "/vault.v1.VaultService/Watch"
CHECK: Final = "/grpc.health.v1.Health/Check"
HOUSEKEEPING: Final = frozenset({
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
})  # fmt: skip
"""Streams that last as long as the client likes, and that may go on while transfers finish."""


class Calls:
    """Admits calls, counts them, and drains. Belongs to one event loop.

    Calls without an end of their own (watches, health watches, reflection) are not counted: a drain waits for
    the others and cuts these off, since they would hold it for the whole grace.

    Args:
        limit: Calls that are counted and run at the same time; None: any number.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._endless: dict[asyncio.Timeout, str] = {}

    @property
    def running(self) -> int:
        """Calls that a drain would wait for."""
        return self._running

    @contextlib.asynccontextmanager
    async def admit(self, method: str) -> AsyncIterator[None]:
        """Runs its block as one call.

        Raises:
            UnavailableError: UNAVAILABLE, the server is stopping, also when that cut the block off;
                OVERLOADED, too many calls are running.
        """
        if method == CHECK:
            yield
        elif method in HOUSEKEEPING or method == WATCH:
            async with self._until_cut(method):
                yield
        else:
            async with self._counted():
                yield

    def drain(self) -> None:
        """Ends the watches and refuses new calls from now on, except health's and reflection's."""
        self._draining = True
        self._cut({WATCH})

    def end_housekeeping(self) -> None:
        """Ends what drain left: health watches and reflection."""
        self._cut(HOUSEKEEPING)

    async def idle(self, timeout: float) -> bool:
        """Waits until no counted call runs, at most `timeout` seconds. Returns whether that is so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        return self._idle.is_set()

    @contextlib.asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        if self._draining:
            raise _stopping()
        if self._limit is not None and self._running >= self._limit:
            raise UnavailableError(
                f"{self._running} calls are running, as many as this server allows",
                reason="OVERLOADED",
                limit=self._limit,
            )
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    @contextlib.asynccontextmanager
    async def _until_cut(self, method: str) -> AsyncIterator[None]:
        if self._draining and method == WATCH:
            raise _stopping()
        deadline = asyncio.timeout(None)
        try:
            async with deadline:
                self._endless[deadline] = method
                try:
                    yield
                finally:
                    self._endless.pop(deadline, None)
        except TimeoutError:
            if deadline.expired():
                raise _stopping() from None
            raise

    def _cut(self, methods: Collection[str]) -> None:
        now = asyncio.get_running_loop().time()
        for deadline in [each for each, method in self._endless.items() if method in methods]:
            del self._endless[deadline]
            deadline.reschedule(now)


def _stopping() -> UnavailableError:
    return UnavailableError("the server is stopping")
