# Generated from _async/vault/describing.py by scripts/unasync: DO NOT CHANGE.
"""What is known of a vault's objects beside their bytes: names, tags, expiries."""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypeVar

from vault._sync.objects.batches import in_batches
from vault._sync.vault.base import VaultBase, all_or_error, listed, pairs
from vault.errors import VaultError
from vault.store.limits import check_expires_in, check_name, check_type
from vault.store.specs import MetadataSpec
from vault.store.values import Key, ObjectInfo

KeyT = TypeVar("KeyT", bound=Key)


class Describing(VaultBase):
    """The calls that change metadata. Bytes and generations stay."""

    def set_metadata(
        self,
        unit: str,
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
            tags: None leaves them as they are; others replace all of them, {} takes them away.
            if_generation: Only when the object is at this generation.
            if_revision: Only when nothing of it has changed since this revision, so that nobody's tags are lost.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: GENERATION_MISMATCH, REVISION_MISMATCH: it is at another.
            AlreadyExistsError: NAME_TAKEN; `rename` can replace what has the name.
            InvalidArgumentError: BAD_NAME, BAD_TAGS.
            UnsupportedError: With `if_revision`, when the server is older than it. Nothing was done.

        Example:
            >>> info = vault.set_metadata("notes", "greeting", tags={"language": "en"})
            >>> info.name, info.tags["language"]
            ('greeting', 'en')
        """
        self._require_unit(unit)
        spec = MetadataSpec(key, name, tags, if_generation, if_revision=if_revision)
        spec.validate()
        return self._writes.set_metadata(unit, spec)

    def set_metadata_many(self, unit: str, changes: Iterable[MetadataSpec]) -> list[ObjectInfo]:
        """Changes names, tags or expiries of objects; as `set_metadata`, for all of them in one round trip.

        They are changed in their order, and each sees what those before it did.

        Args:
            changes: What is to become of each: `vault.store.MetadataSpec`.

        Raises:
            BatchError: Some were not changed.
            InvalidArgumentError: BAD_BATCH, `changes` are none; nothing was changed.
            UnsupportedError: The server is older than this call. Nothing was done.

        Example:
            >>> from vault.store import MetadataSpec
            >>> changes = [MetadataSpec(key, tags={"language": "en"}) for key in ("greeting", "farewell")]
            >>> try:
            ...     infos = vault.set_metadata_many("notes", changes)
            ... except BatchError as error:
            ...     print(error.results[0].tags, type(error.results[1]).__name__)
            {'language': 'en'} NotFoundError
        """
        self._require_unit(unit)
        specs = listed("changes", changes)
        for index, spec in enumerate(specs):
            check_type(f"change {index}", spec, MetadataSpec)
        return all_or_error(in_batches(specs, partial(self._writes.set_metadata_many, unit)))

    def rename(self, unit: str, key: Key, name: str, *, replace: bool = False) -> ObjectInfo:
        """Gives an object another name, by which it is found at once; its bytes stay.

        Args:
            name: Onto its own name it is renamed without any effect but a new revision.
            replace: The object that has the name is deleted for it, and nobody sees neither of the two.

        Raises:
            NotFoundError: There is no such object.
            AlreadyExistsError: NAME_TAKEN, without `replace`.
            InvalidArgumentError: BAD_NAME.
            UnsupportedError: With `replace`, when the server is older than it. Nothing was done.

        Example:
            >>> info = vault.rename("notes", "greeting", "salutation")
            >>> info.data_id, info.name
            (1, 'salutation')
        """
        self._require_unit(unit)
        spec = _renaming(key, name, replace)
        spec.validate()
        return self._writes.set_metadata(unit, spec)

    def rename_many(
        self, unit: str, names: Mapping[KeyT, str] | Iterable[tuple[Key, str]], *, replace: bool = False
    ) -> list[ObjectInfo]:
        """Gives objects other names; as `rename`, for all of them in one round trip, and one transaction for 1,000.

        They are renamed in their order, and each sees what those before it did: two names are swapped by a third.

        Args:
            names: From ids or names to new names, or pairs of both.

        Raises:
            BatchError: Some were not renamed.
            InvalidArgumentError: BAD_BATCH, `names` are no pairs; nothing was renamed.
            UnsupportedError: The server is older than this call. Nothing was done.

        Example:
            >>> ids = vault.upload_many("notes", [TextWrapper("a"), TextWrapper("b")], names=["old/a", "old/b"])
            >>> moved = {info.name: f"new/{info.name[4:]}" for info in vault.list("notes", prefix="old/")}
            >>> [info.name for info in vault.rename_many("notes", moved)]
            ['new/a', 'new/b']
        """
        self._require_unit(unit)
        wanted: list[tuple[Key, str]] = pairs("names", names)
        specs: list[MetadataSpec | VaultError] = []
        for key, name in wanted:
            try:
                specs.append(_renaming(key, name, replace))
            except VaultError as error:
                specs.append(error)
        return all_or_error(in_batches(specs, partial(self._writes.set_metadata_many, unit)))

    def touch(self, unit: str, key: Key, *, expires_in: float | None = None) -> ObjectInfo:
        """Sets how long an object is there from now on. Its bytes, its generation and its metadata stay.

        Args:
            expires_in: Seconds, at most a hundred years, by the store's clock; None: it never expires.

        Raises:
            NotFoundError: There is no such object; one that has expired does not come back.
            InvalidArgumentError: BAD_EXPIRY.
            UnsupportedError: The server is older, and nothing expires there.

        Example:
            >>> info = vault.touch("notes", "greeting", expires_in=3600)
            >>> (info.expires_at - info.updated_at).total_seconds()
            3600.0
            >>> (vault.touch("notes", "greeting")).expires_at is None
            True
        """
        self._require_unit(unit)
        if expires_in is not None:
            check_expires_in(expires_in)  # as a put does: math.inf is for a MetadataSpec, where None leaves it as it is
        spec = MetadataSpec(key, expires_in=math.inf if expires_in is None else expires_in)
        spec.validate()
        return self._writes.set_metadata(unit, spec)


def _renaming(key: Key, name: str, replace: bool) -> MetadataSpec:  # noqa: FBT001  # as its callers got it
    check_name(name)
    return MetadataSpec(key, name, replace=replace)
