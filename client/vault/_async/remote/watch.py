"""The change feed, as a server streams it."""

from collections.abc import AsyncIterator, Callable, Sequence

from vault._async.remote.channel import AsyncChannel
from vault._grpc.calls import FORKED
from vault._runtime.sync_async import AsyncAffinity
from vault.errors import UnavailableError
from vault.store.contract import AsyncWatch
from vault.store.limits import WATCH_LEASE
from vault.store.values import Change, Progress
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as wire
from vault.wire import reply_checks as replies


class AsyncRemoteWatch(AsyncWatch):
    """The change feed as a server streams it. It goes on after a fork, which ends its stream."""

    def __init__(
        self, channel: AsyncChannel, units: Sequence[str], since: int | None, seen: Callable[[int], None]
    ) -> None:
        self._channel = channel
        self._units = units
        self._since = since
        self._seen = seen
        self._closed = False
        self._affinity = AsyncAffinity.here("the watch")

    async def open(self) -> None:
        """Begins it, after what came of it already. Call it first."""
        request = pb.WatchRequest(units=self._units, since_revision=self._since, groups=True)
        self._receiver = await self._channel.stream("Watch", request, idle=WATCH_LEASE)
        self._order = replies.FeedOrder(self._units, self._since)
        if self._closed:  # meanwhile
            self._receiver.cancel()

    async def __aiter__(self) -> AsyncIterator[Change | Progress]:
        async for events in self.groups():
            for event in events:
                yield event
                self._affinity.require()

    async def groups(self) -> AsyncIterator[Sequence[Change | Progress]]:
        self._affinity.require()
        while True:
            try:
                async for message in self._receiver:
                    yield self._events(message)
                    self._affinity.require()
                return
            except UnavailableError as error:
                if error.reason != FORKED:
                    raise
            await self.open()

    def _events(self, message: pb.WatchResponse) -> list[Change | Progress]:
        events = [self._order.check(event) for event in wire.watch_events_from_wire(message)]
        self._since = events[-1].revision
        self._seen(self._since)
        return events

    async def close(self) -> None:
        self._affinity.require_closable()
        self._closed = True
        self._receiver.cancel()
