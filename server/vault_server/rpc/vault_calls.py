"""What the RPCs of VaultService have in common: the store as a caller may use it, units, batches, the store's time."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from vault.store.columns import any_expires
from vault.store.contract import AsyncStore
from vault.store.limits import check_batch
from vault.store.values import from_time
from vault.v1 import vault_pb2_grpc
from vault.wire import time_messages

from vault_server.access.grants import ANYBODY
from vault_server.rpc.batch_slices import BatchSlices
from vault_server.rpc.call_context import CallContext
from vault_server.rpc.joined_writes import JoinedWrites
from vault_server.rpc.refusal_log import RefusalLog
from vault_server.rpc.scoped_store import ScopedStores
from vault_server.rpc.watch_groups import EncodedGroups
from vault_server.settings import ServerSettings
from vault_server.storage.decision.refusals import require_allowed


class VaultCalls(vault_pb2_grpc.VaultServiceServicer):
    """Of VaultService. Each `context` is a CallContext, which the generated base class knows nothing of."""

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
        self._load_columns = BatchSlices(2, size=256, small=64)
        self._writes = BatchSlices(1, size=1000, small=64)
        self._groups = EncodedGroups()
        self._joined_writes = JoinedWrites()

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
        if slices.is_small(items):  # as most are: without a generator around it
            await answer(items)
            return
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
