"""The Store over an engine's parts: arguments checked, a request's write made, committed, answered."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Literal, TypeVar, cast

from vault._runtime.sync_async import AsyncReturned
from vault._runtime.version import __version__
from vault.errors import VaultError, object_not_found
from vault.store.columns import LoadItems, to_time
from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncStore, AsyncWatch, LoadResult
from vault.store.limits import (
    BLOCK_SIZE,
    EXACT_BELOW,
    MAX_READ_BYTES,
    check_batch,
    check_generation,
    check_key,
    check_lease,
    check_name,
    check_page_size,
    check_prefix,
    check_range,
    check_ranges,
    check_request_id,
    check_resumable,
    check_small_batch,
    check_spec,
)
from vault.store.listing import Listing
from vault.store.outcomes import merged, single, validated
from vault.store.ranges import RangeAssembly
from vault.store.values import (
    Capabilities,
    Change,
    CopySpec,
    DeleteSpec,
    Key,
    ListOrder,
    LoadedObject,
    LoadItem,
    MetadataSpec,
    NotModified,
    ObjectInfo,
    ObjectRanges,
    Page,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UnitInfo,
    UnitLimits,
    UnitPage,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
)

from vault_server.storage.clock import StoreClock
from vault_server.storage.decision.decide import preview, require_room
from vault_server.storage.decision.listing import DEFAULT_PAGE_SIZE, Span
from vault_server.storage.decision.plan import Facts
from vault_server.storage.decision.refusals import cut_short, require_allowed, require_generation
from vault_server.storage.decision.rows import to_info
from vault_server.storage.decision.stored import Stored, require_whole
from vault_server.storage.decision.writes import (
    NOTHING,
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
from vault_server.storage.generic._async.protocols import (
    AsyncBlobs,
    AsyncCommitSignal,
    AsyncCommitting,
    AsyncIndex,
    AsyncLeases,
    AsyncWrites,
)
from vault_server.storage.generic._async.reader import AsyncContentReader
from vault_server.storage.generic._async.reads import find_generation, open_found
from vault_server.storage.generic._async.watch import AsyncIndexWatch
from vault_server.storage.index.page_token import listing_mark, query_mark, read_token, write_token
from vault_server.storage.options import StoreOptions

BATCH_BYTES: Final = 64 << 20
"""Bytes in the answer to one `load_many`; objects beyond it come without their data."""

T = TypeVar("T")


class AsyncEngineStore(AsyncStore, ABC):
    """What every engine's Store does alike. What differs is in its parts, which its subclass sets.

    Attributes:
        options: What it was opened with.
        durability: See Capabilities.
        clock: The store's.
        index, blobs, signal, commits: The engine's parts.
        suspended: What is kept of writes that lost their writer.
        leases: On names.
    """

    clock: StoreClock
    index: AsyncIndex
    blobs: AsyncBlobs
    signal: AsyncCommitSignal
    commits: AsyncCommitting
    suspended: AsyncWrites
    leases: AsyncLeases

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        self.durability: Literal["none", "relaxed", "full"] = options.durability

    @abstractmethod
    def require_open(self) -> None:
        """Raises ClosedError when it is closed, and what else keeps it from being used here."""

    @property
    def time(self) -> datetime:
        return to_time(self.clock.now())

    async def finish(self, work: AsyncReturned[T]) -> T:
        """Does it to its end, where an engine's work must not end with a cancelled caller."""
        return await work

    async def capabilities(self) -> Capabilities:
        self.require_open()
        return Capabilities(
            store_id=await self.index.identity(),
            version=__version__,
            allowed_units=self.options.allowed_units,
            resume_window=float(self.options.resume_window),
            durability=self.durability,
        )

    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        self._check_keys(unit, keys)
        return await self.index.generations(unit, keys)

    async def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        self._check_keys(unit, keys)
        return await self.index.find(unit, keys)

    async def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
        order: ListOrder | None = None,
        descending: bool = False,
        after: Key | None = None,
        delimiter: str | None = None,
    ) -> Page:
        self._require_unit(unit)
        listing = Listing.of(
            unit, prefix=prefix, tags=tags, order=order, descending=descending, after=after, delimiter=delimiter
        )
        check_page_size(page_size)
        mark = listing_mark(await self.index.identity(), listing)
        span = Span.of(listing, read_token(page_token, mark, listing.order))
        page = await self.index.page(listing, span, page_size or DEFAULT_PAGE_SIZE)
        token = "" if page.bound is None else write_token(page.bound, mark)
        return Page(page.objects, token, page.prefixes)

    async def list_units(self) -> list[str]:
        self.require_open()
        allowed = self.options.allowed_units
        return [unit for unit in await self.index.units() if not allowed or unit in allowed]

    async def unit_info(self, unit: str) -> UnitInfo:
        self._require_unit(unit)
        (info,) = await self.index.unit_infos([unit])
        return info

    async def unit_page(self, *, prefix: str = "", page_size: int = 0, page_token: str = "") -> UnitPage:
        self.require_open()
        check_prefix(prefix)
        check_page_size(page_size)
        mark = query_mark(await self.index.identity(), prefix)
        after = read_token(page_token, mark, ListOrder.NAME)
        limit = page_size or DEFAULT_PAGE_SIZE
        if allowed := self.options.allowed_units:
            units = sorted(unit for unit in allowed if unit.startswith(prefix) and (after is None or unit > after))
            known = await self.index.unit_infos(units[:limit])
            infos = [info for info in known if info.objects or info.limits.are_set]
            last = units[limit - 1] if len(units) > limit else None
        else:
            infos, last = await self.index.unit_page(prefix, after, limit)
        return UnitPage(infos, "" if last is None else write_token(last, mark))

    async def set_unit_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        self._require_unit(unit)
        check_spec(limits, UnitLimits)
        return await self.finish(self.commits.set_limits(unit, limits))

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
        await self.commits.collect()
        found = await find_generation(self.index, unit, key, generation)
        reader = await open_found(self.index, self.blobs, key, found, generation)
        if reader is None:
            return None
        info = reader.info
        try:
            require_generation(unit, info.data_id, info.generation, if_generation)
            if info.generation == if_generation_not_match:
                await reader.close()
                return NotModified(info.generation)
            check_range(offset, length, info.size)
        except VaultError:
            await reader.close()
            raise
        reader.select(offset, length)
        return reader

    async def read(
        self,
        unit: str,
        key: Key,
        ranges: Sequence[tuple[int, int | None]],
        *,
        if_generation: int | None = None,
        generation: int | None = None,
        exact_below: int = EXACT_BELOW,
        max_bytes: int = MAX_READ_BYTES,
    ) -> ObjectRanges | None:
        self._require_unit(unit)
        check_ranges(ranges, exact_below, max_bytes)
        reader = await self.load(unit, key, if_generation=if_generation, generation=generation)
        if not isinstance(reader, AsyncContentReader):
            return None
        async with reader:
            assembly = RangeAssembly(reader.info, ranges, exact_below=exact_below, max_bytes=max_bytes)
            whole = []
            for first, count in assembly.runs():
                for index in range(first, first + count):
                    block = await reader.block(index, ahead=index + 1 < first + count)
                    block.verify(reader.info)
                    assembly.take(index, block.data)
                    if assembly.is_whole(index):
                        whole.append(block)
            return assembly.finish(whole)

    async def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        self._require_unit(unit)
        check_batch(items, None if isinstance(items, LoadItems) else LoadItem)
        outcomes = await self.index.load_small(unit, items, BATCH_BYTES)
        found = isinstance(outcomes, list) and [outcome for outcome in outcomes if isinstance(outcome, Stored)]
        if not found:
            return cast("Sequence[LoadResult]", outcomes)
        read = iter(await self.blobs.read(found))
        return [
            await self._loaded(item, outcome, next(read)) if isinstance(outcome, Stored) else outcome
            for item, outcome in zip(items, outcomes, strict=True)
        ]

    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        self._require_unit(unit)
        check_spec(spec, UploadSpec)
        check_resumable(resumable)
        return await self.begin(Upload(unit, spec, NOTHING), resumable=resumable)

    async def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        self._require_unit(unit)
        check_spec(spec, UpdateSpec)
        check_resumable(resumable)
        return await self.begin(Update(unit, spec, NOTHING), resumable=resumable)

    async def put(self, unit: str, spec: PutSpec | UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        self._require_unit(unit)
        check_spec(spec, (PutSpec, UpdateSpec))
        check_resumable(resumable)
        return await self.begin(_put(unit, spec, NOTHING), resumable=resumable)

    @abstractmethod
    async def begin(self, write: ContentWrite, *, resumable: bool) -> AsyncBlockWriter:
        """Begins a write, or goes on with it. The commit decides; this is to refuse before the bytes are sent."""

    async def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        self._require_unit(unit)
        check_request_id(request_id)
        facts = await self.index.facts(asked([Delete(unit, DeleteSpec(1, request_id=request_id))]))
        answer = facts.answers.get(("", request_id))
        if answer is None or answer.row.unit != unit or answer.kind not in (Upload.kind, Update.kind):
            return await self.suspended.status(unit, request_id)
        return WriteStatus(answer.row.size, to_info(answer.row))

    async def abort_write(self, unit: str, request_id: bytes) -> None:
        self._require_unit(unit)
        check_request_id(request_id)
        await self.suspended.abort(unit, request_id)

    async def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        self._require_unit(unit)
        check_small_batch(items, SmallUpload, UploadSpec)
        return await self.finish(self._write_small(Upload, unit, items))

    async def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        self._require_unit(unit)
        check_small_batch(items, SmallUpdate, UpdateSpec)
        return await self.finish(self._write_small(Update, unit, items))

    async def put_many(self, unit: str, items: Sequence[SmallPut]) -> Sequence[ObjectInfo | VaultError]:
        self._require_unit(unit)
        check_small_batch(items, SmallPut, (PutSpec, UpdateSpec))
        return await self.finish(self._write_small(_put, unit, items))

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        self._require_unit(unit)
        check_batch(items, DeleteSpec)
        return await self.finish(self._commit_valid(Delete, unit, items))

    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        self._require_unit(unit)
        check_spec(spec, MetadataSpec)
        return await self.finish(self.commit(SetMetadata(unit, spec)))

    async def set_metadata_many(self, unit: str, items: Sequence[MetadataSpec]) -> Sequence[ObjectInfo | VaultError]:
        self._require_unit(unit)
        check_batch(items, MetadataSpec)
        return await self.finish(self._commit_valid(SetMetadata, unit, items))

    async def copy_many(
        self, unit: str, items: Sequence[CopySpec], *, to_unit: str | None = None
    ) -> Sequence[ObjectInfo | VaultError]:
        self._require_unit(unit)
        target = unit if to_unit is None else to_unit
        self._require_unit(target)
        check_batch(items, CopySpec)
        return await self.finish(self._copy_many(unit, target, items))

    async def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        self._require_unit(unit)
        check_name(name)
        check_lease(holder, seconds)
        return await self.leases.acquire_lease(unit, name, holder, seconds)

    async def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        self._require_unit(unit)
        check_name(name)
        check_lease(holder, 1.0)
        await self.leases.release_lease(unit, name, holder)

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        self.require_open()
        for unit in units:
            self._require_unit(unit)
        check_generation(since)
        revision = await self.index.revision() if since is None else since
        return AsyncIndexWatch(self, units or self.options.allowed_units, revision)

    async def changes(self, since: int) -> tuple[int, list[Change]]:
        self.require_open()
        revision, changes = await self.index.changes(since)
        return revision, list(changes)

    async def commit(self, write: Write) -> ObjectInfo:
        """What one write is answered, which is no deletion, once it is durable; or raises what refuses it."""
        outcome = single(await self.commits.commit([write]))
        assert isinstance(outcome, ObjectInfo)  # noqa: S101  # what is no deletion is answered so
        return outcome

    async def answered(self, write: ContentWrite) -> ObjectInfo | None:
        """What it was answered, when it was committed; raises what it is refused with as things are now."""
        return preview(await self._facts(write), write, self.clock.now())

    async def require_room(self, write: ContentWrite) -> None:
        """Raises StorageFullError, QUOTA, when the unit has no room for as many bytes as the write's content says."""
        require_room(await self._facts(write), write, self.clock.now())

    async def _facts(self, write: ContentWrite) -> Facts:
        """What is known of what a write is about, as far as there is room without what has expired."""
        facts = await self.index.facts(asked([write]))
        usage = facts.units.get(write.unit)
        if usage is not None and usage.is_limited:
            (info,) = await self.index.unit_infos([write.unit])
            facts.units[write.unit] = usage._replace(objects=info.objects, bytes=info.bytes)
        return facts

    def _require_unit(self, unit: str) -> None:
        self.require_open()
        require_allowed(unit, self.options.allowed_units)

    def _check_keys(self, unit: str, keys: Sequence[Key]) -> None:
        self._require_unit(unit)
        check_batch(keys)
        for key in keys:
            check_key(key)

    async def _loaded(self, item: LoadItem, found: Stored, data: bytes | VaultError | None) -> LoadResult:
        """The outcome for an object whose blob was read; where it is gone, for what there is by now."""
        try:
            if isinstance(data, bytes):
                return LoadedObject(found.info, require_whole(found.info, data))
            if data is not None:
                return data
            reader = await open_found(self.index, self.blobs, item.key, found)
            if reader is None:
                return None
            async with reader:
                if reader.info.size > BLOCK_SIZE:  # replaced meanwhile
                    return LoadedObject(reader.info, None)
                return LoadedObject(reader.info, b"".join([bytes(block.data) async for block in reader]))
        except VaultError as error:
            return error

    async def _write_small(
        self, make: Callable[[str, Any, Content], Write], unit: str, items: Sequence[Any]
    ) -> list[Any]:
        contents = await self.blobs.contents(unit, items)
        return await self._commit(
            [
                content if isinstance(content, VaultError) else make(unit, item.spec, content)
                for item, content in zip(items, contents, strict=True)
            ]
        )

    async def _commit_valid(self, make: type[Delete | SetMetadata], unit: str, specs: Sequence[Any]) -> list[Any]:
        return await self._commit(
            [spec if isinstance(spec, VaultError) else make(unit, spec) for spec in validated(specs)]
        )

    async def _copy_many(self, unit: str, target: str, items: Sequence[CopySpec]) -> list[Any]:
        writes: list[Write | VaultError] = []
        for spec in items:
            try:
                spec.validate()
                writes.append(await self._read_source(Copy(target, spec, unit)))
            except VaultError as error:
                writes.append(error)
        return await self._commit(writes)

    async def _read_source(self, write: Copy) -> Copy:
        """The write with what it copies; as it is where that cannot be read, and the request was applied before."""
        unit, spec = write.from_unit, write.spec
        gone = None
        try:
            while True:
                found = await self.index.stored(unit, spec.key)
                if found is None:
                    raise object_not_found(unit, spec.key)
                info = found.info
                require_generation(unit, info.data_id, info.generation, spec.if_generation)
                if found.content.file is not None and found.content.file == gone:
                    raise cut_short(info, 0)
                content = await self.blobs.copy(write.unit, found)
                if content is not None:
                    return replace(write, source=info, content=content)
                gone = found.content.file  # collected since, unless the index still has it
        except VaultError:
            facts = await self.index.facts(asked([write]))
            if (write.principal, spec.request_id) not in facts.answers:
                raise
            return write

    async def _commit(self, items: Sequence[Write | VaultError]) -> list[Any]:
        """What each write is answered; what was refused before has its error as its outcome."""
        writes = [item for item in items if not isinstance(item, VaultError)]
        return merged(items, await self.commits.commit(writes) if writes else ())


def _put(unit: str, spec: PutSpec | UpdateSpec, content: Content) -> Put | Update:
    return Update(unit, spec, content) if isinstance(spec, UpdateSpec) else Put(unit, spec, content)
