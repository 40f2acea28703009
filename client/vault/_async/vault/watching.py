"""Following what others do to a vault's objects."""

from collections.abc import Iterable

from vault._async.feed.subscription import AsyncSubscription
from vault._async.vault.base import AsyncVaultBase
from vault.errors import InvalidArgumentError


class AsyncWatching(AsyncVaultBase):
    """The calls about the store's logical clock, and what happened when."""

    @property
    def revision(self) -> int:
        """The newest revision of the store that is known here: what is read from now on is at least as new.

        Embedded, it is the store's revision now. Remote, no question is asked: it is the newest that the
        server's replies to this vault have shown, 0 before the first.
        """
        self._require_open()
        return self._store.revision

    async def watch(self, units: str | Iterable[str] | None = None, *, since: int | None = None) -> AsyncSubscription:
        """The changes that are committed from now on, or after a revision, by anybody.

        To follow what a unit holds, without a hole: watch, then list, then apply the changes that come,
        leaving out those that an object's `ObjectInfo.revision` says it has already. To go on after a
        restart of your program, keep `AsyncSubscription.revision` and give it as `since`. When that raises
        RevisionCompactedError, the history since then is gone (a store keeps 100,000 changes unless told
        otherwise): begin again, with `since=None` and a list.

        Args:
            units: A unit, or several; None: all of the structure's.
            since: Changes after this revision; None: those committed after this call has returned, and
                maybe some that were committed while it ran.

        Returns:
            An iterator that is also a context manager, to be closed. It waits for a server that is away
            for as long as it takes; only this call raises UnavailableError after the timeout.

        Raises:
            UnknownUnitError: A unit is not in the structure, or not one that the server allows.
            InvalidArgumentError: `units` is empty, or `since` can be no revision.
            RevisionCompactedError: `since` is older than the feed's history, or newer than the store.
            UnavailableError: The server does not answer in time.

        Example:
            >>> async with await vault.watch("notes") as changes:
            ...     data_id = await vault.upload("notes", TextWrapper("hello"), name="greeting")
            ...     async for change in changes:
            ...         print(change.kind.name, change.name)
            ...         break
            UPLOADED greeting
        """
        self._require_open()
        named = self._structure.units if units is None else units
        wanted = list(named) if isinstance(named, Iterable) and not isinstance(named, str) else [named]
        for unit in wanted:
            self._require_unit(unit)
        if not wanted:
            raise InvalidArgumentError(
                "no unit to watch: name one, or None for all of the structure", reason="BAD_UNIT"
            )
        subscription = AsyncSubscription(self._store, tuple(dict.fromkeys(wanted)), since)
        await subscription.open()
        self._subscriptions.add(subscription)
        if self._closed:  # meanwhile
            await subscription.close()
        return subscription
