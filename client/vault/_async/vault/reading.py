"""Reading a vault's objects: whether they exist, what is known of them, loaded, as files, and as they change."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from vault._async.feed.subscription import AsyncSubscription
from vault._async.files.transfer import PathOrFile, download_file
from vault._async.objects.batches import in_batches
from vault._async.objects.ticket import AsyncOpenTicket, AsyncTicket
from vault._async.vault.base import all_or_error, bad_keys, listed
from vault._async.vault.listing import AsyncListings
from vault._async.vault.near_names import not_found
from vault._async.vault.partial_reading import AsyncPartialReading
from vault._cache.cache import Held
from vault._cache.entry import Entry
from vault.errors import InvalidArgumentError, VaultError
from vault.store.limits import check_key, check_name
from vault.store.progress import Progress
from vault.store.values import Key, ObjectInfo

_KEYS: Final = (int, str)  # a bool is no id, and equals one


class AsyncReading(AsyncPartialReading, AsyncListings):
    """The calls that read. A key is an id or a name. `open` and `download_file` go past the Datatype and the cache."""

    async def exists(self, unit: str, key: Key) -> bool:
        """Whether there is such an object. Always asks the store.

        Example:
            >>> await vault.exists("notes", "greeting")
            True
        """
        self._require_unit(unit)
        check_key(key)
        return (await self._store.exists_many(unit, [key]))[0] != 0

    async def exists_many(self, unit: str, keys: Iterable[Key]) -> list[bool]:
        """Whether each object exists. Always asks the store.

        Raises:
            InvalidArgumentError: One of the keys can be none; BAD_BATCH, `keys` is one text or no list.

        Example:
            >>> await vault.exists_many("notes", [1, "greeting", "farewell"])
            [True, True, False]
        """
        self._require_unit(unit)
        wanted = listed("keys", keys)
        for error in bad_keys(wanted).values():
            raise error
        return [each != 0 for each in await in_batches(wanted, partial(self._store.exists_many, unit))]

    async def stat(self, unit: str, key: Key) -> ObjectInfo | None:
        """What the store knows of an object, without its bytes; None when there is none. Always asks.

        Example:
            >>> if info := await vault.stat("notes", "greeting"):
            ...     print(info.size, info.generation)
            5 1
        """
        self._require_unit(unit)
        check_key(key)
        return (await self._store.stat_many(unit, [key]))[0]

    async def find(self, unit: str, name: str) -> int | None:
        """The id of the object of this name; None when there is none. Always asks the store.

        Example:
            >>> await vault.find("notes", "greeting")
            1
        """
        self._require_unit(unit)
        check_name(name)
        info = (await self._store.stat_many(unit, [name]))[0]
        return None if info is None else info.data_id

    async def load(self, unit: str, key: Key) -> AsyncTicket | None:
        """The object, from the cache when that is known to hold the newest, from the store otherwise.

        Callers that want the same object at the same time share one load of it.

        Returns:
            A ticket, to be closed; None when there is no such object.

        Raises:
            DecodeError: It was stored as something that the unit's Datatype does not load, or its bytes do
                not load.
            CorruptionError: Its stored bytes do not match their checksum.

        Example:
            >>> if ticket := await vault.load("notes", "greeting"):
            ...     async with ticket:
            ...         print(ticket.get_data().data)
            hello
        """
        ticket: AsyncTicket[Any] = AsyncOpenTicket(self._writes)
        # What is here and known to be current without a question is valid as well: each call more would show.
        if (
            self._cache.enabled
            and type(key) in _KEYS
            and type(unit) is str
            and not (self._closed or self._affinity.is_foreign)
            and self._cache.open_current(unit, key, self._coherence.known_epoch(), ticket)
        ):
            return ticket
        self._require_held(unit)
        check_key(key)
        if not self._cache.enabled:
            loaded = await self._loader.load_apart(unit, key)
            if loaded is None:
                return None
            self._cache.open_apart(*loaded, ticket)
            return ticket
        epoch = await self._coherence.epoch()
        if self._cache.open_current(unit, key, epoch, ticket):
            return ticket
        held: Held = {}
        left = held.values()
        try:
            found = (await self._loader.fetch(unit, [key], held, epoch))[key]
            if isinstance(found, VaultError):
                raise found
            return None if found is None else ticket.take(held, key)
        finally:
            self._cache.dropped += left

    async def open_ticket(self, unit: str, key: Key) -> AsyncTicket:
        """`load` of an object that has to be there.

        Returns:
            A ticket, to be closed.

        Raises:
            NotFoundError: There is no such object; of a name, the text says which names are like it, for which a few
                pages of names are read. Where objects are often not there, use `load`.
            DecodeError, CorruptionError: As `load`.

        Example:
            >>> async with await vault.open_ticket("notes", "greeting") as ticket:
            ...     ticket.get_data().data
            'hello'
            >>> await vault.open_ticket("notes", "greetings")
            Traceback (most recent call last):
            vault.errors.NotFoundError: unit 'notes' has no object named 'greetings'; names like it: 'greeting'
        """
        ticket = await self.load(unit, key)
        if ticket is None:
            raise await not_found(self._store, unit, key)
        return ticket

    async def get(self, unit: str, key: Key, *, default: Any = ...) -> Any:
        """A copy of an object, the caller's own; nothing is to be closed, and nobody writes it back.

        To read a large object without a copy, use `open_ticket` and the ticket's `get_data`.

        Args:
            default: What is returned when there is no such object; without it, NotFoundError is raised.

        Raises:
            NotFoundError, DecodeError, CorruptionError: As `open_ticket`.

        Example:
            >>> note = await vault.get("notes", "greeting")
            >>> note.data
            'hello'
            >>> await vault.get("notes", "farewell", default=None) is None
            True
        """
        found = await self._found(unit, key)
        if found is not None:
            return found[1]
        if default is not ...:
            return default
        raise await not_found(self._store, unit, key)

    async def _found(self, unit: str, key: Key) -> tuple[ObjectInfo, Any] | None:
        """What is known of an object, and a copy of it; None when there is none."""
        ticket = await self.load(unit, key)
        if ticket is None:
            return None
        async with ticket:
            return ticket.info, ticket.get_clone() if self._cache.enabled else ticket.get_data()

    async def load_many(self, unit: str, keys: Iterable[Key]) -> list[AsyncTicket | None]:
        """Tickets on the objects, None where there is none; as `load`, for all of them in one round trip.

        Objects larger than a block are streamed one after the other. A key that is given twice gets two
        tickets.

        Returns:
            Tickets, each to be closed.

        Raises:
            BatchError: Some could not be had; `results` holds the tickets of the others, **open**: close them.
            InvalidArgumentError: BAD_BATCH, `keys` is one text or no list.

        Example:
            >>> for ticket in await vault.load_many("notes", ["greeting", "farewell"]):
            ...     if ticket:
            ...         async with ticket:
            ...             print(ticket.get_data().data)
            hello
        """
        self._require_held(unit)
        wanted = listed("keys", keys)
        errors = bad_keys(wanted)
        held: Held = {}
        left = held.values()
        try:
            asked = [key for index, key in enumerate(wanted) if index not in errors]
            found = await self._loader.fetch(unit, asked, held)
            results: list[Any] = []
            for index, key in enumerate(wanted):
                outcome = errors[index] if index in errors else found[key]
                if not isinstance(outcome, Entry):
                    results.append(outcome)
                elif key in held:
                    results.append(self._ticket().take(held, key))
                else:  # it was given twice
                    ticket = self._ticket()
                    self._cache.share(outcome, ticket)
                    results.append(ticket)
        finally:
            self._cache.dropped += left
        return all_or_error(results)

    async def download_file(self, unit: str, key: Key, path: PathOrFile, *, progress: Progress = None) -> ObjectInfo:
        """Writes an object into a file, every block verified first.

        Args:
            path: A file, which is replaced at the end in one step, so that nobody finds half of it, and keeps its
                mode, access control list and, where that is permitted, owner and group; links are followed. Or a
                pipe or a device, or a binary file object, which get the bytes as they come.
            progress: True: a bar on standard error, on a terminal or in a notebook. Or an fsspec Callback, or anything
                with its `set_size` and `relative_update`; bytes.

        Returns:
            What was written.

        Raises:
            NotFoundError: There is no such object.
            CorruptionError: Stored bytes do not match their checksum.
            OSError: The file cannot be written, as Python says it.

        Example:
            >>> info = await vault.download_file("files", "lines", "copy.txt")
            >>> info.size
            12
        """
        self._require_unit(unit)
        check_key(key)
        return await download_file(self._store, unit, key, path, progress)

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
            units: A unit, or several; None: all of the structure's, or of a vault without one all of the store's.
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
            ...     data_id = await vault.upload("notes", TextWrapper("goodbye"), name="farewell")
            ...     async for change in changes:
            ...         print(change.kind.name, change.name)
            ...         break
            UPLOADED farewell
        """
        self._require_open()
        of_all = units is None and self._structure.is_open
        named = () if of_all else self._structure.units if units is None else units
        wanted = list(named) if isinstance(named, Iterable) and not isinstance(named, str) else [named]
        for unit in wanted:
            self._require_unit(unit)
        if not wanted and not of_all:
            raise InvalidArgumentError(
                "no unit to watch: name one, or None for all of the structure", reason="BAD_UNIT"
            )
        subscription = AsyncSubscription(self._store, tuple(dict.fromkeys(wanted)), since)
        await subscription.open()
        self._subscriptions.add(subscription)
        if self._closed:  # meanwhile
            await subscription.close()
        return subscription
