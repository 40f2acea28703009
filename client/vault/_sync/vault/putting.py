# Generated from _async/vault/putting.py by scripts/unasync: DO NOT CHANGE.
"""Writing a vault's objects under names that may be taken: put."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from vault._sync.files.transfer import PathOrFile, upload_file
from vault._sync.vault.base import VaultBase, all_or_error, pairs, require_one_each
from vault.datatype import Datatype
from vault.errors import VaultError
from vault.store.limits import check_name
from vault.store.progress import Progress
from vault.store.specs import PutSpec, new_data_id
from vault.store.values import ObjectInfo
from vault.store.write_columns import SmallPuts, new_columns


class Putting(VaultBase):
    """The calls that replace what bears a name, in one step that nobody sees half of.

    A put is the whole object: it has the tags and the expiry that are given, none when none are. It keeps the id of
    what it replaces, and when that was first stored. The reply's `size`, `checksum` and `generation` make an HTTP ETag.
    """

    def put(
        self,
        unit: str,
        name: str,
        data: Datatype,
        *,
        tags: Mapping[str, str] | None = None,
        if_generation: int | None = None,
        expires_in: float | None = None,
    ) -> ObjectInfo:
        """Stores an object under a name: a new one, or in the place of the one that has it.

        What does not fit a block is streamed; the old object is there until the new one is.

        Args:
            data: Of the unit's Datatype. It stays the caller's.
            tags: All that it has then; None: none.
            if_generation: Only in the place of this generation; 0: only as a new object; None: either.
            expires_in: Seconds, at most a hundred years; None: it never expires.

        Raises:
            ConflictError: GENERATION_MISMATCH, the object is at another generation; with 0, there is one.
            NotFoundError: `if_generation` is above 0, and there is no such object.
            InvalidArgumentError: BAD_OBJECT, `data` is not of the unit's Datatype; BAD_NAME, BAD_TAGS, BAD_EXPIRY.
            EncodeError: The Datatype could not dump it.
            StorageFullError: There is no room for it.
            UnsupportedError: The server is older than this call. Nothing was done.

        Example:
            >>> info = vault.put("notes", "greeting", TextWrapper("good morning"))
            >>> info.data_id, info.size
            (1, 12)
            >>> vault.put("notes", "greeting", TextWrapper("me first"), if_generation=0)
            Traceback (most recent call last):
            vault.errors.ConflictError: object 1 in unit 'notes' is at generation 3, not 0 (0 asks for a new object)
        """
        self._require_held(unit)
        spec = self._put_spec(unit, name, data, tags, if_generation, expires_in)
        return self._writes.write(unit, spec, data)

    def put_many(
        self,
        unit: str,
        items: Mapping[str, Datatype] | Iterable[tuple[str, Datatype]],
        *,
        tags: Sequence[Mapping[str, str] | None] | None = None,
        expires_in: float | None = None,
    ) -> list[ObjectInfo]:
        """Stores objects under names; as `put`, for all of them in one round trip.

        They are stored in their order. One that does not fit a block is streamed, between the round trips of what
        comes before and after it.

        Args:
            items: From names to objects, or pairs of both.
            tags: Tags for each object, None for none.
            expires_in: Of all of them.

        Raises:
            BatchError: Some were not stored.
            InvalidArgumentError: BAD_BATCH, `items` are no pairs, or there are not as many tags as objects; nothing
                was stored.

        Example:
            >>> infos = vault.put_many("notes", {"greeting": TextWrapper("a"), "farewell": TextWrapper("b")})
            >>> [info.name for info in infos]
            ['greeting', 'farewell']
        """
        self._require_held(unit)
        wanted = pairs("items", items)
        objects = [data for _, data in wanted]
        require_one_each("tags", tags, len(wanted))

        def spec_of(index: int, data: Datatype) -> PutSpec:
            return self._put_spec(unit, wanted[index][0], data, tags[index] if tags else None, None, expires_in)

        names = [name for name, _ in wanted]
        refused = bad_names(names) if None in names else {}  # to a spec that is no name, rather than a bad one

        def columns_of(places: Sequence[int], datatypes: Sequence[str], data: Sequence[bytes]) -> SmallPuts:
            number = len(places)
            columns = new_columns(places, datatypes, data, names, tags)
            return SmallPuts((*columns, (None,) * number, (expires_in,) * number))

        return all_or_error(list(self._writes.write_many(unit, objects, spec_of, columns_of, refused)))

    def put_file(
        self,
        unit: str,
        name: str,
        path: PathOrFile,
        *,
        tags: Mapping[str, str] | None = None,
        if_generation: int | None = None,
        expires_in: float | None = None,
        progress: Progress = None,
    ) -> ObjectInfo:
        """Stores a file's bytes under a name; as `put`. They are taken to be what the Datatype's `_dump` gives.

        Args:
            path: A file, or a binary file object, from where it stands; see `upload_file`.
            progress: True: a bar on standard error, on a terminal or in a notebook. Or an fsspec Callback, or anything
                with its `set_size` and `relative_update`; bytes.

        Raises:
            ConflictError: As for `put`; FILE_CHANGED, the file was written while it was read, and nothing was stored.
            NotFoundError, InvalidArgumentError, StorageFullError, UnsupportedError: As for `put`.
            OSError: The file cannot be read, as Python says it; nothing was stored.

        Example:
            >>> info = vault.put_file("files", "lines", io.BytesIO(b"one line"))
            >>> info.size
            8
        """
        self._require_held(unit)
        spec = new_put(self.get_datatype(unit), name, tags, if_generation, expires_in)
        return self._writes.wrote(upload_file(lambda: self._store.put(unit, spec), path, progress))

    def _put_spec(
        self,
        unit: str,
        name: str,
        data: Datatype,
        tags: Mapping[str, str] | None,
        if_generation: int | None,
        expires_in: float | None,
    ) -> PutSpec:
        self._codecs[unit].check(data)
        return new_put(type(data), name, tags, if_generation, expires_in)


def bad_names(names: Sequence[str | None]) -> dict[int, VaultError]:
    """What is wrong with those that are none, by their places."""
    errors: dict[int, VaultError] = {}
    for place, name in enumerate(names):
        if name is None:
            try:
                check_name(cast(str, name))
            except VaultError as error:
                errors[place] = error
    return errors


def new_put(
    datatype: type[Datatype],
    name: str,
    tags: Mapping[str, str] | None,
    if_generation: int | None,
    expires_in: float | None,
    *,
    data_id: int | None = None,
) -> PutSpec:
    """What is said of an object that is put, checked before any I/O: but that nothing of it is hidden, as what is there
    already may be."""
    check_name(name)
    given = {} if tags is None else tags
    new_id = new_data_id() if data_id is None else data_id
    spec = PutSpec(name, new_id, given, datatype.datatype_tag, if_generation, expires_in)
    spec.validate()
    return spec
