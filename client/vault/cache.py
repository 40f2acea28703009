"""The object cache: lookup, pin, evict, invalidate. No I/O; safe to share between threads.

A cached object is *current* when the store is known not to hold a newer one. What is known is said by
an **epoch**, a number that the vault's coherence gives out: an entry is current while its epoch is the
one that holds now. 0 never holds. An entry of another epoch is no waste: it is asked after (`Check`),
and when it still is what the store has, it is confirmed without its bytes being sent again.

Changes reach the cache by `apply`, in any order and repeated as they like: each carries its revision,
and what an entry holds at or above that revision is newer than the change. A change may overtake the
reply of a load that left before it. So loads are announced (`airborne`), the changes that arrive
meanwhile are kept, and an object that lands older than them does not count as current.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from vault.entry import Entry
from vault.memory import resident
from vault.model import Change, ChangeKind, Key, ObjectInfo
from vault.structure import Unit

FlightT = TypeVar("FlightT")

_MOST_CHANGED: Final = 10_000


@dataclass(frozen=True, slots=True)
class CacheStats:
    """A vault's object cache, counted since the vault was made.

    Attributes:
        hits: Loads served without an object's bytes being fetched; asking after them is not fetching.
        misses: Objects that were fetched and decoded.
        evictions: Objects put out for a limit or for memory.
        entries: Objects in the cache.
        bytes: Their size, as they are stored.
        open_tickets: Tickets not closed yet.
        rss: Bytes of the whole process in memory.
    """

    hits: int
    misses: int
    evictions: int
    entries: int
    bytes: int
    open_tickets: int
    rss: int


@dataclass(frozen=True, slots=True)
class Hit:
    """The object is here and current. It has been pinned."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Check:
    """The object is here, but may be outdated: ask. It has been pinned."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Lead(Generic[FlightT]):
    """The object is not here: load it, then `finish`. Others wait for this flight meanwhile."""

    flight: FlightT


@dataclass(frozen=True, slots=True)
class Join(Generic[FlightT]):
    """Somebody is loading it: wait for the flight, then look again."""

    flight: FlightT


class _Shelf:
    """What the cache knows of one unit."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.entries: dict[int, Entry] = {}
        self.names: dict[str, int] = {}
        self.idle: OrderedDict[int, int] = OrderedDict()  # not pinned, longest unused first -> when it was let go
        self.bytes = 0
        self.airborne = 0
        self.changed: dict[int, int] = {}  # id -> newest revision that arrived while a load was in the air
        self.changed_all = 0  # the same, for a change of some object unknown

    def note(self, change: Change) -> None:
        """A change arrived while loads are in the air."""
        self.changed[change.data_id] = max(self.changed.get(change.data_id, 0), change.revision)
        if len(self.changed) > _MOST_CHANGED:  # the air is never clear: know less, rather than grow
            self.changed_all = max(self.changed_all, *self.changed.values())
            self.changed.clear()

    @property
    def over_limit(self) -> bool:
        unit = self.unit
        return bool(unit.max_cached and len(self.entries) > unit.max_cached) or bool(
            unit.max_bytes and self.bytes > unit.max_bytes
        )


class _Locked:
    """A lock, with something to do first whenever it is taken. Made by hand: it is taken at every load."""

    def __init__(self, first: Callable[[], None]) -> None:
        self.lock = threading.Lock()
        self._first = first

    def __enter__(self) -> None:
        self.lock.acquire()
        self._first()

    def __exit__(self, *exc_info: object) -> None:
        self.lock.release()


class ObjectCache(Generic[FlightT]):
    """Decoded objects by unit and id, least recently used out first.

    The bytes of an entry are its object's size in the store: what it takes in memory cannot be known.
    """

    def __init__(self, units: Mapping[str, Unit], make_flight: Callable[[], FlightT], *, enabled: bool = True) -> None:
        """
        Args:
            units: By name.
            make_flight: Makes what waits for a load, of the kind that the vault's code uses.
            enabled: When not, nothing is kept and every load is its caller's own.
        """
        self._shelves = {name: _Shelf(unit) for name, unit in units.items()}
        self._make_flight = make_flight
        self._enabled = enabled
        self._locked = _Locked(self._settle)
        self._flights: dict[tuple[str, Key], FlightT] = {}
        self._dropped: deque[Entry] = deque()  # by finalizers, which may run while the lock is held
        self._clock = 0
        self._hits = self._misses = self._evictions = self._pins = 0

    def claim(self, unit: str, key: Key, epoch: int) -> Hit | Check | Lead[FlightT] | Join[FlightT]:
        """What to do to have this object.

        Args:
            epoch: The one that holds now; see the module's text.
        """
        with self._locked:
            shelf = self._shelves[unit]
            data_id = shelf.names.get(key) if isinstance(key, str) else key
            entry = shelf.entries.get(data_id) if data_id is not None else None
            if entry is not None:
                self._pin(entry)
                if epoch and entry.epoch == epoch:
                    self._hits += 1
                    return Hit(entry)
                return Check(entry)
            if not self._enabled:
                return Lead(self._make_flight())
            flight = self._flights.get((unit, key))
            if flight is not None:
                return Join(flight)
            flight = self._flights[unit, key] = self._make_flight()
            return Lead(flight)

    def finish(self, unit: str, key: Key, flight: FlightT) -> None:
        """The load is over, one way or the other. The caller wakes those who wait for the flight."""
        with self._locked:
            if self._flights.get((unit, key)) is flight:
                del self._flights[unit, key]

    @contextmanager
    def airborne(self, unit: str) -> Iterator[None]:
        """Around a request to the store and the `land` or `confirm` of its reply."""
        shelf = self._shelves[unit]
        with self._locked:
            shelf.airborne += 1
        try:
            yield
        finally:
            with self._locked:
                shelf.airborne -= 1
                if not shelf.airborne:
                    shelf.changed.clear()
                    shelf.changed_all = 0

    def land(self, info: ObjectInfo, data: Any, epoch: int, *, loaded: bool = True) -> tuple[Entry, bool]:
        """Takes an object in, which the store held when it replied.

        Args:
            epoch: The one that held before the request left.
            loaded: It came because a load found nothing here.

        Returns:
            An entry, pinned, and whether it is the newest that is known. One that is not is not kept.
        """
        with self._locked:
            self._misses += loaded
            shelf = self._shelves[info.unit]
            if not self._enabled:
                return self._detached(info, data), True
            fresh = shelf.changed.get(info.data_id, 0) <= info.revision
            known = shelf.entries.get(info.data_id)
            if known is not None and _same_bytes(known.info, info):
                self._describe(shelf, known, info)  # tickets share it already: so does this one
                entry = known
            elif not fresh or (known is not None and known.info.revision > info.revision):
                return self._detached(info, data), False
            else:
                if known is not None:
                    self._remove(shelf, known)
                entry = Entry(info, data, self)
                self._count(shelf, entry)
            entry.epoch = epoch if fresh and shelf.changed_all <= info.revision else 0
            self._pin(entry)
            self._evict(shelf)
            return entry, fresh

    def confirm(self, entry: Entry, info: ObjectInfo, epoch: int) -> bool:
        """Takes in what the store says of an object that is here, after a `Check`.

        Args:
            epoch: The one that held before the request left.

        Returns:
            Whether the store still has these bytes. When not, the entry is kept no longer.
        """
        with self._locked:
            shelf = self._shelves[entry.info.unit]
            here = shelf.entries.get(entry.info.data_id) is entry
            if not _same_bytes(entry.info, info):
                if here:
                    self._remove(shelf, entry)
                return False
            if here:
                self._describe(shelf, entry, info)
                newest = max(shelf.changed.get(info.data_id, 0), shelf.changed_all)
                entry.epoch = epoch if newest <= info.revision else 0
            self._hits += 1
            return True

    def forget(self, entry: Entry) -> None:
        """The store no longer has this, or nobody knows what it has."""
        with self._locked:
            shelf = self._shelves[entry.info.unit]
            if shelf.entries.get(entry.info.data_id) is entry:
                self._remove(shelf, entry)

    def replaced(self, entry: Entry, epoch: int) -> None:
        """An open ticket wrote its object back: the entry holds the new generation now.

        Args:
            epoch: The one that held before the request left.
        """
        with self._locked:
            shelf = self._shelves[entry.info.unit]
            info = entry.info
            known = shelf.entries.get(info.data_id)
            if known is not entry:
                # The change was announced before the reply came, and the entry taken out.
                if not self._enabled or (known is not None and known.info.revision >= info.revision):
                    return
                if known is not None:
                    self._remove(shelf, known)
            if shelf.changed.get(info.data_id, 0) > info.revision:
                if known is entry:
                    self._remove(shelf, entry)
                return
            self._count(shelf, entry)
            entry.epoch = epoch if shelf.changed_all <= info.revision else 0
            self._evict(shelf)

    def apply(self, change: Change) -> None:
        """A committed change: what it makes outdated is not current any more. See the module's text."""
        shelf = self._shelves.get(change.unit)
        if shelf is None:
            return
        with self._locked:
            if shelf.airborne:
                shelf.note(change)
            if change.name is not None and change.kind is not ChangeKind.DELETED:
                holder = shelf.names.get(change.name)
                if holder is not None and shelf.entries[holder].info.revision < change.revision:
                    del shelf.names[change.name]
            entry = shelf.entries.get(change.data_id)
            if entry is None or entry.info.revision >= change.revision:
                return
            if change.kind is ChangeKind.METADATA:
                entry.epoch = 0  # its bytes are right; what it is called may not be
                _unname(shelf, entry)
            else:
                self._remove(shelf, entry)

    def doubt(self, unit: str, revision: int) -> None:
        """Some object of the unit, unknown which, changed at this revision: whatever is older is asked after."""
        with self._locked:
            shelf = self._shelves[unit]
            if shelf.airborne:
                shelf.changed_all = max(shelf.changed_all, revision)
            for entry in shelf.entries.values():
                if entry.info.revision < revision:
                    entry.epoch = 0

    def pin(self, entry: Entry) -> None:
        """One ticket more on an entry that has one."""
        with self._locked:
            self._pin(entry)

    def unpin(self, entry: Entry) -> None:
        """A ticket was closed."""
        with self._locked:
            self._unpin(entry)

    def drop(self, entry: Entry) -> None:
        """`unpin`, later: for finalizers. Takes no lock."""
        self._dropped.append(entry)

    def shed(self, amount: int, share: float = 0.0) -> int:
        """Puts out what has no open ticket, the longest unused first, over all units.

        Args:
            amount: Bytes, at least.
            share: Of the entries that may go, at least; from 0 to 1.

        Returns:
            How many entries went.
        """
        with self._locked:
            idle = sum(len(shelf.idle) for shelf in self._shelves.values())
            wanted, gone, freed = share * idle, 0, 0
            while gone < idle and (freed < amount or gone < wanted):
                shelf = min(
                    (shelf for shelf in self._shelves.values() if shelf.idle),
                    key=lambda shelf: next(iter(shelf.idle.values())),
                )
                entry = self._evict_first(shelf)
                freed += entry.size
                gone += 1
            return gone

    def clear(self) -> None:
        """Keeps nothing. Open tickets keep what they have."""
        with self._locked:
            for shelf in self._shelves.values():
                for entry in list(shelf.entries.values()):
                    self._remove(shelf, entry)

    def stats(self) -> CacheStats:
        with self._locked:
            shelves = self._shelves.values()
            return CacheStats(
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
                entries=sum(len(shelf.entries) for shelf in shelves),
                bytes=sum(shelf.bytes for shelf in shelves),
                open_tickets=self._pins,
                rss=resident(),
            )

    def _settle(self) -> None:
        while self._dropped:
            self._unpin(self._dropped.popleft())

    def _detached(self, info: ObjectInfo, data: Any) -> Entry:
        entry = Entry(info, data, self)
        self._pin(entry)
        return entry

    def _pin(self, entry: Entry) -> None:
        entry.pins += 1
        self._pins += 1
        shelf = self._shelves[entry.info.unit]
        if shelf.entries.get(entry.info.data_id) is entry:
            shelf.idle.pop(entry.info.data_id, None)

    def _unpin(self, entry: Entry) -> None:
        if entry.owner is not self:  # from before a fork
            return
        entry.pins -= 1
        self._pins -= 1
        shelf = self._shelves[entry.info.unit]
        if not entry.pins and shelf.entries.get(entry.info.data_id) is entry:
            self._clock += 1
            shelf.idle[entry.info.data_id] = self._clock
            self._evict(shelf)

    def _count(self, shelf: _Shelf, entry: Entry) -> None:
        """Puts an entry in, or what it has become in its place."""
        info = entry.info
        if shelf.entries.get(info.data_id) is entry:
            shelf.bytes -= entry.size
            _unname(shelf, entry)
        shelf.entries[info.data_id] = entry
        entry.size = info.size
        shelf.bytes += info.size
        entry.name = info.name
        if info.name is not None:
            shelf.names[info.name] = info.data_id

    def _remove(self, shelf: _Shelf, entry: Entry) -> None:
        data_id = entry.info.data_id
        del shelf.entries[data_id]
        shelf.idle.pop(data_id, None)
        shelf.bytes -= entry.size
        _unname(shelf, entry)

    def _describe(self, shelf: _Shelf, entry: Entry, info: ObjectInfo) -> None:
        if info.revision >= entry.info.revision:
            entry.describe(info)
            self._count(shelf, entry)

    def _evict(self, shelf: _Shelf) -> None:
        while shelf.idle and shelf.over_limit:
            self._evict_first(shelf)

    def _evict_first(self, shelf: _Shelf) -> Entry:
        entry = shelf.entries[next(iter(shelf.idle))]
        self._remove(shelf, entry)
        self._evictions += 1
        return entry


def _same_bytes(one: ObjectInfo, other: ObjectInfo) -> bool:
    # The checksum as well: a store that was put back from a copy may give out a generation twice.
    return (one.data_id, one.generation, one.checksum, one.size, one.datatype) == (
        other.data_id,
        other.generation,
        other.checksum,
        other.size,
        other.datatype,
    )


def _unname(shelf: _Shelf, entry: Entry) -> None:
    if entry.name is not None and shelf.names.get(entry.name) == entry.info.data_id:
        del shelf.names[entry.name]
