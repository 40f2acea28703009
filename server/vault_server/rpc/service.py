"""VaultService over an AsyncStore: decode, check, call, encode."""
# ruff: noqa: N802, ARG002  # the names and the arguments of its methods are those of the generated base class

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from vault.errors import object_not_found
from vault.store.columns import LoadedObjects, LoadItems, rows_of
from vault.store.limits import check_batch
from vault.store.ranges import RangeAssembly
from vault.store.values import Key, LoadedObject, NotModified
from vault.v1 import vault_pb2 as pb
from vault.wire import load_columns, messages, unit_messages
from vault.wire import request_messages as requests
from vault.wire.block_codec import LOAD_BLOCK, encode_block

from vault_server.access.grants import SCOPES
from vault_server.rpc.principal_calls import PrincipalCalls
from vault_server.rpc.reply_limits import fit_list, fit_objects, fit_stat, load_some, room_for_parts
from vault_server.rpc.write_calls import WriteCalls


class VaultService(PrincipalCalls, WriteCalls):
    """The RPCs of vault.v1. Errors are raised as VaultError; CallInterceptor turns them into status.

    Blocks come and go as `block_codec` has them, encoded or as Block, between the other messages of a stream.

    A reply's revision is read before the store is asked, since the reply must show every change up to it.
    """

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
            stride = request.stride if request.stride > 1 and found.every(request.stride) else 0
            reply = pb.LoadResponse(revision=revision, stride=stride)
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
            wanted = [requests.load_item_from_wire(item) for item in items]
            results = await load_some(store, request.unit, wanted, room)
            self._say_time(reply, results)
            for result in self._refusals.shown("LoadMany", context, rows_of(results)):
                messages.fill_load_result(reply.items.add(), result)
                if isinstance(result, tuple | LoadedObject):
                    room -= len((result[-1] if isinstance(result, tuple) else result.data) or b"")

        await self._batch(self._loads, context, request.unit, request.items, reply, load)
        fit_objects(reply, self._limit)
        return reply

    async def LoadColumns(self, request: pb.LoadColumnsRequest, context: Any) -> pb.LoadColumnsResponse:
        self._check_unit(request.unit, context)
        keys = load_columns.keys_from_wire(request)
        reply = pb.LoadColumnsResponse()
        room = self._limit
        store = self._store_for(context)
        parts: list[LoadedObjects] = []

        async def load(some: Sequence[Key]) -> None:
            nonlocal room
            items = LoadItems((some, (None,) * len(some)))
            results = await load_some(store, request.unit, items, room)
            loaded = results if isinstance(results, LoadedObjects) else LoadedObjects.of(results)
            if any(isinstance(other, LoadedObject) for other in loaded.others.values()):  # of a store behind a server
                loaded = LoadedObjects.of(list(loaded))
            shown = self._refusals.shown("LoadColumns", context, loaded.others.values())
            loaded = LoadedObjects(loaded.columns, dict(zip(loaded.others, shown, strict=True)))
            self._say_time(reply, loaded)
            parts.append(load_columns.fitting(loaded, room))  # now: what is left out is not held until the last part
            room -= load_columns.bytes_of(parts[-1])

        await self._batch(self._load_columns, context, request.unit, keys, reply, load)
        load_columns.fill_loaded(reply, LoadedObjects.joined(parts), self._limit)
        return reply

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
