"""Where blocking calls of an asynchronous store go: to a few threads, but for those that are over sooner."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from vault._runtime.blocking import on_thread
from vault._runtime.sync_async import AsyncAffinity
from vault.errors import ClosedError, UnavailableError

THREADS: Final = 8
"""Enough to keep a disk busy; more would wait for the GIL. Commits wait on none of them."""

_FEW_ROWS: Final = 32
_COLD: Final = 0.005  # seconds; a lookup in memory takes some 20 µs a row
_COLD_PAUSE: Final = 0.1

T = TypeVar("T")


class Threads:
    """Of one store, and the event loop that it is used in."""

    def __init__(self, affinity: AsyncAffinity) -> None:
        self._affinity = affinity
        self._cold_until = 0.0
        self.renew()

    def renew(self) -> None:
        """In a forked child: threads of its own."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="vault-storage")
        self._unfinished: set[asyncio.Future[Any]] = set()

    def call(self, function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
        """Runs the function on a thread."""
        # Not only while open: what `close` waits for goes on until the pool is shut down.
        return on_thread(self._pool, function, *args)

    async def look_up(self, rows: int, function: Callable[..., T], *args: Any) -> T:
        """Looks so many rows up in the register: a few here and now, which takes less than half of what it takes to
        wake a thread. On a thread, for a while, after a lookup that had to wait for the disk."""
        began = time.monotonic()
        if rows > _FEW_ROWS or began < self._cold_until:
            return await self.call(function, *args)
        found = function(*args)
        if time.monotonic() - began > _COLD:
            self._cold_until = began + _COLD_PAUSE
        return found

    def send(self, function: Callable[[], Any]) -> None:
        """Runs the function on a thread, and nobody waits for it."""
        try:
            on_thread(self._pool, function)
        except (ClosedError, UnavailableError):  # nothing is under way to wait for; or there is no thread to do it
            function()

    def finish(self, work: Awaitable[T]) -> "asyncio.Future[T]":
        """Runs the coroutine to its end, also when who awaits the result is cancelled."""
        task = asyncio.get_running_loop().create_task(_awaited(work))
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return asyncio.shield(task)

    async def idle(self) -> None:
        """Waits for all that is to be finished."""
        if self._affinity.is_foreign:  # its own event loop is closed, and what was not finished there never will be
            self._unfinished.clear()
        while self._unfinished:
            await asyncio.wait(set(self._unfinished))

    def close(self) -> None:
        """Waits for the threads to end."""
        self._pool.shutdown()

    def _finished(self, task: "asyncio.Future[Any]") -> None:
        self._unfinished.discard(task)
        if not task.cancelled():
            task.exception()  # fetched: who awaited it may be cancelled, and nobody else will ask


async def _awaited(work: Awaitable[T]) -> T:
    return await work
