# Generated from _async/remote/store.py by scripts/unasync: DO NOT CHANGE.
"""RemoteStore: the Store contract, asked of a server over gRPC."""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final

from vault._sync.remote.channel import Receiver
from vault._sync.remote.coalescing import Coalescing
from vault._sync.remote.listing_calls import ListingCalls
from vault._sync.remote.reader import RemoteReader
from vault._sync.remote.split_batches import ask_all, take_sized
from vault._sync.remote.unit_calls import UnitCalls
from vault._sync.remote.watch import RemoteWatch
from vault._sync.remote.write_calls import WriteCalls
from vault._grpc.settings import MAX_MESSAGE_SIZE
from vault._runtime.elapsed import elapsed
from vault.errors import NotFoundError, ProtocolError, UnsupportedError, VaultError
from vault.store import limits
from vault.store.columns import LoadedObjects, LoadItems
from vault.store.connection import DEFAULT_CONNECTION, ConnectionSettings
from vault.store.contract import BlockReader, Watch, LoadResult
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


class RemoteStore(WriteCalls, ListingCalls, UnitCalls):
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
        self._loads: dict[str, Coalescing[LoadItem, LoadResult]] = {}

    def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        limits.check_unit(unit)
        _check_keys(keys)

        def read(generation: int, _: Key) -> int:
            return replies.check_generation(generation)

        return self._ask("Exists", unit, keys, requests.fill_key, read, questions="keys", answers="generations")

    def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        limits.check_unit(unit)
        _check_keys(keys)

        def read(item: pb.StatResponse.Item, key: Key) -> ObjectInfo | None:
            return replies.check_found(wire.stat_result_from_wire(item), unit, key)

        return self._ask("Stat", unit, keys, requests.fill_key, read, questions="keys", answers="items")

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
            receiver = self._channel.stream("Load", request, idle=self._channel.patience)
        except NotFoundError:
            return None
        try:
            return self._opened(receiver, request, sent)
        except ProtocolError:
            receiver.cancel()
            raise

    def _opened(self, receiver: Receiver, request: pb.LoadRequest, sent: float) -> BlockReader | NotModified:
        """What a Load begins with."""
        first = receiver.first
        part = "block" if isinstance(first, Block) else first.WhichOneof("part")
        if part not in ("info", "not_modified"):
            raise ProtocolError(f"the server began a Load with {part or 'nothing'}, and not with what it is of")
        self._see(first.revision)
        if part == "info":
            info = replies.check_opened(wire.object_info_from_wire(first.info), request)
            self._time.see(first, sent)
            return RemoteReader(self._channel, info, receiver, request, self._see, elapsed() - sent)
        wanted = request.if_generation_not_match if request.HasField("if_generation_not_match") else None
        answer = replies.check_not_modified(wire.not_modified_from_wire(first.not_modified), wanted)
        receiver.cancel()
        return answer

    def read(
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
            reply = self._unary("Read", request)
        except NotFoundError:
            return None
        except UnsupportedError:  # an older server
            return super().read(
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

    def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        limits.check_unit(unit)
        limits.check_batch(items, None if isinstance(items, LoadItems) else LoadItem)
        if len(items) == 1:
            return [self._load_one(unit, items[0])]
        if (loaded := self._load_columns(unit, items)) is not None:
            return loaded
        return self._load_items(unit, items)

    def _load_one(self, unit: str, item: LoadItem) -> LoadResult:
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
            coalescing = self._loads.setdefault(unit, Coalescing(ask, _size_of, self._channel.timeout))
        return coalescing.ask(item)

    def _load_together(self, unit: str, items: Sequence[LoadItem], timeout: float) -> Sequence[LoadResult]:
        """Single loads in one request."""
        if len(items) >= _MANY and (loaded := self._load_columns(unit, items, timeout)) is not None:
            return list(loaded)
        return self._load_items(unit, items, timeout)

    def _load_items(
        self, unit: str, items: Sequence[LoadItem], timeout: float | None = None
    ) -> Sequence[LoadResult]:
        def read(result: pb.LoadManyResponse.Item, item: LoadItem) -> LoadResult:
            return replies.check_loaded(wire.load_result_from_wire(result), unit, item)

        if len(items) == 1:  # which is valid; there is nothing to cut into messages: that takes as long as the rest
            request = pb.LoadManyRequest(unit=unit)
            requests.fill_load_item(request.items.add(), items[0])
            reply = self._unary("LoadMany", request, timeout=timeout)
            return [read(result, item) for result, item in replies.pairs(reply.items, items)]
        return self._ask_valid(
            "LoadMany", unit, items, requests.fill_load_item, read, answers="items", timeout=timeout
        )

    def _load_columns(
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

        def ask(request: pb.LoadColumnsRequest, run: Sequence[int], seconds: float) -> LoadedObjects:
            reply = self._unary(_LOAD_COLUMNS, request, timeout=seconds)
            return columns.loaded_from_wire(reply, unit, [keys[place] for place in run])

        try:
            answers = ask_all(ask, len(keys), take, timeout=timeout or self._channel.timeout)
        except UnsupportedError as error:
            if error.context.get("method") != _LOAD_COLUMNS:
                raise
            self._channel.lacking.add(_LOAD_COLUMNS)
            return None
        return answers if isinstance(answers, LoadedObjects) else LoadedObjects.of_rows(answers)

    def acquire_lease(self, unit: str, name: str, holder: bytes, seconds: float) -> float:
        limits.check_unit(unit)
        limits.check_name(name)
        limits.check_lease(holder, seconds)
        reply = self._unary("AcquireLease", requests.lease_request_to_wire(unit, name, holder, seconds))
        return replies.check_lease_of(reply.acquired, time_messages.seconds_from_wire(reply.remaining))

    def release_lease(self, unit: str, name: str, holder: bytes) -> None:
        limits.check_unit(unit)
        limits.check_name(name)
        limits.check_lease(holder, 1.0)
        self._unary("ReleaseLease", pb.ReleaseLeaseRequest(unit=unit, name=name, holder=holder))

    def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> Watch:
        for unit in units:
            limits.check_unit(unit)
        limits.check_generation(since)
        watch = RemoteWatch(self._channel, units, since, self._see)
        watch.open()
        return watch

    def close(self) -> None:
        self._channel.close()


def _size_of(result: LoadResult) -> int:
    return len(result.data or b"") if isinstance(result, LoadedObject) else 0


def _check_keys(keys: Sequence[Key]) -> None:
    limits.check_batch(keys)
    for key in keys:
        limits.check_key(key)
