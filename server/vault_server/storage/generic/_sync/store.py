# Generated from _async/store.py by scripts/unasync: DO NOT CHANGE.
"""The Store over an index, blobs and a signal."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from vault._runtime.fork import fork_count, refuse_inherited
from vault._runtime.version import __version__
from vault.errors import AlreadyExistsError, ChecksumError, ClosedError, ConflictError, NotFoundError, VaultError
from vault.store.contract import BlockReader, BlockWriter, Store, LoadResult
from vault.store.limits import (
    BLOCK_SIZE,
    check_batch,
    check_generation,
    check_key,
    check_page_size,
    check_prefix,
    check_range,
    check_request_id,
    check_resumable,
    check_small,
    check_tags,
)
from vault.store.values import (
    Capabilities,
    Change,
    DeleteSpec,
    Key,
    LoadedObject,
    LoadItem,
    MetadataSpec,
    NotModified,
    ObjectInfo,
    Page,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
)
from vault.store.values import checksum as checksum_of

from vault_server.storage.decision.decide import look
from vault_server.storage.decision.plan import Outcome, Plan
from vault_server.storage.decision.refusals import require_allowed, require_generation
from vault_server.storage.decision.rows import pack_checksums, to_info
from vault_server.storage.decision.writes import Content, Delete, SetMetadata, Update, Upload, Write, asked
from vault_server.storage.engine.reads import BATCH_BYTES
from vault_server.storage.files.reader import blocks_covering
from vault_server.storage.generic._sync.collection import Collection
from vault_server.storage.generic._sync.commits import Commits
from vault_server.storage.generic._sync.protocols import Blob, BlobStore, CommitSignal, Index
from vault_server.storage.generic._sync.reader import ContentReader
from vault_server.storage.generic._sync.suspended import Suspended
from vault_server.storage.generic._sync.watch import IndexWatch
from vault_server.storage.generic._sync.writer import NOTHING, AnsweredWriter, Incoming, StagedWriter
from vault_server.storage.generic.values import Stored
from vault_server.storage.index.listing import DEFAULT_PAGE_SIZE
from vault_server.storage.index.page_token import query_mark, read_token, write_token
from vault_server.storage.options import StoreOptions

_REFUSALS: Final = (AlreadyExistsError, ConflictError, NotFoundError)
"""What ends a write for good: what was staged of it is of no use."""


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class EngineStore(Store):
    """What a Store promises, over an engine. In a forked child every call raises ClosedError.

    Attributes:
        index, blobs, signal: The engine.
    """

    def __init__(
        self,
        index: Index,
        blobs: BlobStore,
        signal: CommitSignal,
        options: StoreOptions,
        *,
        durability: Literal["none", "relaxed", "full"],
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self.index = index
        self.blobs = blobs
        self.signal = signal
        self._durability = durability
        self._allowed_units = options.allowed_units
        self._collection = Collection(index, blobs, clock)
        self._commits = Commits(index, blobs, signal, keep=options.keep, clock=clock, applied=self._applied)
        self._suspended = Suspended(float(options.resume_window))
        self._revision = 0
        self._closed = False
        self._forks = fork_count()

    @property
    def revision(self) -> int:
        self.require_open()
        return self._revision

    def capabilities(self) -> Capabilities:
        self.require_open()
        return Capabilities(
            store_id=self.index.identity(),
            version=__version__,
            allowed_units=self._allowed_units,
            resume_window=self._suspended.window,
            durability=self._durability,
        )

    def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        self._check_keys(unit, keys)
        return [0 if row is None else row.generation for row in self.index.find(unit, keys)]

    def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        self._check_keys(unit, keys)
        return [None if row is None else to_info(row) for row in self.index.find(unit, keys)]

    def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page:
        self._require_unit(unit)
        if prefix is not None:
            check_prefix(prefix)
        tags = tags or {}
        check_tags(tags)
        check_page_size(page_size)
        mark = query_mark(self.index.identity(), unit, prefix, tags)
        after = read_token(page_token, mark, int if prefix is None else str)
        rows, last = self.index.page(unit, prefix, tags, after, page_size or DEFAULT_PAGE_SIZE)
        return Page([to_info(row) for row in rows], "" if last is None else write_token(last, mark))

    def list_units(self) -> list[str]:
        self.require_open()
        return [unit for unit in self.index.units() if not self._allowed_units or unit in self._allowed_units]

    def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        if_generation_not_match: int | None = None,
        generation: int | None = None,
    ) -> BlockReader | NotModified | None:
        self._require_unit(unit)
        check_key(key)
        check_range(offset, length)
        for number in (if_generation, if_generation_not_match, generation):
            check_generation(number)
        self._collection.collect()
        found, blob = self._open(unit, key, self._find(unit, key, generation), generation)
        if found is None:
            return None
        info = to_info(found.row)
        reader = ContentReader(info, found.content, blob)
        try:
            require_generation(unit, info.data_id, info.generation, if_generation)
            if info.generation == if_generation_not_match:
                reader.close()
                return NotModified(info.generation)
            check_range(offset, length, info.size)
        except VaultError:
            reader.close()
            raise
        reader.select(*blocks_covering(info.size, offset, length))
        return reader

    def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        self._require_unit(unit)
        check_batch(len(items))
        outcomes: list[LoadResult] = []
        asking: list[LoadItem] = []
        for item in items:
            try:
                check_key(item.key)
                check_generation(item.if_generation_not_match)
                asking.append(item)
                outcomes.append(None)
            except VaultError as error:
                outcomes.append(error)
        found = iter(self.index.stored(unit, [item.key for item in asking]))
        room = BATCH_BYTES
        for at, item in enumerate(items):
            if outcomes[at] is None and (stored := next(found)) is not None:
                try:
                    outcome = self._load_small(unit, item, stored, room)
                except VaultError as error:
                    outcome = error
                if isinstance(outcome, LoadedObject):
                    room -= len(outcome.data or b"")
                outcomes[at] = outcome
        return outcomes

    def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> BlockWriter:
        self._require_unit(unit)
        spec.validate()
        check_resumable(resumable)
        return self._begin(lambda content: Upload(unit, spec, content), resumable=resumable)

    def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> BlockWriter:
        self._require_unit(unit)
        spec.validate()
        check_resumable(resumable)
        return self._begin(lambda content: Update(unit, spec, content), resumable=resumable)

    def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        self._require_unit(unit)
        check_request_id(request_id)
        info = self._written(unit, request_id)
        return self._suspended.status(unit, request_id) if info is None else WriteStatus(info.size, info)

    def abort_write(self, unit: str, request_id: bytes) -> None:
        self._require_unit(unit)
        check_request_id(request_id)
        self._suspended.abort(unit, request_id)

    def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        return self._commit_many(unit, items, lambda item: Upload(unit, item.spec, _small(item)))

    def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        return self._commit_many(unit, items, lambda item: Update(unit, item.spec, _small(item)))

    def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        def delete(spec: DeleteSpec) -> Write:
            spec.validate()
            return Delete(unit, spec)

        return self._commit_many(unit, items, delete)

    def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        self._require_unit(unit)
        spec.validate()
        (outcome,) = self._commit([SetMetadata(unit, spec)])
        return _made(outcome)

    def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> IndexWatch:
        self.require_open()
        for unit in units:
            self._require_unit(unit)
        check_generation(since)
        return IndexWatch(
            self, units or self._allowed_units, self.index.revision() if since is None else since
        )

    def changes(self, since: int) -> tuple[int, list[Change]]:
        self.require_open()
        return self.index.changes(since)

    def close(self) -> None:
        self._closed = True
        self.signal.ring()
        self._suspended.close()

    def require_open(self) -> None:
        """Raises ClosedError when it is closed, or in a forked child."""
        refuse_inherited(self._forks, "the store")
        if self._closed:
            raise ClosedError("the store is closed")

    def commit(self, write: Upload | Update) -> ObjectInfo:
        """Commits a write whose bytes are staged."""
        (outcome,) = self._commit([write])
        return _made(outcome)

    def answered(self, write: Upload | Update) -> ObjectInfo | None:
        """What it was answered, when it was committed; raises what it is refused with as things are now."""
        self.require_open()
        return look(self.index.facts(asked([write])), write)

    def keep(self, writer: StagedWriter, incoming: Incoming) -> None:
        """Keeps a write that was suspended."""
        self._suspended.keep(writer, incoming)

    def leave(self, writer: StagedWriter) -> None:
        """The writer is over."""
        self._suspended.leave(writer)

    def _require_unit(self, unit: str) -> None:
        self.require_open()
        require_allowed(unit, self._allowed_units)

    def _check_keys(self, unit: str, keys: Sequence[Key]) -> None:
        self._require_unit(unit)
        check_batch(len(keys))
        for key in keys:
            check_key(key)

    def _find(self, unit: str, key: Key, generation: int | None) -> Stored | None:
        """The object, or one generation of it, which may be retired."""
        (found,) = self.index.stored(unit, [key])
        if generation is None or (found is not None and found.row.generation == generation):
            return found
        data_id = key if found is None else found.row.data_id
        retained = None if isinstance(data_id, str) else self.index.retained(unit, data_id, generation)
        if retained is None and found is not None:
            require_generation(unit, found.row.data_id, found.row.generation, generation)
        return retained

    def _load_small(self, unit: str, item: LoadItem, stored: Stored, room: int) -> LoadResult:
        info = to_info(stored.row)
        if info.generation == item.if_generation_not_match:
            return NotModified(info.generation)
        if info.size > min(BLOCK_SIZE, room):
            return LoadedObject(info, None)
        found, blob = self._open(unit, item.key, stored)
        reader = ContentReader(info, stored.content, blob)
        try:
            if found is not stored:  # it was replaced meanwhile
                return None if found is None else self._load_small(unit, item, found, room)
            return LoadedObject(info, b"".join([bytes(block.data) for block in reader]))
        finally:
            reader.close()

    def _open(
        self, unit: str, key: Key, found: Stored | None, generation: int | None = None
    ) -> tuple[Stored | None, Blob | None]:
        """What was found, or what there is by now where its blob was collected since; and its blob, open.

        None for a blob that is gone though the index has it: who reads it says so.
        """
        while found is not None and found.content.file is not None:
            blob = self.blobs.open(found.content.file)
            if blob is not None:
                return found, blob
            again = self._find(unit, key, generation)
            if again is not None and again.content.file == found.content.file:
                break
            found = again
        return found, None

    def _begin(
        self, make: Callable[[Content], Upload | Update], *, resumable: bool
    ) -> StagedWriter | AnsweredWriter:
        """Begins a write, or goes on with it. The commit decides; this is to refuse before the bytes are sent."""
        resumable = resumable and self._suspended.window > 0
        writer = StagedWriter(self, make, resumable=resumable)
        incoming = self._suspended.enter(writer) if resumable else None
        try:
            answered = self.answered(make(NOTHING))
            if incoming is None:
                incoming = Incoming(self.blobs.stage())
            writer.begin(incoming)
            if answered is None or not resumable:
                return writer
            writer.abort()
            return AnsweredWriter(answered)
        except BaseException as error:
            if incoming is not None:
                writer.begin(incoming)
            (writer.abort() if isinstance(error, _REFUSALS) else writer.suspend())
            raise

    def _written(self, unit: str, request_id: bytes) -> ObjectInfo | None:
        facts = self.index.facts(asked([Delete(unit, DeleteSpec(1, request_id=request_id))]))
        answer = facts.answers.get(("", request_id))
        if answer is None or answer.row.unit != unit or answer.kind not in (Upload.kind, Update.kind):
            return None
        return to_info(answer.row)

    def _commit_many(self, unit: str, items: Sequence[Any], prepare: Callable[[Any], Write]) -> list[Any]:
        """Commits a write for each item; one that is invalid has its error as its outcome."""
        self._require_unit(unit)
        check_batch(len(items))
        writes: list[Write] = []
        invalid: dict[int, VaultError] = {}
        for at, item in enumerate(items):
            try:
                writes.append(prepare(item))
            except VaultError as error:
                invalid[at] = error
        outcomes = iter(self._commit(writes) if writes else ())
        return [invalid[at] if at in invalid else next(outcomes) for at in range(len(items))]

    def _commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        outcomes = self._commits.commit(writes)
        refused = [
            write.content.file
            for write, outcome in zip(writes, outcomes, strict=True)
            if isinstance(outcome, VaultError) and isinstance(write, Upload | Update) and write.content.file
        ]
        if refused:  # placed, and then not accepted after all
            self.blobs.remove(refused)
        self._collection.collect()
        return outcomes

    def _applied(self, plan: Plan) -> None:
        self._revision = max(self._revision, plan.revision)
        self._collection.note(plan)


def _small(item: SmallUpload | SmallUpdate) -> Content:
    """The content of an item of a batch; raises what refuses it."""
    item.spec.validate()
    check_small(item.data, item.checksum)
    if checksum_of(item.data) != item.checksum:
        raise ChecksumError("the object does not match the checksum it was sent with")
    blocks = pack_checksums([item.checksum] if item.data else [])
    return Content(len(item.data), item.checksum, blocks, bytes(item.data))


def _made(outcome: Outcome) -> ObjectInfo:
    if isinstance(outcome, VaultError):
        raise outcome
    assert isinstance(outcome, ObjectInfo)  # noqa: S101  # what is no deletion is answered so
    return outcome
