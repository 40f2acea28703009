"""One unit's part of the object cache: its index and its books.

No lock of its own: the cache's is held around every call. An interrupt may come between any two calls made here: what
belongs together is assigned without one in between, and what leads to an entry may lead to one that is gone.
"""

import math
from collections import OrderedDict

from vault._cache.entry import Entry
from vault._cache.in_flight import Air
from vault.store.values import Key, ObjectInfo
from vault.unit import UnitSettings


class Shelf:
    """The entries of a unit, by id and by name.

    Attributes:
        entries: By id.
        idle: Ids of those that a ticket was closed on, the longest unused first, and when the last one was. There may
            be some with an open ticket among them: it costs less to leave those out when it matters.
        bytes: Of all entries, as they are stored.
        air: Requests to the store whose replies may bring objects here, and what is heard meanwhile.
    """

    def __init__(self, unit: UnitSettings) -> None:
        self._max_entries = unit.max_cached or math.inf
        self._max_bytes = unit.max_bytes or math.inf
        self._names: dict[str, int] = {}
        self.entries: dict[int, Entry] = {}
        self.idle: OrderedDict[int, int] = OrderedDict()
        self.bytes = 0
        self.air = Air()

    @property
    def is_over_limit(self) -> bool:
        return len(self.entries) > self._max_entries or self.bytes > self._max_bytes

    def find(self, key: Key) -> Entry | None:
        """The entry of this id or name."""
        data_id = self._names.get(key) if isinstance(key, str) else key
        return None if data_id is None else self.entries.get(data_id)

    def holds(self, entry: Entry) -> bool:
        """Whether it is in the index: not outdated, not put out."""
        return entry.shelf is self

    def let_go(self, entry: Entry, when: int) -> None:
        """The last ticket on it was closed."""
        data_id = entry.info.data_id
        self.idle[data_id] = when
        self.idle.move_to_end(data_id)

    def longest_unused(self) -> Entry | None:
        """Of those without an open ticket."""
        while self.idle:
            data_id = next(iter(self.idle))
            entry = self.entries.get(data_id)
            if entry is not None and not entry.pins:
                return entry
            del self.idle[data_id]
        return None

    def count_idle(self) -> int:
        """How many have no open ticket; `idle` is just those, then."""
        for data_id in [data_id for data_id in self.idle if self._is_in_use(data_id)]:
            del self.idle[data_id]
        return len(self.idle)

    def _is_in_use(self, data_id: int) -> bool:
        entry = self.entries.get(data_id)
        return entry is None or bool(entry.pins)

    def put(self, entry: Entry, departed: int) -> None:
        """Puts an entry in, or what it has become in its place. Its name leads to it, unless to something newer."""
        info = entry.info
        if self.holds(entry):
            self.unname(entry)
        if entry.shelf is self:
            self.bytes -= entry.size
        self.entries[info.data_id] = entry
        entry.shelf = self
        entry.size = info.size
        self.bytes += info.size
        entry.name = info.name
        if info.name is not None and self.air.revision_of(info.name, departed) <= info.revision:
            holder = self.entries.get(self._names.get(info.name, 0))
            if holder is None or holder.info.revision <= info.revision:
                self._names[info.name] = info.data_id

    def remove(self, entry: Entry) -> None:
        """Takes an entry out; open tickets keep it."""
        data_id = entry.info.data_id
        self.idle.pop(data_id, None)
        self.unname(entry)
        del self.entries[data_id]
        entry.shelf = None
        self.bytes -= entry.size

    def unname(self, entry: Entry) -> None:
        """Its name does not lead to it any more."""
        if entry.name is not None and self._names.get(entry.name) == entry.info.data_id:
            del self._names[entry.name]

    def take_name(self, name: str, data_id: int, revision: int) -> None:
        """This object had this name at this revision: it leads to no other that is older any more."""
        holder = self._names.get(name)
        if holder is None or holder == data_id:
            return
        entry = self.entries.get(holder)
        if entry is None or entry.info.revision < revision:
            del self._names[name]

    def describe(self, entry: Entry, info: ObjectInfo, departed: int) -> None:
        """What the store says of the same bytes."""
        if info.revision >= entry.info.revision:
            entry.describe(info)
            self.put(entry, departed)

    def note(self, info: ObjectInfo) -> None:
        """The store held this, or holds it now: what is in the air and older is not current."""
        self.air.note(info.data_id, info.revision)
        if info.name is not None:
            self.air.note(info.name, info.revision)

    def epoch_of(self, info: ObjectInfo, epoch: int, departed: int) -> int:
        """Under which epoch it is current; `epoch` is the one that held before the request left."""
        return epoch if self.air.is_certain(info, departed) else 0
