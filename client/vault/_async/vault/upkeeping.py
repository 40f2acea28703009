"""AsyncUpkeeping: looks after the memory every so many seconds."""

from typing import Any

from vault._cache.cache import ObjectCache
from vault._cache.memory import MemoryWatermark
from vault._runtime.blocking import AsyncBlocking
from vault._runtime.memory import resident
from vault._runtime.sync_async import AsyncAffinity, AsyncBackground, AsyncEvent
from vault.store.limits import check_seconds


class AsyncUpkeeping:
    """What `spawn_upkeeping_thread` returns. It runs from the start, and does not keep a program from ending."""

    def __init__(self, memory: MemoryWatermark, cache: ObjectCache[Any], seconds: float) -> None:
        check_seconds("time between upkeeps", seconds, reason="BAD_INTERVAL")
        self._memory = memory
        self._cache = cache
        self._seconds = seconds
        self._stopped = AsyncEvent()
        self._affinity = AsyncAffinity.here("the upkeeping")
        self._background = AsyncBackground(self._run, "vault-upkeep")

    def start(self) -> None:
        """Begins. Called for you."""
        resident()  # imports what it takes: by a thread, just when an interrupt ends the program, that ends it with 1
        self._background.start()

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return not self._affinity.is_inherited and self._background.is_alive()

    async def stop(self) -> None:
        """Ends it and waits until it has ended. Harmless when repeated."""
        if not self._affinity.is_inherited:  # else it is the parent's, and not here
            self._affinity.require_closable()
            self._stopped.set()
            await self._background.stop()

    async def _run(self) -> None:
        while not await self._stopped.wait(self._seconds):
            await AsyncBlocking.run(self._memory.relieve, self._cache.shed)
