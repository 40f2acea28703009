# Generated from _async/feed/follower.py by scripts/unasync: DO NOT CHANGE.
"""A place in a store's change feed: one watch after another, each from where the one before was lost."""

from collections.abc import Iterator, Sequence
from typing import Final

from vault._runtime.backoff import Backoff
from vault.errors import FeedError, UnavailableError
from vault.store.contract import Store, Watch
from vault.store.values import Change, Progress

_FIRST_BACKOFF: Final = 0.1
_LAST_BACKOFF: Final = 3.5


class Follower:
    """Follows the feed for a subscription, or for the cache. Whoever uses it decides what becomes of its errors.

    Attributes:
        revision: Every change up to this one was taken; None: it begins with what comes.
        watch: The present one; None: there is none.
        units: What `ask` watches.
    """

    def __init__(self, store: Store, units: Sequence[str], since: int | None = None) -> None:
        self.revision = since
        self.watch: Watch | None = None
        self._store = store
        self.units = units
        self._store_id: str | None = None
        self._events: Iterator[Change | Progress] | None = None
        self._backoff = Backoff(_FIRST_BACKOFF, _LAST_BACKOFF)

    def ask(self) -> tuple[Watch, str]:
        """A watch from here on, for `take`, and the id of the store whose it is.

        Raises:
            UnavailableError: The store was replaced by another one meanwhile.
        """
        before = (self._store.capabilities()).store_id
        watch = self._store.watch(self.units, since=self.revision)
        try:
            after = (self._store.capabilities()).store_id
        except BaseException:
            watch.close()
            raise
        if after != before:
            watch.close()
            raise UnavailableError("the store was replaced by another one while its change feed was opened")
        return watch, before

    def take(self, watch: Watch, store_id: str) -> None:
        """Goes on with this watch. FeedError: OTHER_STORE, it is another store's, and is closed."""
        if self._store_id not in (None, store_id):
            watch.close()
            raise FeedError(
                f"another store answers than the one that was followed up to revision {self.revision or 0}, and its "
                "revisions are of other changes: read what you follow anew, and watch from now on",
                reason="OTHER_STORE",
                revision=self.revision or 0,
            )
        self._store_id = store_id
        self.watch = watch
        self._events = iter(watch)

    def next(self) -> Change | Progress | None:
        """The next event, taken note of; None: it was taken before. When there is none the watch is given up.

        Raises:
            UnavailableError: The feed ended, or its watch was dropped.
        """
        events = self._events
        try:
            event = None if events is None else next(events, None)
        except BaseException:
            self.drop()
            raise
        if event is None:
            self.drop()
            raise UnavailableError("the change feed ended")
        self._backoff.reset()
        known, self.revision = self.revision, max(self.revision or 0, event.revision)
        return event if known is None or event.revision > known or isinstance(event, Progress) else None

    def drop(self) -> None:
        """Closes the watch, when there is one."""
        watch, self.watch, self._events = self.watch, None, None
        if watch is not None:
            watch.close()

    def pause(self) -> float:
        """Seconds to wait after the watch was lost, before the next: longer each time, until an event comes."""
        return self._backoff.next()
