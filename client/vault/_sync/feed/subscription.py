# Generated from _async/feed/subscription.py by scripts/unasync: DO NOT CHANGE.
"""An application's own place in the change feed, kept over lost connections."""

import logging
import random
from collections.abc import Iterator, Callable, Sequence
from typing import Final, Self

from vault._runtime.fork import fork_count, is_inherited, refuse_inherited
from vault._runtime.sync_async import Affinity, Background, Event, other_loop
from vault.errors import ClosedError, FeedError, SlowConsumerError, UnavailableError
from vault.store.contract import Store, Watch
from vault.store.values import Change, Progress

_FIRST_BACKOFF: Final = 0.1
_LAST_BACKOFF: Final = 5.0

_log = logging.getLogger("vault.watch")


class Subscription:
    """The committed changes of some units, one after the other. Made by `Vault.watch`.

        >>> with vault.watch("notes", since=0) as changes:
        ...     data_id = vault.upload("notes", TextWrapper("hello"))
        ...     for change in changes:
        ...         print(change.revision, change.kind.name)
        ...         break
        1 UPLOADED

    Iteration waits until there is a change, and ends when this or the vault is closed. Each change comes
    once, in the order of their revisions, and none is missing: when the connection is lost, the server
    restarts, or cuts off a reader that was slow (SLOW_CONSUMER), it goes on after the last revision that
    was delivered, and waits for as long as that takes.

    Iterate from one thread at a time (an asynchronous one: from one task); `close` and `revision` may be used from
    any (any task of its event loop). A wait that was cancelled has delivered nothing: the next one goes on. It
    stays with the process that opened it: in a forked child iterating raises ClosedError.

    Raises, while iterating; what was delivered before stays delivered, and the next attempt goes on from there:
        FeedError: OTHER_STORE, another store answers at the address: its revisions are of other changes.
        RevisionCompactedError: Changes after `revision` are no longer in the feed's history, or the store
            was put back to an older copy. Read what you follow anew, and watch from now on.
        UnknownUnitError: The server does not allow the unit.
        StorageError: The store could not read its feed.
        ClosedError: The store was closed under it.
    """

    def __init__(self, store: Store, units: Sequence[str], since: int | None) -> None:
        self._store = store
        self._units = units
        self._revision = since
        self._store_id: str | None = None
        self._watch: Watch | None = None
        self._events: Iterator[Change | Progress] | None = None
        self._closed = False
        self._news = Event()  # an attempt to open has ended, or this was closed
        self._forks = fork_count()
        self._affinity = Affinity.here()

    def open(self) -> None:
        """Takes its place in the feed. Called for you, by `watch`.

        Example:
            >>> changes = vault.watch("notes")  # calls it
            >>> changes.close()
        """
        self._take(*open_watch(self._store, self._units, self._revision))
        self._next()  # the first event tells where the feed begins, or raises why it cannot

    @property
    def revision(self) -> int:
        """Every change up to this one has been delivered: `watch(since=revision)` goes on from there.

        Store it, when you are done with a change, to go on after a restart of your program.
        """
        return self._revision or 0

    def close(self) -> None:
        """Ends the iteration, also while another thread or task waits in it. Harmless when repeated.

        Example:
            >>> changes = vault.watch("notes")
            >>> changes.close()
            >>> [change for change in changes]
            []
        """
        if self._affinity.is_elsewhere:
            raise other_loop("the subscription")
        self._closed = True
        if is_inherited(self._forks):
            return
        self._news.set()
        if (watch := self._watch) is not None:
            watch.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        refuse_inherited(self._forks, "the subscription")
        if self._affinity.is_foreign:
            raise other_loop("the subscription")
        backoff = _FIRST_BACKOFF
        while not self._closed:
            try:
                if self._events is None:
                    self._take(*self._reopened())
                event = self._next()
            except (UnavailableError, SlowConsumerError) as error:
                _log.info(
                    "the change feed was lost after revision %d, and is asked for again: %s", self.revision, error
                )
                self._pause(backoff)
                backoff = min(backoff * 2, _LAST_BACKOFF)
            except ClosedError:
                if not self._closed:
                    raise
            else:
                if isinstance(event, Change):
                    return event
                backoff = _FIRST_BACKOFF
        self._drop()
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<{type(self).__name__} of {', '.join(self._units)} at revision {self.revision}, {state}>"

    def _next(self) -> Change | Progress | None:
        """The next event, taken note of; None when it was delivered before. Without one, the watch is given up."""
        events = self._events
        if events is None:
            return None
        try:
            event = next(events, None)
        except BaseException:
            self._drop()
            raise
        if event is None:
            self._drop()
            if self._closed:
                return None
            raise UnavailableError("the change feed ended")
        known, self._revision = self._revision, max(self.revision, event.revision)
        return event if known is None or event.revision > known or isinstance(event, Progress) else None

    def _take(self, watch: Watch, store_id: str) -> None:
        if self._store_id not in (None, store_id):
            watch.close()
            raise FeedError(
                f"another store answers than the one that was followed up to revision {self.revision}, and its "
                "revisions are of other changes: read what you follow anew, and watch from now on",
                reason="OTHER_STORE",
                revision=self.revision,
            )
        self._store_id = store_id
        self._watch = watch
        self._events = iter(watch)
        if self._closed:  # meanwhile: whoever closed it did not see this one
            self._drop()

    def _drop(self) -> None:
        watch, self._watch, self._events = self._watch, None, None
        if watch is not None:
            watch.close()

    def _pause(self, seconds: float) -> None:
        self._news.clear()
        if not self._closed:
            self._news.wait(seconds * random.uniform(0.5, 1.0))  # noqa: S311  # jitter

    def _reopened(self) -> tuple[Watch, str]:
        """`open_watch` from where this is. It may take as long as the store's timeout; `close` ends the wait."""
        self._news.clear()
        attempt = _Attempt(self._store, self._units, self._revision, self._news.set)
        try:
            attempt.start()
            while not attempt.is_over and not self._closed:
                self._news.wait()
                self._news.clear()
            return attempt.result()
        except BaseException:
            attempt.leave()
            raise


def open_watch(store: Store, units: Sequence[str], since: int | None) -> tuple[Watch, str]:
    """A watch, and the id of the store whose it is.

    Raises:
        UnavailableError: The store was replaced by another one meanwhile.
    """
    before = (store.capabilities()).store_id
    watch = store.watch(units, since=since)
    try:
        after = (store.capabilities()).store_id
    except BaseException:
        watch.close()
        raise
    if after != before:
        watch.close()
        raise UnavailableError("the store was replaced by another one while its change feed was opened")
    return watch, before


class _Attempt:
    """One opening of a watch, in the background, so that whoever waits for it can leave."""

    def __init__(self, store: Store, units: Sequence[str], since: int | None, over: Callable[[], object]) -> None:
        self._store = store
        self._units = units
        self._since = since
        self._over = over
        self._opened: tuple[Watch, str] | None = None
        self._error: Exception | None = None
        self._left = False
        self.is_over = False
        self._background = Background(self._run, "vault-subscription")

    def start(self) -> None:
        self._background.start()

    def result(self) -> tuple[Watch, str]:
        """What `open_watch` returned, or what it raised."""
        if self._opened is not None:
            return self._opened
        raise self._error or ClosedError("the subscription was closed")

    def leave(self) -> None:
        """The watch is not wanted any more."""
        self._left = True
        self._background.leave()
        if self._opened is not None:
            self._opened[0].close()

    def _run(self) -> None:
        try:
            self._opened = open_watch(self._store, self._units, self._since)
            if self._left:
                self._opened[0].close()
        except Exception as error:  # noqa: BLE001  # raised to whoever waits
            self._error = error
        finally:
            self.is_over = True
            self._over()
