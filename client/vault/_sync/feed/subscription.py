# Generated from _async/feed/subscription.py by scripts/unasync: DO NOT CHANGE.
"""An application's own place in the change feed, kept over lost connections."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from vault._sync.feed.follower import Follower
from vault._runtime.lazy import LazyModule
from vault._runtime.sync_async import Affinity, Background, Event
from vault.errors import ClosedError, SlowConsumerError, UnavailableError
from vault.store.contract import Store, Watch
from vault.store.values import Change

if TYPE_CHECKING:
    import logging
else:
    logging = LazyModule("logging")


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
        self._follower = Follower(store, units, since)
        self._units = units
        self._closed = False
        self._news = Event()  # an attempt to open has ended, or this was closed
        self._affinity = Affinity.here("the subscription")

    def open(self) -> None:
        """Takes its place in the feed. Called for you, by `watch`.

        Example:
            >>> changes = vault.watch("notes")  # calls it
            >>> changes.close()
        """
        self._follower.take(*self._follower.ask())
        self._follower.next()  # the first event tells where the feed begins, or raises why it cannot

    @property
    def revision(self) -> int:
        """Every change up to this one has been delivered: `watch(since=revision)` goes on from there.

        Store it, when you are done with a change, to go on after a restart of your program.
        """
        return self._follower.revision or 0

    def close(self) -> None:
        """Ends the iteration, also while another thread or task waits in it. Harmless when repeated.

        Example:
            >>> changes = vault.watch("notes")
            >>> changes.close()
            >>> [change for change in changes]
            []
        """
        self._affinity.require_closable()
        self._closed = True
        if self._affinity.is_inherited:
            return
        self._news.set()
        if (watch := self._follower.watch) is not None:
            watch.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        self._affinity.require()
        follower = self._follower
        while not self._closed:
            try:
                if follower.watch is None:
                    follower.take(*self._reopened())
                    if self._closed:  # meanwhile: whoever closed it did not see this watch
                        break
                event = follower.next()
            except (UnavailableError, SlowConsumerError) as error:
                if not self._closed:
                    logging.getLogger("vault.watch").info(
                        "the change feed was lost after revision %d, and is asked for again: %s", self.revision, error
                    )
                    self._pause()
            except ClosedError:
                if not self._closed:
                    raise
            else:
                if isinstance(event, Change):
                    return event
        follower.drop()
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<{type(self).__name__} of {', '.join(self._units)} at revision {self.revision}, {state}>"

    def _pause(self) -> None:
        self._news.clear()
        if not self._closed:
            self._news.wait(self._follower.pause())

    def _reopened(self) -> tuple[Watch, str]:
        """`ask` of the follower. It may take as long as the store's timeout; `close` ends the wait."""
        self._news.clear()
        attempt = _Attempt(self._follower, self._news.set)
        try:
            attempt.start()
            while not attempt.is_over and not self._closed:
                self._news.wait()
                self._news.clear()
            return attempt.result()
        except BaseException:
            attempt.leave()
            raise


class _Attempt:
    """One opening of a watch, in the background, so that whoever waits for it can leave."""

    def __init__(self, follower: Follower, over: Callable[[], object]) -> None:
        self._follower = follower
        self._over = over
        self._opened: tuple[Watch, str] | None = None
        self._error: Exception | None = None
        self._left = False
        self.is_over = False
        self._background = Background(self._run, "vault-subscription")

    def start(self) -> None:
        self._background.start()

    def result(self) -> tuple[Watch, str]:
        """What `ask` returned, or what it raised."""
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
            self._opened = self._follower.ask()
            if self._left:
                self._opened[0].close()
        except Exception as error:  # noqa: BLE001  # raised to whoever waits
            self._error = error
        finally:
            self.is_over = True
            self._over()
