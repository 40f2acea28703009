"""Writing a unit's objects under names that may be taken, typed. See `vault._async.vault.putting`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from vault._async.files.transfer import PathOrFile
from vault._async.vault.unit_base import AsyncUnitBase
from vault.store.progress import Progress
from vault.store.values import ObjectInfo

T = TypeVar("T")


class AsyncUnitPutting(AsyncUnitBase[T]):
    """The calls that replace what bears a name."""

    __slots__ = ()

    async def put(
        self,
        name: str,
        data: T,
        *,
        tags: Mapping[str, str] | None = None,
        if_generation: int | None = None,
        expires_in: float | None = None,
    ) -> ObjectInfo:
        """Stores an object under a name: a new one, or in the place of the one that has it, whose id stays.

        Args:
            tags: All that it has then; None: none.
            if_generation: Only in the place of this generation; 0: only as a new object; None: either.
            expires_in: Seconds; None: it never expires, whatever the old one did.

        Raises:
            ConflictError, NotFoundError, InvalidArgumentError, EncodeError, StorageFullError, UnsupportedError: See the
                vault's.

        Example:
            >>> info = await vault.unit("notes", str).put("greeting", "good morning")
            >>> info.data_id, info.size
            (1, 12)
        """
        return await self._vault.put(
            self.name, name, self._wrap(data), tags=tags, if_generation=if_generation, expires_in=expires_in
        )

    async def put_many(
        self,
        items: Mapping[str, T] | Iterable[tuple[str, T]],
        *,
        tags: Sequence[Mapping[str, str] | None] | None = None,
        expires_in: float | None = None,
    ) -> list[ObjectInfo]:
        """Stores objects under names, in one round trip.

        Args:
            items: From names to objects, or pairs of both.
            tags: Tags for each object, None for none.

        Raises:
            BatchError: Some were not stored.

        Example:
            >>> infos = await vault.unit("notes", str).put_many({"greeting": "a", "farewell": "b"})
            >>> [info.name for info in infos]
            ['greeting', 'farewell']
        """
        return await self._vault.put_many(self.name, self._wrap_pairs(items), tags=tags, expires_in=expires_in)

    async def put_file(
        self,
        name: str,
        path: PathOrFile,
        *,
        tags: Mapping[str, str] | None = None,
        if_generation: int | None = None,
        expires_in: float | None = None,
        progress: Progress = None,
    ) -> ObjectInfo:
        """Stores a file's bytes under a name; as `put`.

        Raises:
            ConflictError, NotFoundError, InvalidArgumentError, OSError, StorageFullError, UnsupportedError: See the
                vault's.

        Example:
            >>> info = await vault.unit("files", bytes).put_file("lines", io.BytesIO(b"one line"))
            >>> info.size
            8
        """
        return await self._vault.put_file(
            self.name,
            name,
            path,
            tags=tags,
            if_generation=if_generation,
            expires_in=expires_in,
            progress=progress,
        )
