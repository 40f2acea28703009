"""Writing a unit's objects, typed. See `vault._async.vault.writing`, whose calls these are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar, cast

from vault._async.files.object_writer import AsyncObjectWriter
from vault._async.files.transfer import PathOrFile
from vault._async.objects.ticket import AsyncTicket
from vault._async.vault.unit_base import AsyncUnitBase
from vault.store.progress import Progress
from vault.store.values import Key, ObjectInfo, UploadedId

T = TypeVar("T")


class AsyncUnitWriting(AsyncUnitBase[T]):
    """The calls that write."""

    __slots__ = ()

    async def upload(
        self,
        data: T,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
    ) -> UploadedId:
        """Stores a new object; its id, which has what else is known of it in `info`. `data` stays the caller's.

        Raises:
            AlreadyExistsError, InvalidArgumentError, EncodeError, StorageFullError: See the vault's.

        Example:
            >>> await vault.unit("notes", str).upload("goodbye", name="farewell", data_id=7)
            7
        """
        return await self._vault.upload(self.name, self._wrap(data), name=name, tags=tags, data_id=data_id)

    async def create(
        self,
        data: T,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
    ) -> tuple[int, AsyncTicket[T]]:
        """`upload`, and a ticket on what was stored, to be closed. `data` is not to be changed any more but by it.

        Example:
            >>> data_id, ticket = await vault.unit("scores", dict[str, int]).create({"ada": 3})
            >>> async with ticket:
            ...     ticket.get_ref()["bob"] = 4
        """
        data_id, ticket = await self._vault.create(self.name, self._wrap(data), name=name, tags=tags, data_id=data_id)
        return data_id, cast(AsyncTicket[T], await self._ticket(ticket))

    async def upload_many(
        self,
        objects: Iterable[T],
        *,
        names: Sequence[str | None] | None = None,
        tags: Sequence[Mapping[str, str] | None] | None = None,
    ) -> list[int]:
        """Stores new objects, in one round trip; their ids.

        Raises:
            BatchError: Some were not stored.

        Example:
            >>> ids = await vault.unit("notes", str).upload_many(["a", "b"], names=["first", None])
            >>> len(ids)
            2
        """
        return await self._vault.upload_many(self.name, self._wrap_all(objects), names=names, tags=tags)

    async def upload_file(
        self,
        path: PathOrFile,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
        progress: Progress = None,
    ) -> UploadedId:
        """Stores a file as a new object; its id. The bytes are taken to be what the Datatype's `_dump` gives.

        Raises:
            AlreadyExistsError, ConflictError, OSError, StorageFullError: See the vault's.

        Example:
            >>> data_id = await vault.unit("files", bytes).upload_file(io.BytesIO(b"hello"), name="hello.txt")
        """
        return await self._vault.upload_file(self.name, path, name=name, tags=tags, data_id=data_id, progress=progress)

    async def open_writer(
        self,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
        replace: bool = False,
        if_generation: int | None = None,
        expires_in: float | None = None,
    ) -> AsyncObjectWriter:
        """A binary writer of an object, which exists when it is closed, and not when its block raises.

        Args:
            replace: As `put`: the object that has the name when the writer closes is replaced.

        Raises:
            AlreadyExistsError: The name or the id is taken; here, or when it closes.
            ConflictError, NotFoundError, InvalidArgumentError, UnsupportedError: See the vault's.

        Example:
            >>> async with await vault.unit("files", bytes).open_writer(name="log") as writer:
            ...     written = await writer.write(b"one line")
            >>> writer.info.size
            8
        """
        return await self._vault.open_writer(
            self.name,
            name=name,
            tags=tags,
            data_id=data_id,
            replace=replace,
            if_generation=if_generation,
            expires_in=expires_in,
        )

    async def update(
        self,
        key: Key,
        data: T,
        *,
        tags: Mapping[str, str] | None = None,
        if_generation: int | None = None,
        if_revision: int | None = None,
    ) -> ObjectInfo:
        """Replaces an object's bytes; its id, name and expiry stay, and its tags, when none are given.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: It is at another generation or revision.
            InvalidArgumentError, EncodeError, StorageFullError: See the vault's.

        Example:
            >>> info = await vault.unit("notes", str).update("greeting", "good evening")
            >>> info.size
            12
        """
        return await self._vault.update(
            self.name, key, self._wrap(data), tags=tags, if_generation=if_generation, if_revision=if_revision
        )

    async def edit(self, key: Key, function: Callable[[T], T | None], *, attempts: int = 10) -> ObjectInfo:
        """Reads an object, changes it, writes it; does it again when somebody else wrote it in between.

        Args:
            function: Is called with a copy of the object, which it changes and returns nothing, or returns another
                one. It may be called several times. What it raises is raised here, and nothing is written.
            attempts: How often it is tried before the ConflictError is raised; from 1.

        Raises:
            NotFoundError, ConflictError, InvalidArgumentError: See the vault's.

        Example:
            >>> counters = vault.unit("counters", int)
            >>> data_id = await counters.upload(1, name="visits")
            >>> info = await counters.edit("visits", lambda count: count + 1)
            >>> await counters.get("visits")
            2
        """
        return await self._vault.edit(self.name, key, self._editing(function), attempts=attempts)

    async def delete(self, key: Key, *, if_generation: int | None = None, if_revision: int | None = None) -> bool:
        """Deletes an object; whether there was one. Tickets on it keep what they have.

        Raises:
            ConflictError: It is at another generation than `if_generation`, or revision than `if_revision`.

        Example:
            >>> await vault.unit("notes", str).delete("greeting")
            True
        """
        return await self._vault.delete(self.name, key, if_generation=if_generation, if_revision=if_revision)

    async def delete_many(self, keys: Iterable[Key]) -> list[bool]:
        """Deletes objects, in one round trip; whether there was one, for each.

        Raises:
            BatchError: Some could not be deleted.

        Example:
            >>> await vault.unit("notes", str).delete_many(["greeting", "farewell"])
            [True, False]
        """
        return await self._vault.delete_many(self.name, keys)
