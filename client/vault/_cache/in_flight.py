"""What became known of a unit's objects while requests are in flight to the store and back.

A reply says what the store held at some moment between its request and its arrival. What becomes known in between may
be newer: a change from the feed, a write of one's own, another reply. So each request is sent at a tick of a clock,
each thing that becomes known is noted with its tick for as long as a request that was sent earlier is in flight, and a
reply is compared with what was noted since it was asked for. What was known before says nothing against a reply: the
store saw it, or was put back to an older copy since.

No lock of its own: the cache's is held around every call.
"""

from collections import OrderedDict
from typing import Final

from vault.store.values import Key, ObjectInfo

MOST_NOTES: Final = 10_000
"""Objects and names that are kept. Of requests that were sent earlier less is known then."""


class InFlight:
    """The requests of one unit that are in flight, and what was noted meanwhile."""

    def __init__(self) -> None:
        self._clock = 0
        self._requests: dict[int, None] = {}  # by when they were sent
        self._notes: OrderedDict[Key, tuple[int, int]] = OrderedDict()  # when, and of which revision
        self._absent: OrderedDict[Key, int] = OrderedDict()  # when
        self._dropped_up_to = 0  # what was noted up to then may be kept no longer

    def __len__(self) -> int:
        return len(self._notes)

    def tick(self) -> int:
        """A moment that is after all requests that are in flight."""
        self._clock += 1
        return self._clock

    def begin(self) -> int:
        """A request is sent; returns when. `end` must follow."""
        self._clock += 1
        self._requests[self._clock] = None
        return self._clock

    def end(self, sent: int) -> None:
        """Its reply has been taken in, or there is none."""
        self._requests.pop(sent, None)
        oldest = next(iter(self._requests), self._clock + 1)
        while self._notes and next(iter(self._notes.values()))[0] < oldest:
            self._notes.popitem(last=False)
        while self._absent and next(iter(self._absent.values())) < oldest:
            self._absent.popitem(last=False)

    @property
    def now(self) -> int:
        """When a request was sent whose reply nothing has overtaken."""
        return self._clock

    @property
    def is_noting(self) -> bool:
        """Whether there is a request for which it has to be noted what becomes known."""
        return bool(self._requests)

    def note(self, key: Key, revision: int) -> None:
        """At this revision the object changed, or an object got this name."""
        if not self._requests:
            return
        self._clock += 1
        self._notes[key] = (self._clock, max(revision, self.revision_of(key, 0)))
        self._notes.move_to_end(key)
        if len(self._notes) > MOST_NOTES:
            self._drop(self._notes.popitem(last=False)[1][0])

    def note_info(self, info: ObjectInfo) -> None:
        """The store holds this, or held it: replies that are older are not current."""
        self.note(info.data_id, info.revision)
        if info.name is not None:
            self.note(info.name, info.revision)

    def note_absent(self, key: Key) -> None:
        """The store said that there is no such object, or none of this name."""
        if not self._requests:
            return
        self._clock += 1
        self._absent[key] = self._clock
        self._absent.move_to_end(key)
        if len(self._absent) > MOST_NOTES:
            self._drop(self._absent.popitem(last=False)[1])

    def _drop(self, when: int) -> None:
        """What was noted up to then is kept no longer, nor for whom it was: one that was interrupted never ends."""
        self._dropped_up_to = when
        while self._requests and (oldest := next(iter(self._requests))) < when:
            self._requests.pop(oldest, None)

    def revision_of(self, key: Key, sent: int) -> int:
        """The newest revision that was noted since then."""
        when, revision = self._notes.get(key, (0, 0))
        return revision if when > sent else 0

    def is_newest(self, info: ObjectInfo, sent: int) -> bool:
        """Whether nothing newer was noted of the object since its request was sent."""
        return self.revision_of(info.data_id, sent) <= info.revision

    def is_certain(self, info: ObjectInfo, sent: int) -> bool:
        """Whether it may count as current: nothing that was noted speaks against it."""
        return (
            self.is_newest(info, sent)
            and sent >= self._dropped_up_to
            and sent >= self._absent.get(info.data_id, 0)
            and (info.name is None or sent >= self._absent.get(info.name, 0))
        )
