"""VaultService over an AsyncStore: decode, check, call, encode."""
# ruff: noqa: N802, ARG002  # the names and the arguments of its methods are those of the generated base class

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from google.protobuf.message import Message
from vault.errors import object_not_found
from vault.store.columns import any_expires, from_time, rows_of
from vault.store.contract import AsyncBlockWriter, AsyncStore
from vault.store.limits import check_batch
from vault.store.ranges import RangeAssembly
from vault.store.values import LoadedObject, NotModified, ObjectInfo
from vault.v1 import vault_pb2 as pb
from vault.wire import messages, time_messages, unit_messages
from vault.wire import request_messages as requests
from vault.wire.block_codec import LOAD_BLOCK, encode_block
from vault.wire.store_time import TIMED

from vault_server.access.grants import ANYBODY, SCOPES
from vault_server.rpc.batch_slices import BatchSlices
from vault_server.rpc.call_context import CallContext
from vault_server.rpc.principal_calls import PrincipalCalls
from vault_server.rpc.refusal_log import RefusalLog
from vault_server.rpc.reply_limits import fit_list, fit_objects, fit_results, fit_stat, load_some, room_for_parts
from vault_server.rpc.scoped_store import ScopedStores
from vault_server.rpc.watch_groups import EncodedGroups
from vault_server.rpc.write_stream import run_write
from vault_server.settings import ServerSettings
from vault_server.storage.decision.refusals import require_allowed

Begin = Callable[..., Awaitable[AsyncBlockWriter]]
Response = TypeVar("Response", pb.UploadResponse, pb.UpdateResponse, pb.PutResponse)


def _streamed_write(
    response: type[Response], spec_from_start: Callable[[Any], Any], begin_of: Callable[[AsyncStore], Begin]
) -> Any:
    """The RPC that begins a write with a method of the store, and answers so."""

    async def write(
        self: "VaultService", request_iterator: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Response]:
        revision = self._store.revision

        async def begin(request: Any) -> AsyncBlockWriter:
            start = request.start
            self._check_unit(start.unit, context)
            spec = spec_from_start(start)
            writer = await begin_of(self._store_for(context))(start.unit, spec, resumable=start.resumable)
            counted: AsyncBlockWriter = context.counted(writer, spec.request_id)
            return counted

        async with aclosing(run_write(request_iterator, begin)) as told:
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

    async def write(self: "VaultService", request: Any, context: Any) -> Any:
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


class VaultService(PrincipalCalls):
    """The RPCs of vault.v1. Errors are raised as VaultError; CallInterceptor turns them into status.

    Blocks come and go as `block_codec` has them, encoded or as Block, between the other messages of a stream.

    Each `context` is a CallContext, which the generated base class knows nothing of.

    A reply's revision is read before the store is asked, since the reply must show every change up to it.
    """

    def __init__(self, store: AsyncStore, settings: ServerSettings, refusals: RefusalLog) -> None:
        self._store = store
        self._refusals = refusals
        self._allowed = sorted(settings.allowed_units)
        self._scoped = ScopedStores(store, self._allowed)
        self._limit = settings.max_message_size
        # So many rows take 5 ms or so; so many objects, that a batch which cannot fit a reply does not fill the
        # memory; so many items are committed together.
        self._lookups = BatchSlices(2, size=256, small=256)
        self._loads = BatchSlices(2, size=32, small=32)
        self._writes = BatchSlices(1, size=1000, small=64)
        self._groups = EncodedGroups()

    async def GetCapabilities(self, request: pb.GetCapabilitiesRequest, context: Any) -> pb.GetCapabilitiesResponse:
        revision = self._store.revision
        capabilities = await self._store_for(context).capabilities()
        both = [frozenset(units) for units in (self._allowed, capabilities.allowed_units) if units]
        named = sorted(frozenset.intersection(*both)) if both else ()
        allowed = tuple(unit for unit in named if context.principal.scopes(unit))
        reply = messages.capabilities_to_wire(
            replace(capabilities, max_message_size=self._limit, allowed_units=allowed)
        )
        reply.revision = revision
        return reply

    async def Exists(self, request: pb.ExistsRequest, context: Any) -> pb.ExistsResponse:
        reply = pb.ExistsResponse()
        store = self._store_for(context)

        async def look(keys: Sequence[pb.Key]) -> None:
            generations = await store.exists_many(request.unit, requests.keys_from_wire(keys))
            reply.generations.extend(generations)

        await self._batch(self._lookups, context, request.unit, request.keys, reply, look)
        return reply

    async def Stat(self, request: pb.StatRequest, context: Any) -> pb.StatResponse:
        reply = pb.StatResponse()
        store = self._store_for(context)

        async def look(keys: Sequence[pb.Key]) -> None:
            infos = await store.stat_many(request.unit, requests.keys_from_wire(keys))
            for info in rows_of(infos):
                messages.fill_stat_result(reply.items.add(), info)
            self._say_time(reply, infos)

        await self._batch(self._lookups, context, request.unit, request.keys, reply, look)
        return fit_stat(reply, self._limit)

    async def List(self, request: pb.ListRequest, context: Any) -> pb.ListResponse:
        self._check_unit(request.unit, context)
        revision = self._store.revision
        store = self._store_for(context)
        by_name = request.order in (pb.LIST_ORDER_UNSPECIFIED, pb.LIST_ORDER_NAME)
        if not request.tags and (by_name or not request.HasField("prefix")):
            await context.caller.pause(first=True)
            began = time.monotonic()
            page, reply = await fit_list(store, request, self._limit)
            context.caller.worked(began)
        else:
            async with self._lookups.turn(context.caller):  # it may look through much
                page, reply = await fit_list(store, request, self._limit)
        reply.revision = revision
        self._say_time(reply, page.objects)
        return reply

    async def ListUnits(self, request: pb.ListUnitsRequest, context: Any) -> pb.ListUnitsResponse:
        revision = self._store.revision
        async with self._lookups.turn(context.caller):
            units = await self._store_for(context).list_units()
        return pb.ListUnitsResponse(
            units=[unit for unit in units if not self._allowed or unit in self._allowed], revision=revision
        )

    async def StatUnits(self, request: pb.StatUnitsRequest, context: Any) -> pb.StatUnitsResponse:
        reply = pb.StatUnitsResponse(revision=self._store.revision)
        store = self._store_for(context)
        if request.units:
            check_batch(request.units)
            async with aclosing(self._lookups.of(context.caller, request.units)) as parts:
                async for part in parts:
                    for unit in part:
                        self._check_unit(unit, context)
                        unit_messages.fill_unit_info(reply.units.add(), await store.unit_info(unit))
            return reply
        await context.caller.pause(first=True)
        began = time.monotonic()
        page = await store.unit_page(prefix=request.prefix, page_size=request.page_size, page_token=request.page_token)
        context.caller.worked(began)
        for info in page.units:
            if not self._allowed or info.unit in self._allowed:
                unit_messages.fill_unit_info(reply.units.add(), info)
        reply.next_page_token = page.next_page_token
        return reply

    async def SetUnitLimits(self, request: pb.SetUnitLimitsRequest, context: Any) -> pb.SetUnitLimitsResponse:
        self._check_unit(request.unit, context)
        reply = pb.SetUnitLimitsResponse(revision=self._store.revision)
        limits = unit_messages.unit_limits_from_wire(request.limits)
        unit_messages.fill_unit_info(reply.info, await self._store_for(context).set_unit_limits(request.unit, limits))
        return reply

    async def WhoAmI(self, request: pb.WhoAmIRequest, context: Any) -> pb.WhoAmIResponse:
        principal = context.principal
        reply = pb.WhoAmIResponse(principal=principal.name, revision=self._store.revision)
        for grant in principal.grants:
            reply.grants.add(units=grant.units, scopes=[scope for scope in SCOPES if scope in grant.scopes])
        if principal.expires_at is not None:
            reply.expires_at.FromDatetime(principal.expires_at)
        return reply

    async def Load(  # type: ignore[override]  # encoded blocks, see above
        self, request: pb.LoadRequest, context: Any
    ) -> AsyncIterator[pb.LoadResponse | bytes]:
        self._check_unit(request.unit, context)
        key = requests.key_from_wire(request.key)
        revision = self._store.revision
        found = await self._store_for(context).load(
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
            raise object_not_found(request.unit, key)
        if isinstance(found, NotModified):
            yield pb.LoadResponse(not_modified=pb.NotModified(generation=found.generation), revision=revision)
            return
        async with found:
            reply = pb.LoadResponse(revision=revision)
            messages.fill_object_info(reply.info, found.info)
            self._say_time(reply, [found.info])
            yield reply
            async for block in found:
                yield encode_block(LOAD_BLOCK, block)

    async def Read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:
        self._check_unit(request.unit, context)
        key = requests.key_from_wire(request.key)
        ranges = requests.ranges_from_wire(request.ranges)
        room = room_for_parts(ranges, self._limit)
        limits = {"exact_below": request.exact_below, "max_bytes": min(request.max_bytes or room, room)}
        revision = self._store.revision
        found = await self._store_for(context).read(
            request.unit,
            key,
            ranges,
            if_generation=request.if_generation if request.HasField("if_generation") else None,
            generation=request.generation if request.HasField("generation") else None,
            **limits,
        )
        if found is None:
            raise object_not_found(request.unit, key)
        reply = pb.ReadResponse(revision=revision)
        messages.fill_object_ranges(reply, found, RangeAssembly(found.info, ranges, **limits))
        self._say_time(reply, [found.info])
        return reply

    async def LoadMany(self, request: pb.LoadManyRequest, context: Any) -> pb.LoadManyResponse:
        reply = pb.LoadManyResponse()
        room = self._limit
        store = self._store_for(context)

        async def load(items: Sequence[pb.LoadManyRequest.Item]) -> None:
            nonlocal room
            results = await load_some(store, request.unit, items, room)
            self._say_time(reply, results)
            for result in self._refusals.shown("LoadMany", context, rows_of(results)):
                messages.fill_load_result(reply.items.add(), result)
                if isinstance(result, tuple | LoadedObject):
                    room -= len((result[-1] if isinstance(result, tuple) else result.data) or b"")

        await self._batch(self._loads, context, request.unit, request.items, reply, load)
        fit_objects(reply, self._limit)
        return reply

    Upload = _streamed_write(
        pb.UploadResponse, lambda start: requests.upload_spec_from_wire(start.spec), lambda store: store.upload
    )
    Update = _streamed_write(
        pb.UpdateResponse, lambda start: requests.update_spec_from_wire(start.spec), lambda store: store.update
    )
    Put = _streamed_write(pb.PutResponse, requests.write_from_wire, lambda store: store.put)

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

    async def Watch(  # type: ignore[override]  # encoded groups, see above
        self, request: pb.WatchRequest, context: Any
    ) -> AsyncIterator[pb.WatchResponse | bytes]:
        for unit in request.units:
            self._check_unit(unit, context)
        store = self._store_for(context)
        units = list(request.units) or (self._allowed if store is self._store else ())
        since = request.since_revision if request.HasField("since_revision") else None
        # gRPC holds one event and what flow control lets through, so that a watcher that stands still costs no more.
        async with await store.watch(units, since=since) as watch:
            if request.groups:
                async for events in watch.groups():
                    for message in self._groups.messages(events):
                        yield message
            else:
                async for event in watch:
                    yield messages.watch_event_to_wire(event)

    async def _batch(
        self,
        slices: BatchSlices,
        context: CallContext,
        unit: str,
        items: Sequence[Any],
        reply: Any,
        answer: Callable[[Sequence[Any]], Awaitable[None]],
    ) -> None:
        """Answers a batch, a slice at a time."""
        self._check_unit(unit, context)
        reply.revision = self._store.revision
        check_batch(items)
        async with aclosing(slices.of(context.caller, items)) as parts:
            async for part in parts:
                await answer(part)

    def _say_time(self, reply: Any, results: Sequence[Any]) -> None:
        """Says the store's time in a reply with an object that expires."""
        if any_expires(results):
            time_messages.fill_timestamp(reply.store_time, from_time(self._store.time))

    def _store_for(self, context: CallContext) -> AsyncStore:
        """The store as the caller may use it."""
        return self._store if context.principal is ANYBODY else self._scoped.of(context)

    def _check_unit(self, unit: str, context: CallContext) -> None:
        """A server may be held to a list of units, as its Store may be; of a caller's own, by his own store."""
        if self._allowed and context.principal is ANYBODY:
            require_allowed(unit, self._allowed)


def _revision_of(result: Any) -> int:
    """Of the change that a write made; 0: it made none."""
    if isinstance(result, tuple):
        revision: int = result[3]
        return revision
    if isinstance(result, ObjectInfo):
        return result.revision
    return result if isinstance(result, int) else 0
