"""The Store over an index, blobs and a signal."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from vault._runtime.fork import fork_count, refuse_inherited
from vault._runtime.version import __version__
from vault.errors import AlreadyExistsError, ChecksumError, ClosedError, ConflictError, NotFoundError, VaultError
from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncStore, LoadResult
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
from vault_server.storage.generic._async.collection import AsyncCollection
from vault_server.storage.generic._async.commits import AsyncCommits
from vault_server.storage.generic._async.protocols import AsyncBlob, AsyncBlobStore, AsyncCommitSignal, AsyncIndex
from vault_server.storage.generic._async.reader import AsyncContentReader
from vault_server.storage.generic._async.suspended import AsyncSuspended
from vault_server.storage.generic._async.watch import AsyncIndexWatch
from vault_server.storage.generic._async.writer import NOTHING, AsyncAnsweredWriter, AsyncIncoming, AsyncStagedWriter
from vault_server.storage.generic.values import Stored
from vault_server.storage.index.listing import DEFAULT_PAGE_SIZE
from vault_server.storage.index.page_token import query_mark, read_token, write_token
from vault_server.storage.options import StoreOptions

_REFUSALS: Final = (AlreadyExistsError, ConflictError, NotFoundError)
"""What ends a write for good: what was staged of it is of no use."""


def wall_clock() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class AsyncEngineStore(AsyncStore):
    """What a Store promises, over an engine. In a forked child every call raises ClosedError.

    Attributes:
        index, blobs, signal: The engine.
    """

    def __init__(
        self,
        index: AsyncIndex,
        blobs: AsyncBlobStore,
        signal: AsyncCommitSignal,
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
        self._collection = AsyncCollection(index, blobs, clock)
        self._commits = AsyncCommits(index, blobs, signal, keep=options.keep, clock=clock, applied=self._applied)
        self._suspended = AsyncSuspended(float(options.resume_window))
        self._revision = 0
        self._closed = False
        self._forks = fork_count()

    @property
    def revision(self) -> int:
        self.require_open()
        return self._revision

    async def capabilities(self) -> Capabilities:
        self.require_open()
        return Capabilities(
            store_id=await self.index.identity(),
            version=__version__,
            allowed_units=self._allowed_units,
            resume_window=self._suspended.window,
            durability=self._durability,
        )

    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        self._check_keys(unit, keys)
        return [0 if row is None else row.generation for row in await self.index.find(unit, keys)]

    async def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        self._check_keys(unit, keys)
        return [None if row is None else to_info(row) for row in await self.index.find(unit, keys)]

    async def list_page(
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
        mark = query_mark(await self.index.identity(), unit, prefix, tags)
        after = read_token(page_token, mark, int if prefix is None else str)
        rows, last = await self.index.page(unit, prefix, tags, after, page_size or DEFAULT_PAGE_SIZE)
        return Page([to_info(row) for row in rows], "" if last is None else write_token(last, mark))

    async def list_units(self) -> list[str]:
        self.require_open()
        return [unit for unit in await self.index.units() if not self._allowed_units or unit in self._allowed_units]

    async def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        if_generation_not_match: int | None = None,
        generation: int | None = None,
    ) -> AsyncBlockReader | NotModified | None:
        self._require_unit(unit)
        check_key(key)
        check_range(offset, length)
        for number in (if_generation, if_generation_not_match, generation):
            check_generation(number)
        await self._collection.collect()
        found, blob = await self._open(unit, key, await self._find(unit, key, generation), generation)
        if found is None:
            return None
        info = to_info(found.row)
        reader = AsyncContentReader(info, found.content, blob)
        try:
            require_generation(unit, info.data_id, info.generation, if_generation)
            if info.generation == if_generation_not_match:
                await reader.close()
                return NotModified(info.generation)
            check_range(offset, length, info.size)
        except VaultError:
            await reader.close()
            raise
        reader.select(*blocks_covering(info.size, offset, length))
        return reader

    async def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
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
        found = iter(await self.index.stored(unit, [item.key for item in asking]))
        room = BATCH_BYTES
        for at, item in enumerate(items):
            if outcomes[at] is None and (stored := next(found)) is not None:
                try:
                    outcome = await self._load_small(unit, item, stored, room)
                except VaultError as error:
                    outcome = error
                if isinstance(outcome, LoadedObject):
                    room -= len(outcome.data or b"")
                outcomes[at] = outcome
        return outcomes

    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        self._require_unit(unit)
        spec.validate()
        check_resumable(resumable)
        return await self._begin(lambda content: Upload(unit, spec, content), resumable=resumable)

    async def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        self._require_unit(unit)
        spec.validate()
        check_resumable(resumable)
        return await self._begin(lambda content: Update(unit, spec, content), resumable=resumable)

    async def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        self._require_unit(unit)
        check_request_id(request_id)
        info = await self._written(unit, request_id)
        return await self._suspended.status(unit, request_id) if info is None else WriteStatus(info.size, info)

    async def abort_write(self, unit: str, request_id: bytes) -> None:
        self._require_unit(unit)
        check_request_id(request_id)
        await self._suspended.abort(unit, request_id)

    async def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        return await self._commit_many(unit, items, lambda item: Upload(unit, item.spec, _small(item)))

    async def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        return await self._commit_many(unit, items, lambda item: Update(unit, item.spec, _small(item)))

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        def delete(spec: DeleteSpec) -> Write:
            spec.validate()
            return Delete(unit, spec)

        return await self._commit_many(unit, items, delete)

    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        self._require_unit(unit)
        spec.validate()
        (outcome,) = await self._commit([SetMetadata(unit, spec)])
        return _made(outcome)

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncIndexWatch:
        self.require_open()
        for unit in units:
            self._require_unit(unit)
        check_generation(since)
        return AsyncIndexWatch(
            self, units or self._allowed_units, await self.index.revision() if since is None else since
        )

    async def changes(self, since: int) -> tuple[int, list[Change]]:
        self.require_open()
        return await self.index.changes(since)

    async def close(self) -> None:
        self._closed = True
        self.signal.ring()
        await self._suspended.close()

    def require_open(self) -> None:
        """Raises ClosedError when it is closed, or in a forked child."""
        refuse_inherited(self._forks, "the store")
        if self._closed:
            raise ClosedError("the store is closed")

    async def commit(self, write: Upload | Update) -> ObjectInfo:
        """Commits a write whose bytes are staged."""
        (outcome,) = await self._commit([write])
        return _made(outcome)

    async def answered(self, write: Upload | Update) -> ObjectInfo | None:
        """What it was answered, when it was committed; raises what it is refused with as things are now."""
        self.require_open()
        return look(await self.index.facts(asked([write])), write)

    async def keep(self, writer: AsyncStagedWriter, incoming: AsyncIncoming) -> None:
        """Keeps a write that was suspended."""
        await self._suspended.keep(writer, incoming)

    def leave(self, writer: AsyncStagedWriter) -> None:
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

    async def _find(self, unit: str, key: Key, generation: int | None) -> Stored | None:
        """The object, or one generation of it, which may be retired."""
        (found,) = await self.index.stored(unit, [key])
        if generation is None or (found is not None and found.row.generation == generation):
            return found
        data_id = key if found is None else found.row.data_id
        retained = None if isinstance(data_id, str) else await self.index.retained(unit, data_id, generation)
        if retained is None and found is not None:
            require_generation(unit, found.row.data_id, found.row.generation, generation)
        return retained

    async def _load_small(self, unit: str, item: LoadItem, stored: Stored, room: int) -> LoadResult:
        info = to_info(stored.row)
        if info.generation == item.if_generation_not_match:
            return NotModified(info.generation)
        if info.size > min(BLOCK_SIZE, room):
            return LoadedObject(info, None)
        found, blob = await self._open(unit, item.key, stored)
        reader = AsyncContentReader(info, stored.content, blob)
        try:
            if found is not stored:  # it was replaced meanwhile
                return None if found is None else await self._load_small(unit, item, found, room)
            return LoadedObject(info, b"".join([bytes(block.data) async for block in reader]))
        finally:
            await reader.close()

    async def _open(
        self, unit: str, key: Key, found: Stored | None, generation: int | None = None
    ) -> tuple[Stored | None, AsyncBlob | None]:
        """What was found, or what there is by now where its blob was collected since; and its blob, open.

        None for a blob that is gone though the index has it: who reads it says so.
        """
        while found is not None and found.content.file is not None:
            blob = await self.blobs.open(found.content.file)
            if blob is not None:
                return found, blob
            again = await self._find(unit, key, generation)
            if again is not None and again.content.file == found.content.file:
                break
            found = again
        return found, None

    async def _begin(
        self, make: Callable[[Content], Upload | Update], *, resumable: bool
    ) -> AsyncStagedWriter | AsyncAnsweredWriter:
        """Begins a write, or goes on with it. The commit decides; this is to refuse before the bytes are sent."""
        resumable = resumable and self._suspended.window > 0
        writer = AsyncStagedWriter(self, make, resumable=resumable)
        incoming = await self._suspended.enter(writer) if resumable else None
        try:
            answered = await self.answered(make(NOTHING))
            if incoming is None:
                incoming = AsyncIncoming(await self.blobs.stage())
            writer.begin(incoming)
            if answered is None or not resumable:
                return writer
            await writer.abort()
            return AsyncAnsweredWriter(answered)
        except BaseException as error:
            if incoming is not None:
                writer.begin(incoming)
            await (writer.abort() if isinstance(error, _REFUSALS) else writer.suspend())
            raise

    async def _written(self, unit: str, request_id: bytes) -> ObjectInfo | None:
        facts = await self.index.facts(asked([Delete(unit, DeleteSpec(1, request_id=request_id))]))
        answer = facts.answers.get(("", request_id))
        if answer is None or answer.row.unit != unit or answer.kind not in (Upload.kind, Update.kind):
            return None
        return to_info(answer.row)

    async def _commit_many(self, unit: str, items: Sequence[Any], prepare: Callable[[Any], Write]) -> list[Any]:
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
        outcomes = iter(await self._commit(writes) if writes else ())
        return [invalid[at] if at in invalid else next(outcomes) for at in range(len(items))]

    async def _commit(self, writes: Sequence[Write]) -> Sequence[Outcome]:
        outcomes = await self._commits.commit(writes)
        refused = [
            write.content.file
            for write, outcome in zip(writes, outcomes, strict=True)
            if isinstance(outcome, VaultError) and isinstance(write, Upload | Update) and write.content.file
        ]
        if refused:  # placed, and then not accepted after all
            await self.blobs.remove(refused)
        await self._collection.collect()
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
