"""A place in a store's change feed: one watch after another, each from where the one before was lost."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from vault._runtime.backoff import Backoff
from vault.errors import FeedError, UnavailableError
from vault.store.contract import AsyncStore, AsyncWatch
from vault.store.values import Change, Progress

_FIRST_BACKOFF: Final = 0.1
_LAST_BACKOFF: Final = 3.5


class AsyncFollower:
    """Follows the feed for a subscription, or for the cache. Whoever uses it decides what becomes of its errors.

    Attributes:
        revision: Every change up to this one was taken; None: it begins with what comes.
        watch: The present one; None: there is none.
        units: What `ask` watches.
    """

    def __init__(self, store: AsyncStore, units: Sequence[str], since: int | None = None) -> None:
        self.revision = since
        self.watch: AsyncWatch | None = None
        self._store = store
        self.units = units
        self._store_id: str | None = None
        self._events: AsyncIterator[Change | Progress] | None = None
        self._backoff = Backoff(_FIRST_BACKOFF, _LAST_BACKOFF)

    async def ask(self) -> tuple[AsyncWatch, str]:
        """A watch from here on, for `take`, and the id of the store whose it is.

        Raises:
            UnavailableError: The store was replaced by another one meanwhile.
        """
        before = (await self._store.capabilities()).store_id
        watch = await self._store.watch(self.units, since=self.revision)
        try:
            after = (await self._store.capabilities()).store_id
        except BaseException:
            await watch.close()
            raise
        if after != before:
            await watch.close()
            raise UnavailableError("the store was replaced by another one while its change feed was opened")
        return watch, before

    async def take(self, watch: AsyncWatch, store_id: str) -> None:
        """Goes on with this watch. FeedError: OTHER_STORE, it is another store's, and is closed."""
        if self._store_id not in (None, store_id):
            await watch.close()
            raise FeedError(
                f"another store answers than the one that was followed up to revision {self.revision or 0}, and its "
                "revisions are of other changes: read what you follow anew, and watch from now on",
                reason="OTHER_STORE",
                revision=self.revision or 0,
            )
        self._store_id = store_id
        self.watch = watch
        self._events = aiter(watch)

    async def next(self) -> Change | Progress | None:
        """The next event, taken note of; None: it was taken before. When there is none the watch is given up.

        Raises:
            UnavailableError: The feed ended, or its watch was dropped.
        """
        events = self._events
        try:
            event = None if events is None else await anext(events, None)
        except BaseException:
            await self.drop()
            raise
        if event is None:
            await self.drop()
            raise UnavailableError("the change feed ended")
        self._backoff.reset()
        known, self.revision = self.revision, max(self.revision or 0, event.revision)
        return event if known is None or event.revision > known or isinstance(event, Progress) else None

    async def drop(self) -> None:
        """Closes the watch, when there is one."""
        watch, self.watch, self._events = self.watch, None, None
        if watch is not None:
            await watch.close()

    def pause(self) -> float:
        """Seconds to wait after the watch was lost, before the next: longer each time, until an event comes."""
        return self._backoff.next()
