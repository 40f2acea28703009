"""VaultService over an AsyncStore: decode, check, call, encode."""
# ruff: noqa: N802, ARG002  # the names and the arguments of its methods are those of the generated base class

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from vault.errors import NotFoundError, UnknownUnitError
from vault.store.contract import AsyncBlockWriter, AsyncStore
from vault.store.limits import check_batch
from vault.store.values import Block, Key, NotModified, ObjectInfo
from vault.v1 import vault_pb2 as pb
from vault.v1 import vault_pb2_grpc
from vault.wire import messages
from vault.wire.block_codec import LOAD_BLOCK, encode_block

from vault_server.rpc.batch_slices import Turns
from vault_server.rpc.refusal_log import Refusals
from vault_server.rpc.reply_limits import fit_list, fit_results, fit_stat, load_many
from vault_server.rpc.watch_groups import EncodedGroups
from vault_server.rpc.write_stream import take_write
from vault_server.settings import ServerSettings


class VaultService(vault_pb2_grpc.VaultServiceServicer):
    """The RPCs of vault.v1. Errors are raised as VaultError; CallInterceptor turns them into status.

    Blocks come and go as `block_codec` has them, encoded or as Block, between the other messages of a stream.

    A reply's revision is read before the store is asked, since the reply must show every change up to it.
    """

    def __init__(self, store: AsyncStore, settings: ServerSettings, refusals: Refusals) -> None:
        self._store = store
        self._told = refusals.told
        self._allowed = frozenset(settings.allowed_units)
        self._limit = settings.max_message_size
        # So many rows take 5 ms or so; so many objects, that a batch which cannot fit a reply does not fill the
        # memory; so many items are committed together.
        self._looks = Turns(2, size=256, small=256)
        self._loads = Turns(2, size=32, small=32)
        self._writes = Turns(1, size=1000, small=64)
        self._groups = EncodedGroups()

    async def GetCapabilities(self, request: pb.GetCapabilitiesRequest, context: object) -> pb.GetCapabilitiesResponse:
        revision = self._store.revision
        capabilities = await self._store.capabilities()
        allowed = self._allowed_of(capabilities.allowed_units)
        reply = messages.capabilities_to_wire(
            replace(capabilities, max_message_size=self._limit, allowed_units=tuple(sorted(allowed)))
        )
        reply.revision = revision
        return reply

    async def Exists(self, request: pb.ExistsRequest, context: object) -> pb.ExistsResponse:
        self._check_unit(request.unit)
        revision = self._store.revision
        check_batch(len(request.keys))
        reply = pb.ExistsResponse(revision=revision)
        async with aclosing(self._looks.slices(context, request.keys)) as parts:
            async for part in parts:
                keys = messages.keys_from_wire(part)
                reply.generations.extend(await self._store.exists_many(request.unit, keys))
        return reply

    async def Stat(self, request: pb.StatRequest, context: object) -> pb.StatResponse:
        self._check_unit(request.unit)
        revision = self._store.revision
        check_batch(len(request.keys))
        reply = pb.StatResponse(revision=revision)
        async with aclosing(self._looks.slices(context, request.keys)) as parts:
            async for part in parts:
                for info in await self._store.stat_many(request.unit, messages.keys_from_wire(part)):
                    messages.fill_stat_result(reply.items.add(), info)
        return fit_stat(reply, self._limit)

    async def List(self, request: pb.ListRequest, context: object) -> pb.ListResponse:
        self._check_unit(request.unit)
        revision = self._store.revision
        if not request.tags:
            return await fit_list(self._store, request, revision, self._limit)
        async with self._looks.turn(context):  # it may look through much
            return await fit_list(self._store, request, revision, self._limit)

    async def ListUnits(self, request: pb.ListUnitsRequest, context: object) -> pb.ListUnitsResponse:
        revision = self._store.revision
        units = await self._store.list_units()
        return pb.ListUnitsResponse(
            units=[unit for unit in units if not self._allowed or unit in self._allowed], revision=revision
        )

    async def Load(  # type: ignore[override]  # encoded blocks, see above
        self, request: pb.LoadRequest, context: object
    ) -> AsyncIterator[pb.LoadResponse | bytes]:
        self._check_unit(request.unit)
        key = messages.key_from_wire(request.key)
        revision = self._store.revision
        found = await self._store.load(
            request.unit,
            key,
            offset=request.offset,
            length=request.length if request.HasField("length") else None,
            if_generation=request.if_generation if request.HasField("if_generation") else None,
            if_generation_not_match=(
                request.if_generation_not_match if request.HasField("if_generation_not_match") else None
            ),
            generation=request.generation if request.HasField("generation") else None,
        )
        if found is None:
            raise _missing(request.unit, key)
        if isinstance(found, NotModified):
            yield pb.LoadResponse(not_modified=pb.NotModified(generation=found.generation), revision=revision)
            return
        async with found:
            reply = pb.LoadResponse(revision=revision)
            messages.fill_object_info(reply.info, found.info)
            yield reply
            async for block in found:
                yield encode_block(LOAD_BLOCK, block)

    async def LoadMany(self, request: pb.LoadManyRequest, context: object) -> pb.LoadManyResponse:
        self._check_unit(request.unit)
        revision = self._store.revision
        check_batch(len(request.items))
        reply = pb.LoadManyResponse(revision=revision)
        async with aclosing(self._loads.slices(context, request.items)) as parts:
            await load_many(reply, self._store, request.unit, parts, self._limit, partial(self._told, "LoadMany"))
        return reply

    async def Upload(
        self, request_iterator: AsyncIterator[pb.UploadRequest | Block], context: object
    ) -> AsyncIterator[pb.UploadResponse]:
        revision = self._store.revision

        async def begin(request: pb.UploadRequest) -> AsyncBlockWriter:
            start = request.start
            self._check_unit(start.unit)
            spec = messages.upload_spec_from_wire(start.spec)
            return await self._store.upload(start.unit, spec, resumable=start.resumable)

        async with aclosing(take_write(request_iterator, begin)) as told:
            async for each in told:
                if isinstance(each, ObjectInfo):
                    reply = pb.UploadResponse(revision=max(revision, each.revision))
                    messages.fill_object_info(reply.info, each)
                    yield reply
                elif each is None:
                    yield pb.UploadResponse(revision=revision)
                else:
                    yield pb.UploadResponse(persisted_size=each, revision=revision)

    async def Update(
        self, request_iterator: AsyncIterator[pb.UpdateRequest | Block], context: object
    ) -> AsyncIterator[pb.UpdateResponse]:
        revision = self._store.revision

        async def begin(request: pb.UpdateRequest) -> AsyncBlockWriter:
            start = request.start
            self._check_unit(start.unit)
            spec = messages.update_spec_from_wire(start.spec)
            return await self._store.update(start.unit, spec, resumable=start.resumable)

        async with aclosing(take_write(request_iterator, begin)) as told:
            async for each in told:
                if isinstance(each, ObjectInfo):
                    reply = pb.UpdateResponse(revision=max(revision, each.revision))
                    messages.fill_object_info(reply.info, each)
                    yield reply
                elif each is None:
                    yield pb.UpdateResponse(revision=revision)
                else:
                    yield pb.UpdateResponse(persisted_size=each, revision=revision)

    async def GetWriteStatus(self, request: pb.GetWriteStatusRequest, context: object) -> pb.GetWriteStatusResponse:
        self._check_unit(request.unit)
        revision = self._store.revision
        status = await self._store.write_status(request.unit, request.request_id)
        reply = messages.write_status_to_wire(status)
        reply.revision = revision if status.info is None else max(revision, status.info.revision)
        return reply

    async def AbortWrite(self, request: pb.AbortWriteRequest, context: object) -> pb.AbortWriteResponse:
        self._check_unit(request.unit)
        revision = self._store.revision
        await self._store.abort_write(request.unit, request.request_id)
        return pb.AbortWriteResponse(revision=revision)

    async def UploadMany(self, request: pb.UploadManyRequest, context: object) -> pb.UploadManyResponse:
        self._check_unit(request.unit)
        revision = self._store.revision
        check_batch(len(request.items))
        reply = pb.UploadManyResponse(revision=revision)
        async with aclosing(self._writes.slices(context, request.items)) as parts:
            async for part in parts:
                items = [messages.small_upload_from_wire(item) for item in part]
                results = await self._store.upload_many(request.unit, items)
                reply.revision = _newest(reply.revision, results)
                for result in self._told("UploadMany", results):
                    messages.fill_write_result(reply.results.add(), result)
        fit_results(reply, reply.results, self._limit)
        return reply

    async def UpdateMany(self, request: pb.UpdateManyRequest, context: object) -> pb.UpdateManyResponse:
        self._check_unit(request.unit)
        revision = self._store.revision
        check_batch(len(request.items))
        reply = pb.UpdateManyResponse(revision=revision)
        async with aclosing(self._writes.slices(context, request.items)) as parts:
            async for part in parts:
                items = [messages.small_update_from_wire(item) for item in part]
                results = await self._store.update_many(request.unit, items)
                reply.revision = _newest(reply.revision, results)
                for result in self._told("UpdateMany", results):
                    messages.fill_write_result(reply.results.add(), result)
        fit_results(reply, reply.results, self._limit)
        return reply

    async def Delete(self, request: pb.DeleteRequest, context: object) -> pb.DeleteResponse:
        self._check_unit(request.unit)
        revision = self._store.revision
        check_batch(len(request.items))
        reply = pb.DeleteResponse(revision=revision)
        async with aclosing(self._writes.slices(context, request.items)) as parts:
            async for part in parts:
                items = [messages.delete_spec_from_wire(item) for item in part]
                for result in self._told("Delete", await self._store.delete_many(request.unit, items)):
                    messages.fill_delete_result(reply.results.add(), result)
                    if isinstance(result, int):
                        reply.revision = max(reply.revision, result)
        return reply

    async def SetMetadata(self, request: pb.SetMetadataRequest, context: object) -> pb.SetMetadataResponse:
        self._check_unit(request.unit)
        revision = self._store.revision
        info = await self._store.set_metadata(request.unit, messages.metadata_spec_from_wire(request))
        reply = pb.SetMetadataResponse(revision=max(revision, info.revision))
        messages.fill_object_info(reply.info, info)
        return reply

    async def Watch(  # type: ignore[override]  # encoded groups, see above
        self, request: pb.WatchRequest, context: object
    ) -> AsyncIterator[pb.WatchResponse | bytes]:
        for unit in request.units:
            self._check_unit(unit)
        units = list(request.units) or sorted(self._allowed)
        since = request.since_revision if request.HasField("since_revision") else None
        # gRPC holds one event and what flow control lets through, so that a watcher that stands still costs no more.
        async with await self._store.watch(units, since=since) as watch:
            if request.groups:
                async for events in watch.groups():
                    for message in self._groups.messages(events):
                        yield message
            else:
                async for event in watch:
                    yield messages.watch_event_to_wire(event)

    def _check_unit(self, unit: str) -> None:
        """The Store checks how a unit may be named; a server may be held to a list as well."""
        if self._allowed and unit not in self._allowed:
            names = ", ".join(map(repr, sorted(self._allowed)))
            raise UnknownUnitError(f"unit {unit!r} is not allowed here; these are: {names}", unit=unit)

    def _allowed_of(self, store: Sequence[str]) -> frozenset[str]:
        if self._allowed and store:
            return self._allowed & frozenset(store)
        return self._allowed or frozenset(store)


def _newest(revision: int, results: Iterable[object]) -> int:
    return max([revision, *(result.revision for result in results if isinstance(result, ObjectInfo))])


def _missing(unit: str, key: Key) -> NotFoundError:
    if isinstance(key, str):
        return NotFoundError(f"unit {unit!r} has no object named {key!r}", unit=unit, name=key)
    return NotFoundError(f"unit {unit!r} has no object with id {key}", unit=unit, data_id=key)
