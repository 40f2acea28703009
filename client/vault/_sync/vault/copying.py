# Generated from _async/vault/copying.py by scripts/unasync: DO NOT CHANGE.
"""Copying a vault's objects, within a unit or into another, without moving their bytes."""

from collections.abc import Iterable, Mapping
from functools import partial

from vault._sync.objects.batches import in_batches
from vault._sync.vault.base import VaultBase, all_or_error, pairs
from vault._sync.vault.describing import KeyT
from vault.errors import VaultError
from vault.store.outcomes import single
from vault.store.specs import CopySpec
from vault.store.values import Key, ObjectInfo


class Copying(VaultBase):
    """The calls that copy. A copy has the bytes, datatype, tags and expiry of its source, and a life of its own.

    A large object is a second name for the same bytes on the disk, where that can be: they stay while one has them.
    """

    def copy(
        self,
        unit: str,
        key: Key,
        name: str | None,
        *,
        to_unit: str | None = None,
        replace: bool = False,
        if_generation: int | None = None,
    ) -> ObjectInfo:
        """Copies an object.

        Args:
            name: Of the copy; None: it has none.
            to_unit: None: the same. Its Datatype has to load what is in the source; that is not looked at here, and
                reading the copy raises DecodeError where it does not.
            replace: The object that has the name gets the bytes, and keeps its id; nobody sees a moment without it.
            if_generation: Only when the source is at this generation.

        Raises:
            NotFoundError: There is no such source.
            ConflictError: It is at another generation.
            AlreadyExistsError: NAME_TAKEN, without `replace`.
            InvalidArgumentError: BAD_NAME; with `replace`, the name is the source's own.
            StorageFullError: There is no room for it, or no more in the unit (QUOTA).
            UnsupportedError: The server is older than this call. Nothing was done.

        Example:
            >>> info = vault.copy("notes", "greeting", "second")
            >>> info.name, info.size
            ('second', 5)
        """
        spec = CopySpec(key, name, replace=replace, if_generation=if_generation)
        spec.validate()
        return single(self._copy_all(unit, [spec], to_unit))

    def copy_many(
        self,
        unit: str,
        names: Mapping[KeyT, str] | Iterable[tuple[Key, str]],
        *,
        to_unit: str | None = None,
        replace: bool = False,
    ) -> list[ObjectInfo]:
        """Copies objects; as `copy`, for all of them in one round trip. All are read before any copy is written.

        Args:
            names: From ids or names of sources to names of copies, or pairs of both.

        Raises:
            BatchError: Some were not copied.
            InvalidArgumentError: BAD_BATCH, `names` are no pairs; nothing was copied.
            UnsupportedError: The server is older than this call. Nothing was done.

        Example:
            >>> infos = vault.copy_many("notes", {"greeting": "a", 1: "b"})
            >>> [info.name for info in infos]
            ['a', 'b']
        """
        wanted: list[tuple[Key, str]] = pairs("names", names)
        specs = [CopySpec(key, name, replace=replace) for key, name in wanted]
        return all_or_error(self._copy_all(unit, specs, to_unit))

    def _copy_all(self, unit: str, specs: list[CopySpec], to_unit: str | None) -> list[ObjectInfo | VaultError]:
        self._require_unit(unit)
        if to_unit is not None:
            self._require_unit(to_unit)
        outcomes = in_batches(specs, partial(self._store.copy_many, unit, to_unit=to_unit))
        for outcome in outcomes:
            if not isinstance(outcome, VaultError):
                self._writes.wrote(outcome)
        return outcomes
