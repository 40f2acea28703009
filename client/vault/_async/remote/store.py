"""AsyncRemoteStore: the Store contract, asked of a server over gRPC."""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final

from vault._async.remote.channel import AsyncReceiver
from vault._async.remote.coalescing import AsyncCoalescing
from vault._async.remote.listing_calls import AsyncListingCalls
from vault._async.remote.reader import AsyncRemoteReader
from vault._async.remote.split_batches import ask_all, take_sized
from vault._async.remote.unit_calls import AsyncUnitCalls
from vault._async.remote.watch import AsyncRemoteWatch
from vault._async.remote.write_calls import AsyncWriteCalls
from vault._grpc.settings import MAX_MESSAGE_SIZE
from vault._runtime.elapsed import elapsed
from vault.errors import NotFoundError, ProtocolError, UnsupportedError, VaultError
from vault.store import limits
from vault.store.columns import LoadedObjects, LoadItems
from vault.store.connection import DEFAULT_CONNECTION, ConnectionSettings
from vault.store.contract import AsyncBlockReader, AsyncWatch, LoadResult
from vault.store.specs import LoadItem
from vault.store.values import Block, Key, LoadedObject, NotModified, ObjectInfo, ObjectRanges
from vault.v1 import vault_pb2 as pb
from vault.wire import load_columns as columns
from vault.wire import messages as wire
from vault.wire import reply_checks as replies
from vault.wire import request_messages as requests
from vault.wire import time_messages

_LOAD_COLUMNS: Final = "LoadColumns"

MOST_READ: Final = MAX_MESSAGE_SIZE - (512 << 10)

_MANY: Final = 16
"""Single loads from which on a request of them is in columns; for fewer these take longer."""
"""Bytes of an object that the reply to a Read has room for, beside what is told of them."""

MOST_UNITS: Final = 1000  # with callers to be coalesced: clients of an edge server name any units they like


class AsyncRemoteStore(AsyncWriteCalls, AsyncListingCalls, AsyncUnitCalls):
    """A Store on a storage host.

    Connects at the first call. Calls are sent again while the server is away, until the timeout.
    An asynchronous one belongs to the event loop of its first call.
    """

    def __init__(self, address: str, connection: ConnectionSettings = DEFAULT_CONNECTION) -> None:
        """Does no I/O.

        Args:
            address: host:port, grpc://host:port, grpcs://host:port (over TLS) or unix:PATH; also with ?proxy=URL.
            connection: How it is reached, and for how long its answers are waited for.

        Raises:
            InvalidArgumentError: BAD_ADDRESS, BAD_PROXY, BAD_SETTING.
        """
        super().__init__(address, connection)
        self._loads: dict[str, AsyncCoalescing[LoadItem, LoadResult]] = {}

    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        limits.check_unit(unit)
        _check_keys(keys)

        def read(generation: int, _: Key) -> int:
            return replies.check_generation(generation)

        return await self._ask("Exists", unit, keys, requests.fill_key, read, questions="keys", answers="generations")

    async def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        limits.check_unit(unit)
        _check_keys(keys)

        def read(item: pb.StatResponse.Item, key: Key) -> ObjectInfo | None:
            return replies.check_found(wire.stat_result_from_wire(item), unit, key)

        return await self._ask("Stat", unit, keys, requests.fill_key, read, questions="keys", answers="items")

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
        requests.fill_key(request.key, key)
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
            return AsyncRemoteReader(self._channel, info, receiver, request, self._see, elapsed() - sent)
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
        requests.fill_key(request.key, key)
        requests.fill_ranges(request, ranges)
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
        if (loaded := await self._load_columns(unit, items)) is not None:
            return loaded
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
            ask = partial(self._load_together, unit)
            coalescing = self._loads.setdefault(unit, AsyncCoalescing(ask, _size_of, self._channel.timeout))
        return await coalescing.ask(item)

    async def _load_together(self, unit: str, items: Sequence[LoadItem], timeout: float) -> Sequence[LoadResult]:
        """Single loads in one request."""
        if len(items) >= _MANY and (loaded := await self._load_columns(unit, items, timeout)) is not None:
            return list(loaded)
        return await self._load_items(unit, items, timeout)

    async def _load_items(
        self, unit: str, items: Sequence[LoadItem], timeout: float | None = None
    ) -> Sequence[LoadResult]:
        def read(result: pb.LoadManyResponse.Item, item: LoadItem) -> LoadResult:
            return replies.check_loaded(wire.load_result_from_wire(result), unit, item)

        if len(items) == 1:  # which is valid; there is nothing to cut into messages: that takes as long as the rest
            request = pb.LoadManyRequest(unit=unit)
            requests.fill_load_item(request.items.add(), items[0])
            reply = await self._unary("LoadMany", request, timeout=timeout)
            return [read(result, item) for result, item in replies.pairs(reply.items, items)]
        return await self._ask_valid(
            "LoadMany", unit, items, requests.fill_load_item, read, answers="items", timeout=timeout
        )

    async def _load_columns(
        self, unit: str, items: Sequence[LoadItem], timeout: float | None = None
    ) -> Sequence[LoadResult] | None:
        """What LoadColumns brings; None: it cannot be asked so, or the server does not have it."""
        wanted = LoadItems.of(items)
        if _LOAD_COLUMNS in self._channel.lacking or not wanted.are_plain:
            return None
        keys = wanted.keys
        sizes = [columns.KEY_BYTES + (4 * len(key) + columns.KEY_BYTES if isinstance(key, str) else 0) for key in keys]

        def take(pending: deque[int], most: int) -> tuple[pb.LoadColumnsRequest, Sequence[int]]:
            run = take_sized(sizes, pending, most)
            return columns.keys_to_wire(unit, [keys[place] for place in run]), run

        async def ask(request: pb.LoadColumnsRequest, run: Sequence[int], seconds: float) -> LoadedObjects:
            reply = await self._unary(_LOAD_COLUMNS, request, timeout=seconds)
            return columns.loaded_from_wire(reply, unit, [keys[place] for place in run])

        try:
            answers = await ask_all(ask, len(keys), take, timeout=timeout or self._channel.timeout)
        except UnsupportedError as error:
            if error.context.get("method") != _LOAD_COLUMNS:
                raise
            self._channel.lacking.add(_LOAD_COLUMNS)
            return None
        return answers if isinstance(answers, LoadedObjects) else LoadedObjects.of_rows(answers)

    async def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        limits.check_unit(unit)
        limits.check_name(name)
        limits.check_lease(holder, seconds)
        reply = await self._unary("AcquireLease", requests.lease_request_to_wire(unit, name, holder, seconds))
        return replies.check_lease_of(reply.acquired, time_messages.seconds_from_wire(reply.remaining))

    async def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        limits.check_unit(unit)
        limits.check_name(name)
        limits.check_lease(holder, 1.0)
        await self._unary("ReleaseLease", pb.ReleaseLeaseRequest(unit=unit, name=name, holder=holder))

    async def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> AsyncWatch:
        for unit in units:
            limits.check_unit(unit)
        limits.check_generation(since)
        watch = AsyncRemoteWatch(self._channel, units, since, self._see)
        await watch.open()
        return watch

    async def close(self) -> None:
        await self._channel.close()


def _size_of(result: LoadResult) -> int:
    return len(result.data or b"") if isinstance(result, LoadedObject) else 0


def _check_keys(keys: Sequence[Key]) -> None:
    limits.check_batch(keys)
    for key in keys:
        limits.check_key(key)
