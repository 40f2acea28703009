# Generated from _async/vault/unit_writing.py by scripts/unasync: DO NOT CHANGE.
"""Writing a unit's objects, typed. See `vault._async.vault.writing`, whose calls these are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar, cast

from vault._sync.files.object_writer import ObjectWriter
from vault._sync.files.transfer import PathOrFile
from vault._sync.objects.ticket import Ticket
from vault._sync.vault.unit_base import UnitBase
from vault.store.progress import Progress
from vault.store.values import Key, ObjectInfo, UploadedId

T = TypeVar("T")


class UnitWriting(UnitBase[T]):
    """The calls that write."""

    __slots__ = ()

    def upload(
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
            >>> vault.unit("notes", str).upload("goodbye", name="farewell", data_id=7)
            7
        """
        return self._vault.upload(self.name, self._wrap(data), name=name, tags=tags, data_id=data_id)

    def create(
        self,
        data: T,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
    ) -> tuple[int, Ticket[T]]:
        """`upload`, and a ticket on what was stored, to be closed. `data` is not to be changed any more but by it.

        Example:
            >>> data_id, ticket = vault.unit("scores", dict[str, int]).create({"ada": 3})
            >>> with ticket:
            ...     ticket.get_ref()["bob"] = 4
        """
        data_id, ticket = self._vault.create(self.name, self._wrap(data), name=name, tags=tags, data_id=data_id)
        return data_id, cast(Ticket[T], self._ticket(ticket))

    def upload_many(
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
            >>> ids = vault.unit("notes", str).upload_many(["a", "b"], names=["first", None])
            >>> len(ids)
            2
        """
        return self._vault.upload_many(self.name, self._wrap_all(objects), names=names, tags=tags)

    def upload_file(
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
            >>> data_id = vault.unit("files", bytes).upload_file(io.BytesIO(b"hello"), name="hello.txt")
        """
        return self._vault.upload_file(self.name, path, name=name, tags=tags, data_id=data_id, progress=progress)

    def open_writer(
        self,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
        replace: bool = False,
        if_generation: int | None = None,
        expires_in: float | None = None,
    ) -> ObjectWriter:
        """A binary writer of an object, which exists when it is closed, and not when its block raises.

        Args:
            replace: As `put`: the object that has the name when the writer closes is replaced.

        Raises:
            AlreadyExistsError: The name or the id is taken; here, or when it closes.
            ConflictError, NotFoundError, InvalidArgumentError, UnsupportedError: See the vault's.

        Example:
            >>> with vault.unit("files", bytes).open_writer(name="log") as writer:
            ...     written = writer.write(b"one line")
            >>> writer.info.size
            8
        """
        return self._vault.open_writer(
            self.name,
            name=name,
            tags=tags,
            data_id=data_id,
            replace=replace,
            if_generation=if_generation,
            expires_in=expires_in,
        )

    def update(
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
            >>> info = vault.unit("notes", str).update("greeting", "good evening")
            >>> info.size
            12
        """
        return self._vault.update(
            self.name, key, self._wrap(data), tags=tags, if_generation=if_generation, if_revision=if_revision
        )

    def edit(self, key: Key, function: Callable[[T], T | None], *, attempts: int = 10) -> ObjectInfo:
        """Reads an object, changes it, writes it; does it again when somebody else wrote it in between.

        Args:
            function: Is called with a copy of the object, which it changes and returns nothing, or returns another
                one. It may be called several times. What it raises is raised here, and nothing is written.
            attempts: How often it is tried before the ConflictError is raised; from 1.

        Raises:
            NotFoundError, ConflictError, InvalidArgumentError: See the vault's.

        Example:
            >>> counters = vault.unit("counters", int)
            >>> data_id = counters.upload(1, name="visits")
            >>> info = counters.edit("visits", lambda count: count + 1)
            >>> counters.get("visits")
            2
        """
        return self._vault.edit(self.name, key, self._editing(function), attempts=attempts)

    def delete(self, key: Key, *, if_generation: int | None = None, if_revision: int | None = None) -> bool:
        """Deletes an object; whether there was one. Tickets on it keep what they have.

        Raises:
            ConflictError: It is at another generation than `if_generation`, or revision than `if_revision`.

        Example:
            >>> vault.unit("notes", str).delete("greeting")
            True
        """
        return self._vault.delete(self.name, key, if_generation=if_generation, if_revision=if_revision)

    def delete_many(self, keys: Iterable[Key]) -> list[bool]:
        """Deletes objects, in one round trip; whether there was one, for each.

        Raises:
            BatchError: Some could not be deleted.

        Example:
            >>> vault.unit("notes", str).delete_many(["greeting", "farewell"])
            [True, False]
        """
        return self._vault.delete_many(self.name, keys)
