# Generated from _async/vault/unit_describing.py by scripts/unasync: DO NOT CHANGE.
"""Names, tags and expiries of a unit's objects, and copies of them. See `vault._async.vault.describing`, `.copying`."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

from vault._sync.vault.describing import KeyT
from vault._sync.vault.unit_base import UnitBase
from vault.store.specs import MetadataSpec
from vault.store.usage import UnitInfo
from vault.store.values import Key, ObjectInfo

T = TypeVar("T")


class UnitDescribing(UnitBase[T]):
    """The calls that move no bytes."""

    __slots__ = ()

    def set_metadata(
        self,
        key: Key,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        if_generation: int | None = None,
        if_revision: int | None = None,
    ) -> ObjectInfo:
        """Changes an object's name or tags. Its bytes and its generation stay.

        Args:
            name: None leaves it as it is; "" takes it away.
            tags: None leaves them as they are; others replace all of them.

        Raises:
            NotFoundError, ConflictError, AlreadyExistsError, InvalidArgumentError: See the vault's.

        Example:
            >>> info = vault.unit("notes", str).set_metadata("greeting", tags={"language": "en"})
            >>> info.tags["language"]
            'en'
        """
        return self._vault.set_metadata(
            self.name, key, name=name, tags=tags, if_generation=if_generation, if_revision=if_revision
        )

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

    def touch(self, key: Key, *, expires_in: float | None = None) -> ObjectInfo:
        """Sets how long an object is there from now on, in seconds; None: it never expires.

        Raises:
            NotFoundError, InvalidArgumentError, UnsupportedError: See the vault's.

        Example:
            >>> info = vault.unit("notes", str).touch("greeting", expires_in=3600)
            >>> info.expires_at is None
            False
        """
        return self._vault.touch(self.name, key, expires_in=expires_in)

    def set_unit_limits(
        self,
        *,
        max_objects: int | None = None,
        max_bytes: int | None = None,
        when_full: Literal["refuse", "evict"] = "refuse",
    ) -> UnitInfo:
        """Sets how much the unit may hold, for everybody who uses the store; what it holds. See the vault's.

        Raises:
            InvalidArgumentError: BAD_LIMIT.
            UnsupportedError: The server is older, and has none.

        Example:
            >>> info = vault.unit("notes", str).set_unit_limits(max_objects=1000, when_full="evict")
            >>> info.limits.max_objects
            1000
        """
        return self._vault.set_unit_limits(
            self.name, max_objects=max_objects, max_bytes=max_bytes, when_full=when_full
        )

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

        Args:
            name: Of the copy; None: it has none.
            to_unit: None: the same. Its type has to load what is in this one; that is not looked at here.
            replace: The object that has the name gets the bytes, and keeps its id.
            if_generation: Only when the source is at this generation.

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
