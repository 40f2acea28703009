"""The object cache: lookup, pin, evict, invalidate. No I/O; safe to share between threads. docs/CACHE.md has its rules.

A cached object is *current* when the store is known not to hold a newer one. What is known is said by an **epoch**, a
number that the vault's coherence gives out: an entry is current while its epoch is the one that holds now. 0 never
holds. An entry of another epoch is no waste: it is revalidated (`Stale`), and when it still is what the store has,
its bytes are not sent again.

Changes reach the cache by `apply`, in any order and repeated as they like: each carries its revision, and what an entry
holds at or above that revision is newer than the change. A change may overtake the reply of a load that was sent before
it, and so may the reply of another load. So requests are announced (`request`), what becomes known meanwhile is noted
(`vault._cache.in_flight`), and an object that arrives and is older than that does not count as current. What the cache
shows of a key never goes back by it: not to before a change that was applied, a write of one's own, or what was shown
already.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Generic, Protocol

from vault._cache.entry import Entry
from vault._cache.lookup import FlightT, Hit, Join, Miss, Stale
from vault._cache.unit_cache import UnitCache
from vault._cache.working_copy import WorkingCopy
from vault._display import ShownAsFields
from vault._runtime.fork import renew_after_fork
from vault._runtime.memory import resident
from vault.store.columns import ObjectInfos
from vault.store.values import Change, Key, ObjectInfo
from vault.unit import UnitSettings

Held = dict[Key, Entry]
"""Objects that a caller has, each counted as one ticket, until a ticket takes them or they are `dropped`."""


@dataclass(frozen=True, slots=True)
class CacheStats(ShownAsFields):
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

    In every call `epoch` is the one that held before the request was sent (in a lookup: the one that holds now), `sent`
    is what `request` yielded (None: nothing can have overtaken the reply), and `held` takes what the caller has then.

    Attributes:
        dropped: What tickets and callers had, for `settle`, and every other call, to count off. They add to it by `+=`,
            at which no interrupt comes, nor does a finalizer wait for a lock.
        lock: Held around everything here, by every call but `settle`.
        enabled: Whether anything is kept. When not, every load is its caller's own, and nobody need look here first.
        reached: The changes up to this revision have been applied; 0: that is not known, or no matter.
        inherited: Whether it is what a forked child has of its parent's, and is not to be touched.
    """

    def __init__(
        self, units: Mapping[str, UnitSettings], *, enabled: bool = True, time: Callable[[], datetime] | None = None
    ) -> None:
        """
        Args:
            time: The store's, as far as it is known without I/O; None: nothing that expires is shown unasked.
        """
        self._time = time or (lambda: datetime.max.replace(tzinfo=UTC))
        self._units = {name: UnitCache(unit) for name, unit in units.items()}
        self.enabled = enabled
        self.lock = threading.Lock()
        self._flights: dict[tuple[str, Key], FlightT] = {}
        self.dropped: deque[Entry] = deque()
        self.inherited = False
        self.reached = 0
        self._clock = 0
        self._hits = self._misses = self._evictions = self._pins = 0
        renew_after_fork(self)

    def renew(self) -> None:
        """In a forked child: it is the parent's, and its lock may be held by a thread that is not here."""
        self.inherited = True

    def declare(self, name: str, unit: UnitSettings) -> None:
        """The unit is one of the vault from now on. If it was before, as another: nothing of that stays, nor comes."""
        with self.lock:
            part = self._units.get(name)
            if part is None:
                self._units[name] = UnitCache(unit)
            else:
                part.declare(unit)

    def follow_all_but(self, units: Collection[str]) -> None:
        """Changes of these units are not told of, from the next epoch on; of the others they are.

        No epoch holds meanwhile.
        """
        with self.lock:
            self.reached = 0
            for name, part in self._units.items():
                part.is_followed = name not in units
                part.end_doubt()

    def open_current(self, unit: str, key: Key, epoch: int, ticket: Ticket) -> bool:
        """The short way of `look_up`: opens the ticket with an object that is here and current. Returns whether."""
        with self.lock:
            if self.dropped:
                self.settle()
            # As `find` and `share` do it: a call more would be a twentieth of a load.
            part = self._units.get(unit)
            if part is None:
                return False
            entry = part.entries.get(key) if type(key) is int else part.find(key)
            if entry is None or not epoch or entry.epoch != epoch:
                return False
            if part.doubted_up_to and part.is_in_doubt(entry, key, self.reached):
                return False
            info, data = entry.state
            if info.expires_at is not None and info.expires_at <= self._time():
                return False
            ticket._info, ticket._data = info, data  # noqa: SLF001
            ticket._entry = entry  # noqa: SLF001
            entry.pins += 1
            self._pins += 1
            self._hits += 1
            ticket._closed = False  # noqa: SLF001
            return True

    def look_up(
        self, unit: str, key: Key, epoch: int, flight: FlightT, held: Held
    ) -> Hit | Stale | Miss | Join[FlightT]:
        """What to do to have this object.

        Args:
            flight: Of the caller, under way: what others wait for when the caller loads the object. Once it is over
                it holds up nobody, whether `finish` was called or not.
        """
        with self.lock:
            self.settle()
            part = self._units[unit]
            entry = part.find(key)
            current = (
                entry is not None
                and bool(epoch)
                and entry.epoch == epoch
                and not self._has_expired(entry)
                and not (part.doubted_up_to and part.is_in_doubt(entry, key, self.reached))
            )
            if entry is not None and entry.is_being_written and not current:
                # The store may have the new bytes already. Who loaded them now would not share them with whoever
                # writes them, and the next two edits of the object would be two.
                return Join(entry.writing)
            if entry is not None:
                self._hold(entry, held, key)
                if current:
                    self._hits += 1
                    return Hit(entry)
                return Stale(entry)
            other = self._flights.get((unit, key))
            if other is not None and not other.is_over():
                return Join(other)
            self._flights[unit, key] = flight
            return Miss()

    def finish(self, unit: str, key: Key, flight: FlightT) -> None:
        """The load after a `Miss` is over, one way or the other. Who waits for the flight goes on when that is over."""
        with self.lock:
            if self._flights.get((unit, key)) is flight:
                del self._flights[unit, key]

    @contextmanager
    def request(self, unit: str) -> Iterator[int]:
        """Around a request to the store and the `fill`, `revalidate`, `absent` or `written` of its reply.

        Yields when it was sent, for those.
        """
        in_flight = self._units[unit].in_flight
        with self.lock:
            sent = in_flight.begin()
        try:
            yield sent
        finally:
            with self.lock:
                in_flight.end(sent)

    def fill(
        self,
        info: ObjectInfo,
        data: Any,
        epoch: int,
        held: Held,
        key: Key,
        *,
        sent: int | None = None,
        loaded: bool = True,
    ) -> tuple[Entry, bool]:
        """Takes an object in, which the store held when it replied.

        Args:
            loaded: It came because a load found nothing here.

        Returns:
            An entry, which the caller holds, and whether it is the newest that is known. One that is not is not kept.
        """
        with self.lock:
            self.settle()
            self._misses += loaded
            filled = self._fill(info, data, epoch, held, key, sent)
            self._evictions += self._units[info.unit].evict()
            return filled

    def fill_some(
        self, unit: str, objects: Iterable[tuple[Key, ObjectInfo, Any]], epoch: int, held: Held, *, sent: int | None
    ) -> list[tuple[Entry, bool]]:
        """`fill` of several objects of a unit that were loaded, each by a key."""
        with self.lock:
            self.settle()
            filled = [self._fill(info, data, epoch, held, key, sent) for key, info, data in objects]
            self._misses += len(filled)
            self._evictions += self._units[unit].evict()
            return filled

    def revalidate(self, entry: Entry, info: ObjectInfo, epoch: int, *, sent: int | None = None) -> bool:
        """Takes in what the store says of an object that is here, after a `Stale`.

        Returns whether the store still has these bytes. When not, the entry is kept no longer.
        """
        with self.lock:
            same = self._units[entry.info.unit].revalidate(entry, info, epoch, sent)
            self._hits += same
            return same

    def forget(self, entry: Entry) -> None:
        """The store no longer has this, or nobody knows what it has."""
        with self.lock:
            unit = self._units[entry.info.unit]
            if unit.holds(entry):
                unit.remove(entry)

    def absent(self, unit: str, key: Key) -> None:
        """The store said that it has no such object. What is here of it, or arrives late, is revalidated."""
        with self.lock:
            self._units[unit].absent(key)

    @contextmanager
    def writing(self, entry: Entry, flight: FlightT) -> Iterator[int]:
        """Around the request that writes an open ticket's object back, and the `written` of its reply.

        Loads that cannot tell whether the store has the new bytes already wait for the end of `flight`, in which
        this is, so that they get this entry and not one beside it. Yields as `request` does.
        """
        unit = self._units[entry.info.unit]
        with self.lock:
            unit.begin_write(entry, flight)
        try:
            with self.request(entry.info.unit) as sent:
                yield sent
        finally:
            with self.lock:
                unit.end_write(entry)

    def written(
        self, entry: Entry, working: WorkingCopy, info: ObjectInfo, data: Any, epoch: int, *, sent: int | None = None
    ) -> None:
        """The working copy was written back, as `data`: the entry holds the new generation now."""
        entry.commit(working, info, data)  # under the entry's lock, within which Datatypes clone: not under this one
        with self.lock:
            if self.enabled:
                unit = self._units[info.unit]
                unit.written(entry, epoch, sent)
                self._evictions += unit.evict()

    def apply(self, change: Change) -> None:
        """A committed change: what it makes outdated is not current any more. See the module's text."""
        if (unit := self._units.get(change.unit)) is not None:
            with self.lock:
                unit.apply(change)

    def wrote(self, unit: str, infos: ObjectInfos[Any]) -> None:
        """These were written, new or in the place of others, but for those that are none: as `apply` of each."""
        if (part := self._units.get(unit)) is not None:
            with self.lock:
                part.wrote(infos)

    def some_changed(self, unit: str, revision: int, *, only_names: bool) -> None:
        """A write of this vault changed an object of the unit, unknown which: whatever is older is revalidated until
        the changes up to this revision have been applied.

        Args:
            only_names: It is known which, but not what it was called: what is found by a name is revalidated.
        """
        with self.lock:
            if (part := self._units.get(unit)) is not None:
                part.some_changed(revision, only_names=only_names)

    def share(self, entry: Entry, ticket: Ticket) -> None:
        """Opens the ticket with an object that another ticket has."""
        with self.lock:
            ticket._info, ticket._data = entry.state  # noqa: SLF001  # kept, whatever is committed meanwhile
            ticket._entry = entry  # noqa: SLF001  # no call from here on, at which an interrupt might come in between
            entry.pins += 1
            self._pins += 1
            ticket._closed = False  # noqa: SLF001

    def let_go(self, ticket: Ticket) -> None:
        """The ticket is closed. Harmless when repeated, also after an interrupt."""
        with self.lock:
            entry = ticket._entry  # noqa: SLF001
            if entry is not None:
                unit = None if entry.held_by is None else self._use(entry)
                ticket._entry = None  # noqa: SLF001  # no call between these, at which an interrupt might come
                entry.pins -= 1
                self._pins -= 1
                if unit is not None and unit.is_over_limit:
                    self._evictions += unit.evict()
            if self.dropped:
                self.settle()

    def open_apart(self, info: ObjectInfo, data: Any, ticket: Ticket) -> None:
        """Opens the ticket with an object that was loaded for it alone, and is not kept."""
        entry = Entry(info, data)
        with self.lock:
            if self.dropped:
                self.settle()
            ticket._info, ticket._data = info, data  # noqa: SLF001
            ticket._entry = entry  # noqa: SLF001  # no call from here on, as in `share`
            entry.pins = 1
            self._pins += 1
            self._misses += 1
            ticket._closed = False  # noqa: SLF001

    def release(self, held: Held, key: Key) -> None:
        """The caller holds what it has of this key no longer."""
        with self.lock:
            self.dropped += (held[key],)
            del held[key]
            self.settle()

    def shed(self, amount: int, share: float = 0.0) -> int:
        """Evicts what has no open ticket, the longest unused first, over all units. Returns how many entries went.

        Args:
            amount: Bytes, at least.
            share: Of the entries that may go, at least; from 0 to 1.
        """
        with self.lock:
            self.settle()
            units = self._units.values()
            wanted = share * sum(unit.count_idle() for unit in units)
            gone = freed = 0
            while freed < amount or gone < wanted:
                idle = [entry for unit in units if (entry := unit.longest_idle()) is not None]
                if not idle:
                    break
                entry = min(idle, key=attrgetter("used"))
                entry.held_by.remove(entry)
                freed += entry.size
                gone += 1
                self._evictions += 1
            return gone

    def clear(self) -> None:
        """Keeps nothing. Open tickets keep what they have."""
        with self.lock:
            for unit in self._units.values():
                for entry in list(unit.entries.values()):
                    unit.remove(entry)

    def stats(self) -> CacheStats:
        """What was counted, and the process's memory now."""
        with self.lock:
            self.settle()
            units = self._units.values()
            return CacheStats(
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
                entries=sum(len(unit.entries) for unit in units),
                bytes=sum(unit.bytes for unit in units),
                open_tickets=self._pins,
                rss=resident(),
            )

    def _has_expired(self, entry: Entry) -> bool:
        expires_at = entry.info.expires_at
        return expires_at is not None and expires_at <= self._time()

    def _fill(
        self, info: ObjectInfo, data: Any, epoch: int, held: Held, key: Key, sent: int | None
    ) -> tuple[Entry, bool]:
        entry, fresh = Entry(info, data), True
        if self.enabled:
            entry, fresh = self._units[info.unit].fill(entry, epoch, sent)
        self._hold(entry, held, key)
        return entry, fresh

    def _hold(self, entry: Entry, held: Held, key: Key) -> None:
        held[key] = entry
        entry.pins += 1
        self._pins += 1

    def settle(self) -> None:
        """Takes note of what was dropped, with `lock` held."""
        while self.dropped:
            entry = self.dropped[0]
            unit = self._use(entry)
            del self.dropped[0]  # no call between these, at which an interrupt might come
            entry.pins -= 1
            self._pins -= 1
            if unit is not None and unit.is_over_limit:
                self._evictions += unit.evict()

    def _use(self, entry: Entry) -> UnitCache | None:
        """A ticket on it is about to be counted off. Returns the part that holds it."""
        self._clock = entry.used = self._clock + 1
        unit: UnitCache | None = entry.held_by
        if unit is not None and not entry.is_queued:
            unit.queue(entry)
        return unit
