"""What was heard of a unit's objects while requests are on their way to the store and back.

A reply says what the store held at some moment between its request's departure and its arrival. What is
heard in between may be newer: a change that the feed told, a write of one's own, another reply. So each
request departs at a tick of a clock, each thing heard is kept with its tick for as long as a request that
departed earlier is in the air, and a reply is compared with what was heard after its departure. What was
heard before says nothing against a reply: the store saw it, or was put back to an older copy since.

No lock of its own: the cache's is held around every call.
"""

from collections import OrderedDict
from typing import Final

from vault.store.values import Key, ObjectInfo

MOST_HEARD: Final = 10_000
"""Objects and names that are kept. Of requests that departed earlier less is known then."""


class Air:
    """The requests of one unit that are in the air, and what was heard meanwhile."""

    def __init__(self) -> None:
        self._clock = 0
        self._departures: dict[int, None] = {}
        self._heard: OrderedDict[Key, tuple[int, int]] = OrderedDict()  # when, and of which revision
        self._missed: OrderedDict[Key, int] = OrderedDict()  # when
        self._doubted = (0, 0)  # as in _heard: of some object, unknown which
        self._forgotten = 0  # what was heard up to then may be kept no longer

    def __len__(self) -> int:
        return len(self._heard)

    def depart(self) -> int:
        """A request leaves. `arrive` must follow."""
        self._clock += 1
        self._departures[self._clock] = None
        return self._clock

    def arrive(self, departed: int) -> None:
        """Its reply has been taken in, or there is none."""
        self._departures.pop(departed, None)
        oldest = next(iter(self._departures), self._clock + 1)
        while self._heard and next(iter(self._heard.values()))[0] < oldest:
            self._heard.popitem(last=False)
        while self._missed and next(iter(self._missed.values())) < oldest:
            self._missed.popitem(last=False)

    @property
    def now(self) -> int:
        """The departure of a reply that nothing has overtaken."""
        return self._clock

    def note(self, key: Key, revision: int) -> None:
        """At this revision there was news of the object, or an object got this name."""
        if not self._departures:
            return
        self._clock += 1
        self._heard[key] = (self._clock, max(revision, self.revision_of(key, 0)))
        self._heard.move_to_end(key)
        if len(self._heard) > MOST_HEARD:
            self._forget(self._heard.popitem(last=False)[1][0])

    def note_all(self, revision: int) -> None:
        """At this revision some object changed, unknown which."""
        self._clock += 1
        self._doubted = (self._clock, max(revision, self._doubted[1]))

    def note_missing(self, key: Key) -> None:
        """The store said that there is no such object, or none of this name."""
        if not self._departures:
            return
        self._clock += 1
        self._missed[key] = self._clock
        self._missed.move_to_end(key)
        if len(self._missed) > MOST_HEARD:
            self._forget(self._missed.popitem(last=False)[1])

    def _forget(self, when: int) -> None:
        """What was heard up to then is kept no longer, nor for whom it was: one that was interrupted never arrives."""
        self._forgotten = when
        while self._departures and (oldest := next(iter(self._departures))) < when:
            self._departures.pop(oldest, None)

    def revision_of(self, key: Key, departed: int) -> int:
        """The newest revision that was heard of since then."""
        when, revision = self._heard.get(key, (0, 0))
        return revision if when > departed else 0

    def is_newest(self, info: ObjectInfo, departed: int) -> bool:
        """Whether nothing newer was heard of the object since its request left."""
        return self.revision_of(info.data_id, departed) <= info.revision

    def is_certain(self, info: ObjectInfo, departed: int) -> bool:
        """Whether it may count as current: nothing that was heard speaks against it."""
        doubted_at, doubted = self._doubted
        return (
            self.is_newest(info, departed)
            and departed >= self._forgotten
            and (departed >= doubted_at or doubted <= info.revision)
            and departed >= self._missed.get(info.data_id, 0)
            and (info.name is None or departed >= self._missed.get(info.name, 0))
        )
