# Generated from _async/remote.py by scripts/unasync: DO NOT CHANGE.
"""RemoteStore: the Store contract, asked of a server over gRPC."""

import contextlib
from collections.abc import Iterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from vault.channel import MAX_MESSAGE_SIZE, Channel, Duplex, Receiver
from vault.errors import NotFoundError, ProtocolError, VaultError
from vault.model import (
    BLOCK_SIZE,
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
    check_batch,
    check_block,
    check_commit,
    check_generation,
    check_key,
    check_page_size,
    check_prefix,
    check_range,
    check_tags,
    check_unit,
)
from vault.store import BlockReader, BlockWriter, Store, Watch, LoadResult
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as wire

_HEADROOM: Final = 64 << 10  # of a message, for what surrounds its items
_STATS_A_MESSAGE: Final = 40  # an ObjectInfo with the longest name and tags takes under 80 KiB
_ITEMS_A_MESSAGE: Final = 1000
_WATCH_IDLE: Final = 30.0  # seconds; a server that is alive sends progress more often


class _Item(Protocol):
    def validate(self) -> None: ...


ItemT = TypeVar("ItemT", bound=_Item)
AskedT = TypeVar("AskedT")
AnswerT = TypeVar("AnswerT")
WriteMessage = type[pb.UploadRequest] | type[pb.UpdateRequest]


class RemoteReader(BlockReader):
    """Blocks as a server streams them."""

    def __init__(self, info: ObjectInfo, receiver: Receiver) -> None:
        self.info = info
        self._receiver = receiver

    def __iter__(self) -> Iterator[Block]:
        for message in self._receiver:
            match message.WhichOneof("part"):
                case "block":
                    yield wire.block_from_wire(message.block)
                case "info":
                    continue
                case _:
                    raise ProtocolError("the server sent a Load message that is neither info nor block")

    def close(self) -> None:
        self._receiver.cancel()


class RemoteWriter(BlockWriter):
    """A write in progress on a server."""

    def __init__(self, duplex: Duplex, message: WriteMessage, seen: Callable[[int], None]) -> None:
        self._duplex = duplex
        self._message = message
        self._seen = seen
        self._persisted = 0
        self._done = False

    @property
    def persisted_size(self) -> int:
        return self._persisted

    def write(self, block: Block) -> None:
        try:
            check_block(block)
            self._duplex.send(self._message(block=wire.block_to_wire(block)))
        except BaseException:
            self.abort()
            raise
        for reply in self._duplex.received():
            self._note(reply)

    def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        info: ObjectInfo | None = None
        try:
            check_commit(size, checksum)
            self._duplex.send(self._message(commit=pb.Commit(size=size, checksum=checksum)))
            self._duplex.half_close()
            while (reply := self._duplex.receive()) is not None:
                self._note(reply)
                if reply.WhichOneof("part") == "info":
                    info = wire.object_info_from_wire(reply.info)
        except BaseException:
            self.abort()
            raise
        self._done = True
        if info is None:
            raise ProtocolError("the server ended a write without saying what became of it")
        self._duplex.finish()
        return info

    def abort(self) -> None:
        if not self._done:
            self._done = True
            self._duplex.cancel()
            self._duplex.finish()

    def __del__(self) -> None:
        if not self._done:  # dropped: the server is told, so that it gives up what is staged
            with contextlib.suppress(RuntimeError):  # the event loop is gone, and the call with it
                self._duplex.cancel()

    def _note(self, reply: Any) -> None:
        self._seen(reply.revision)
        if reply.WhichOneof("part") == "persisted_size":
            self._persisted = reply.persisted_size


class RemoteWatch(Watch):
    """The change feed as a server streams it."""

    def __init__(self, receiver: Receiver, seen: Callable[[int], None]) -> None:
        self._receiver = receiver
        self._seen = seen

    def __iter__(self) -> Iterator[Change | Progress]:
        for message in self._receiver:
            event = wire.watch_event_from_wire(message)
            self._seen(event.revision)
            yield event

    def close(self) -> None:
        self._receiver.cancel()


class RemoteStore(Store):
    """A Store on a storage host.

    Connects at the first call. Calls are sent again while the server is away, until the timeout.
    Belongs to the event loop of its first call.
    """

    def __init__(self, address: str, *, timeout: float = 60.0) -> None:
        """Does no I/O.

        Args:
            address: host:port, grpc://host:port or unix:PATH.
            timeout: Seconds that a call may go without progress.

        Raises:
            InvalidArgumentError: BAD_ADDRESS, BAD_TIMEOUT.
        """
        self._channel = Channel(address, timeout=timeout)
        self._revision = 0

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._channel.address

    @property
    def revision(self) -> int:
        return self._revision

    def capabilities(self) -> Capabilities:
        reply = self._unary("GetCapabilities", pb.GetCapabilitiesRequest())
        return wire.capabilities_from_wire(reply)

    def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        check_unit(unit)
        generations: list[int] = []
        for _, requests in _chunks(_checked(keys), wire.key_to_wire):
            reply = self._unary("Exists", pb.ExistsRequest(unit=unit, keys=requests))
            generations += _as_many(reply.generations, requests)
        return generations

    def stat_many(self, unit: str, keys: Sequence[Key]) -> list[ObjectInfo | None]:
        check_unit(unit)
        infos: list[ObjectInfo | None] = []
        for _, requests in _chunks(_checked(keys), wire.key_to_wire, most=_STATS_A_MESSAGE):
            reply = self._unary("Stat", pb.StatRequest(unit=unit, keys=requests))
            infos += map(wire.stat_result_from_wire, _as_many(reply.items, requests))
        return infos

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
        request = pb.ListRequest(unit=unit, prefix=prefix, tags=tags, page_size=page_size, page_token=page_token)
        return wire.page_from_wire(self._unary("List", request))

    def list_units(self) -> list[str]:
        return list((self._unary("ListUnits", pb.ListUnitsRequest())).units)

    def load(
        self,
        unit: str,
        key: Key,
        *,
        offset: int = 0,
        length: int | None = None,
        if_generation: int | None = None,
        if_generation_not_match: int | None = None,
    ) -> BlockReader | NotModified | None:
        check_unit(unit)
        check_key(key)
        check_range(offset, length)
        check_generation(if_generation)
        check_generation(if_generation_not_match)
        request = pb.LoadRequest(
            unit=unit,
            key=wire.key_to_wire(key),
            offset=offset,
            length=length,
            if_generation=if_generation,
            if_generation_not_match=if_generation_not_match,
        )
        try:
            receiver = self._channel.stream("Load", request)
        except NotFoundError:
            return None
        first = receiver.first
        self._see(first.revision)
        match first.WhichOneof("part"):
            case "info":
                return RemoteReader(wire.object_info_from_wire(first.info), receiver)
            case "not_modified":
                receiver.cancel()
                return wire.not_modified_from_wire(first.not_modified)
            case _:
                receiver.cancel()
                raise ProtocolError("the server began a Load with neither info nor not_modified")

    def load_many(self, unit: str, items: Sequence[LoadItem]) -> list[LoadResult]:
        check_unit(unit)
        check_batch(len(items))
        results: list[LoadResult] = [None] * len(items)
        wanted = _valid(items, results)
        while wanted:
            left: list[tuple[int, LoadItem]] = []
            for chunk, requests in _chunks(wanted, wire.load_item_to_wire):
                reply = self._unary("LoadMany", pb.LoadManyRequest(unit=unit, items=requests))
                answers = [wire.load_result_from_wire(answer) for answer in _as_many(reply.items, requests)]
                helps = not all(map(_left_out, answers))  # to ask again for what did not fit this reply
                for (index, item), answer in zip(chunk, answers, strict=True):
                    results[index] = answer
                    if helps and _left_out(answer):
                        left.append((index, item))
            wanted = left
        return results

    def upload(self, unit: str, spec: UploadSpec) -> BlockWriter:
        check_unit(unit)
        spec.validate()
        start = pb.UploadRequest.Start(unit=unit, spec=wire.upload_spec_to_wire(spec))
        return self._begin("Upload", pb.UploadRequest, pb.UploadRequest(start=start))

    def update(self, unit: str, spec: UpdateSpec) -> BlockWriter:
        check_unit(unit)
        spec.validate()
        start = pb.UpdateRequest.Start(unit=unit, spec=wire.update_spec_to_wire(spec))
        return self._begin("Update", pb.UpdateRequest, pb.UpdateRequest(start=start))

    def upload_many(self, unit: str, items: Sequence[SmallUpload]) -> list[ObjectInfo | VaultError]:
        check_unit(unit)
        return self._write_many("UploadMany", pb.UploadManyRequest, unit, items, wire.small_upload_to_wire)

    def update_many(self, unit: str, items: Sequence[SmallUpdate]) -> list[ObjectInfo | VaultError]:
        check_unit(unit)
        return self._write_many("UpdateMany", pb.UpdateManyRequest, unit, items, wire.small_update_to_wire)

    def delete_many(self, unit: str, items: Sequence[DeleteSpec]) -> list[int | VaultError]:
        check_unit(unit)
        check_batch(len(items))
        results: list[int | VaultError] = [0] * len(items)
        for chunk, requests in _chunks(_valid(items, results), wire.delete_spec_to_wire):
            reply = self._unary("Delete", pb.DeleteRequest(unit=unit, items=requests))
            for (index, _), answer in zip(chunk, _as_many(reply.results, requests), strict=True):
                results[index] = wire.delete_result_from_wire(answer)
        return results

    def set_metadata(self, unit: str, spec: MetadataSpec) -> ObjectInfo:
        check_unit(unit)
        spec.validate()
        reply = self._unary("SetMetadata", wire.metadata_spec_to_wire(unit, spec))
        return wire.object_info_from_wire(reply.info)

    def watch(self, units: Sequence[str] = (), *, since: int | None = None) -> Watch:
        for unit in units:
            check_unit(unit)
        check_generation(since)
        request = pb.WatchRequest(units=units, since_revision=since)
        return RemoteWatch(self._channel.stream("Watch", request, idle=_WATCH_IDLE), self._see)

    def close(self) -> None:
        self._channel.close()

    def _unary(self, method: str, request: Any) -> Any:
        reply = self._channel.unary(method, request)
        self._see(reply.revision)
        return reply

    def _begin(self, method: str, message: WriteMessage, start: Any) -> BlockWriter:
        duplex, first = self._channel.duplex(method, start)
        self._see(first.revision)
        return RemoteWriter(duplex, message, self._see)

    def _write_many(
        self, method: str, message: Any, unit: str, items: Sequence[ItemT], to_wire: Callable[[ItemT], Any]
    ) -> list[ObjectInfo | VaultError]:
        check_batch(len(items))
        results: list[Any] = [None] * len(items)
        for chunk, requests in _chunks(_valid(items, results), to_wire):
            reply = self._unary(method, message(unit=unit, items=requests))
            for (index, _), answer in zip(chunk, _as_many(reply.results, requests), strict=True):
                results[index] = wire.write_result_from_wire(answer)
        return results

    def _see(self, revision: int) -> None:
        self._revision = max(self._revision, revision)


def _checked(keys: Sequence[Key]) -> list[tuple[int, Key]]:
    check_batch(len(keys))
    for key in keys:
        check_key(key)
    return list(enumerate(keys))


def _valid(items: Sequence[ItemT], results: list[Any]) -> list[tuple[int, ItemT]]:
    """The items that can be asked for, with their places; the others' errors become their results."""
    valid = []
    for index, item in enumerate(items):
        try:
            item.validate()
        except VaultError as error:
            results[index] = error
        else:
            valid.append((index, item))
    return valid


def _chunks(
    items: Sequence[tuple[int, AskedT]], to_wire: Callable[[AskedT], Any], *, most: int = _ITEMS_A_MESSAGE
) -> Iterator[tuple[list[tuple[int, AskedT]], list[Any]]]:
    """The items, and their messages, in runs that fit a message."""
    chunk: list[tuple[int, AskedT]] = []
    requests: list[Any] = []
    size = 0
    for place in items:
        request = to_wire(place[1])
        request_size = request.ByteSize() + 8  # its own tag and length
        if requests and (size + request_size > MAX_MESSAGE_SIZE - _HEADROOM or len(requests) == most):
            yield chunk, requests
            chunk, requests, size = [], [], 0
        chunk.append(place)
        requests.append(request)
        size += request_size
    if requests:
        yield chunk, requests


def _as_many(answers: Sequence[AnswerT], asked: Sequence[object]) -> Sequence[AnswerT]:
    if len(answers) != len(asked):
        raise ProtocolError(f"the server sent {len(answers)} answers to {len(asked)} questions")
    return answers


def _left_out(answer: LoadResult) -> bool:
    """Whether an object would have fitted a batch, but came without its bytes."""
    return isinstance(answer, LoadedObject) and answer.data is None and answer.info.size <= BLOCK_SIZE
