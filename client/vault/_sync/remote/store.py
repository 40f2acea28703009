# Generated from _async/remote/store.py by scripts/unasync: DO NOT CHANGE.
"""RemoteStore: the Store contract, asked of a server over gRPC."""

from collections.abc import Iterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from vault._sync.remote.coalescing import Coalescing
from vault._sync.remote.reader import RemoteReader
from vault._sync.remote.split_batches import ask_all
from vault._sync.remote.writer import RemoteWriter, WriteMessage
from vault._grpc import Channel, Receiver, Attempts
from vault._runtime.sync_async import Affinity, Returned
from vault.errors import InvalidArgumentError, NotFoundError, ProtocolError, VaultError
from vault.store.connection import DEFAULT_CONNECTION, ConnectionSettings
from vault.store.contract import BlockReader, BlockWriter, Store, Watch, LoadResult
from vault.store.limits import (
    MAX_DATA_ID,
    WATCH_LEASE,
    check_batch,
    check_generation,
    check_key,
    check_page_size,
    check_prefix,
    check_range,
    check_request_id,
    check_resumable,
    check_tags,
    check_unit,
)
from vault.store.values import (
    Block,
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
    Progress,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
)
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as wire
from vault.wire.reply_checks import (
    FeedOrder,
    hold_capabilities,
    hold_deleted,
    hold_found,
    hold_generation,
    hold_loaded,
    hold_metadata,
    hold_not_modified,
    hold_opened,
    hold_page,
    hold_small,
    hold_units,
    hold_write_status,
    pairs,
)

MOST_UNITS: Final = 1000  # with callers to be coalesced: clients of an edge server name any units they like


class _Item(Protocol):
    def validate(self) -> None: ...


ItemT = TypeVar("ItemT", bound=_Item)
AnswerT = TypeVar("AnswerT")


class RemoteWatch(Watch):
    """The change feed as a server streams it."""

    def __init__(self, receiver: Receiver, order: FeedOrder, seen: Callable[[int], None]) -> None:
        self._receiver = receiver
        self._order = order
        self._seen = seen
        self._affinity = Affinity.here("the watch")

    def __iter__(self) -> Iterator[Change | Progress]:
        self._affinity.require()
        for message in self._receiver:
            for event in self._events(message):
                yield event
                self._affinity.require()

    def groups(self) -> Iterator[Sequence[Change | Progress]]:
        self._affinity.require()
        for message in self._receiver:
            yield self._events(message)
            self._affinity.require()

    def _events(self, message: pb.WatchResponse) -> list[Change | Progress]:
        events = [self._order.hold(event) for event in wire.watch_events_from_wire(message)]
        self._seen(events[-1].revision)
        return events

    def close(self) -> None:
        self._affinity.require_closable()
        self._receiver.cancel()


class RemoteStore(Store):
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
        self._channel = Channel(address, connection)
        self._revision = 0
        self._loads: dict[str, Coalescing[LoadItem, LoadResult]] = {}

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._channel.address

    @property
    def revision(self) -> int:
        return self._revision

    def capabilities(self) -> Capabilities:
        reply = self._unary("GetCapabilities", pb.GetCapabilitiesRequest())
        return hold_capabilities(wire.capabilities_from_wire(reply))

    def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        check_unit(unit)
        _check_keys(keys)

        def ask(request: pb.ExistsRequest, asked: Sequence[Key], timeout: float) -> Sequence[int]:
            reply = self._unary("Exists", request, timeout=timeout)
            return [hold_generation(generation) for generation, _ in pairs(reply.generations, asked)]

        return self._ask_keys(ask, keys, partial(pb.ExistsRequest, unit=unit))

    def stat_many(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        check_unit(unit)
        _check_keys(keys)

        def ask(request: pb.StatRequest, asked: Sequence[Key], timeout: float) -> Sequence[ObjectInfo | None]:
            reply = self._unary("Stat", request, timeout=timeout)
            return [hold_found(wire.stat_result_from_wire(item), unit, key) for item, key in pairs(reply.items, asked)]

        return self._ask_keys(ask, keys, partial(pb.StatRequest, unit=unit))

    def list_page(
        self,
        unit: str,
        *,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page:
        check_unit(unit)
        if prefix is not None:
            check_prefix(prefix)
        if tags is not None:
            check_tags(tags)
        check_page_size(page_size)
        _check_page_token(page_token)
        request = pb.ListRequest(unit=unit, prefix=prefix, tags=tags, page_size=page_size, page_token=page_token)
        attempts = Attempts(self.address, self._channel.timeout)
        while True:
            page = wire.page_from_wire(self._unary("List", request, timeout=attempts.remaining))
            token = request.page_token
            hold_page(page, unit, prefix=prefix, tags=tags, page_size=page_size, page_token=token)
            if page.objects or not page.next_page_token:
                return page
            attempts.check()  # a page of nothing that leads to another is no progress
            request.page_token = page.next_page_token

    def list_units(self) -> list[str]:
        return hold_units((self._unary("ListUnits", pb.ListUnitsRequest())).units)

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
        check_unit(unit)
        check_key(key)
        check_range(offset, length)
        check_generation(if_generation)
        check_generation(if_generation_not_match)
        check_generation(generation)
        request = pb.LoadRequest(
            unit=unit,
            offset=offset,
            length=length,
            if_generation=if_generation,
            if_generation_not_match=if_generation_not_match,
            generation=generation,
        )
        wire.fill_key(request.key, key)
        try:
            receiver = self._channel.stream("Load", request, idle=self._channel.patience)
        except NotFoundError:
            return None
        try:
            return self._opened(receiver, request)
        except ProtocolError:
            receiver.cancel()
            raise

    def _opened(self, receiver: Receiver, request: pb.LoadRequest) -> BlockReader | NotModified:
        """What a Load begins with."""
        first = receiver.first
        part = "block" if isinstance(first, Block) else first.WhichOneof("part")
        if part not in ("info", "not_modified"):
            raise ProtocolError(f"the server began a Load with {part or 'nothing'}, and not with what it is of")
        self._see(first.revision)
        if part == "info":
            info = hold_opened(wire.object_info_from_wire(first.info), request)
            return RemoteReader(self._channel, info, receiver, request, self._see)
        wanted = request.if_generation_not_match if request.HasField("if_generation_not_match") else None
        answer = hold_not_modified(wire.not_modified_from_wire(first.not_modified), wanted)
        receiver.cancel()
        return answer

    def load_many(self, unit: str, items: Sequence[LoadItem]) -> Sequence[LoadResult]:
        check_unit(unit)
        if len(items) == 1:
            return [self._load_one(unit, items[0])]
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
            ask = partial(self._load_items, unit)
            coalescing = self._loads.setdefault(unit, Coalescing(ask, _size_of, self._channel.timeout))
        return coalescing.ask(item)

    def _load_items(
        self, unit: str, items: Sequence[LoadItem], timeout: float | None = None
    ) -> Sequence[LoadResult]:
        def ask(request: pb.LoadManyRequest, asked: Sequence[LoadItem], timeout: float) -> Sequence[LoadResult]:
            reply = self._unary("LoadMany", request, timeout=timeout)
            return [
                hold_loaded(wire.load_result_from_wire(result), unit, item)
                for result, item in pairs(reply.items, asked)
            ]

        begin = partial(pb.LoadManyRequest, unit=unit)
        return self._each_valid(ask, items, begin, wire.fill_load_item, timeout=timeout, writes=False)

    def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> BlockWriter:
        check_unit(unit)
        spec.validate()
        check_resumable(resumable)
        start = pb.UploadRequest.Start(unit=unit, resumable=resumable)
        wire.fill_upload_spec(start.spec, spec)
        return self._begin("Upload", pb.UploadRequest, start, spec)

    def update(self, unit: str, spec: UpdateSpec, *, resumable: bool = False) -> BlockWriter:
        check_unit(unit)
        spec.validate()
        check_resumable(resumable)
        start = pb.UpdateRequest.Start(unit=unit, resumable=resumable)
        wire.fill_update_spec(start.spec, spec)
        return self._begin("Update", pb.UpdateRequest, start, spec)

    def write_status(self, unit: str, request_id: bytes) -> WriteStatus:
        check_unit(unit)
        check_request_id(request_id)
        request = pb.GetWriteStatusRequest(unit=unit, request_id=request_id)
        return hold_write_status(wire.write_status_from_wire(self._unary("GetWriteStatus", request)), unit)

    def abort_write(self, unit: str, request_id: bytes) -> None:
        check_unit(unit)
        check_request_id(request_id)
        self._unary("AbortWrite", pb.AbortWriteRequest(unit=unit, request_id=request_id))

    def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> Sequence[ObjectInfo | VaultError]:
        check_unit(unit)
        ask = partial(self._write_small, "UploadMany", unit)
        return self._each_valid(ask, items, partial(pb.UploadManyRequest, unit=unit), wire.fill_small_upload)

    def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> Sequence[ObjectInfo | VaultError]:
        check_unit(unit)
        ask = partial(self._write_small, "UpdateMany", unit)
        return self._each_valid(ask, items, partial(pb.UpdateManyRequest, unit=unit), wire.fill_small_update)

    def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        check_unit(unit)

        def ask(request: pb.DeleteRequest, asked: Sequence[DeleteSpec], timeout: float) -> list[int | VaultError]:
            reply = self._unary("Delete", request, timeout=timeout)
            return [
                hold_deleted(wire.delete_result_from_wire(result), item) for result, item in pairs(reply.results, asked)
            ]

        return self._each_valid(ask, items, partial(pb.DeleteRequest, unit=unit), wire.fill_delete_spec)

    def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        check_unit(unit)
        spec.validate()
        reply = self._unary("SetMetadata", wire.metadata_spec_to_wire(unit, spec))
        return hold_metadata(wire.object_info_from_wire(reply.info), unit, spec)

    def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> Watch:
        for unit in units:
            check_unit(unit)
        check_generation(since)
        request = pb.WatchRequest(units=units, since_revision=since, groups=True)
        receiver = self._channel.stream("Watch", request, idle=WATCH_LEASE)
        return RemoteWatch(receiver, FeedOrder(units, since), self._see)

    def close(self) -> None:
        self._channel.close()

    def _unary(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        reply = self._channel.unary(method, request, timeout=timeout)
        self._see(reply.revision)
        return reply

    def _write_small(
        self, method: str, unit: str, request: Any, asked: Sequence[SmallUpload | SmallUpdate], timeout: float
    ) -> Sequence[ObjectInfo | VaultError]:
        reply = self._unary(method, request, timeout=timeout)
        return [
            hold_small(wire.write_result_from_wire(result), unit, item) for result, item in pairs(reply.results, asked)
        ]

    def _begin(
        self, method: str, message: WriteMessage, start: Any, spec: UploadSpec | UpdateSpec
    ) -> BlockWriter:
        writer = RemoteWriter(self._channel, method, message, start, spec, self._see)
        writer.open()
        return writer

    def _ask_keys(
        self,
        ask: Callable[[Any, Sequence[Key], float], Returned[Sequence[AnswerT]]],
        keys: Sequence[Key],
        begin: Callable[[], Any],
    ) -> list[AnswerT]:
        return ask_all(ask, keys, begin, wire.fill_key, timeout=self._channel.timeout, field="keys")

    def _each_valid(
        self,
        ask: Callable[[Any, Sequence[ItemT], float], Returned[Sequence[Any]]],
        items: Sequence[ItemT],
        begin: Callable[[], Any],
        fill: Callable[[Any, ItemT], None],
        *,
        timeout: float | None = None,
        writes: bool = True,
    ) -> list[Any]:
        """`ask_all` about the items that can be asked about; of the others, what is wrong with each is its outcome."""
        check_batch(len(items))
        results: list[Any] = [None] * len(items)
        valid = []
        for index, item in enumerate(items):
            try:
                item.validate()
            except VaultError as error:
                results[index] = error
            else:
                valid.append(index)
        timeout = timeout or self._channel.timeout
        answers = ask_all(ask, [items[index] for index in valid], begin, fill, timeout=timeout, writes=writes)
        for index, answer in zip(valid, answers, strict=True):
            results[index] = answer
        return results

    def _see(self, revision: int) -> None:
        if revision > self._revision:
            if revision > MAX_DATA_ID:
                raise ProtocolError(f"the server is at revision {revision}, which can be none")
            self._revision = revision


def _size_of(result: LoadResult) -> int:
    return len(result.data or b"") if isinstance(result, LoadedObject) else 0


def _check_keys(keys: Sequence[Key]) -> None:
    check_batch(len(keys))
    for key in keys:
        check_key(key)


def _check_page_token(token: str) -> None:
    try:
        token.encode()
    except (AttributeError, UnicodeEncodeError):
        raise InvalidArgumentError(
            "bad page token: next_page_token of the page before", reason="BAD_PAGE_TOKEN"
        ) from None
