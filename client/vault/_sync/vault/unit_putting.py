# Generated from _async/vault/unit_putting.py by scripts/unasync: DO NOT CHANGE.
"""Writing a unit's objects under names that may be taken, typed. See `vault._async.vault.putting`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from vault._sync.files.transfer import PathOrFile
from vault._sync.vault.putting import KeyT
from vault._sync.vault.unit_base import UnitBase
from vault.store.progress import Progress
from vault.store.values import Key, MetadataSpec, ObjectInfo

T = TypeVar("T")


class UnitPutting(UnitBase[T]):
    """The calls that replace what bears a name."""

    __slots__ = ()

    def put(
        self,
        name: str,
        data: T,
        *,
        tags: Mapping[str, str] | None = None,
        if_generation: int | None = None,
        expires_in: float | None = None,
    ) -> ObjectInfo:
        """Stores an object under a name: a new one, or in the place of the one that has it, whose id stays.

        Raises:
            ConflictError, NotFoundError, InvalidArgumentError, EncodeError, StorageFullError, UnsupportedError: See the
                vault's.

        Example:
            >>> info = vault.unit("notes", str).put("greeting", "good morning")
            >>> info.data_id, info.size
            (1, 12)
        """
        return self._vault.put(
            self.name, name, self._wrap(data), tags=tags, if_generation=if_generation, expires_in=expires_in
        )

    def put_many(
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
            >>> infos = vault.unit("notes", str).put_many({"greeting": "a", "farewell": "b"})
            >>> [info.name for info in infos]
            ['greeting', 'farewell']
        """
        return self._vault.put_many(self.name, self._wrap_pairs(items), tags=tags, expires_in=expires_in)

    def put_file(
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
            >>> info = vault.unit("files", bytes).put_file("lines", io.BytesIO(b"one line"))
            >>> info.size
            8
        """
        return self._vault.put_file(
            self.name,
            name,
            path,
            tags=tags,
            if_generation=if_generation,
            expires_in=expires_in,
            progress=progress,
        )

    def rename(self, key: Key, name: str, *, replace: bool = False) -> ObjectInfo:
        """Gives an object another name; its bytes stay.

        Args:
            replace: The object that has the name is deleted for it, and nobody sees neither of the two.

        Raises:
            NotFoundError, AlreadyExistsError, InvalidArgumentError, UnsupportedError: See the vault's.

        Example:
            >>> info = vault.unit("notes", str).rename("greeting", "salutation")
            >>> info.data_id, info.name
            (1, 'salutation')
        """
        return self._vault.rename(self.name, key, name, replace=replace)

    def rename_many(
        self, names: Mapping[KeyT, str] | Iterable[tuple[Key, str]], *, replace: bool = False
    ) -> list[ObjectInfo]:
        """Gives objects other names, in their order, in one round trip.

        Args:
            names: From ids or names to new names, or pairs of both.

        Raises:
            BatchError: Some were not renamed.

        Example:
            >>> (info,) = vault.unit("notes", str).rename_many({"greeting": "salutation"})
            >>> info.name
            'salutation'
        """
        return self._vault.rename_many(self.name, names, replace=replace)

    def set_metadata_many(self, changes: Iterable[MetadataSpec]) -> list[ObjectInfo]:
        """Changes names, tags or expiries of objects, in their order, in one round trip.

        Raises:
            BatchError: Some were not changed.

        Example:
            >>> from vault.store import MetadataSpec
            >>> (info,) = vault.unit("notes", str).set_metadata_many([MetadataSpec(1, tags={"language": "en"})])
            >>> info.tags
            {'language': 'en'}
        """
        return self._vault.set_metadata_many(self.name, changes)

    def copy(
        self,
        key: Key,
        name: str | None,
        *,
        to_unit: str | None = None,
        replace: bool = False,
        if_generation: int | None = None,
    ) -> ObjectInfo:
        """Copies an object, within the unit or into another, without moving its bytes.

        Raises:
            NotFoundError, ConflictError, AlreadyExistsError, StorageFullError, UnsupportedError: See the vault's.

        Example:
            >>> info = vault.unit("notes", str).copy("greeting", "second")
            >>> info.name, info.size
            ('second', 5)
        """
        return self._vault.copy(
            self.name, key, name, to_unit=to_unit, replace=replace, if_generation=if_generation
        )

    def copy_many(
        self,
        names: Mapping[KeyT, str] | Iterable[tuple[Key, str]],
        *,
        to_unit: str | None = None,
        replace: bool = False,
    ) -> list[ObjectInfo]:
        """Copies objects, in one round trip.

        Args:
            names: From ids or names of sources to names of copies, or pairs of both.

        Raises:
            BatchError: Some were not copied.

        Example:
            >>> (info,) = vault.unit("notes", str).copy_many({"greeting": "second"})
            >>> info.name
            'second'
        """
        return self._vault.copy_many(self.name, names, to_unit=to_unit, replace=replace)
