# Generated from _async/vault/writing.py by scripts/unasync: DO NOT CHANGE.
"""Writing a vault's objects: one, many, or as files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from vault._sync.files.object_writer import ObjectWriter
from vault._sync.files.transfer import PathOrFile, upload_file
from vault._sync.objects.batches import in_batches
from vault._sync.objects.ticket import Ticket
from vault._sync.vault.base import VaultBase, all_or_error, listed, require_one_each
from vault._sync.vault.putting import new_put
from vault._cache.cache import Held
from vault.datatype import Datatype
from vault.errors import InvalidArgumentError, VaultError
from vault.store.columns import ObjectInfos
from vault.store.limits import check_flag, check_key, check_new, shown
from vault.store.outcomes import single, validated
from vault.store.progress import Progress
from vault.store.specs import DeleteSpec, PutSpec, UpdateSpec, UploadSpec, new_data_id
from vault.store.values import Key, ObjectInfo, UploadedId
from vault.store.write_columns import SmallUploads, new_columns


class Writing(VaultBase):
    """The calls that write.

    `open_writer` and `upload_file` go past the unit's Datatype: their bytes are taken to be what its `_dump` gives.
    """

    def upload(
        self,
        unit: str,
        data: Datatype,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
    ) -> UploadedId:
        """Stores a new object. When this returns, a crash keeps it; until then, nobody sees it.

        Args:
            data: Of the unit's Datatype. It stays the caller's.
            name: Unique in the unit.
            tags: Text to text.
            data_id: 1 to 2^63 - 1; None: a random one.

        Returns:
            Its id, which has what else is known of it in `info`.

        Raises:
            AlreadyExistsError: OBJECT_EXISTS, the id is taken; NAME_TAKEN.
            InvalidArgumentError: BAD_OBJECT, `data` is not of the unit's Datatype; BAD_NAME, BAD_TAGS, BAD_ID.
            EncodeError: The Datatype could not dump it.
            StorageFullError: There is no room for it.

        Example:
            >>> vault.upload("notes", TextWrapper("goodbye"), name="farewell", data_id=7)
            7
            >>> (vault.upload("notes", TextWrapper("to and fro"))).info.size
            10
            >>> vault.upload("notes", TextWrapper("again"), name="greeting")
            Traceback (most recent call last):
            vault.errors.AlreadyExistsError: the name 'greeting' in unit 'notes' belongs to object 1
        """
        self._require_held(unit)
        spec = self._new(unit, data, name, tags, data_id)
        return UploadedId(self._writes.write(unit, spec, data))

    def create(
        self,
        unit: str,
        data: Datatype,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
    ) -> tuple[int, Ticket]:
        """`upload`, and a ticket on what was stored. `data` becomes the cached object: it is not to be changed
        any more, but through the ticket's `get_ref`.

        Returns:
            The id, and a ticket, to be closed.
        """
        self._require_held(unit)
        spec = self._new(unit, data, name, tags, data_id)
        epoch = self._coherence.epoch()
        held: Held = {}
        left = held.values()
        try:
            with self._cache.request(unit) as sent:
                info = self._writes.write(unit, spec, data)
                self._cache.fill(info, data, epoch, held, info.data_id, sent=sent, loaded=False)
            self._loader.took(info.size)
            return info.data_id, self._ticket().take(held, info.data_id)
        finally:
            self._cache.dropped += left

    def upload_many(
        self,
        unit: str,
        objects: Iterable[Datatype],
        *,
        names: Sequence[str | None] | None = None,
        tags: Sequence[Mapping[str, str] | None] | None = None,
    ) -> list[int]:
        """Stores new objects; as `upload`, for all of them in one round trip.

        They are stored in their order. One that does not fit a block is streamed, between the round trips of
        what comes before and after it.

        Args:
            names: One for each object, None for none.
            tags: Tags for each object, None for none.

        Returns:
            Their ids.

        Raises:
            BatchError: Some were not stored.
            InvalidArgumentError: BAD_BATCH, there are not as many names or tags as objects, or they are no lists.

        Example:
            >>> ids = vault.upload_many("notes", [TextWrapper("a"), TextWrapper("b")], names=["first", None])
            >>> len(ids)
            2
        """
        self._require_held(unit)
        items = listed("objects", objects)
        require_one_each("names", names, len(items))
        require_one_each("tags", tags, len(items))

        def spec_of(index: int, data: Datatype) -> UploadSpec:
            return self._new(unit, data, names[index] if names else None, tags[index] if tags else None)

        def columns_of(places: Sequence[int], datatypes: Sequence[str], data: Sequence[bytes]) -> SmallUploads:
            return SmallUploads(new_columns(places, datatypes, data, names, tags))

        results = self._writes.write_many(unit, items, spec_of, columns_of)
        if isinstance(results, ObjectInfos) and not results.others:
            return list(results.data_ids)
        return all_or_error([each if isinstance(each, VaultError) else each.data_id for each in results])

    def upload_file(
        self,
        unit: str,
        path: PathOrFile,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
        progress: Progress = None,
    ) -> UploadedId:
        """Stores a file as a new object.

        Args:
            path: A file, or a binary file object, from where it stands. Links are followed. A file that is replaced
                under its name meanwhile is stored as it was, a named pipe until nobody writes to it any more.
            progress: True: a bar on standard error, on a terminal or in a notebook. Or an fsspec Callback, or anything
                with its `set_size` and `relative_update`; bytes.

        Returns:
            The object's id, as of `upload`.

        Raises:
            AlreadyExistsError: The name or the id is taken.
            ConflictError: FILE_CHANGED, the file was written while it was read; nothing was stored.
            OSError: The file cannot be read, as Python says it; nothing was stored.
            StorageFullError: There is no room for it.

        Example:
            >>> data_id = vault.upload_file("files", io.BytesIO(b"hello"), name="hello.txt")
        """
        self._require_held(unit)
        spec = _new_spec(self.get_datatype(unit), name, tags, data_id)
        info = upload_file(lambda: self._store.upload(unit, spec), path, progress)
        return UploadedId(self._writes.wrote(info))

    def open_writer(
        self,
        unit: str,
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
            data_id: Of a new object; None: a random one.
            replace: As `put`: the object that has the name when the writer closes is replaced, and is there until then.
            if_generation, expires_in: As for `put`, with `replace`.

        Raises:
            AlreadyExistsError: The name or the id is taken; here, or when it closes.
            ConflictError, NotFoundError: As for `put`; here, or when it closes.
            InvalidArgumentError: BAD_NAME, BAD_TAGS, BAD_ID, BAD_EXPIRY; `if_generation` or `expires_in` without
                `replace`, or that without a name.
            UnsupportedError: With `replace`, when the server is older than it.

        Example:
            >>> with vault.open_writer("files", name="log") as writer:
            ...     written = writer.write(b"one line")
            >>> writer.info.size
            8
            >>> with vault.open_writer("files", name="log", replace=True) as writer:
            ...     written = writer.write(b"another line")
            >>> writer.info.size
            12
        """
        self._require_held(unit)
        datatype = self.get_datatype(unit)
        check_flag("replace", replace)
        if replace:
            wanted = "" if name is None else name
            spec: UploadSpec | PutSpec = new_put(datatype, wanted, tags, if_generation, expires_in, data_id=data_id)
        elif if_generation is not None or expires_in is not None:
            raise InvalidArgumentError("if_generation and expires_in are for replace=True")
        else:
            spec = _new_spec(datatype, name, tags, data_id)
        writer = ObjectWriter(spec.data_id, lambda: self._writes.begin(unit, spec), self._writes.wrote)
        writer.start()
        return writer

    def update(
        self,
        unit: str,
        key: Key,
        data: Datatype,
        *,
        tags: Mapping[str, str] | None = None,
        if_generation: int | None = None,
        if_revision: int | None = None,
    ) -> ObjectInfo:
        """Replaces an object's bytes; its id, name and expiry stay. Tickets on it keep what they have.

        Args:
            data: Of the unit's Datatype. It stays the caller's.
            tags: All that it has then, set in the same step; None: as they are.
            if_generation: Only when the object is at this generation; None: whatever it is at.
            if_revision: Only when nothing of it has changed since this revision, metadata too.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: GENERATION_MISMATCH, REVISION_MISMATCH: it is at another.
            InvalidArgumentError: BAD_OBJECT, `data` is not of the unit's Datatype.
            EncodeError: The Datatype could not dump it.
            StorageFullError: There is no room for it.
            UnsupportedError: With `tags` or `if_revision`, when the server is older than those. Nothing was done.

        Example:
            >>> info = vault.update("notes", "greeting", TextWrapper("good evening"))
            >>> info.size
            12
        """
        self._require_held(unit)
        self._codecs[unit].check(data)
        spec = UpdateSpec(key, if_generation, type(data).datatype_tag, if_revision=if_revision, tags=tags)
        spec.validate()
        return self._writes.write(unit, spec, data)

    def edit(self, unit: str, key: Key, function: Callable[[Any], Any], *, attempts: int = 10) -> ObjectInfo:
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
            InvalidArgumentError: BAD_ATTEMPTS; BAD_FUNCTION; BAD_OBJECT, `function` returned something else.

        Example:
            >>> data_id = vault.upload("settings", JsonWrapper({"count": 1}))
            >>> info = vault.edit("settings", data_id, lambda counter: counter.data.update(count=2))
        """
        self._require_held(unit)
        check_key(key)
        if not callable(function):
            raise InvalidArgumentError(f"a function changes the object, not {shown(function)}", reason="BAD_FUNCTION")
        return self._editor.edit(unit, key, self._codecs[unit], function, attempts)

    def delete(
        self, unit: str, key: Key, *, if_generation: int | None = None, if_revision: int | None = None
    ) -> bool:
        """Deletes an object. Tickets on it keep what they have.

        Returns:
            Whether there was one.

        Raises:
            ConflictError: It is at another generation than `if_generation`, or another revision than `if_revision`.
            UnsupportedError: With `if_revision`, when the server is older than it. Nothing was done.

        Example:
            >>> vault.delete("notes", "greeting")
            True
            >>> vault.delete("notes", "greeting")
            False
        """
        self._require_unit(unit)
        spec = DeleteSpec(key, if_generation, if_revision=if_revision)
        spec.validate()
        return single(self._writes.delete(unit, [spec])) != 0

    def delete_many(self, unit: str, keys: Iterable[Key]) -> list[bool]:
        """Deletes objects; as `delete`, for all of them in one round trip.

        Returns:
            Whether there was one, for each.

        Raises:
            BatchError: Some could not be deleted.
            InvalidArgumentError: BAD_BATCH, `keys` is one text or no list; nothing was deleted.

        Example:
            >>> vault.delete_many("notes", ["greeting", "farewell"])
            [True, False]
        """
        self._require_unit(unit)
        wanted = listed("keys", keys)
        specs = validated([DeleteSpec(key) for key in wanted])
        outcomes = in_batches(specs, partial(self._writes.delete, unit))
        return all_or_error([each if isinstance(each, VaultError) else each != 0 for each in outcomes])

    def _new(
        self,
        unit: str,
        data: Datatype,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        data_id: int | None = None,
    ) -> UploadSpec:
        """What is said of a new object of the unit, checked."""
        self._codecs[unit].check(data)
        return _new_spec(type(data), name, tags, data_id)


def _new_spec(
    datatype: type[Datatype], name: str | None, tags: Mapping[str, str] | None, data_id: int | None
) -> UploadSpec:
    """A new object, checked before any I/O; without an id, under a random one."""
    new_id = new_data_id() if data_id is None else data_id
    spec = UploadSpec(new_id, name, {} if tags is None else tags, datatype.datatype_tag)
    spec.validate()
    check_new(name=spec.name, tags=spec.tags, datatype=spec.datatype)
    return spec
