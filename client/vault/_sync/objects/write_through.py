# Generated from _async/objects/write_through.py by scripts/unasync: DO NOT CHANGE.
"""Writing objects to the store, with the cache brought up to each write before it returns."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from vault._sync.objects.loader import Parts, SharedFlight
from vault._cache.entry import Entry
from vault._cache.working_copy import WorkingCopy
from vault.datatype import Datatype
from vault.errors import ClosedError, ConflictError, EncodeError, VaultError
from vault.store.blocks import Encoded
from vault.store.columns import ObjectInfos
from vault.store.contract import BlockWriter
from vault.store.limits import BLOCK_SIZE, MAX_BATCH_ITEMS
from vault.store.outcomes import single
from vault.store.specs import DeleteSpec, MetadataSpec, SmallObject, UpdateSpec, UploadSpec, WriteSpec
from vault.store.values import Change, ChangeKind, Key, ObjectInfo
from vault.store.write_columns import SmallPuts, SmallUploads

_BYTES_AT_A_TIME: Final = 16 << 20  # dumped and not yet sent


class WriteThrough:
    """Uploads, updates, deletes and writes back for one vault.

    Attributes:
        affinity: The vault's.
        cache: The vault's: what its tickets need, and their writes go into.
        auto_update: Whether each edited ticket writes back when it closes, or the last one of an object.
    """

    def __init__(self, parts: Parts, *, auto_update: bool) -> None:
        self.affinity = parts.affinity
        self.cache = parts.cache
        self.auto_update = auto_update
        self._store = parts.store
        self._coherence = parts.coherence
        self._codecs = parts.codecs
        self._closed = False

    def close(self) -> None:
        """Tickets that outlive their vault write nothing back from here on."""
        self._closed = True

    def check(self, unit: str, data: object) -> None:
        """Raises InvalidArgumentError, BAD_OBJECT, unless `data` is of the unit's Datatype."""
        self._codecs[unit].check(data)

    def wrote(self, info: ObjectInfo) -> ObjectInfo:
        """This vault stored an object, new or in the place of another; returns it."""
        return self._changed(info, ChangeKind.UPDATED)

    def begin(self, unit: str, spec: WriteSpec) -> BlockWriter:
        """Begins to store an object, as the spec says."""
        match spec:
            case UploadSpec():
                return self._store.upload(unit, spec)
            case UpdateSpec():
                return self._store.update(unit, spec)
            case _:
                return self._store.put(unit, spec)

    def write(self, unit: str, spec: WriteSpec, data: Datatype) -> ObjectInfo:
        """Stores an object, as the spec says: in one round trip when it fits a block."""
        return self.wrote(self._write(unit, spec, data))

    def write_many(
        self,
        unit: str,
        objects: Sequence[Datatype],
        spec_of: Callable[[int, Datatype], WriteSpec],
        columns_of: Callable[[Sequence[int], Sequence[str], Sequence[bytes]], SmallUploads | SmallPuts],
        refused: Mapping[int, VaultError] = MappingProxyType({}),
    ) -> Sequence[ObjectInfo | VaultError]:
        """What became of each object; of two that get in each other's way, the first comes first.

        Args:
            spec_of: What is to become of the object at a place, when it does not fit a block. What it raises is the
                outcome.
            columns_of: What is to become of those at these places, of these datatypes and bytes.
            refused: By place, what is not written.
        """
        codec = self._codecs[unit]
        results: list[Any] = []
        while (start := len(results)) < len(objects):
            end = start + MAX_BATCH_ITEMS
            encoded: list[Any] = codec.encode_some(objects[start:end], _BYTES_AT_A_TIME)
            for at in range(len(encoded)) if refused else ():
                encoded[at] = refused.get(start + at, encoded[at])
            small = [at for at, raw in enumerate(encoded) if isinstance(raw, bytes) and len(raw) <= BLOCK_SIZE]
            if small:
                raws = encoded
                places: Sequence[int] = range(start, start + len(small))
                if len(small) < len(encoded):
                    raws, places = [encoded[at] for at in small], [start + at for at in small]
                tag_of = _Tags()
                columns = columns_of(places, [tag_of[type(objects[place])] for place in places], raws)
                outcomes = self._wrote_many(unit, self._send(unit, columns))
                if len(small) == len(objects):
                    return outcomes  # as it is: it may be columns
                for at, outcome in zip(small, outcomes, strict=True):
                    encoded[at] = outcome
            results += encoded
            if isinstance(raw := encoded[-1], bytes | None):
                data = objects[len(results) - 1]
                try:
                    spec = spec_of(len(results) - 1, data)
                    whole = None if raw is None else Encoded(type(data).datatype_tag, raw)
                    results[-1] = self.wrote(self._stream(unit, spec, data, whole))
                except VaultError as error:
                    results[-1] = error
        return results

    def delete(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        """Deletes objects, each with its own outcome: the revision, 0 where there was none."""
        outcomes = self._store.delete_many(unit, items)
        newest, newest_by_name = 0, 0
        for item, revision in zip(items, outcomes, strict=True):
            if isinstance(revision, VaultError) or not revision:
                continue
            newest = max(newest, revision)
            if isinstance(item.key, int):
                self.cache.apply(Change(revision, unit, item.key, ChangeKind.DELETED, 0))
            else:
                newest_by_name = max(newest_by_name, revision)
        # The reply says neither which object had that name nor which name an object had.
        if newest_by_name:
            self._coherence.wrote_somewhere(unit, newest_by_name, only_names=False)
        if newest > newest_by_name:
            self._coherence.wrote_somewhere(unit, newest, only_names=True)
        return outcomes

    def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        """Changes an object's name, tags or expiry."""
        info = self._store.set_metadata(unit, spec)
        self._described(unit, [spec], [info])
        return info

    def set_metadata_many(self, unit: str, items: Sequence[MetadataSpec]) -> Sequence[ObjectInfo | VaultError]:
        """The same for many, each with its own outcome."""
        outcomes = self._store.set_metadata_many(unit, items)
        self._described(unit, items, outcomes)
        return outcomes

    def _described(self, unit: str, items: Sequence[MetadataSpec], outcomes: Sequence[ObjectInfo | VaultError]) -> None:
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, ObjectInfo):
                self._changed(outcome, ChangeKind.METADATA)
                # The reply does not say which name it had, nor which object had the name that it has now.
                if item.name is not None:
                    self._coherence.wrote_somewhere(unit, outcome.revision, only_names=not item.replace)

    def _changed(self, info: ObjectInfo, kind: ChangeKind) -> ObjectInfo:
        """This vault wrote an object: its cache shows nothing older from here on."""
        self.cache.apply(Change(info.revision, info.unit, info.data_id, kind, info.generation, info.name))
        return info

    def _wrote_many(self, unit: str, outcomes: Sequence[ObjectInfo | VaultError]) -> Sequence[ObjectInfo | VaultError]:
        """As `wrote`, of those that were stored."""
        infos: ObjectInfos[VaultError] = ObjectInfos.of(outcomes)
        self.cache.wrote(unit, infos)
        return infos

    def write_back(self, entry: Entry, working: WorkingCopy, *, last_only: bool) -> None:
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
            with entry.write_lock:
                # Asked under the lock: a working copy begun from a sealed one could overtake it otherwise.
                if working.broken or not last_only or entry.leave_or_seal(working):
                    self._write_back(entry, working)
        except BaseException:
            working.broken = True
            self.cache.forget(entry)
            raise

    def _write_back(self, entry: Entry, working: WorkingCopy) -> None:
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
        epoch = self._coherence.epoch()
        flight = SharedFlight()
        with flight.lock:
            with self.cache.writing(entry, flight) as sent:
                spec = UpdateSpec(data_id, if_generation=generation, datatype=type(data).datatype_tag)
                info = self._write(unit, spec, data)
                self.cache.written(entry, working, info, data, epoch, sent=sent)

    def _write(self, unit: str, spec: WriteSpec, data: Datatype) -> ObjectInfo:
        try:
            encoded = self._codecs[unit].encode(data)
            if encoded is not None and encoded.fits_block:
                return single(self._send(unit, [SmallObject(spec, encoded.data, encoded.checksum)]))
            return self._stream(unit, spec, data, encoded)
        except EncodeError as error:
            if isinstance(spec, UpdateSpec):
                raise _naming(error, spec.key) from error.__cause__
            raise

    def _send(self, unit: str, items: Sequence[SmallObject[Any]]) -> Sequence[ObjectInfo | VaultError]:
        """Writes objects of at most one block each, whose specs are of one type; each with its own outcome."""
        if type(items) is SmallUploads:
            return self._store.upload_many(unit, items)
        if type(items) is SmallPuts:
            return self._store.put_many(unit, items)
        match items[0].spec:
            case UploadSpec():
                return self._store.upload_many(unit, items)
            case UpdateSpec():
                return self._store.update_many(unit, items)
            case _:
                return self._store.put_many(unit, items)

    def _stream(self, unit: str, spec: WriteSpec, data: Datatype, encoded: Encoded | None) -> ObjectInfo:
        """Writes an object that does not fit a block; `encoded` where it is whole already."""
        return self._codecs[unit].write(lambda: self.begin(unit, spec), data, encoded)


class _Tags(dict[type[Datatype], str]):
    """The tags of Datatypes, each asked for once."""

    def __missing__(self, kind: type[Datatype]) -> str:
        tag = self[kind] = kind.datatype_tag
        return tag


def _naming(error: EncodeError, key: Key) -> EncodeError:
    """The error, with the object that was to be replaced."""
    where = {"data_id": key} if isinstance(key, int) else {"name": key}
    return EncodeError(f"object {key!r}: {error}", reason=error.reason, **{**error.context, **where})
