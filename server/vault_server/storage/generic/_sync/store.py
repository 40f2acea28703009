# Generated from _async/store.py by scripts/unasync: DO NOT CHANGE.
"""The Store over an engine's parts: its writes, with arguments checked, made, committed, answered; and leases."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from vault._runtime.sync_async import Returned
from vault.errors import VaultError, object_not_found
from vault.store.columns import Columns
from vault.store.contract import BlockWriter
from vault.store.limits import (
    check_batch,
    check_lease,
    check_name,
    check_principal,
    check_request_id,
    check_resumable,
    check_spec,
)
from vault.store.outcomes import merged, single, validated
from vault.store.specs import (
    CopySpec,
    DeleteSpec,
    MetadataSpec,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
)
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits
from vault.store.values import ObjectInfo, WriteStatus
from vault.store.write_columns import SmallPuts, SmallUploads, check_small_batch, valid_columns

from vault_server.storage.decision.decide import preview, require_room
from vault_server.storage.decision.leases import holder_of
from vault_server.storage.decision.plan import Facts
from vault_server.storage.decision.refusals import cut_short, require_generation
from vault_server.storage.decision.rows import to_info
from vault_server.storage.decision.stored import Purged
from vault_server.storage.decision.writes import (
    NOTHING,
    Batch,
    Content,
    ContentWrite,
    Copy,
    Delete,
    Put,
    SetMetadata,
    Update,
    Upload,
    Write,
    asked,
)
from vault_server.storage.generic._sync.reading_store import ReadingStore

T = TypeVar("T")


class EngineStore(ReadingStore):
    """What every engine's Store does alike: reads, and these writes."""

    def finish(self, work: Returned[T]) -> T:
        """Does it to its end, where an engine's work must not end with a cancelled caller."""
        return work

    def set_unit_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        self._require_unit(unit)
        check_spec(limits, UnitLimits)
        return self.finish(self.commits.set_limits(unit, limits))

    def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        self.require_open()
        check_principal(principal)
        check_spec(limits, PrincipalLimits)
        return self.finish(self.commits.set_principal_limits(principal, limits))

    def purge_retained(self, unit: str | None = None) -> Purged:
        """Removes the bytes of generations that were replaced or deleted now, rather than when their retention ends.

        What reads one goes on; what asks for one anew finds it gone, as after its retention: a download that lost its
        connection, a reader that seeks. Current objects and resumable writes stay. On a disk, the room of what
        the register itself holds is used for what comes, and overwritten by it.

        Args:
            unit: Of this unit alone.

        Returns:
            What was removed: how many generations, and their bytes.

        Raises:
            StorageError: Files are there still that cannot be removed.
        """
        if unit is None:
            self.require_open()
        else:
            self._require_unit(unit)
        return self.finish(self.commits.purge(unit))

    def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> BlockWriter:
        self._require_unit(unit)
        check_spec(spec, UploadSpec)
        check_resumable(resumable)
        return self.begin(Upload(unit, spec, NOTHING, self.principal), resumable=resumable)

    def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> BlockWriter:
        self._require_unit(unit)
        check_spec(spec, UpdateSpec)
        check_resumable(resumable)
        return self.begin(Update(unit, spec, NOTHING, self.principal), resumable=resumable)

    def put(self, unit: str, spec: PutSpec | UpdateSpec, *, resumable: bool = False) -> BlockWriter:
        self._require_unit(unit)
        check_spec(spec, (PutSpec, UpdateSpec))
        check_resumable(resumable)
        return self.begin(_put(unit, spec, NOTHING, self.principal), resumable=resumable)

    @abstractmethod
    def begin(self, write: ContentWrite, *, resumable: bool) -> BlockWriter:
        """Begins a write, or goes on with it. The commit decides; this is to refuse before the bytes are sent."""

    def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        self._require_unit(unit)
        check_request_id(request_id)
        key = self.principal, request_id
        facts = self.index.facts(asked([Delete(unit, DeleteSpec(1, request_id=request_id))]))
        answer = facts.answers.get(key)
        if answer is None or answer.row.unit != unit or answer.kind not in (Upload.kind, Update.kind):
            return self.suspended.status(unit, key)
        return WriteStatus(answer.row.size, to_info(answer.row))

    def abort_write(self, unit: str, request_id: bytes) -> None:
        self._require_unit(unit)
        check_request_id(request_id)
        self.suspended.abort(unit, (self.principal, request_id))

    def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        self._require_unit(unit)
        check_small_batch(items, UploadSpec)
        return self.finish(self._write_small(Upload, unit, items, SmallUploads))

    def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        self._require_unit(unit)
        check_small_batch(items, UpdateSpec)
        return self.finish(self._write_small(Update, unit, items))

    def put_many(self, unit: str, items: Sequence[SmallPut]) -> Sequence[ObjectInfo | VaultError]:
        self._require_unit(unit)
        check_small_batch(items, (PutSpec, UpdateSpec))
        return self.finish(self._write_small(_put, unit, items, SmallPuts))

    def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        self._require_unit(unit)
        check_batch(items, DeleteSpec)
        return self.finish(self._commit_valid(Delete, unit, items))

    def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        self._require_unit(unit)
        check_spec(spec, MetadataSpec)
        return self.finish(self.commit(SetMetadata(unit, spec, self.principal)))

    def set_metadata_many(self, unit: str, items: Sequence[MetadataSpec]) -> Sequence[ObjectInfo | VaultError]:
        self._require_unit(unit)
        check_batch(items, MetadataSpec)
        return self.finish(self._commit_valid(SetMetadata, unit, items))

    def copy_many(
        self, unit: str, items: Sequence[CopySpec], *, to_unit: str | None = None
    ) -> Sequence[ObjectInfo | VaultError]:
        self._require_unit(unit)
        target = unit if to_unit is None else to_unit
        self._require_unit(target)
        check_batch(items, CopySpec)
        return self.finish(self._copy_many(unit, target, items))

    def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        self._require_unit(unit)
        check_name(name)
        check_lease(holder, seconds)
        return self.leases.acquire_lease(unit, name, holder_of(self.principal, holder), seconds)

    def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        self._require_unit(unit)
        check_name(name)
        check_lease(holder, 1.0)
        self.leases.release_lease(unit, name, holder_of(self.principal, holder))

    def commit(self, write: Write) -> ObjectInfo:
        """What one write is answered, which is no deletion, once it is durable; or raises what refuses it."""
        outcome = single(self.commits.commit([write]))
        assert isinstance(outcome, ObjectInfo)  # noqa: S101  # what is no deletion is answered so
        return outcome

    def answered(self, write: ContentWrite) -> ObjectInfo | None:
        """What it was answered, when it was committed; raises what it is refused with as things are now."""
        return preview(self._facts(write), write, self.clock.now())

    def require_room(self, write: ContentWrite) -> None:
        """Raises StorageFullError, QUOTA, when there is no room for as many bytes as the write's content says."""
        require_room(self._facts(write), write, self.clock.now())

    def _facts(self, write: ContentWrite) -> Facts:
        """What is known of what a write is about, as far as there is room without what has expired."""
        facts = self.index.facts(asked([write]))
        usage = facts.units.get(write.unit)
        if usage is not None and usage.is_limited:
            (info,) = self.index.unit_infos([write.unit])
            facts.units[write.unit] = usage._replace(objects=info.objects, bytes=info.bytes)
        account = facts.accounts.get(write.principal)
        if account is not None and account.is_limited:
            (charged,) = self.index.principal_infos([write.principal])
            facts.accounts[write.principal] = account._replace(objects=charged.objects, bytes=charged.bytes)
        return facts

    def _write_small(
        self,
        make: Callable[[str, Any, Content, str], Write],
        unit: str,
        items: Sequence[Any],
        kind: type[SmallUploads | SmallPuts] | None = None,
    ) -> Sequence[Any]:
        """Args: kind: The columns that a batch may be; None: it goes item by item."""
        columns = valid_columns(kind, items) if kind is not None and len(items) > 1 else None
        wanted: Sequence[Any] = items if columns is None else columns
        if columns is None and type(items) is not list and isinstance(items, Columns):
            wanted = list(items)
        contents = self.blobs.contents(unit, wanted)
        if columns is not None:
            sound = [content for content in contents if isinstance(content, Content)]
            if len(sound) == len(contents):
                return self.commits.commit(Batch(unit, columns, sound, self.principal))
        return self._commit(
            [
                content if isinstance(content, VaultError) else make(unit, item.spec, content, self.principal)
                for item, content in zip(wanted, contents, strict=True)
            ]
        )

    def _commit_valid(self, make: type[Delete | SetMetadata], unit: str, specs: Sequence[Any]) -> list[Any]:
        return self._commit(
            [spec if isinstance(spec, VaultError) else make(unit, spec, self.principal) for spec in validated(specs)]
        )

    def _copy_many(self, unit: str, target: str, items: Sequence[CopySpec]) -> list[Any]:
        writes: list[Write | VaultError] = []
        for spec in items:
            try:
                spec.validate()
                writes.append(self._read_source(Copy(target, spec, unit, principal=self.principal)))
            except VaultError as error:
                writes.append(error)
        return self._commit(writes)

    def _read_source(self, write: Copy) -> Copy:
        """The write with what it copies; as it is where that cannot be read, and the request was applied before."""
        unit, spec = write.from_unit, write.spec
        gone = None
        try:
            while True:
                found = self.index.stored(unit, spec.key)
                if found is None:
                    raise object_not_found(unit, spec.key)
                info = found.info
                require_generation(unit, info.data_id, info.generation, spec.if_generation)
                if found.content.file is not None and found.content.file == gone:
                    raise cut_short(info, 0)
                content = self.blobs.copy(write.unit, found)
                if content is not None:
                    return replace(write, source=info, content=content)
                gone = found.content.file  # collected since, unless the index still has it
        except VaultError:
            facts = self.index.facts(asked([write]))
            if (write.principal, spec.request_id) not in facts.answers:
                raise
            return write

    def _commit(self, items: Sequence[Write | VaultError]) -> list[Any]:
        """What each write is answered; what was refused before has its error as its outcome."""
        writes = [item for item in items if not isinstance(item, VaultError)]
        return merged(items, self.commits.commit(writes) if writes else ())


def _put(unit: str, spec: PutSpec | UpdateSpec, content: Content, principal: str) -> Put | Update:
    if isinstance(spec, UpdateSpec):
        return Update(unit, spec, content, principal)
    return Put(unit, spec, content, principal)
