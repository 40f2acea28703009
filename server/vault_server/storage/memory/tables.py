"""The index of a store in memory: what the tables of a register hold, in dicts. No I/O, safe to share between threads.

A plan that is being applied is noted first. Who is interrupted in that leaves it to the next one, who applies it again:
every step may be done twice, and nobody sees half of it.
"""

import secrets
import threading
from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any, Final

from vault.errors import ClosedError, RevisionCompactedError
from vault.store.listing import Listing
from vault.store.specs import LoadItem
from vault.store.usage import PrincipalInfo, PrincipalLimits, UnitInfo, UnitLimits
from vault.store.values import Change, ChangeKind, Key, ListOrder, LoadResult, ObjectInfo

from vault_server.storage.clock import wall_clock
from vault_server.storage.decision import listing as pages
from vault_server.storage.decision.listing import Listed, Span, collect
from vault_server.storage.decision.plan import (
    ROW_BYTES,
    Account,
    Facts,
    Found,
    Oldest,
    Plan,
    Retention,
    Usage,
    to_answer,
)
from vault_server.storage.decision.rows import (
    CHANGE_COLUMNS,
    INFO_COLUMNS,
    RETIRED_COLUMNS,
    Row,
    sound_infos,
    to_info,
    unpack_tags,
)
from vault_server.storage.decision.stored import Claimed, Purged, Stored, load_small
from vault_server.storage.decision.writes import Asked, Content
from vault_server.storage.feed.feed import refuse_future
from vault_server.storage.memory.places import Places, within

_GENERATION: Final = attrgetter("generation")
_KIND: Final = CHANGE_COLUMNS.index("kind")
_COMMITTED_AT: Final = CHANGE_COLUMNS.index("committed_at")
_PRINCIPAL: Final = CHANGE_COLUMNS.index("principal")
_REQUEST: Final = CHANGE_COLUMNS.index("request_id")
_UNIT: Final = RETIRED_COLUMNS.index("unit")
_SIZE: Final = RETIRED_COLUMNS.index("size")
_CONTENT: Final = RETIRED_COLUMNS.index("content")
_RETIRED_AT: Final = RETIRED_COLUMNS.index("retired_at")
_COLLECT_AT: Final = RETIRED_COLUMNS.index("collect_at")


class MemoryTables:
    """Objects, contents, retained generations, the feed. Methods are those of an index, for a Retention's history.

    Attributes:
        now: The store's time, as its process knows it.
    """

    def __init__(self) -> None:
        self.now: Callable[[], int] = wall_clock
        self.store_id = secrets.token_hex(16)
        self.revision = 0
        self._lock = threading.Lock()
        self._unfinished: tuple[Plan, list[Account]] | None = None
        self._clock = 0
        self._feed_floor = 0
        self._objects: dict[tuple[str, int], Row] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._contents: dict[int, Content] = {}
        self._tagged: dict[tuple[str, str, str], set[int]] = {}
        self._changes: dict[int, tuple[Any, ...]] = {}
        self._requests: dict[bytes, dict[str, int]] = {}  # by id, then by principal
        self._retired: dict[int, tuple[Any, ...]] = {}
        self._trash: dict[str, None] = {}
        self._usage: dict[str, Usage] = {}
        self._accounts: dict[str, Account] = {}
        self._by_generation: dict[str, OrderedDict[int, int]] = {}  # of each unit: ids, as they were stored
        self._expiring: list[tuple[int, str, int]] = []  # sorted: when, which object
        self._places = Places()

    def facts(self, asked: Asked, retention: Retention) -> Facts:
        with self._lock:
            self._finish()
            facts = Facts(self.revision, self._clock, self._feed_floor)
            names = asked.names + asked.new_names
            named = [(unit, self._names.get((unit, name), 0)) for unit, name in names]
            for key in (*asked.ids, *asked.new_ids, *named):
                row = self._objects.get(key)
                if row is not None:
                    facts.rows[key] = Found(row, self._contents[row.content].file)
            for request_id in asked.requests:
                for principal, revision in self._requests.get(request_id, {}).items():
                    facts.answers[principal, request_id] = to_answer(self._changes[revision])
            for unit in asked.units:
                if unit in self._usage:
                    facts.units[unit] = self._usage[unit]
            for principal in asked.principals:
                if principal in self._accounts:
                    facts.accounts[principal] = self._accounts[principal]
            floors = {self.revision - retention.history, self._feed_floor + retention.step}
            facts.floors = [
                (revision, self._changes[revision][_COMMITTED_AT])
                for revision in sorted(floors, reverse=True)
                if revision in self._changes
            ]
            return facts

    def apply(self, plan: Plan) -> None:
        with self._lock:
            self._finish()
            accounts = [self._account(principal).charged(*more) for principal, *more in plan.charges]
            self._unfinished = plan, accounts
            self._finish()

    def find(self, unit: str, keys: Sequence[Key]) -> Sequence[ObjectInfo | None]:
        with self._lock:
            self._finish()
            return sound_infos([self._find(unit, key) for key in keys])

    def load_small(self, unit: str, items: Sequence[LoadItem], room: int) -> list[LoadResult | Stored]:
        with self._lock:
            self._finish()
            return load_small(items, room, partial(self._stored, unit))

    def stored(self, unit: str, key: Key) -> Stored | None:
        with self._lock:
            self._finish()
            found = self._stored(unit, key)
            return None if found is None else Stored(*found)

    def retained(self, unit: str, data_id: int, generation: int) -> Stored | None:
        with self._lock:
            self._finish()
            found = self._retired.get(generation)
            if found is None or found[1:3] != (unit, data_id):
                expired = self._objects.get((unit, data_id))  # and not deleted yet
                if expired is None or expired.generation != generation:
                    return None
                return Stored(to_info(expired), self._contents[expired.content], retired=True)
            row = Row._make((unit, data_id, generation, *found[3 : len(INFO_COLUMNS)], "", found[_CONTENT]))
            return Stored(to_info(row), self._contents[row.content], retired=True)

    def page(self, listing: Listing, span: Span, limit: int) -> Listed:
        with self._lock:
            self._finish()
            places = self._listed(listing)
            first, last = within(places, span)
            end = None
            passes_over = listing.tags or (listing.prefix is not None and listing.order is not ListOrder.NAME)
            if passes_over and last - first > pages.MOST_SCANNED:
                end = places[last - 1 - pages.MOST_SCANNED if span.descending else first + pages.MOST_SCANNED]
            return collect(listing, span, end, limit, partial(self._rows, listing, places))

    def units(self) -> list[str]:
        with self._lock:
            self._finish()
            expired = Counter(row.unit for row in self._expired())
            return sorted(unit for unit, ids in self._places.ids.items() if len(ids) > expired[unit])

    def unit_infos(self, units: Sequence[str]) -> list[UnitInfo]:
        with self._lock:
            self._finish()
            return [self._live(self._usage.get(unit, Usage(unit))).info() for unit in units]

    def unit_page(self, prefix: str, after: str | None, limit: int) -> tuple[list[UnitInfo], str | None]:
        with self._lock:
            self._finish()
            units = sorted(unit for unit in self._usage if unit.startswith(prefix) and unit > (after or ""))
            infos = [self._live(self._usage[unit]).info() for unit in units]
            found = [info for info in infos if info.objects or info.limits.are_set]
            return found[:limit], found[limit - 1].unit if len(found) > limit else None

    def oldest(self, unit: str, most: int) -> Oldest:
        with self._lock:
            self._finish()
            stored: Mapping[int, int] = self._by_generation.get(unit, {})
            rows = [self._objects[unit, data_id] for data_id in islice(stored.values(), most)]
            found = [Found(row, self._contents[row.content].file) for row in rows]
            return Oldest(found, complete=len(found) == len(stored))

    def set_limits(self, unit: str, limits: UnitLimits) -> UnitInfo:
        with self._lock:
            self._finish()
            self._usage[unit] = usage = self._usage.get(unit, Usage(unit)).limited(limits)
            return self._live(usage).info()

    def principal_infos(self, principals: Sequence[str]) -> list[PrincipalInfo]:
        with self._lock:
            self._finish()
            return [self._live_account(self._account(principal)).info() for principal in principals]

    def principal_page(self, prefix: str, after: str | None, limit: int) -> tuple[list[PrincipalInfo], str | None]:
        with self._lock:
            self._finish()
            names = sorted(name for name in self._accounts if name.startswith(prefix) and name > (after or ""))
            infos = [self._live_account(self._accounts[name]).info() for name in names]
            found = [info for info in infos if info.objects or info.limits.are_set]
            return found[:limit], found[limit - 1].principal if len(found) > limit else None

    def set_principal_limits(self, principal: str, limits: PrincipalLimits) -> PrincipalInfo:
        with self._lock:
            self._finish()
            self._accounts[principal] = account = self._account(principal).limited(limits)
            return self._live_account(account).info()

    def expired(self, limit: int) -> list[Row]:
        with self._lock:
            self._finish()
            return self._expired()[:limit]

    def next_expiry(self) -> int | None:
        with self._lock:
            self._finish()
            return self._expiring[0][0] if self._expiring else None

    def changes(self, since: int, limit: int | None = None, units: Sequence[str] = ()) -> tuple[int, list[Change]]:
        with self._lock:
            self._finish()
            if since < self._feed_floor:
                raise RevisionCompactedError(
                    f"the feed's history begins after revision {self._feed_floor}; "
                    f"changes since {since} are not all in it",
                    revision=since,
                    floor=self._feed_floor,
                )
            refuse_future(since, self.revision)
            until = self.revision if limit is None else min(self.revision, since + limit)
            rows = [self._changes[revision] for revision in range(since + 1, until + 1)]
            return until, [_change(row) for row in rows if not units or row[1] in units]

    def claim(self, now: int, most: int) -> Claimed:
        with self._lock:
            self._finish()
            retained = 0
            for generation, row in self._retired.items():
                retained += row[_SIZE] + ROW_BYTES
                if row[_RETIRED_AT] > now:  # by a clock that has jumped back since
                    collect_at = now + row[_COLLECT_AT] - row[_RETIRED_AT]
                    self._retired[generation] = (*row[:_RETIRED_AT], now, collect_at)
            enough = most if retained <= most else most * 3 // 4  # so that not every commit has to add them up
            for generation, row in tuple(self._retired.items()):
                if row[_COLLECT_AT] > now and retained <= enough:
                    break
                self._give_up(generation, row)
                retained -= row[_SIZE] + ROW_BYTES
            due = next((row[_COLLECT_AT] for row in self._retired.values()), None)
            return Claimed(list(self._trash), due, retained)

    def purge(self, unit: str | None) -> Purged:
        with self._lock:
            self._finish()
            rows = [each for each in self._retired.items() if unit is None or each[1][_UNIT] == unit]
            for generation, row in rows:
                self._give_up(generation, row)
            return Purged(len(rows), sum(row[_SIZE] for _, row in rows))

    def _give_up(self, generation: int, row: tuple[Any, ...]) -> None:
        content = self._contents.pop(row[_CONTENT], None)
        if content is not None and content.file is not None:
            self._trash[content.file] = None
        del self._retired[generation]

    def forget(self, files: Sequence[str]) -> None:
        with self._lock:
            for file in files:
                self._trash.pop(file, None)

    def _find(self, unit: str, key: Key) -> Row | None:
        data_id = self._names.get((unit, key)) if isinstance(key, str) else key
        row = None if data_id is None else self._objects.get((unit, data_id))
        return row if row is None or row.expires_at is None or row.expires_at > self._now() else None

    def _now(self) -> int:
        return max(self._clock, self.now())

    def _expired(self) -> list[Row]:
        """What has expired, and is still there."""
        if not self._expiring:
            return []
        end = bisect_left(self._expiring, (self._now() + 1,))
        return [self._objects[unit, data_id] for _, unit, data_id in self._expiring[:end]]

    def _live(self, usage: Usage) -> Usage:
        """Without what has expired and is still counted."""
        sizes = [row.size for row in self._expired() if row.unit == usage.unit]
        return usage._replace(objects=usage.objects - len(sizes), bytes=usage.bytes - sum(sizes)) if sizes else usage

    def _account(self, principal: str) -> Account:
        return self._accounts.get(principal, Account(principal))

    def _live_account(self, account: Account) -> Account:
        sizes = [row.size for row in self._expired() if row.principal == account.principal]
        return account.charged(-len(sizes), -sum(sizes)) if sizes else account

    def _stored(self, unit: str, key: Key) -> tuple[ObjectInfo, Content] | None:
        row = self._find(unit, key)
        return None if row is None else (to_info(row), self._contents[row.content])

    def _listed(self, listing: Listing) -> Sequence[Any]:
        """Where a listing's objects may be, in order."""
        if not listing.tags or listing.order is not ListOrder.ID:
            return self._places.of(listing)
        fewest: set[int] = min((self._tagged.get((listing.unit, *tag), set()) for tag in listing.tags.items()), key=len)
        return sorted(fewest)

    def _rows(self, listing: Listing, places: Sequence[Any], span: Span) -> Iterator[Row]:
        """The objects in a span that match, in order."""
        first, end = within(places, span)
        prefix, tags = listing.prefix, listing.tags
        for at in range(end - 1, first - 1, -1) if span.descending else range(first, end):
            place = places[at]
            key = self._places.id_at(place) if listing.order is ListOrder.REVISION else place
            row = self._find(listing.unit, key)
            if (
                row is not None
                and (prefix is None or (row.name is not None and row.name.startswith(prefix)))
                and (not tags or unpack_tags(row.tags).items() >= tags.items())
            ):
                yield row

    def _finish(self) -> None:
        """Applies what was begun."""
        if self._unfinished is None:
            return
        plan, accounts = self._unfinished
        for unit, tag, value, data_id in plan.untagged:
            ids = self._tagged.get((unit, tag, value), set())
            ids.discard(data_id)
            if not ids:
                self._tagged.pop((unit, tag, value), None)
        for key in plan.deleted:
            self._unname(key)
            if (deleted := self._objects.get(key)) is not None:
                self._places.remove(deleted)
                self._forget_generation(deleted)
                self._forget_expiry(deleted)
                del self._objects[key]
        for key in plan.unnamed:
            self._unname(key)
        for row in sorted((*plan.updated, *plan.inserted), key=_GENERATION):
            self._by_generation.setdefault(row.unit, OrderedDict()).setdefault(row.generation, row.data_id)
            before = self._objects.get((row.unit, row.data_id))
            if before is not None and before.generation != row.generation:
                self._forget_generation(before)
            if before is not None:
                self._forget_expiry(before)
            if row.expires_at is not None:
                insort(self._expiring, (row.expires_at, row.unit, row.data_id))
            self._places.add(row, before)
            self._objects[row.unit, row.data_id] = row
            if row.name is not None:
                self._names[row.unit, row.name] = row.data_id
        for unit, tag, value, data_id in plan.tagged:
            self._tagged.setdefault((unit, tag, value), set()).add(data_id)
        for number in plan.dropped:
            self._contents.pop(number, None)
        for number, _, _, new in plan.contents:
            self._contents[number] = Content(new.size, new.checksum, new.blocks, new.data, new.file)
        self._trash.update(dict.fromkeys(plan.trash))
        for retired in plan.retired:
            self._retired[retired[0]] = retired
        for change in plan.changes:
            self._changes[change[0]] = change
            if change[_REQUEST] is not None:
                self._requests.setdefault(change[_REQUEST], {})[change[_PRINCIPAL]] = change[0]
        for usage in plan.units:
            self._usage[usage.unit] = usage
        for account in accounts:
            self._accounts[account.principal] = account
        if plan.feed_floor is not None:
            for revision in range(self._feed_floor + 1, plan.feed_floor + 1):
                gone = self._changes.pop(revision, None)
                if gone is not None and gone[_REQUEST] is not None:
                    principals = self._requests.get(gone[_REQUEST], {})
                    principals.pop(gone[_PRINCIPAL], None)
                    if not principals:
                        self._requests.pop(gone[_REQUEST], None)
            self._feed_floor = plan.feed_floor
        self._clock = plan.clock
        self.revision = plan.revision
        self._unfinished = None

    def _forget_generation(self, row: Row) -> None:
        self._by_generation[row.unit].pop(row.generation, None)

    def _forget_expiry(self, row: Row) -> None:
        if row.expires_at is not None:
            moment = (row.expires_at, row.unit, row.data_id)
            del self._expiring[bisect_left(self._expiring, moment) : bisect_right(self._expiring, moment)]

    def _unname(self, key: tuple[str, int]) -> None:
        row = self._objects.get(key)
        if row is not None and row.name is not None:
            self._places.give_up(row.unit, row.name)
            self._names.pop((row.unit, row.name), None)
            self._objects[key] = row._replace(name=None)


class ClosedTables:
    """In place of a closed store's: empty ones would answer a call that the close overtook that nothing was there."""

    def __getattr__(self, name: str) -> Any:
        raise ClosedError("the store is closed")


def _change(change: tuple[Any, ...]) -> Change:
    return Change(change[0], change[1], change[2], ChangeKind(change[_KIND]), change[3], change[7])
