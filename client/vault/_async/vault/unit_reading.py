"""Reading a unit's objects, typed. See `vault._async.vault.reading`, whose calls these are."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Literal, TypeVar, cast, overload

from vault._async.feed.subscription import AsyncSubscription
from vault._async.files.object_reader import AsyncObjectReader
from vault._async.files.transfer import PathOrFile
from vault._async.objects.ticket import AsyncTicket
from vault._async.vault.partial_reading import Verify
from vault._async.vault.unit_base import AsyncUnitBase
from vault.datatype import Datatype
from vault.errors import BatchError, VaultError
from vault.store.listing import Level
from vault.store.progress import Progress
from vault.store.usage import UnitInfo
from vault.store.values import Key, ObjectInfo

T = TypeVar("T")
D = TypeVar("D")


class AsyncUnitReading(AsyncUnitBase[T]):
    """The calls that read."""

    __slots__ = ()

    def get_datatype(self) -> type[Datatype]:
        """The Datatype that stores the unit's objects: of a plain type its Wrapper.

        Example:
            >>> vault.unit("scores", dict).get_datatype()
            <class 'vault.wrappers.JsonWrapper'>
        """
        return self._vault.get_datatype(self.name)

    async def unit_info(self) -> UnitInfo:
        """How many objects the unit holds, how many bytes, and its limits. Always asks the store.

        Example:
            >>> info = await vault.unit("notes", str).unit_info()
            >>> info.objects, info.bytes
            (1, 5)
        """
        return await self._vault.unit_info(self.name)

    async def exists(self, key: Key) -> bool:
        """Whether there is such an object. Always asks the store.

        Example:
            >>> await vault.unit("notes", TextWrapper).exists("greeting")
            True
        """
        return await self._vault.exists(self.name, key)

    async def exists_many(self, keys: Iterable[Key]) -> list[bool]:
        """Whether each object exists. Always asks the store.

        Example:
            >>> await vault.unit("notes", TextWrapper).exists_many([1, "farewell"])
            [True, False]
        """
        return await self._vault.exists_many(self.name, keys)

    async def stat(self, key: Key) -> ObjectInfo | None:
        """What the store knows of an object, without its bytes; None when there is none. Always asks.

        Example:
            >>> if info := await vault.unit("notes", TextWrapper).stat("greeting"):
            ...     print(info.size)
            5
        """
        return await self._vault.stat(self.name, key)

    async def find(self, name: str) -> int | None:
        """The id of the object of this name; None when there is none. Always asks the store.

        Example:
            >>> await vault.unit("notes", TextWrapper).find("greeting")
            1
        """
        return await self._vault.find(self.name, name)

    async def load(self, key: Key) -> AsyncTicket[T] | None:
        """A ticket on the object, to be closed; None when there is none. From the cache where that has the newest.

        Raises:
            DecodeError, CorruptionError: See the vault's.

        Example:
            >>> if ticket := await vault.unit("notes", str).load("greeting"):
            ...     async with ticket:
            ...         print(ticket.get_data())
            hello
        """
        return await self._ticket(await self._vault.load(self.name, key))

    async def open_ticket(self, key: Key) -> AsyncTicket[T]:
        """`load` of an object that has to be there.

        Raises:
            NotFoundError: There is none; of a name, the text says which names are like it.
            DecodeError, CorruptionError: See the vault's.

        Example:
            >>> async with await vault.unit("settings", dict).open_ticket("theme") as ticket:
            ...     ticket.get_ref()["color"] = "red"  # written back when the ticket closes
            Traceback (most recent call last):
            vault.errors.NotFoundError: unit 'settings' has no object named 'theme'
        """
        return cast(AsyncTicket[T], await self._ticket(await self._vault.open_ticket(self.name, key)))

    @overload
    async def get(self, key: Key) -> T: ...

    @overload
    async def get(self, key: Key, *, default: D) -> T | D: ...

    async def get(self, key: Key, *, default: Any = ...) -> Any:
        """A copy of an object, the caller's own; nothing is to be closed.

        Args:
            default: What is returned when there is no such object; without it, NotFoundError is raised.

        Raises:
            NotFoundError, DecodeError, CorruptionError: As `open_ticket`.

        Example:
            >>> await vault.unit("notes", str).get("greeting")
            'hello'
            >>> await vault.unit("notes", str).get("farewell", default="nothing")
            'nothing'
        """
        found = await self._vault.get(self.name, key, default=default)
        return found if found is default else self._shown(found)

    async def load_many(self, keys: Iterable[Key]) -> list[AsyncTicket[T] | None]:
        """Tickets on the objects, each to be closed, None where there is none: in one round trip.

        Raises:
            BatchError: Some could not be had; `results` holds the tickets of the others, **open**: close them.

        Example:
            >>> for ticket in await vault.unit("notes", str).load_many(["greeting", "farewell"]):
            ...     if ticket:
            ...         async with ticket:
            ...             print(ticket.get_data())
            hello
        """
        try:
            results: list[Any] = list(await self._vault.load_many(self.name, keys))
        except BatchError as error:
            results = error.results
        shown: list[Any] = []
        for result in results:
            try:
                shown.append(result if isinstance(result, VaultError) else await self._ticket(result))
            except VaultError as error:
                shown.append(error)
        if any(isinstance(result, VaultError) for result in shown):
            raise BatchError(shown)
        return shown

    async def open(self, key: Key, *, verify: Verify = "auto") -> AsyncObjectReader:
        """A seekable binary reader on the object's present generation, to be closed.

        Raises:
            NotFoundError: There is no such object.

        Example:
            >>> async with await vault.unit("notes", str).open("greeting") as reader:
            ...     print(await reader.read())
            b'hello'
        """
        return await self._vault.open(self.name, key, verify=verify)

    async def read(self, key: Key, *, offset: int = 0, length: int | None = None, verify: Verify = "auto") -> bytes:
        """Bytes of an object as they are stored. See `AsyncVault.read`.

        Example:
            >>> await vault.unit("notes", TextWrapper).read("greeting", length=4)
            b'hell'
        """
        return await self._vault.read(self.name, key, offset=offset, length=length, verify=verify)

    async def read_ranges(
        self, key: Key, ranges: Iterable[tuple[int, int | None]], *, verify: Verify = "auto"
    ) -> list[bytes]:
        """Several parts of one generation of an object. See `AsyncVault.read_ranges`.

        Example:
            >>> await vault.unit("notes", TextWrapper).read_ranges("greeting", [(0, 1), (-1, None)])
            [b'h', b'o']
        """
        return await self._vault.read_ranges(self.name, key, ranges, verify=verify)

    async def download_file(self, key: Key, path: PathOrFile, *, progress: Progress = None) -> ObjectInfo:
        """Writes an object into a file, every block verified first.

        Raises:
            NotFoundError, CorruptionError, OSError: See the vault's.

        Example:
            >>> info = await vault.unit("files", bytes).download_file("lines", "copy.txt")
            >>> info.size
            12
        """
        return await self._vault.download_file(self.name, key, path, progress=progress)

    async def watch(self, *, since: int | None = None) -> AsyncSubscription:
        """The changes of this unit that are committed from now on, or after a revision, by anybody.

        Raises:
            RevisionCompactedError, UnavailableError: See the vault's.

        Example:
            >>> notes = vault.unit("notes", str)
            >>> async with await notes.watch() as changes:
            ...     data_id = await notes.upload("goodbye", name="farewell")
            ...     async for change in changes:
            ...         print(change.kind.name, change.name)
            ...         break
            UPLOADED farewell
        """
        return await self._vault.watch(self.name, since=since)

    async def list_level(
        self,
        prefix: str = "",
        *,
        delimiter: str = "/",
        tags: Mapping[str, str] | None = None,
        after: str | None = None,
        limit: int | None = None,
        descending: bool = False,
    ) -> Level:
        """One level of the unit's names, as of a folder.

        Example:
            >>> [info.name for info in (await vault.unit("notes", str).list_level("greet")).objects]
            ['greeting']
        """
        return await self._vault.list_level(
            self.name, prefix, delimiter=delimiter, tags=tags, after=after, limit=limit, descending=descending
        )

    def list(
        self,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        after: Key | None = None,
        limit: int | None = None,
        order: Literal["id", "name", "changed"] | None = None,
        descending: bool = False,
    ) -> AsyncIterator[ObjectInfo]:
        """The unit's objects, fetched page by page: by name when `prefix` is given, by id otherwise.

        Example:
            >>> [info.name async for info in vault.unit("notes", str).list(prefix="greet")]
            ['greeting']
        """
        return self._vault.list(
            self.name, prefix=prefix, tags=tags, after=after, limit=limit, order=order, descending=descending
        )
