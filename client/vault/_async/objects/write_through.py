"""Writing objects to the store, with the cache brought up to each write before it returns."""

from collections.abc import Sequence

from vault._async.objects.loader import AsyncParts, AsyncSharedFlight
from vault._cache.entry import Entry
from vault._cache.working_copy import WorkingCopy
from vault.datatype import Datatype
from vault.errors import ClosedError, ConflictError, EncodeError, VaultError
from vault.store.blocks import Encoded
from vault.store.outcomes import single
from vault.store.values import (
    Change,
    ChangeKind,
    DeleteSpec,
    Key,
    MetadataSpec,
    ObjectInfo,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
)


class AsyncWriteThrough:
    """Uploads, updates, deletes and writes back for one vault."""

    def __init__(self, parts: AsyncParts) -> None:
        self.affinity = parts.affinity
        self._store = parts.store
        self._cache = parts.cache
        self._coherence = parts.coherence
        self._codecs = parts.codecs
        self._closed = False

    def close(self) -> None:
        """Tickets that outlive their vault write nothing back from here on."""
        self._closed = True

    def check(self, unit: str, data: object) -> None:
        """Raises InvalidArgumentError, BAD_OBJECT, unless `data` is of the unit's Datatype."""
        self._codecs[unit].check(data)

    def uploaded(self, info: ObjectInfo) -> ObjectInfo:
        """This vault stored a new object; returns it."""
        return self._wrote(info, ChangeKind.UPLOADED)

    def updated(self, info: ObjectInfo) -> ObjectInfo:
        """This vault stored an object, perhaps in the place of another; returns it."""
        return self._wrote(info, ChangeKind.UPDATED)

    async def upload(self, unit: str, spec: UploadSpec, data: Datatype) -> ObjectInfo:
        """Stores a new object: in one round trip when it fits a block."""
        encoded = await self._codecs[unit].encode(data)
        if encoded is None or not encoded.fits_block:
            return await self.stream(unit, spec, data, encoded)
        item = SmallUpload(spec, encoded.data, encoded.checksum)
        return single(await self.upload_small(unit, [item]))

    async def stream(self, unit: str, spec: UploadSpec, data: Datatype, encoded: Encoded | None) -> ObjectInfo:
        """Stores a new object that does not fit a block; `encoded` where it is whole already."""
        return self.uploaded(await self._codecs[unit].write(lambda: self._store.upload(unit, spec), data, encoded))

    async def upload_small(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        """Stores new objects of at most one block each, each with its own outcome."""
        outcomes = await self._store.upload_many(unit, items)
        for outcome in outcomes:
            if isinstance(outcome, ObjectInfo):
                self.uploaded(outcome)
        return outcomes

    async def update(self, unit: str, spec: UpdateSpec, data: Datatype) -> ObjectInfo:
        """Replaces an object's bytes."""
        return self.updated(await self._replace(unit, spec, data))

    async def put(self, unit: str, spec: PutSpec, data: Datatype) -> ObjectInfo:
        """Stores an object, new or in the place of another: in one round trip when it fits a block."""
        encoded = await self._codecs[unit].encode(data)
        if encoded is None or not encoded.fits_block:
            return await self.put_stream(unit, spec, data, encoded)
        return single(await self.put_small(unit, [SmallPut(spec, encoded.data, encoded.checksum)]))

    async def put_stream(self, unit: str, spec: PutSpec, data: Datatype, encoded: Encoded | None) -> ObjectInfo:
        """The same for one that does not fit a block; `encoded` where it is whole already."""
        return self.updated(await self._codecs[unit].write(lambda: self._store.put(unit, spec), data, encoded))

    async def put_small(self, unit: str, items: Sequence[SmallPut]) -> Sequence[ObjectInfo | VaultError]:
        """The same for objects of at most one block each, each with its own outcome."""
        outcomes = await self._store.put_many(unit, items)
        for outcome in outcomes:
            if isinstance(outcome, ObjectInfo):
                self.updated(outcome)
        return outcomes

    async def delete(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        """Deletes objects, each with its own outcome: the revision, 0 where there was none."""
        outcomes = await self._store.delete_many(unit, items)
        somewhere = 0
        for item, revision in zip(items, outcomes, strict=True):
            if isinstance(revision, VaultError) or not revision:
                continue
            if isinstance(item.key, int):
                self._cache.apply(Change(revision, unit, item.key, ChangeKind.DELETED, 0))
            else:  # the reply does not say which object had that name
                somewhere = max(somewhere, revision)
        if somewhere:
            self._coherence.wrote_somewhere(unit, somewhere)
        return outcomes

    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        """Changes an object's name, tags or expiry."""
        info = await self._store.set_metadata(unit, spec)
        self._described(unit, [spec], [info])
        return info

    async def set_metadata_many(self, unit: str, items: Sequence[MetadataSpec]) -> Sequence[ObjectInfo | VaultError]:
        """The same for many, each with its own outcome."""
        outcomes = await self._store.set_metadata_many(unit, items)
        self._described(unit, items, outcomes)
        return outcomes

    def _described(self, unit: str, items: Sequence[MetadataSpec], outcomes: Sequence[ObjectInfo | VaultError]) -> None:
        somewhere = 0
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, ObjectInfo):
                self._wrote(outcome, ChangeKind.METADATA)
                if item.replace:  # the reply does not say whether there was an object of that name, nor which
                    somewhere = max(somewhere, outcome.revision)
        if somewhere:
            self._coherence.wrote_somewhere(unit, somewhere)

    def _wrote(self, info: ObjectInfo, kind: ChangeKind) -> ObjectInfo:
        """This vault wrote an object: its cache shows nothing older from here on."""
        self._cache.apply(Change(info.revision, info.unit, info.data_id, kind, info.generation, info.name))
        return info

    async def write_back(self, entry: Entry, working: WorkingCopy, *, last_only: bool) -> None:
        """Writes a working copy under the generation it was made from.

        Whatever goes wrong, the working copy is given up: nobody writes it later.

        Args:
            last_only: Leaves the writing to the other tickets that have the working copy, while there are any.

        Raises:
            ConflictError: The object is at another generation, or the working copy was given up.
            NotFoundError: It was deleted meanwhile.
            EncodeError, StorageFullError, UnavailableError: It could not be written.
        """
        try:
            async with entry.write_lock:
                # Asked under the lock: a working copy begun from a sealed one could overtake it otherwise.
                if working.broken or not last_only or entry.leave_or_seal(working):
                    await self._write_back(entry, working)
        except BaseException:
            working.broken = True
            self._cache.forget(entry)
            raise

    async def _write_back(self, entry: Entry, working: WorkingCopy) -> None:
        if self._closed:
            raise ClosedError("the vault was closed before the ticket: its edit is not written")
        unit, data_id, generation = entry.info.unit, entry.info.data_id, working.generation
        if working.broken or generation is None:
            raise ConflictError(
                f"object {data_id} in unit {unit!r} was not written: another ticket that shared the edit gave it up",
                reason="EDIT_GIVEN_UP",
                unit=unit,
                data_id=data_id,
            )
        # Who else has the working copy goes on changing it: then what is written, and shown to readers, is a copy.
        data = working.data if entry.seal(working) else working.data._clone()  # noqa: SLF001  # the Datatype's contract
        epoch = await self._coherence.epoch()
        flight = AsyncSharedFlight()
        async with flight.lock:
            with self._cache.writing(entry, flight) as sent:
                spec = UpdateSpec(data_id, if_generation=generation, datatype=type(data).datatype_tag)
                info = await self._replace(unit, spec, data)
                self._cache.written(entry, working, info, data, epoch, sent=sent)

    async def _replace(self, unit: str, spec: UpdateSpec, data: Datatype) -> ObjectInfo:
        codec = self._codecs[unit]
        try:
            encoded = await codec.encode(data)
            if encoded is not None and encoded.fits_block:
                return single(await self._store.update_many(unit, [SmallUpdate(spec, encoded.data, encoded.checksum)]))
            return await codec.write(lambda: self._store.update(unit, spec), data, encoded)
        except EncodeError as error:
            raise _naming(error, spec.key) from error.__cause__


def _naming(error: EncodeError, key: Key) -> EncodeError:
    """The error, with the object that was to be replaced."""
    where = {"data_id": key} if isinstance(key, int) else {"name": key}
    return EncodeError(f"object {key!r}: {error}", reason=error.reason, **{**error.context, **where})
