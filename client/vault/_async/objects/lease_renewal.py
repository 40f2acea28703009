"""Renews leases in the background for as long as somebody needs them."""

import threading
from typing import TYPE_CHECKING, Final

from vault._runtime.lazy import LazyModule
from vault._runtime.sync_async import AsyncBackground, AsyncEvent
from vault.errors import VaultError
from vault.store.contract import AsyncStore

if TYPE_CHECKING:
    import logging
else:
    logging = LazyModule("logging")

LEASE: Final = 10.0
"""Seconds after which the lease of a computer that died is another's."""

_RENEWALS: Final = 4
"""In the time of a lease: a renewal that is late, or lost, does not lose it."""


class AsyncLeaseRenewal:
    """Renews those of one vault, in one task or thread that lives while there are any."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._guard = threading.Lock()  # never held while anything is waited for
        self._leases: dict[bytes, tuple[str, str]] = {}
        self._background: AsyncBackground | None = None
        self._stopped = AsyncEvent()

    async def add(self, unit: str, name: str, holder: bytes) -> None:
        """Keeps a lease that the holder has until it is removed.

        Raises:
            UnavailableError: OVERLOADED, the system has no thread left.
        """
        with self._guard:
            self._leases[holder] = unit, name
            if self._background is None or not self._background.is_alive():
                background = AsyncBackground(self._run, "vault-leases")
                background.start()
                self._background = background

    async def remove(self, holder: bytes) -> None:
        """Lets it end. Harmless when it is not kept."""
        with self._guard:
            self._leases.pop(holder, None)

    async def close(self) -> None:
        """Renews nothing any more."""
        self._stopped.set()
        background = self._background
        if background is not None:
            await background.stop()

    async def _run(self) -> None:
        while not await self._stopped.wait(LEASE / _RENEWALS):
            with self._guard:
                if not self._leases:
                    self._background = None
                    return
                leases = list(self._leases.items())
            for holder, (unit, name) in leases:
                try:
                    if holder in self._leases:
                        await self._store.acquire_lease(unit, name, holder, LEASE)
                    if holder not in self._leases:  # removed meanwhile, and perhaps taken again by that
                        await self._store.release_lease(unit, name, holder)
                except VaultError as error:
                    logging.getLogger(__name__).info(
                        "the lease on %r in unit %r could not be renewed: %s", name, unit, error
                    )
