"""One object at a time: exists, load, upload, update, delete, metadata, edit, listing."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from vault._async.objects.ticket import AsyncTicket
from vault._async.vault.base import AsyncVaultBase
from vault._cache.cache import Held
from vault._runtime.fork import fork_count, refuse_inherited
from vault.datatype import Datatype
from vault.errors import VaultError
from vault.store.limits import check_key, check_name, check_prefix, check_tags
from vault.store.values import DeleteSpec, Key, MetadataSpec, ObjectInfo, UpdateSpec
from vault.wire.reply_checks import hold_listed


class AsyncObjects(AsyncVaultBase):
    """The calls about one object. A key is an id or a name.

    All of them raise UnknownUnitError for a unit that is not in the structure, InvalidArgumentError for a
    key that can be none, both before any I/O; ClosedError when the vault is closed; UnavailableError when
    a server does not answer in time, StorageError when the store cannot read or write.
    """

    async def exists(self, unit: str, key: Key) -> bool:
        """Whether there is such an object. Always asks the store.

        Example:
            >>> await vault.exists("notes", "greeting")
            False
        """
        self._require_unit(unit)
        check_key(key)
        return (await self._store.exists_many(unit, [key]))[0] != 0

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
            >>> data_id = await vault.upload("notes", TextWrapper("hello"), name="greeting")
            >>> if ticket := await vault.load("notes", "greeting"):
            ...     async with ticket:
            ...         print(ticket.get_data().data)
            hello
        """
        self._require_unit(unit)
        check_key(key)
        ticket = self._ticket()
        epoch = None
        if self._cache.enabled:
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

    async def upload(
        self,
        unit: str,
        data: Datatype,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
    ) -> int:
        """Stores a new object. When this returns, a crash keeps it; until then, nobody sees it.

        Args:
            data: Of the unit's Datatype. It stays the caller's.
            name: Unique in the unit.
            tags: Text to text.
            data_id: 1 to 2^63 - 1; None: a random one.

        Returns:
            Its id.

        Raises:
            AlreadyExistsError: OBJECT_EXISTS, the id is taken; NAME_TAKEN.
            InvalidArgumentError: BAD_OBJECT, `data` is not of the unit's Datatype; BAD_NAME, BAD_TAGS, BAD_ID.
            EncodeError: The Datatype could not dump it.
            StorageFullError: There is no room for it.

        Example:
            >>> await vault.upload("notes", TextWrapper("hello"), name="greeting", data_id=7)
            7
            >>> await vault.upload("notes", TextWrapper("again"), name="greeting")
            Traceback (most recent call last):
            vault.errors.AlreadyExistsError: the name 'greeting' in unit 'notes' belongs to object 7
        """
        self._require_unit(unit)
        spec = self._new_spec(unit, data, name, tags, data_id)
        return (await self._writes.upload(unit, spec, data)).data_id

    async def create(
        self,
        unit: str,
        data: Datatype,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
    ) -> tuple[int, AsyncTicket]:
        """`upload`, and a ticket on what was stored. `data` becomes the cached object: it is not to be changed
        any more, but through the ticket's `get_ref`.

        Returns:
            The id, and a ticket, to be closed.
        """
        self._require_unit(unit)
        spec = self._new_spec(unit, data, name, tags, data_id)
        epoch = await self._coherence.epoch()
        held: Held = {}
        left = held.values()
        try:
            with self._cache.request(unit) as sent:
                info = await self._writes.upload(unit, spec, data)
                self._cache.fill(info, data, epoch, held, info.data_id, sent=sent, loaded=False)
            await self._loader.took(info.size)
            return info.data_id, self._ticket().take(held, info.data_id)
        finally:
            self._cache.dropped += left

    async def update(self, unit: str, key: Key, data: Datatype, *, if_generation: int | None = None) -> ObjectInfo:
        """Replaces an object's bytes; its id, name and tags stay. Tickets on it keep what they have.

        Args:
            data: Of the unit's Datatype. It stays the caller's.
            if_generation: Only when the object is at this generation; None: whatever it is at.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: It is at another generation.
            InvalidArgumentError: BAD_OBJECT, `data` is not of the unit's Datatype.
            EncodeError: The Datatype could not dump it.
            StorageFullError: There is no room for it.

        Example:
            >>> data_id = await vault.upload("notes", TextWrapper("hello"), name="greeting")
            >>> info = await vault.update("notes", "greeting", TextWrapper("good evening"))
            >>> info.size
            12
        """
        self._require_unit(unit)
        self._codecs[unit].check(data)
        spec = UpdateSpec(key, if_generation, type(data).datatype_tag)
        spec.validate()
        return await self._writes.update(unit, spec, data)

    async def delete(self, unit: str, key: Key, *, if_generation: int | None = None) -> bool:
        """Deletes an object. Tickets on it keep what they have.

        Returns:
            Whether there was one.

        Raises:
            ConflictError: It is at another generation than `if_generation`.

        Example:
            >>> data_id = await vault.upload("notes", TextWrapper("hello"), name="greeting")
            >>> await vault.delete("notes", data_id)
            True
            >>> await vault.delete("notes", data_id)
            False
        """
        self._require_unit(unit)
        spec = DeleteSpec(key, if_generation)
        spec.validate()
        (outcome,) = await self._writes.delete(unit, [spec])
        if isinstance(outcome, VaultError):
            raise outcome
        return outcome != 0

    async def stat(self, unit: str, key: Key) -> ObjectInfo | None:
        """What the store knows of an object, without its bytes; None when there is none. Always asks.

        Example:
            >>> data_id = await vault.upload("notes", TextWrapper("hello"), name="greeting")
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
            >>> data_id = await vault.upload("notes", TextWrapper("hello"), name="greeting")
            >>> await vault.find("notes", "greeting") == data_id
            True
        """
        self._require_unit(unit)
        check_name(name)
        info = (await self._store.stat_many(unit, [name]))[0]
        return None if info is None else info.data_id

    async def set_metadata(
        self,
        unit: str,
        key: Key,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        if_generation: int | None = None,
    ) -> ObjectInfo:
        """Changes an object's name or tags. Its bytes and its generation stay.

        Args:
            name: None leaves it as it is; "" takes it away.
            tags: None leaves them as they are; others replace all of them, {} takes them away.
            if_generation: Only when the object is at this generation.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: It is at another generation.
            AlreadyExistsError: NAME_TAKEN.
            InvalidArgumentError: BAD_NAME, BAD_TAGS.

        Example:
            >>> data_id = await vault.upload("notes", TextWrapper("hello"), name="greeting")
            >>> info = await vault.set_metadata("notes", data_id, tags={"language": "en"})
            >>> info.name, info.tags["language"]
            ('greeting', 'en')
        """
        self._require_unit(unit)
        spec = MetadataSpec(key, name, tags, if_generation)
        spec.validate()
        return await self._writes.set_metadata(unit, spec)

    async def edit(self, unit: str, key: Key, function: Callable[[Any], Any], *, attempts: int = 10) -> ObjectInfo:
        """Reads an object, changes it, writes it; does it again when somebody else wrote it in between.

        Args:
            function: Is called with a copy of the object, which it changes and returns nothing, or returns
                another object of the unit's Datatype. It may be called several times. What it raises is
                raised here, and nothing is written.
            attempts: How often it is tried before the ConflictError is raised; from 1.

        Returns:
            What was written.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: Others were faster, `attempts` times.
            InvalidArgumentError: BAD_ATTEMPTS; BAD_OBJECT, `function` returned something else.

        Example:
            >>> data_id = await vault.upload("settings", JsonWrapper({"count": 1}))
            >>> info = await vault.edit("settings", data_id, lambda counter: counter.data.update(count=2))
        """
        self._require_unit(unit)
        check_key(key)
        return await self._editor.edit(unit, key, self._codecs[unit], function, attempts)

    def list(
        self, unit: str, *, prefix: str | None = None, tags: Mapping[str, str] | None = None
    ) -> AsyncIterator[ObjectInfo]:
        """The unit's objects, fetched page by page as they are asked for: any number of them.

        Ordered by name when `prefix` is given, by id otherwise. An object that exists all the while is
        listed once; one that comes or goes meanwhile may be or not.

        Args:
            prefix: Of the name; "" for every object that has one.
            tags: All of them must match.

        Raises:
            InvalidArgumentError: BAD_NAME, BAD_TAGS; here, not at the first object.

        Example:
            >>> ids = await vault.upload_many("notes", [TextWrapper("a"), TextWrapper("b")], names=["x/1", "y/2"])
            >>> [info.name async for info in vault.list("notes", prefix="x/")]
            ['x/1']
        """
        self._require_unit(unit)
        if prefix is not None:
            check_prefix(prefix)
        if tags is not None:
            check_tags(tags)
        return self._pages(unit, prefix, tags, fork_count())

    async def _pages(
        self, unit: str, prefix: str | None, tags: Mapping[str, str] | None, forks: int
    ) -> AsyncIterator[ObjectInfo]:
        token = ""
        last: Key | None = None
        while True:
            refuse_inherited(forks, "the listing")
            self._require_open()
            page = await self._store.list_page(unit, prefix=prefix, tags=tags, page_token=token)
            for info in page.objects:
                last = hold_listed(info, last, by_name=prefix is not None)
                yield info
                refuse_inherited(forks, "the listing")
            token = page.next_page_token
            if not token:
                return
