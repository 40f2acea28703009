"""The object cache: lookup, pin, evict, invalidate. No I/O; safe to share between threads.

A cached object is *current* when the store is known not to hold a newer one. What is known is said by
an **epoch**, a number that the vault's coherence gives out: an entry is current while its epoch is the
one that holds now. 0 never holds. An entry of another epoch is no waste: it is asked after (`Check`),
and when it still is what the store has, it is confirmed without its bytes being sent again.

Changes reach the cache by `apply`, in any order and repeated as they like: each carries its revision,
and what an entry holds at or above that revision is newer than the change. A change may overtake the
reply of a load that left before it, and so may the reply of another load. So requests are announced
(`airborne`), what is heard meanwhile is kept (`vault._cache.in_flight`), and an object that lands older than that does
not count as current. What the cache shows of a key never goes back by it: not to before a change that was
applied, a write of one's own, or what was shown already.
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol

from vault._cache.entry import Entry
from vault._cache.lookup import Check, FlightT, Hit, Join, Lead
from vault._cache.memory import resident
from vault._cache.unit_cache import Shelf
from vault._runtime.fork import renew_after_fork
from vault.store.values import Change, ChangeKind, Key, ObjectInfo
from vault.unit import UnitSettings

Held = dict[Key, Entry]
"""Objects that a caller has, each counted as one ticket, until a ticket takes them or they are `dropped`."""


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


class Ticket(Protocol):
    """Whoever has an object for longer: counted for as long as `_entry` is one."""

    _entry: Entry | None
    _info: ObjectInfo
    _data: Any
    _closed: bool


class ObjectCache(Generic[FlightT]):
    """Decoded objects by unit and id, least recently used out first.

    The bytes of an entry are its object's size in the store: what it takes in memory cannot be known.

    Attributes:
        dropped: What tickets and callers had, for `settle`, and every other call, to count off. They add to it by `+=`,
            at which no interrupt comes, nor does a finalizer wait for a lock.
        lock: Held around everything here, by every call but `settle`.
        enabled: Whether anything is kept. When not, every load is its caller's own, and nobody need ask here first.
        inherited: Whether it is what a forked child has of its parent's, and is not to be touched.
    """

    def __init__(self, units: Mapping[str, UnitSettings], *, enabled: bool = True) -> None:
        """
        Args:
            units: By name.
            enabled: See the class.
        """
        self._shelves = {name: Shelf(unit) for name, unit in units.items()}
        self.enabled = enabled
        self.lock = threading.Lock()
        self._flights: dict[tuple[str, Key], FlightT] = {}
        self.dropped: deque[Entry] = deque()
        self.inherited = False
        self._clock = 0
        self._hits = self._misses = self._evictions = self._pins = 0
        renew_after_fork(self)

    def renew(self) -> None:
        """In a forked child: it is the parent's, and its lock may be held by a thread that is not here."""
        self.inherited = True

    def current(self, unit: str, key: Key, epoch: int, ticket: Ticket) -> bool:
        """Opens the ticket with the object, when that is here and current; whether it is. The short way of `claim`.

        Args:
            epoch: The one that holds now; see the module's text.
        """
        with self.lock:
            if self.dropped:
                self.settle()
            entry = self._shelves[unit].find(key)
            if entry is None or not epoch or entry.epoch != epoch:
                return False
            # As `share` does it: a call more would be a fiftieth of a load.
            ticket._info, ticket._data = entry.state  # noqa: SLF001
            ticket._entry = entry  # noqa: SLF001
            entry.pins += 1
            self._pins += 1
            self._hits += 1
            ticket._closed = False  # noqa: SLF001
            return True

    def claim(self, unit: str, key: Key, epoch: int, flight: FlightT, held: Held) -> Hit | Check | Lead | Join[FlightT]:
        """What to do to have this object.

        Args:
            epoch: The one that holds now; see the module's text.
            flight: Of the caller, under way: what others wait for when it is he who loads the object. Once it is over
                it holds up nobody, whether `finish` was called or not.
            held: Takes what is here, under the key.
        """
        with self.lock:
            self.settle()
            entry = self._shelves[unit].find(key)
            if entry is not None and entry.is_being_written and not (epoch and entry.epoch == epoch):
                # The store may have the new bytes already. Who loaded them now would not share them with whoever
                # writes them, and the next two edits of the object would be two.
                return Join(entry.writing)
            if entry is not None:
                held[key] = entry
                entry.pins += 1
                self._pins += 1
                if epoch and entry.epoch == epoch:
                    self._hits += 1
                    return Hit(entry)
                return Check(entry)
            other = self._flights.get((unit, key))
            if other is not None and not other.is_over():
                return Join(other)
            self._flights[unit, key] = flight
            return Lead()

    def finish(self, unit: str, key: Key, flight: FlightT) -> None:
        """The load is over, one way or the other. Those who wait for the flight go on when that is over."""
        with self.lock:
            if self._flights.get((unit, key)) is flight:
                del self._flights[unit, key]

    @contextmanager
    def airborne(self, unit: str) -> Iterator[int]:
        """Around a request to the store and the `land`, `confirm`, `missing` or `replaced` of its reply.

        Yields its departure, for those.
        """
        air = self._shelves[unit].air
        with self.lock:
            departed = air.depart()
        try:
            yield departed
        finally:
            with self.lock:
                air.arrive(departed)

    def land(
        self,
        info: ObjectInfo,
        data: Any,
        epoch: int,
        held: Held,
        key: Key,
        *,
        departed: int | None = None,
        loaded: bool = True,
    ) -> tuple[Entry, bool]:
        """Takes an object in, which the store held when it replied.

        Args:
            epoch: The one that held before the request left.
            held, key: As in `claim`.
            departed: When the request left; None: nothing can have overtaken its reply.
            loaded: It came because a load found nothing here.

        Returns:
            An entry, which the caller holds, and whether it is the newest that is known. One that is not is not kept.
        """
        with self.lock:
            self.settle()
            self._misses += loaded
            entry = Entry(info, data)
            fresh = True
            if self.enabled:
                shelf = self._shelves[info.unit]
                departed = shelf.air.now if departed is None else departed
                fresh = shelf.air.is_newest(info, departed)
                known = shelf.entries.get(info.data_id)
                if known is not None and known.is_being_written and not _same_bytes(known.info, info):
                    fresh = False  # as in `claim`
                # One that is fresh and yet of an older revision is of a store that was put back to an older copy.
                went_back = fresh and known is not None and known.info.revision > info.revision
                if known is not None and _same_bytes(known.info, info) and not went_back:
                    entry = known  # tickets share it already: so does this one
                    shelf.describe(entry, info, departed)
                elif fresh:
                    if known is not None:
                        shelf.remove(known)
                    shelf.put(entry, departed)
                if shelf.holds(entry) and info.revision >= entry.info.revision:
                    entry.epoch = shelf.epoch_of(info, epoch, departed)
                shelf.note(info)
            held[key] = entry
            entry.pins += 1
            self._pins += 1
            self._evict(self._shelves[info.unit])
            return entry, fresh

    def confirm(self, entry: Entry, info: ObjectInfo, epoch: int, *, departed: int | None = None) -> bool:
        """Takes in what the store says of an object that is here, after a `Check`.

        Args:
            epoch: The one that held before the request left.
            departed: When the request left; None: nothing can have overtaken its reply.

        Returns:
            Whether the store still has these bytes. When not, the entry is kept no longer.
        """
        with self.lock:
            shelf = self._shelves[entry.info.unit]
            here = shelf.holds(entry)
            # Of an older revision: the reply was overtaken, or the store was put back to an older copy, whose
            # changes would seem to be known here.
            if not _same_bytes(entry.info, info) or info.revision < entry.info.revision:
                if here and not entry.is_being_written:  # as in `claim`
                    shelf.remove(entry)
                entry.epoch = 0
                return False
            if here:
                departed = shelf.air.now if departed is None else departed
                shelf.describe(entry, info, departed)
                entry.epoch = shelf.epoch_of(info, epoch, departed)
                shelf.note(info)
            self._hits += 1
            return True

    def forget(self, entry: Entry) -> None:
        """The store no longer has this, or nobody knows what it has."""
        with self.lock:
            shelf = self._shelves[entry.info.unit]
            if shelf.holds(entry):
                shelf.remove(entry)

    def missing(self, unit: str, key: Key) -> None:
        """The store said that it has no such object. What is here of it, or arrives late, is asked after."""
        with self.lock:
            shelf = self._shelves[unit]
            shelf.air.note_missing(key)
            entry = shelf.find(key)
            if entry is not None:
                entry.epoch = 0

    @contextmanager
    def writing(self, entry: Entry, flight: FlightT) -> Iterator[int]:
        """Around the request that writes an open ticket's object back, and the `replaced` of its reply.

        Loads that cannot tell whether the store has the new bytes already wait for the end of `flight`, in which
        this is, so that they get this entry and not one beside it. Yields the request's departure.
        """
        shelf = self._shelves[entry.info.unit]
        with self.lock:
            entry.writing, entry.overtaken = flight, 0
        try:
            with self.airborne(entry.info.unit) as departed:
                yield departed
        finally:
            with self.lock:
                entry.writing = None
                if entry.overtaken > entry.info.revision and shelf.holds(entry):
                    shelf.remove(entry)

    def replaced(self, entry: Entry, epoch: int, *, departed: int | None = None) -> None:
        """An open ticket wrote its object back: the entry holds the new generation now.

        Args:
            epoch: The one that held before the request left.
            departed: When the request left; None: nothing can have overtaken its reply.
        """
        with self.lock:
            info = entry.info
            shelf = self._shelves[info.unit]
            departed = shelf.air.now if departed is None else departed
            known = shelf.entries.get(info.data_id)
            fresh = shelf.air.is_newest(info, departed)
            shelf.note(info)
            if not self.enabled or (known is not None and known is not entry and not _older(known, info)):
                return
            if known is not None and (known is not entry or not fresh):
                shelf.remove(known)
            if fresh:
                # It may have been taken out meanwhile, when its change was heard of before the reply came.
                shelf.put(entry, departed)
                entry.epoch = shelf.epoch_of(info, epoch, departed)
                self._evict(shelf)

    def apply(self, change: Change) -> None:
        """A committed change: what it makes outdated is not current any more. See the module's text."""
        shelf = self._shelves.get(change.unit)
        if shelf is None:
            return
        with self.lock:
            shelf.air.note(change.data_id, change.revision)
            if change.name is not None and change.kind is not ChangeKind.DELETED:
                shelf.air.note(change.name, change.revision)
                shelf.take_name(change.name, change.data_id, change.revision)
            entry = shelf.entries.get(change.data_id)
            if entry is None or entry.info.revision >= change.revision:
                return
            if entry.is_being_written:  # this may be what is being written: `writing` looks when that is known
                entry.epoch = 0
                entry.overtaken = max(entry.overtaken, change.revision)
            elif change.kind is ChangeKind.METADATA:
                entry.epoch = 0  # its bytes are right; what it is called may not be
                shelf.unname(entry)
            else:
                shelf.remove(entry)

    def doubt(self, unit: str, revision: int) -> None:
        """Some object of the unit, unknown which, changed at this revision: whatever is older is asked after."""
        with self.lock:
            shelf = self._shelves[unit]
            shelf.air.note_all(revision)
            for entry in shelf.entries.values():
                if entry.info.revision < revision:
                    entry.epoch = 0

    def share(self, entry: Entry, ticket: Ticket) -> None:
        """Opens the ticket with an object that another ticket has."""
        with self.lock:
            ticket._info, ticket._data = entry.state  # noqa: SLF001  # kept, whatever is committed meanwhile
            ticket._entry = entry  # noqa: SLF001  # no call from here on, at which an interrupt might come in between
            entry.pins += 1
            self._pins += 1
            ticket._closed = False  # noqa: SLF001

    def release(self, held: Held, key: Key) -> None:
        """What the caller holds of this key is his no longer."""
        with self.lock:
            self.dropped += (held[key],)
            del held[key]
            self.settle()

    def shed(self, amount: int, share: float = 0.0) -> int:
        """Puts out what has no open ticket, the longest unused first, over all units.

        Args:
            amount: Bytes, at least.
            share: Of the entries that may go, at least; from 0 to 1.

        Returns:
            How many entries went.
        """
        with self.lock:
            self.settle()
            idle = sum(shelf.count_idle() for shelf in self._shelves.values())
            wanted, gone, freed = share * idle, 0, 0
            while gone < idle and (freed < amount or gone < wanted):
                shelf = min(
                    (shelf for shelf in self._shelves.values() if shelf.idle),
                    key=lambda shelf: next(iter(shelf.idle.values())),
                )
                entry = shelf.entries[next(iter(shelf.idle))]
                self._put_out(shelf, entry)
                freed += entry.size
                gone += 1
            return gone

    def clear(self) -> None:
        """Keeps nothing. Open tickets keep what they have."""
        with self.lock:
            for shelf in self._shelves.values():
                for entry in list(shelf.entries.values()):
                    shelf.remove(entry)

    def stats(self) -> CacheStats:
        """What was counted, and the process's memory now."""
        with self.lock:
            self.settle()
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

    def settle(self) -> None:
        """Takes note of what was dropped, with `lock` held."""
        while self.dropped:
            entry = self.dropped[0]
            shelf = entry.shelf
            if shelf is None or entry.pins != 1:
                del self.dropped[0]
                entry.pins -= 1
                self._pins -= 1
                continue
            self._clock += 1
            shelf.let_go(entry, self._clock)
            del self.dropped[0]  # no call between these, at which an interrupt might come
            entry.pins -= 1
            self._pins -= 1
            if shelf.is_over_limit:
                self._evict(shelf)

    def _evict(self, shelf: Shelf) -> None:
        while shelf.is_over_limit and (entry := shelf.longest_unused()) is not None:
            self._put_out(shelf, entry)

    def _put_out(self, shelf: Shelf, entry: Entry) -> None:
        shelf.remove(entry)
        self._evictions += 1


def _older(entry: Entry, info: ObjectInfo) -> bool:
    return entry.info.revision < info.revision


def _same_bytes(one: ObjectInfo, other: ObjectInfo) -> bool:
    # The checksum as well: a store that was put back from a copy may give out a generation twice.
    return (one.data_id, one.generation, one.checksum, one.size, one.datatype) == (
        other.data_id,
        other.generation,
        other.checksum,
        other.size,
        other.datatype,
    )
