# Generated from _async/remote/watch.py by scripts/unasync: DO NOT CHANGE.
"""The change feed, as a server streams it."""

from collections.abc import Iterator, Callable, Sequence

from vault._sync.remote.channel import Receiver
from vault._runtime.sync_async import Affinity
from vault.store.contract import Watch
from vault.store.values import Change, Progress
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as wire
from vault.wire import reply_checks as replies


class RemoteWatch(Watch):
    """The change feed as a server streams it."""

    def __init__(self, receiver: Receiver, order: replies.FeedOrder, seen: Callable[[int], None]) -> None:
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
        events = [self._order.check(event) for event in wire.watch_events_from_wire(message)]
        self._seen(events[-1].revision)
        return events

    def close(self) -> None:
        self._affinity.require_closable()
        self._receiver.cancel()
