"""Keeping the object cache true to its store: what may be served without asking.

One interface, three ways. `epoch` is called before each lookup: it says under which epoch an entry of
the cache is current now (see `vault._cache.cache`), 0 when that is unknown and the store has to be asked.
"""

import threading
from typing import TYPE_CHECKING, Any, Final

from vault._async.feed.follower import AsyncFollower
from vault._cache.cache import ObjectCache
from vault._runtime.elapsed import elapsed
from vault._runtime.fork import never_free
from vault._runtime.lazy import LazyModule
from vault._runtime.sync_async import AsyncBackground, AsyncEvent, AsyncLock
from vault.errors import (
    InvalidArgumentError,
    PermissionDeniedError,
    RevisionCompactedError,
    UnauthenticatedError,
    VaultError,
)
from vault.store.contract import AsyncStore
from vault.store.limits import WATCH_LEASE
from vault.store.values import Change

CONSISTENCIES: Final = ("watch", "strict")

_ENDING: Final = 2.0  # seconds to wait for what runs in the background: gRPC may never let it go

if TYPE_CHECKING:
    import logging
else:
    logging = LazyModule("logging")


def _log() -> "logging.Logger":
    return logging.getLogger("vault.coherence")


class AsyncCoherence:
    """One way of knowing what is current; by this one nothing is known, and the store is asked at every load."""

    async def epoch(self) -> int:
        """The epoch that holds now. Everything that this way knows of is in the cache when it returns."""
        return self.known_epoch()

    def known_epoch(self) -> int:
        """`epoch` where nothing has to be asked or taken in for it; otherwise 0."""
        return 0

    def add(self, unit: str) -> None:
        """A unit whose objects the cache holds from now on. Harmless when repeated."""

    def wrote_somewhere(self, unit: str, revision: int, *, only_names: bool) -> None:
        """A write of this vault changed some object of the unit, unknown which; or took a name from one, unknown which
        name."""

    def renew(self, cache: ObjectCache[Any]) -> None:
        """In a forked child: begins anew, with a new cache."""

    async def end(self) -> None:
        """Tells what runs in the background to end."""

    async def join(self) -> None:
        """Waits, not for long, for what `end` told to end; the store may be closed in between, which hastens it."""

    def abandon(self) -> None:
        """`end` from a finalizer: at the next sign of life."""


class AsyncFeedCoherence(AsyncCoherence):
    """For a store with a local feed: what was committed up to now, by anybody, is read before each lookup."""

    def __init__(self, store: AsyncStore, cache: ObjectCache[Any]) -> None:
        self._store = store
        self._cache = cache
        self._since = store.revision
        self._epoch = 1
        self._skipping = AsyncLock()

    def known_epoch(self) -> int:
        epoch, since = self._epoch, self._since  # first: changes up to there are in the cache
        return epoch if self._store.revision == since else 0

    async def epoch(self) -> int:
        if known := self.known_epoch():
            return known
        epoch, since = self._epoch, self._since
        try:
            revision, changes = await self._store.changes(since)
        except RevisionCompactedError:
            async with self._skipping:
                revision = self._store.revision
                # First: whoever reads from there on must not believe what is here from before.
                self._epoch += 1
                self._since = revision
                return self._epoch
        for change in changes:
            self._cache.apply(change)
        if revision != since:
            async with self._skipping:
                if self._epoch == epoch:  # else somebody skipped, perhaps to a lower revision, and goes on from there
                    # Only now: whoever reads from here on finds what came before in the cache.
                    self._since = max(self._since, revision)
        return self._epoch

    def renew(self, cache: ObjectCache[Any]) -> None:
        self._cache = cache
        self._skipping = AsyncLock()


class AsyncWatchCoherence(AsyncCoherence):
    """Follows a store's change feed in the background, from the first load on.

    An epoch lasts as long as one stream is live: from its first sign of life until it is lost, or
    nothing came for longer than a server that is alive would let pass; also when something comes after all.
    What was loaded under an earlier epoch is revalidated. A unit that is added ends the epoch: the next load ends the
    stream, too, and the one after it is of that unit as well. Units that may not be watched are left out: their objects
    are revalidated at each load. When the stream is lost, which it is when grants change, they are tried again.
    """

    def __init__(self, store: AsyncStore, cache: ObjectCache[Any]) -> None:
        self._store = store
        self._units: tuple[str, ...] = ()
        self._begin(cache)

    def _begin(self, cache: ObjectCache[Any]) -> None:
        self._cache = cache
        self._background: AsyncBackground | None = None
        self._lock = threading.Lock()
        self._is_following = False  # all units, or is about to
        self._ended = AsyncEvent()
        self._abandoned = False
        self._follower = AsyncFollower(self._store, self._units)
        self._followed: tuple[str, ...] = ()  # the units of the stream
        self._epochs = 0
        self._live = 0  # the epoch, while a stream is live
        self._heard_at = 0.0

    async def epoch(self) -> int:
        if not self._is_following:
            await self._follow_all()
        return self.known_epoch()

    def known_epoch(self) -> int:
        return self._live if elapsed() - self._heard_at < WATCH_LEASE else 0

    def add(self, unit: str) -> None:
        with self._lock:  # within which an epoch begins, too: none does for a stream without this unit
            if unit not in self._units:
                self._units += (unit,)
                self._is_following = False
                self._live = 0

    def wrote_somewhere(self, unit: str, revision: int, *, only_names: bool) -> None:
        self._cache.some_changed(unit, revision, only_names=only_names)

    def renew(self, cache: ObjectCache[Any]) -> None:
        never_free((self._follower, self._background))  # the parent's stream
        self._begin(cache)

    async def end(self) -> None:
        self._ended.set()
        if (watch := self._follower.watch) is not None:
            await watch.close()

    async def join(self) -> None:
        if self._background is not None:
            await self._background.stop(_ENDING)

    def abandon(self) -> None:
        self._abandoned = True

    async def _follow_all(self) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            if self._background is None:
                self._background = AsyncBackground(self._follow, "vault-watch")
            self._background.start()
            watch = self._follower.watch
            self._is_following = True
        if watch is not None and self._followed is not self._units:
            await watch.close()

    async def _follow(self) -> None:
        refused: set[str] = set()
        while not self._over:
            follower = self._follower
            self._followed = self._units
            follower.units = [unit for unit in self._followed if unit not in refused]
            self._cache.follow_all_but(refused)
            try:
                await follower.take(*await follower.ask())
                while not self._over and self._followed is self._units:
                    event = await follower.next()
                    if isinstance(event, Change):
                        self._cache.apply(event)
                    if event is not None:
                        self._cache.reached = event.revision
                    self._heard()
            except PermissionDeniedError as error:
                _log().info("cached objects of a unit are revalidated: %s", error)
                unit = error.context.get("unit")
                if unit in follower.units and len(follower.units) > 1:
                    refused.add(unit)
                    continue
                refused.clear()
                if unit is None:  # it is the address that is refused
                    self._cache.clear()
            except VaultError as error:  # also a ClosedError, which a server may send
                refused.clear()
                if self._followed is self._units:
                    _log().info("the change feed was lost, cached objects are revalidated: %s", error)
                if isinstance(error, RevisionCompactedError):
                    follower.revision = None
                elif isinstance(error, UnauthenticatedError):  # nothing is kept of what may not be shown any more
                    self._cache.clear()
                elif error.reason == "OTHER_STORE":
                    self._cache.clear()
                    self._follower = AsyncFollower(self._store, self._units)
            except Exception:  # noqa: BLE001  # whatever it is, the next attempt may do better
                _log().exception("the change feed could not be followed, cached objects are revalidated")
            finally:
                self._live = 0
                await follower.drop()
            if self._followed is self._units:
                await self._ended.wait(follower.pause())

    @property
    def _over(self) -> bool:
        return self._abandoned or self._ended.is_set()

    def _heard(self) -> None:
        now = elapsed()
        # What comes after a silence (a process that was stopped, a network that was) may be as old as that: it does
        # not bring back what was current before. The epoch first: `epoch` looks at the time, then at it.
        if not self._live or now - self._heard_at >= WATCH_LEASE:
            with self._lock:
                if self._followed is self._units:
                    self._epochs += 1
                    self._live = self._epochs
        self._heard_at = now


def check_consistency(consistency: str) -> None:
    """Raises InvalidArgumentError unless it is one of CONSISTENCIES."""
    if consistency not in CONSISTENCIES:
        allowed = " or ".join(map(repr, CONSISTENCIES))
        raise InvalidArgumentError(f"consistency is {allowed}, not {consistency!r}", reason="BAD_CONSISTENCY")


def make_coherence(consistency: str, store: AsyncStore, cache: ObjectCache[Any]) -> AsyncCoherence:
    """The way for this store. A local feed costs next to nothing and is exact, so there is nothing to choose."""
    if store.local_feed:
        return AsyncFeedCoherence(store, cache)
    return AsyncCoherence() if consistency == "strict" else AsyncWatchCoherence(store, cache)
