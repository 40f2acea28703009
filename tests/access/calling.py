"""Calls of any method, what their answers are taken for, and the store behind the server."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Self

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from vault._sync.files.transfer import upload_file
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import SmallUpload, UploadSpec, new_data_id, new_request_id
from vault.store.values import ObjectInfo, checksum
from vault.v1 import admin_pb2
from vault.v1 import vault_pb2 as pb
from vault.wire.status import error_from_rpc
from vault_server import EmbeddedStore

from tests.access.model import DOCS, THEIRS, Answer

DATA: Final = b"of docs"
BLOCK: Final = b"x" * BLOCK_SIZE

SERVICES: Final = tuple(
    module.DESCRIPTOR.services_by_name[name]
    for module, name in (
        (pb, "VaultService"),
        (admin_pb2, "AdminService"),
        (health_pb2, "Health"),
        (reflection_pb2, "ServerReflection"),
    )
)


class Caller:
    """A channel, and what is sent along with each call over it."""

    def __init__(self, channel: grpc.aio.Channel, *metadata: tuple[str, str]) -> None:
        self.channel = channel
        self.metadata = metadata

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.channel.close()

    def begin(self, method: str, requests: AsyncIterator[Message] | Message | None, *, name: str | None = None) -> Any:
        """A call of "Service.Method", not waited for. `name`: the path that is sent in its place."""
        found = described(method)
        kind = "_".join("stream" if each else "unary" for each in (found.client_streaming, found.server_streaming))
        make = getattr(self.channel, kind)(
            name or f"/{found.containing_service.full_name}/{found.name}",
            request_serializer=GetMessageClass(found.input_type).SerializeToString,
            response_deserializer=GetMessageClass(found.output_type).FromString,
        )
        taken = () if requests is None else (requests,)
        return make(*taken, metadata=self.metadata, timeout=60)

    async def call(
        self, method: str, *requests: Message, until: Callable[[Any], bool] = lambda _: False, name: str | None = None
    ) -> list[Any]:
        """The replies, up to the first one that is enough."""
        found = described(method)
        call = self.begin(method, _each(requests) if found.client_streaming else requests[0], name=name)
        if not found.server_streaming:
            return [await call]
        replies = []
        async for reply in call:
            replies.append(reply)
            if until(reply):
                call.cancel()
                break
        return replies

    async def start(self, method: str, *requests: Message) -> Any:
        """A streaming call that has been answered once, and goes on."""
        found = described(method)
        call = self.begin(method, None if found.client_streaming else requests[0])
        for request in requests if found.client_streaming else ():
            await call.write(request)
        await call.read()
        return call


async def _each(requests: Sequence[Message]) -> AsyncIterator[Message]:
    for request in requests:
        yield request


def described(method: str) -> Any:
    service, _, name = method.partition(".")
    (found,) = [each for each in SERVICES if each.name == service]
    return found.methods_by_name[name]


class Place:
    """The store behind the server, opened beside it, and a caller who may do everything."""

    def __init__(self, store: EmbeddedStore, admin: Caller | None = None) -> None:
        self.store = store
        self.admin = admin
        self._known = store.revision
        for unit, name in ((DOCS, "there"), (THEIRS, "own")):
            if store.stat_many(unit, [name])[0] is None:
                self.new(name, unit)

    def new(
        self, name: str | None = None, unit: str = DOCS, request_id: bytes | None = None, data: bytes = DATA
    ) -> pb.Key:
        """A new object, made past the server."""
        data_id = new_data_id()
        spec = UploadSpec(data_id, name or f"n{data_id}", request_id=request_id or new_request_id())
        (outcome,) = self.store.upload_many(unit, [SmallUpload(spec, DATA, checksum(DATA))])
        assert isinstance(outcome, ObjectInfo)
        if outcome.revision == self._known + 1:
            self._known = outcome.revision
        return pb.Key(data_id=spec.data_id)

    def large(self) -> pb.Key:
        """Likewise, of more bytes than connections take without being read."""
        spec = UploadSpec(new_data_id())
        return pb.Key(data_id=upload_file(lambda: self.store.upload(DOCS, spec), io.BytesIO(32 * BLOCK), None).data_id)

    def expect_unchanged(self) -> None:
        """From now on `is_changed` says whether somebody else has changed anything."""
        self._known = self.store.revision

    def is_changed(self) -> bool:
        return self.store.revision != self._known


Run = Callable[[Caller, Place], Awaitable[bool]]
"""Returns whether the answer shows, or did, what was asked for."""

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_ANSWERS: Final[Mapping[grpc.StatusCode, Answer]] = {
    grpc.StatusCode.NOT_FOUND: "nothing",
    grpc.StatusCode.PERMISSION_DENIED: "denied",
    grpc.StatusCode.UNAUTHENTICATED: "unknown caller",
    grpc.StatusCode.UNIMPLEMENTED: "no such method",
    grpc.StatusCode.UNAVAILABLE: "no connection",
}


class _ItemFailed(Exception):  # noqa: N818  # never seen outside
    def __init__(self, code: int) -> None:
        self.code = code


async def answer(run: Run, caller: Caller, place: Place) -> Answer:
    """What comes of a use of a method."""
    while True:
        try:
            return "done" if await run(caller, place) else "nothing"
        except _ItemFailed as failed:
            return _ANSWERS.get(_CODES[failed.code], "other")
        except grpc.aio.AioRpcError as error:
            # A call that is refused while its next message is being sent: grpc.aio's own failure, not the answer.
            if error.details() != "Internal error from Core":
                return answer_of(error)


def answer_of(error: grpc.aio.AioRpcError) -> Answer:
    """What a status comes to. A refusal has to say its reason as every error of the server does."""
    answer = _ANSWERS.get(error.code(), "other")
    told = error_from_rpc(error)
    if answer == "denied" and told.reason == "ADDRESS_NOT_ALLOWED":
        return "address"
    if answer in ("denied", "unknown caller") and told.reason not in (
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "REVOKED",
    ):
        return "other"
    return answer


def _sent(method: str, request: Callable[[Place], Message], shows: Callable[[Any], bool] = lambda _: True) -> Run:
    async def run(caller: Caller, place: Place) -> bool:
        (reply,) = await caller.call(method, request(place))
        return shows(reply)

    return run


def item_done(message: Any) -> bool:
    """Whether an item of a batch was done."""
    if message.HasField("error"):
        assert message.error.code != code_pb2.OK
        raise _ItemFailed(message.error.code)
    return message.WhichOneof("result") is not None


def _items(method: str, request: Callable[[Place], Message]) -> Run:
    def shows(reply: Any) -> bool:
        (result,) = reply.results if hasattr(reply, "results") else reply.items
        return item_done(result)

    return _sent(method, request, shows)


def _stream(method: str, start: Callable[[Place], Message]) -> Run:
    """A streamed write of a block."""
    message = GetMessageClass(described(method).input_type)

    async def run(caller: Caller, place: Place) -> bool:
        requests = [
            message(start=start(place)),
            message(block=pb.Block(offset=0, data=DATA, checksum=checksum(DATA))),
            message(commit=pb.Commit(size=len(DATA), checksum=checksum(DATA))),
        ]
        replies = await caller.call(method, *requests)
        return any(reply.HasField("info") for reply in replies)

    return run


Make = Callable[[str], Run]
"""Of the method's name."""


def asking(request: Callable[[Place], Message], shows: Callable[[Any], bool] = lambda _: True) -> Make:
    return lambda method: _sent(method, request, shows)


def asking_for_one(request: Callable[[Place], Message]) -> Make:
    return lambda method: _items(method, request)


def sending(start: Callable[[Place], Message]) -> Make:
    return lambda method: _stream(method, start)


def doing(run: Run) -> Make:
    return lambda _method: run
