"""What changes objects, and leases: these RPCs of VaultService."""
# ruff: noqa: N802  # the names and the arguments of its methods are those of the generated base class

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from google.protobuf.message import Message
from vault.errors import VaultError
from vault.store.columns import ObjectInfos, rows_of
from vault.store.contract import AsyncBlockWriter, AsyncStore
from vault.store.limits import check_request_id
from vault.store.values import ObjectInfo
from vault.store.write_columns import SmallUploads
from vault.v1 import vault_pb2 as pb
from vault.wire import messages, time_messages, write_columns
from vault.wire import request_messages as requests
from vault.wire.store_time import TIMED

from vault_server.access.grants import ANYBODY
from vault_server.rpc.joined_writes import JoinedWrite
from vault_server.rpc.reply_limits import fit_results
from vault_server.rpc.vault_calls import VaultCalls
from vault_server.rpc.write_stream import run_write

Begin = Callable[..., Awaitable[AsyncBlockWriter]]
Response = TypeVar("Response", pb.UploadResponse, pb.UpdateResponse, pb.PutResponse)


def _streamed_write(
    response: type[Response], spec_from_start: Callable[[Any], Any], begin_of: Callable[[AsyncStore], Begin]
) -> Any:
    """The RPC that begins a write with a method of the store, and answers so."""

    async def write(self: "WriteCalls", request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Response]:
        revision = self._store.revision

        joined = JoinedWrite(request_iterator)

        async def begin(request: Any) -> AsyncBlockWriter:
            start = request.start
            self._check_unit(start.unit, context)
            spec = spec_from_start(start)
            writer = await begin_of(self._store_for(context))(start.unit, spec, resumable=start.resumable)
            counted: AsyncBlockWriter = context.counted(writer, spec.request_id)
            joined.begin(counted.persisted_size)
            self._joined_writes.begin(start.unit, spec.request_id, context.principal, joined)
            return counted

        try:
            async with aclosing(run_write(joined, begin)) as told:
                async for each in told:
                    if isinstance(each, ObjectInfo):
                        reply = response(revision=max(revision, each.revision))
                        messages.fill_object_info(reply.info, each)
                        self._say_time(reply, [each])
                        yield reply
                    elif each is None:
                        yield response(revision=revision)
                    else:
                        yield response(persisted_size=each, revision=revision)
        finally:
            self._joined_writes.end(joined)

    return write


def _small_writes(
    response: type[Message],
    item_from_wire: Callable[[Any], Any],
    write_of: Callable[[AsyncStore], Callable[..., Awaitable[Sequence[Any]]]],
    fill: Callable[[Any, Any], None] = messages.fill_write_result,
    options_of: Callable[[Any], dict[str, Any]] = lambda _: {},
) -> Any:
    """The RPC that does a batch of writes with a method of the store, and fills in their outcomes."""
    rpc = response.DESCRIPTOR.name.removesuffix("Response")

    async def write(self: "WriteCalls", request: Any, context: Any) -> Any:
        reply: Any = response()
        options = options_of(request)
        for unit in options.values():
            self._check_unit(unit, context)
        store = self._store_for(context)

        async def commit(items: Sequence[Any]) -> None:
            newest = 0
            specs = [item_from_wire(item) for item in items]
            results = await write_of(store)(request.unit, specs, **options)
            for result in self._refusals.shown(rpc, context, rows_of(results)):
                fill(reply.results.add(), result)
                newest = max(newest, _revision_of(result))
            if rpc in TIMED:
                self._say_time(reply, results)
            reply.revision = max(reply.revision, newest)

        await self._batch(self._writes, context, request.unit, request.items, reply, commit)
        fit_results(reply, reply.results, self._limit)
        return reply

    return write


class WriteCalls(VaultCalls):
    """Of VaultService."""

    Upload = _streamed_write(
        pb.UploadResponse, lambda start: requests.upload_spec_from_wire(start.spec), lambda store: store.upload
    )
    Update = _streamed_write(
        pb.UpdateResponse, lambda start: requests.update_spec_from_wire(start.spec), lambda store: store.update
    )
    Put = _streamed_write(pb.PutResponse, requests.write_from_wire, lambda store: store.put)

    async def WriteBlock(self, request: Any, context: Any) -> pb.WriteBlockResponse:
        """A call whose request is a SentBlock."""
        self._check_unit(request.unit, context)
        if context.principal is not ANYBODY:
            self._scoped.of(context).require(request.unit, "write")
        check_request_id(request.request_id)
        revision = self._store.revision
        block, stream = request.block, None if request.block is None else request.stream
        write = self._joined_writes.join(request.unit, request.request_id, context.principal, stream)
        if block is not None:
            await write.add(block)
        return pb.WriteBlockResponse(revision=revision, stream=write.number)

    async def GetWriteStatus(self, request: pb.GetWriteStatusRequest, context: Any) -> pb.GetWriteStatusResponse:
        self._check_unit(request.unit, context)
        revision = self._store.revision
        status = await self._store_for(context).write_status(request.unit, request.request_id)
        reply = messages.write_status_to_wire(status)
        reply.revision = revision if status.info is None else max(revision, status.info.revision)
        self._say_time(reply, [status.info])
        return reply

    async def AbortWrite(self, request: pb.AbortWriteRequest, context: Any) -> pb.AbortWriteResponse:
        self._check_unit(request.unit, context)
        revision = self._store.revision
        await self._store_for(context).abort_write(request.unit, request.request_id)
        return pb.AbortWriteResponse(revision=revision)

    UploadMany = _small_writes(pb.UploadManyResponse, requests.small_upload_from_wire, lambda store: store.upload_many)
    UpdateMany = _small_writes(pb.UpdateManyResponse, requests.small_update_from_wire, lambda store: store.update_many)
    PutMany = _small_writes(pb.PutManyResponse, requests.small_put_from_wire, lambda store: store.put_many)
    Delete = _small_writes(
        pb.DeleteResponse,
        requests.delete_spec_from_wire,
        lambda store: store.delete_many,
        messages.fill_delete_result,
    )
    DeleteMany = _small_writes(
        pb.DeleteManyResponse,
        requests.delete_item_from_wire,
        lambda store: store.delete_many,
        messages.fill_delete_result,
    )
    SetMetadataMany = _small_writes(
        pb.SetMetadataManyResponse, requests.metadata_item_from_wire, lambda store: store.set_metadata_many
    )
    Copy = _small_writes(
        pb.CopyResponse,
        requests.copy_from_wire,
        lambda store: store.copy_many,
        options_of=lambda request: {"to_unit": request.to_unit or request.unit},
    )

    async def WriteColumns(self, request: pb.WriteColumnsRequest, context: Any) -> pb.WriteColumnsResponse:
        self._check_unit(request.unit, context)
        items = write_columns.write_columns_from_wire(request)
        reply = pb.WriteColumnsResponse()
        store = self._store_for(context)

        async def commit(some: Any) -> None:
            write = store.upload_many if isinstance(some, SmallUploads) else store.put_many
            outcomes: ObjectInfos[VaultError] = ObjectInfos.of(await write(request.unit, some))
            shown = self._refusals.shown("WriteColumns", context, outcomes.others.values())
            outcomes = ObjectInfos(outcomes.columns, dict(zip(outcomes.others, shown, strict=True)))
            write_columns.add_outcomes(reply, outcomes)
            self._say_time(reply, outcomes)
            reply.revision = max(reply.revision, max(outcomes.revisions, default=0))

        await self._batch(self._writes, context, request.unit, items, reply, commit)
        fit_results(reply, reply.errors, self._limit)
        return reply

    async def SetMetadata(self, request: pb.SetMetadataRequest, context: Any) -> pb.SetMetadataResponse:
        self._check_unit(request.unit, context)
        revision = self._store.revision
        info = await self._store_for(context).set_metadata(request.unit, requests.metadata_spec_from_wire(request))
        reply = pb.SetMetadataResponse(revision=max(revision, info.revision))
        messages.fill_object_info(reply.info, info)
        self._say_time(reply, [info])
        return reply

    async def AcquireLease(self, request: pb.AcquireLeaseRequest, context: Any) -> pb.AcquireLeaseResponse:
        self._check_unit(request.unit, context)
        revision = self._store.revision
        seconds = time_messages.seconds_from_wire(request.duration)
        remaining = await self._store_for(context).acquire_lease(request.unit, request.name, request.holder, seconds)
        reply = messages.lease_to_wire(remaining, seconds)
        reply.revision = revision
        return reply

    async def ReleaseLease(self, request: pb.ReleaseLeaseRequest, context: Any) -> pb.ReleaseLeaseResponse:
        self._check_unit(request.unit, context)
        revision = self._store.revision
        await self._store_for(context).release_lease(request.unit, request.name, request.holder)
        return pb.ReleaseLeaseResponse(revision=revision)


def _revision_of(result: Any) -> int:
    """Of the change that a write made; 0: it made none."""
    if isinstance(result, tuple):
        revision: int = result[3]
        return revision
    if isinstance(result, ObjectInfo):
        return result.revision
    return result if isinstance(result, int) else 0
