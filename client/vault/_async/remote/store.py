"""AsyncRemoteStore: the Store contract, asked of a server over gRPC."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from vault._async.remote.channel import AsyncChannel, AsyncReceiver
from vault._async.remote.coalescing import AsyncCoalescing
from vault._async.remote.listing_calls import AsyncListingCalls
from vault._async.remote.reader import AsyncRemoteReader
from vault._async.remote.split_batches import ask_all
from vault._async.remote.watch import AsyncRemoteWatch
from vault._async.remote.writer import AsyncRemoteWriter, WriteMessage
from vault._grpc.settings import MAX_MESSAGE_SIZE
from vault.errors import NotFoundError, ProtocolError, UnsupportedError, VaultError
from vault.store import limits
from vault.store.columns import LoadItems
from vault.store.connection import DEFAULT_CONNECTION, ConnectionSettings
from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncWatch, LoadResult
from vault.store.values import (
    Block,
    Capabilities,
    CopySpec,
    DeleteSpec,
    Key,
    LoadedObject,
    LoadItem,
    MetadataSpec,
    NotModified,
    ObjectInfo,
    ObjectRanges,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    SmallWrite,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
)
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as wire
from vault.wire import put_messages as puts
from vault.wire import reply_checks as replies
from vault.wire.store_time import TIMED, StoreTime, elapsed

MOST_READ: Final = MAX_MESSAGE_SIZE - (512 << 10)
"""Bytes of an object that the reply to a Read has room for, beside what is told of them."""

MOST_UNITS: Final = 1000  # with callers to be coalesced: clients of an edge server name any units they like


class _Item(Protocol):
    def validate(self) -> None: ...


ItemT = TypeVar("ItemT", bound=_Item)
SmallT = TypeVar("SmallT", bound=SmallWrite)
QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")


class AsyncRemoteStore(AsyncListingCalls):
    """A Store on a storage host.

    Connects at the first call. Calls are sent again while the server is away, until the timeout.
    An asynchronous one belongs to the event loop of its first call.
    """

    def __init__(self, address: str, connection: ConnectionSettings = DEFAULT_CONNECTION) -> None:
        """Does no I/O.

        Args:
            address: host:port, grpc://host:port or unix:PATH; also with ?proxy=URL.
            connection: How it is reached, and for how long its answers are waited for.

        Raises:
            InvalidArgumentError: BAD_ADDRESS, BAD_PROXY, BAD_SETTING.
        """
        self._channel = AsyncChannel(address, connection)
        self._revision = 0
        self._time = StoreTime()
        self._loads: dict[str, AsyncCoalescing[LoadItem, LoadResult]] = {}

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._channel.address

    @property
    def revision(self) -> int:
        return self._revision

    @property
    def time(self) -> datetime:
        return self._time.now

    async def capabilities(self) -> Capabilities:
        reply = await self._unary("GetCapabilities", pb.GetCapabilitiesRequest())
        return replies.check_capabilities(wire.capabilities_from_wire(reply))

    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        limits.check_unit(unit)
        _check_keys(keys)

        def read(generation: int, _: Key) -> int:
            return replies.check_generation(generation)

        return await self._ask("Exists", unit, keys, wire.fill_key, read, questions="keys", answers="generations")

    async def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        limits.check_unit(unit)
        _check_keys(keys)

        def read(item: pb.StatResponse.Item, key: Key) -> ObjectInfo | None:
            return replies.check_found(wire.stat_result_from_wire(item), unit, key)

        return await self._ask("Stat", unit, keys, wire.fill_key, read, questions="keys", answers="items")

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
        limits.check_unit(unit)
        limits.check_key(key)
        limits.check_range(offset, length)
        limits.check_generation(if_generation)
        limits.check_generation(if_generation_not_match)
        limits.check_generation(generation)
        request = pb.LoadRequest(
            unit=unit,
            offset=offset,
            length=length,
            if_generation=if_generation,
            if_generation_not_match=if_generation_not_match,
            generation=generation,
        )
        wire.fill_key(request.key, key)
        sent = elapsed()
        try:
            receiver = await self._channel.stream("Load", request, idle=self._channel.patience)
        except NotFoundError:
            return None
        try:
            return self._opened(receiver, request, sent)
        except ProtocolError:
            receiver.cancel()
            raise

    def _opened(self, receiver: AsyncReceiver, request: pb.LoadRequest, sent: float) -> AsyncBlockReader | NotModified:
        """What a Load begins with."""
        first = receiver.first
        part = "block" if isinstance(first, Block) else first.WhichOneof("part")
        if part not in ("info", "not_modified"):
            raise ProtocolError(f"the server began a Load with {part or 'nothing'}, and not with what it is of")
        self._see(first.revision)
        if part == "info":
            info = replies.check_opened(wire.object_info_from_wire(first.info), request)
            self._time.see(first, sent)
            return AsyncRemoteReader(self._channel, info, receiver, request, self._see)
        wanted = request.if_generation_not_match if request.HasField("if_generation_not_match") else None
        answer = replies.check_not_modified(wire.not_modified_from_wire(first.not_modified), wanted)
        receiver.cancel()
        return answer

    async def read(
        self,
        unit: str,
        key: Key,
        ranges: Sequence[tuple[int, int | None]],
        *,
        if_generation: int | None = None,
        generation: int | None = None,
        exact_below: int = limits.EXACT_BELOW,
        max_bytes: int = limits.MAX_READ_BYTES,
    ) -> ObjectRanges | None:
        limits.check_unit(unit)
        limits.check_key(key)
        limits.check_ranges(ranges, exact_below, max_bytes)
        limits.check_generation(if_generation)
        limits.check_generation(generation)
        most = min(max_bytes, MOST_READ)
        request = pb.ReadRequest(
            unit=unit, if_generation=if_generation, generation=generation, exact_below=exact_below, max_bytes=most
        )
        wire.fill_key(request.key, key)
        wire.fill_ranges(request, ranges)
        try:
            reply = await self._unary("Read", request)
        except NotFoundError:
            return None
        except UnsupportedError:  # an older server
            return await super().read(
                unit,
                key,
                ranges,
                if_generation=if_generation,
                generation=generation,
                exact_below=exact_below,
                max_bytes=max_bytes,
            )
        info = wire.object_info_from_wire(reply.info)
        return wire.object_ranges_from_wire(reply, replies.check_assembly(info, request, ranges, most))

    async def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        limits.check_unit(unit)
        limits.check_batch(items, None if isinstance(items, LoadItems) else LoadItem)
        if len(items) == 1:
            return [await self._load_one(unit, items[0])]
        return await self._load_items(unit, items)

    async def _load_one(self, unit: str, item: LoadItem) -> LoadResult:
        """One object, together with those that others want meanwhile."""
        self._channel.require_own_loop()
        try:
            item.validate()
        except VaultError as error:
            return error
        coalescing = self._loads.get(unit)
        if coalescing is None:
            if len(self._loads) >= MOST_UNITS:
                self._loads.clear()  # whoever waits in one of them goes on doing so
            ask = partial(self._load_items, unit)
            coalescing = self._loads.setdefault(unit, AsyncCoalescing(ask, _size_of, self._channel.timeout))
        return await coalescing.ask(item)

    async def _load_items(
        self, unit: str, items: Sequence[LoadItem], timeout: float | None = None
    ) -> Sequence[LoadResult]:
        def read(result: pb.LoadManyResponse.Item, item: LoadItem) -> LoadResult:
            return replies.check_loaded(wire.load_result_from_wire(result), unit, item)

        return await self._ask_valid(
            "LoadMany", unit, items, wire.fill_load_item, read, answers="items", timeout=timeout
        )

    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        limits.check_unit(unit)
        limits.check_spec(spec, UploadSpec)
        start = pb.UploadRequest.Start(unit=unit)
        wire.fill_upload_spec(start.spec, spec)
        return await self._begin("Upload", pb.UploadRequest, start, spec, resumable)

    async def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        limits.check_unit(unit)
        limits.check_spec(spec, UpdateSpec)
        if puts.says_more(spec):
            return await self.put(unit, spec, resumable=resumable)
        start = pb.UpdateRequest.Start(unit=unit)
        wire.fill_update_spec(start.spec, spec)
        return await self._begin("Update", pb.UpdateRequest, start, spec, resumable)

    async def put(self, unit: str, spec: PutSpec | UpdateSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        limits.check_unit(unit)
        limits.check_spec(spec, (PutSpec, UpdateSpec))
        if isinstance(spec, UpdateSpec) and not puts.says_more(spec):
            return await self.update(unit, spec, resumable=resumable)
        start = pb.PutRequest.Start(unit=unit)
        puts.fill_write(start, spec)
        return await self._begin("Put", pb.PutRequest, start, spec, resumable)

    async def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        limits.check_unit(unit)
        limits.check_request_id(request_id)
        request = pb.GetWriteStatusRequest(unit=unit, request_id=request_id)
        return replies.check_write_status(
            wire.write_status_from_wire(await self._unary("GetWriteStatus", request)), unit
        )

    async def abort_write(self, unit: str, request_id: bytes) -> None:
        limits.check_unit(unit)
        limits.check_request_id(request_id)
        await self._unary("AbortWrite", pb.AbortWriteRequest(unit=unit, request_id=request_id))

    async def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        limits.check_unit(unit)
        limits.check_small_batch(items, SmallUpload, UploadSpec)
        return await self._write_small("UploadMany", unit, items, wire.fill_small_upload)

    async def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        limits.check_unit(unit)
        limits.check_small_batch(items, SmallUpdate, UpdateSpec)
        if any(puts.says_more(item.spec) for item in items):
            return await self._write_small("PutMany", unit, items, puts.fill_small_put)
        return await self._write_small("UpdateMany", unit, items, wire.fill_small_update)

    async def put_many(self, unit: str, items: Sequence[SmallPut]) -> Sequence[ObjectInfo | VaultError]:
        limits.check_unit(unit)
        limits.check_small_batch(items, SmallPut, (PutSpec, UpdateSpec))
        updates = [
            SmallUpdate(item.spec, item.data, item.checksum) for item in items if isinstance(item.spec, UpdateSpec)
        ]
        if len(updates) == len(items):
            return await self.update_many(unit, updates)
        return await self._write_small("PutMany", unit, items, puts.fill_small_put)

    async def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        limits.check_unit(unit)
        limits.check_batch(items, DeleteSpec)

        def read(result: pb.DeleteResponse.Result, item: DeleteSpec) -> int | VaultError:
            return replies.check_deleted(wire.delete_result_from_wire(result), item)

        if any(map(puts.says_more, items)):
            return await self._ask_valid("DeleteMany", unit, items, puts.fill_delete_item, read, writes=True)
        return await self._ask_valid("Delete", unit, items, wire.fill_delete_spec, read, writes=True)

    async def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        limits.check_unit(unit)
        limits.check_spec(spec, MetadataSpec)
        if puts.says_more(spec):
            (outcome,) = await self.set_metadata_many(unit, [spec])
            if isinstance(outcome, VaultError):
                raise outcome
            return outcome
        reply = await self._unary("SetMetadata", wire.metadata_spec_to_wire(unit, spec))
        return replies.check_metadata(wire.object_info_from_wire(reply.info), unit, spec)

    async def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        limits.check_unit(unit)
        limits.check_name(name)
        limits.check_lease(holder, seconds)
        reply = await self._unary("AcquireLease", wire.lease_request_to_wire(unit, name, holder, seconds))
        return replies.check_lease_of(reply.acquired, wire.seconds_from_wire(reply.remaining))

    async def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        limits.check_unit(unit)
        limits.check_name(name)
        limits.check_lease(holder, 1.0)
        await self._unary("ReleaseLease", pb.ReleaseLeaseRequest(unit=unit, name=name, holder=holder))

    async def set_metadata_many(self, unit: str, items: Sequence[MetadataSpec]) -> Sequence[ObjectInfo | VaultError]:
        limits.check_unit(unit)
        limits.check_batch(items, MetadataSpec)

        def read(result: pb.WriteResult, item: MetadataSpec) -> ObjectInfo | VaultError:
            outcome = wire.write_result_from_wire(result)
            return outcome if isinstance(outcome, VaultError) else replies.check_metadata(outcome, unit, item)

        return await self._ask_valid("SetMetadataMany", unit, items, puts.fill_metadata_item, read, writes=True)

    async def copy_many(
        self, unit: str, items: Sequence[CopySpec], *, to_unit: str | None = None
    ) -> Sequence[ObjectInfo | VaultError]:
        target = unit if to_unit is None else to_unit
        limits.check_unit(unit)
        limits.check_unit(target)
        limits.check_batch(items, CopySpec)

        def read(result: pb.WriteResult, item: CopySpec) -> ObjectInfo | VaultError:
            return replies.check_copied(wire.write_result_from_wire(result), target, item)

        return await self._ask_valid("Copy", unit, items, puts.fill_copy, read, writes=True, to_unit=target)

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        for unit in units:
            limits.check_unit(unit)
        limits.check_generation(since)
        request = pb.WatchRequest(units=units, since_revision=since, groups=True)
        receiver = await self._channel.stream("Watch", request, idle=limits.WATCH_LEASE)
        return AsyncRemoteWatch(receiver, replies.FeedOrder(units, since), self._see)

    async def close(self) -> None:
        await self._channel.close()

    async def _unary(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        sent = elapsed()
        try:
            reply = await self._channel.unary(method, request, timeout=timeout)
        except ProtocolError as error:
            raise await self._lacking(method, error) from error.__cause__
        self._see(reply.revision)
        if method in TIMED:
            self._time.see(reply, sent)
        return reply

    async def _begin(
        self,
        method: str,
        message: WriteMessage,
        start: Any,
        spec: UploadSpec | UpdateSpec | PutSpec,
        resumable: bool,  # noqa: FBT001  # as its callers got it
    ) -> AsyncBlockWriter:
        limits.check_resumable(resumable)
        start.resumable = resumable
        writer = AsyncRemoteWriter(self._channel, method, message, start, spec, self._see, self._time)
        try:
            await writer.open()
        except ProtocolError as error:
            raise await self._lacking(method, error) from error.__cause__
        return writer

    async def _lacking(self, method: str, error: ProtocolError) -> VaultError:
        """What a method that the server does not have comes to: it is older than that, or is none of Vault's."""
        if error.context.get("code") != "UNIMPLEMENTED" or method == "GetCapabilities":
            return error
        try:
            version = (await self.capabilities()).version
        except VaultError:
            return error
        return UnsupportedError(
            f"{self.address} is of version {version}, which does not have {method}: nothing was done", method=method
        )

    async def _write_small(
        self, method: str, unit: str, items: Sequence[SmallT], fill: Callable[[Any, SmallT], None]
    ) -> list[ObjectInfo | VaultError]:
        def read(result: pb.WriteResult, item: SmallT) -> ObjectInfo | VaultError:
            return replies.check_small(wire.write_result_from_wire(result), unit, item)

        return await self._ask_valid(method, unit, items, fill, read, writes=True)

    async def _ask_valid(
        self,
        method: str,
        unit: str,
        items: Sequence[ItemT],
        fill: Callable[[Any, ItemT], None],
        read: Callable[[Any, ItemT], AnswerT],
        **options: Any,
    ) -> list[AnswerT | VaultError]:
        """`_ask` about the items that can be asked about; of the others, what is wrong with each is its outcome."""
        results: list[Any] = [None] * len(items)
        valid = []
        for index, item in enumerate(items):
            try:
                item.validate()
            except VaultError as error:
                results[index] = error
            else:
                valid.append(index)
        answers = await self._ask(method, unit, [items[index] for index in valid], fill, read, **options)
        for index, answer in zip(valid, answers, strict=True):
            results[index] = answer
        return results

    async def _ask(
        self,
        method: str,
        unit: str,
        items: Sequence[QuestionT],
        fill: Callable[[Any, QuestionT], None],
        read: Callable[[Any, QuestionT], AnswerT],
        *,
        questions: str = "items",
        answers: str = "results",
        timeout: float | None = None,
        writes: bool = False,
        to_unit: str | None = None,
    ) -> list[AnswerT]:
        """`ask_all` by a method, whose messages have these fields; `read` makes an answer of a part of the reply."""

        async def ask(request: Any, asked: Sequence[QuestionT], timeout: float) -> list[AnswerT]:
            reply = await self._unary(method, request, timeout=timeout)
            return [read(part, item) for part, item in replies.pairs(getattr(reply, answers), asked)]

        units = {"unit": unit} if to_unit is None else {"unit": unit, "to_unit": to_unit}
        begin = partial(getattr(pb, f"{method}Request"), **units)
        timeout = timeout or self._channel.timeout
        return await ask_all(ask, items, begin, fill, timeout=timeout, field=questions, writes=writes)

    def _see(self, revision: int) -> None:
        if revision > self._revision:
            if revision > limits.MAX_DATA_ID:
                raise ProtocolError(f"the server is at revision {revision}, which can be none")
            self._revision = revision


def _size_of(result: LoadResult) -> int:
    return len(result.data or b"") if isinstance(result, LoadedObject) else 0


def _check_keys(keys: Sequence[Key]) -> None:
    limits.check_batch(keys)
    for key in keys:
        limits.check_key(key)
