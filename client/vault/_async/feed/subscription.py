"""An application's own place in the change feed, kept over lost connections."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from vault._async.feed.follower import AsyncFollower
from vault._runtime.lazy import LazyModule
from vault._runtime.sync_async import AsyncAffinity, AsyncBackground, AsyncEvent
from vault.errors import ClosedError, SlowConsumerError, UnavailableError
from vault.store.contract import AsyncStore, AsyncWatch
from vault.store.values import Change

if TYPE_CHECKING:
    import logging
else:
    logging = LazyModule("logging")


class AsyncSubscription:
    """The committed changes of some units, one after the other. Made by `AsyncVault.watch`.

        >>> async with await vault.watch("notes", since=0) as changes:
        ...     data_id = await vault.upload("notes", TextWrapper("hello"))
        ...     async for change in changes:
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

    def __init__(self, store: AsyncStore, units: Sequence[str], since: int | None) -> None:
        self._follower = AsyncFollower(store, units, since)
        self._units = units
        self._closed = False
        self._news = AsyncEvent()  # an attempt to open has ended, or this was closed
        self._affinity = AsyncAffinity.here("the subscription")

    async def open(self) -> None:
        """Takes its place in the feed. Called for you, by `watch`.

        Example:
            >>> changes = await vault.watch("notes")  # calls it
            >>> await changes.close()
        """
        await self._follower.take(*await self._follower.ask())
        await self._follower.next()  # the first event tells where the feed begins, or raises why it cannot

    @property
    def revision(self) -> int:
        """Every change up to this one has been delivered: `watch(since=revision)` goes on from there.

        Store it, when you are done with a change, to go on after a restart of your program.
        """
        return self._follower.revision or 0

    async def close(self) -> None:
        """Ends the iteration, also while another thread or task waits in it. Harmless when repeated.

        Example:
            >>> changes = await vault.watch("notes")
            >>> await changes.close()
            >>> [change async for change in changes]
            []
        """
        self._affinity.require_closable()
        self._closed = True
        if self._affinity.is_inherited:
            return
        self._news.set()
        if (watch := self._follower.watch) is not None:
            await watch.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        self._affinity.require()
        follower = self._follower
        while not self._closed:
            try:
                if follower.watch is None:
                    await follower.take(*await self._reopened())
                    if self._closed:  # meanwhile: whoever closed it did not see this watch
                        break
                event = await follower.next()
            except (UnavailableError, SlowConsumerError) as error:
                if not self._closed:
                    logging.getLogger("vault.watch").info(
                        "the change feed was lost after revision %d, and is asked for again: %s", self.revision, error
                    )
                    await self._pause()
            except ClosedError:
                if not self._closed:
                    raise
            else:
                if isinstance(event, Change):
                    return event
        await follower.drop()
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<{type(self).__name__} of {', '.join(self._units)} at revision {self.revision}, {state}>"

    async def _pause(self) -> None:
        self._news.clear()
        if not self._closed:
            await self._news.wait(self._follower.pause())

    async def _reopened(self) -> tuple[AsyncWatch, str]:
        """`ask` of the follower. It may take as long as the store's timeout; `close` ends the wait."""
        self._news.clear()
        attempt = _AsyncAttempt(self._follower, self._news.set)
        try:
            attempt.start()
            while not attempt.is_over and not self._closed:
                await self._news.wait()
                self._news.clear()
            return attempt.result()
        except BaseException:
            await attempt.leave()
            raise


class _AsyncAttempt:
    """One opening of a watch, in the background, so that whoever waits for it can leave."""

    def __init__(self, follower: AsyncFollower, over: Callable[[], object]) -> None:
        self._follower = follower
        self._over = over
        self._opened: tuple[AsyncWatch, str] | None = None
        self._error: Exception | None = None
        self._left = False
        self.is_over = False
        self._background = AsyncBackground(self._run, "vault-subscription")

    def start(self) -> None:
        self._background.start()

    def result(self) -> tuple[AsyncWatch, str]:
        """What `ask` returned, or what it raised."""
        if self._opened is not None:
            return self._opened
        raise self._error or ClosedError("the subscription was closed")

    async def leave(self) -> None:
        """The watch is not wanted any more."""
        self._left = True
        self._background.leave()
        if self._opened is not None:
            await self._opened[0].close()

    async def _run(self) -> None:
        try:
            self._opened = await self._follower.ask()
            if self._left:
                await self._opened[0].close()
        except Exception as error:  # noqa: BLE001  # raised to whoever waits
            self._error = error
        finally:
            self.is_over = True
            self._over()
