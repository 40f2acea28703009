"""One unit's part of the object cache: its entries, and every transition of their states. docs/CACHE.md draws them.

No lock of its own: the cache's is held around every call. An interrupt may come between any two calls made here: what
belongs together is assigned without one in between, and what leads to an entry may lead to one that is gone.
"""

import math
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any, Final

from vault._cache.entry import Entry
from vault._cache.in_flight import InFlight
from vault.store.columns import ObjectInfos
from vault.store.values import Change, ChangeKind, Key, ObjectInfo
from vault.unit import UnitSettings

_FEW: Final = 64  # in `idle`, of which nobody looks whether they are still here


class UnitCache:
    """The entries of a unit, by id and by name.

    In every call `sent` is when the request was sent whose reply is taken in; None: nothing can have overtaken it.

    Attributes:
        entries: By id.
        idle: A heap of those that may go: when they were last used, and their ids. Of what is used again, opened or
            removed meanwhile it is found out when something has to go: a load would take a tenth longer by it.
        bytes: Of all entries, as they are stored.
        is_over_limit: Whether those, or the entries, are more than they may be.
        in_flight: Requests to the store whose replies may bring objects here, and what is noted meanwhile.
        is_followed: Whether changes of its objects are told of; where not, none of them is current.
        doubted_up_to: The revision of the newest own write of which it is not known yet what it changed; 0: of none.
    """

    def __init__(self, unit: UnitSettings) -> None:
        self._names: dict[str, int] = {}
        self.entries: dict[int, Entry] = {}
        self.idle: list[tuple[int, int]] = []
        self.bytes = 0
        self.is_over_limit = False
        self.in_flight = InFlight()
        self.is_followed = True
        self.doubted_up_to = 0
        self._objects_doubted_up_to = 0
        self.declare(unit)

    def declare(self, unit: UnitSettings) -> None:
        """What the unit holds from now on. Objects that were loaded as what it held before are not kept."""
        self._max_entries = unit.max_cached or math.inf
        self._max_bytes = unit.max_bytes or math.inf
        self._declared_at = self.in_flight.tick()
        for entry in list(self.entries.values()):
            self.remove(entry)

    def find(self, key: Key) -> Entry | None:
        """The entry of this id or name."""
        data_id = self._names.get(key) if isinstance(key, str) else key
        return None if data_id is None else self.entries.get(data_id)

    def holds(self, entry: Entry) -> bool:
        """Whether it is among the entries: not outdated, not evicted."""
        return entry.held_by is self

    # What the store says

    def fill(self, entry: Entry, epoch: int, sent: int | None) -> tuple[Entry, bool]:
        """A reply brought an object. See `ObjectCache.fill`."""
        info = entry.info
        sent = self.in_flight.now if sent is None else sent
        if sent < self._declared_at:
            return entry, False
        fresh = self.in_flight.is_newest(info, sent)
        known = self.entries.get(info.data_id)
        if known is not None and known.is_being_written and not _same_bytes(known.info, info):
            fresh = False  # as in `ObjectCache.look_up`
        # One that is fresh and yet of an older revision is of a store that was put back to an older copy.
        went_back = fresh and known is not None and known.info.revision > info.revision
        if known is not None and _same_bytes(known.info, info) and not went_back:
            entry = known  # tickets share it already: so does this one
            self._describe(entry, info, sent)
        elif fresh:
            if known is not None:
                self.remove(known)
            self._put(entry, sent)
        if self.holds(entry) and info.revision >= entry.info.revision:
            entry.epoch = self._epoch_of(info, epoch, sent)
        self.in_flight.note_info(info)
        return entry, fresh

    def revalidate(self, entry: Entry, info: ObjectInfo, epoch: int, sent: int | None) -> bool:
        """A reply told what the store has of this object. Returns whether those are the entry's bytes."""
        here = self.holds(entry)
        # Of an older revision: the reply was overtaken, or the store was put back to an older copy, whose
        # changes would seem to be known here.
        if not _same_bytes(entry.info, info) or info.revision < entry.info.revision:
            if here and not entry.is_being_written:  # as in `ObjectCache.look_up`
                self.remove(entry)
            entry.epoch = 0
            return False
        if here:
            sent = self.in_flight.now if sent is None else sent
            self._describe(entry, info, sent)
            entry.epoch = self._epoch_of(info, epoch, sent)
            self.in_flight.note_info(info)
        return True

    def absent(self, key: Key) -> None:
        """The store said that it has no such object. What is here of it, or arrives late, is revalidated."""
        self.in_flight.note_absent(key)
        if (entry := self.find(key)) is not None:
            entry.epoch = 0

    # What was written

    def begin_write(self, entry: Entry, flight: Any) -> None:
        """A working copy of the entry is being written back, until `flight` is over."""
        entry.writing, entry.overtaken = flight, 0

    def written(self, entry: Entry, epoch: int, sent: int | None) -> None:
        """The working copy was written: the entry has the new generation."""
        info = entry.info
        sent = self.in_flight.now if sent is None else sent
        known = self.entries.get(info.data_id)
        fresh = sent >= self._declared_at and self.in_flight.is_newest(info, sent)
        self.in_flight.note_info(info)
        if known is not None and known is not entry and known.info.revision >= info.revision:
            return
        if known is not None and (known is not entry or not fresh):
            self.remove(known)
        if fresh:
            # It may have been taken out meanwhile, when its change was known before the reply came.
            self._put(entry, sent)
            entry.epoch = self._epoch_of(info, epoch, sent)

    def end_write(self, entry: Entry) -> None:
        """The write-back is over, one way or the other."""
        entry.writing = None
        if entry.overtaken > entry.info.revision and self.holds(entry):
            self.remove(entry)

    # What changed

    def apply(self, change: Change) -> None:
        """A committed change: what it makes outdated is not current any more."""
        self.in_flight.note(change.data_id, change.revision)
        if change.name is not None and change.kind is not ChangeKind.DELETED:
            self.in_flight.note(change.name, change.revision)
            self._take_name(change.name, change.data_id, change.revision)
        entry = self.entries.get(change.data_id)
        if entry is None or entry.info.revision >= change.revision:
            return
        if entry.is_being_written:  # this may be what is being written: `end_write` looks when that is known
            entry.epoch = 0
            entry.overtaken = max(entry.overtaken, change.revision)
        elif change.kind is ChangeKind.METADATA:
            entry.epoch = 0  # its bytes are right; what it is called may not be
            self._unname(entry)
        else:
            self.remove(entry)

    def wrote(self, infos: ObjectInfos[Any]) -> None:
        """See `ObjectCache.wrote`."""
        if not self.entries and not self.in_flight.is_noting:
            return
        for info in infos:
            if isinstance(info, ObjectInfo):
                self.apply(
                    Change(info.revision, info.unit, info.data_id, ChangeKind.UPDATED, info.generation, info.name)
                )

    def some_changed(self, revision: int, *, only_names: bool) -> None:
        """See `ObjectCache.some_changed`."""
        self.doubted_up_to = max(self.doubted_up_to, revision)
        if not only_names:
            self._objects_doubted_up_to = max(self._objects_doubted_up_to, revision)

    def is_in_doubt(self, entry: Entry, key: Key, reached: int) -> bool:
        """Whether a write of which it is not known what it changed may be of what the key leads to, and newer.

        Args:
            reached: The changes up to this revision have been applied, and what they made outdated is not here.
        """
        if reached >= self.doubted_up_to:
            self.end_doubt()
            return False
        return entry.info.revision < (self.doubted_up_to if isinstance(key, str) else self._objects_doubted_up_to)

    def end_doubt(self) -> None:
        """What is current from here on was asked for after every write of this vault."""
        self.doubted_up_to = self._objects_doubted_up_to = 0

    def remove(self, entry: Entry) -> None:
        """Takes an entry out; open tickets keep it."""
        data_id = entry.info.data_id
        self._unname(entry)
        del self.entries[data_id]
        entry.held_by = None
        entry.is_queued = False
        self.bytes -= entry.size
        self._count()
        if len(self.idle) > 2 * len(self.entries) + _FEW:
            self.idle = [(each.used, data_id) for data_id, each in self.entries.items() if each.is_queued]
            heapify(self.idle)

    # What may go

    def queue(self, entry: Entry) -> None:
        """A ticket on it is about to be closed, perhaps the last one, and it is not queued."""
        heappush(self.idle, (entry.used, entry.info.data_id))
        entry.is_queued = True

    def evict(self) -> int:
        """Takes out what no ticket is open on, the longest unused first, down to the limits. Returns how many went."""
        gone = 0
        while self.is_over_limit and (entry := self.longest_idle()) is not None:
            self.remove(entry)
            gone += 1
        return gone

    def longest_idle(self) -> Entry | None:
        """The longest unused of those that no ticket is open on."""
        while self.idle:
            used, data_id = self.idle[0]
            entry = self.entries.get(data_id)
            if entry is not None and entry.pins:
                entry.is_queued = False  # until it is closed
            elif entry is not None and entry.used == used:
                return entry
            elif entry is not None:
                heapreplace(self.idle, (entry.used, data_id))
                continue
            heappop(self.idle)
        return None

    def count_idle(self) -> int:
        """How many have no open ticket."""
        return sum(not entry.pins for entry in self.entries.values())

    def _put(self, entry: Entry, sent: int) -> None:
        """Puts an entry in, or what it has become in its place. Its name leads to it, unless to something newer."""
        info = entry.info
        if self.holds(entry):
            self._unname(entry)
            self.bytes -= entry.size
        self.entries[info.data_id] = entry
        entry.held_by = self
        entry.size = info.size
        self.bytes += info.size
        self._count()
        entry.name = info.name
        if info.name is not None and self.in_flight.revision_of(info.name, sent) <= info.revision:
            holder = self.entries.get(self._names.get(info.name, 0))
            if holder is None or holder.info.revision <= info.revision:
                self._names[info.name] = info.data_id

    def _count(self) -> None:
        self.is_over_limit = len(self.entries) > self._max_entries or self.bytes > self._max_bytes

    def _describe(self, entry: Entry, info: ObjectInfo, sent: int) -> None:
        """What the store says of the same bytes."""
        if info.revision >= entry.info.revision:
            entry.describe(info)
            self._put(entry, sent)

    def _unname(self, entry: Entry) -> None:
        """Its name does not lead to it any more."""
        if entry.name is not None and self._names.get(entry.name) == entry.info.data_id:
            del self._names[entry.name]

    def _take_name(self, name: str, data_id: int, revision: int) -> None:
        """This object had this name at this revision: it leads to no other that is older any more."""
        holder = self._names.get(name)
        if holder is None or holder == data_id:
            return
        entry = self.entries.get(holder)
        if entry is None or entry.info.revision < revision:
            del self._names[name]

    def _epoch_of(self, info: ObjectInfo, epoch: int, sent: int) -> int:
        """Under which epoch it is current; `epoch` is the one that held before the request was sent."""
        return epoch if self.is_followed and self.in_flight.is_certain(info, sent) else 0


def _same_bytes(one: ObjectInfo, other: ObjectInfo) -> bool:
    # The checksum as well: a store that was put back from a copy may give out a generation twice.
    return (one.data_id, one.generation, one.checksum, one.size, one.datatype) == (
        other.data_id,
        other.generation,
        other.checksum,
        other.size,
        other.datatype,
    )
