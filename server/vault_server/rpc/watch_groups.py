"""Changes in groups, each encoded once for all watchers that are sent the same one."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, cast

from vault.store.values import Change, Progress
from vault.v1 import vault_pb2 as pb
from vault.wire import messages

MOST_CHANGES: Final = 256
"""Of one group; the contract says so."""

_MOST_KEPT: Final = 16
"""Encoded groups: watchers with other units, or that are not as far as the others, have others."""


class EncodedGroups:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int, int], tuple[Sequence[Change], bytes]] = {}

    def messages(self, events: Sequence[Change | Progress]) -> Iterator[pb.WatchResponse | bytes]:
        """What a watcher is sent of these events."""
        for kind, alike in groupby(events, type):
            if kind is Progress:
                yield from map(messages.watch_event_to_wire, alike)
                continue
            changes = cast("list[Change]", list(alike))
            for begin in range(0, len(changes), MOST_CHANGES):
                yield self._encoded(changes[begin : begin + MOST_CHANGES])

    def _encoded(self, changes: Sequence[Change]) -> bytes:
        # What is kept is compared: a store behind this server may be replaced by another with the same revisions.
        key = changes[0].revision, changes[-1].revision, len(changes)
        kept, raw = self._kept.get(key, ((), b""))
        if kept != changes:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            raw = messages.watch_group_to_wire(changes).SerializeToString()
            self._kept[key] = changes, raw
        return raw
