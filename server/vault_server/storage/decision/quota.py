"""How much room units and principals with limits have while the writes of a group take of it, and what is evicted for
it. Pure."""

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from vault.errors import StorageError, StorageFullError

from vault_server.storage.decision.plan import Account, Facts, Oldest, Plan, Undecided, Usage
from vault_server.storage.decision.rows import Row
from vault_server.storage.decision.writes import Write, drop

MOST_EVICTED: Final = 1000
"""Objects that are evicted in one transaction, but for those that its own group has made."""

_UNKNOWN: Final = Oldest([], complete=False)


class UndecidedError(Exception):
    """A write cannot be decided yet."""

    def __init__(self, write: Undecided) -> None:
        super().__init__(write)
        self.write = write


class _Stored(NamedTuple):
    """A generation, in the order in which they were stored."""

    data_id: int
    generation: int


class Room:
    """Of one unit, in one group.

    Args:
        usage: What it holds before the group.
        oldest: What was stored in it longest ago, as far as it is known; None: nothing is.
    """

    def __init__(self, usage: Usage, oldest: Oldest | None) -> None:
        oldest = oldest or _UNKNOWN
        self._usage = usage
        self._objects, self._bytes = usage.objects, usage.bytes
        self._oldest = deque(_Stored(found.row.data_id, found.row.generation) for found in oldest.found)
        self._all_known = oldest.complete

    def count(self, before: Row | None, after: Row | None) -> None:
        """An object was made, replaced or deleted."""
        if before is not None:
            self._objects -= 1
            self._bytes -= before.size
        if after is not None:
            self._objects += 1
            self._bytes += after.size
            if self._all_known and (before is None or before.generation != after.generation):
                self._oldest.append(_Stored(after.data_id, after.generation))

    def take(self, rows: Mapping[tuple[str, int], Row], before: Row | None, size: int) -> list[Row]:
        """What has to be deleted before an object of so many bytes is written.

        Args:
            rows: Objects, as the writes so far leave them.
            before: The object in whose place it comes; None: in nobody's.

        Raises:
            StorageFullError: QUOTA, it has no room.
            UndecidedError: Something has to be evicted, and it is not known what.
        """
        usage = self._usage
        objects = self._objects + (before is None)
        total = self._bytes + size - (0 if before is None else before.size)
        if not usage.when_full:
            if before is None:
                _require(usage, objects, usage.max_objects, "objects")
            if total > self._bytes:
                _require(usage, total, usage.max_bytes, "bytes")
            return []
        _require(usage, 1, usage.max_objects, "objects")
        _require(usage, size, usage.max_bytes, "bytes")
        victims: list[Row] = []
        passed: list[_Stored] = []
        looked_at = 0
        for stored in self._oldest:
            if not self._is_over(objects, total):
                break
            looked_at += 1
            row = rows.get((usage.unit, stored.data_id))
            if row is None or row.generation != stored.generation:
                continue
            if before is not None and row.data_id == before.data_id:
                passed.append(stored)
                continue
            victims.append(row)
            objects -= 1
            total -= row.size
        if self._is_over(objects, total):
            if not self._all_known:
                need = max(1, objects - (usage.max_objects or objects))
                raise UndecidedError(Undecided(usage.unit, need, before and before.data_id))
            _require(usage, objects, usage.max_objects, "objects")  # those that are left cannot be read
            _require(usage, total, usage.max_bytes, "bytes")
        for _ in range(looked_at):  # not before it is certain that they go
            self._oldest.popleft()
        self._oldest.extendleft(passed)
        return victims

    def _is_over(self, objects: int, total: int) -> bool:
        return _is_over(objects, self._usage.max_objects) or _is_over(total, self._usage.max_bytes)


class Allowance:
    """What a principal with limits may have charged to it, in one group. What a unit would evict for it is no help: its
    own limits come first, so that nothing is evicted for a write that they refuse.

    Args:
        account: What is charged to it before the group.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._objects, self._bytes = account.objects, account.bytes

    def count(self, objects: int, size: int) -> None:
        """So much more is charged to it, or less."""
        self._objects += objects
        self._bytes += size

    def require(self, before: Row | None, size: int) -> None:
        """Raises StorageFullError, QUOTA, when it may not add an object of so many bytes.

        Args:
            before: The object in whose place it comes; None: in nobody's.
        """
        account = self._account
        added = size
        if before is not None and before.principal == account.principal:
            added -= before.size
        else:
            _require(account, self._objects + 1, account.max_objects, "objects")
        if added > 0:
            _require(account, self._bytes + added, account.max_bytes, "bytes")


def more_to_know(facts: Facts, plan: Plan, writes: int) -> int:
    """How many of the oldest objects to ask for, so that more of a group of writes can be decided than a plan does; 0:
    no more than are known."""
    assert plan.undecided is not None  # noqa: S101  # that is asked about
    unit, need, _ = plan.undecided
    known = facts.oldest.get(unit, _UNKNOWN)
    count = len(known.found)
    if count >= MOST_EVICTED:
        return 0
    return min(MOST_EVICTED, max(2 * count, count + need + writes - len(plan.outcomes)))


def learn(facts: Facts, unit: str, oldest: Oldest) -> None:
    """Adds what was found of the oldest to the facts."""
    for found in oldest.found:
        facts.rows.setdefault((unit, found.row.data_id), found)
    facts.oldest[unit] = oldest


def evicted_first(facts: Facts, write: Undecided) -> list[Write]:
    """What is evicted in a transaction of its own, before a write for which all that is known is not enough."""
    rows = (found.row for found in facts.oldest[write.unit].found)
    return [drop(row) for row in rows if row.data_id != write.data_id]


def require_progress(plan: Plan) -> Plan:
    """The plan of what is evicted first; StorageError where it evicts nothing, as the index has led astray."""
    if plan.revision == plan.begun_at:
        what = "what is to be evicted cannot be reached; `vault-grpc check DIRECTORY --repair` mends it"
        raise StorageError(f"the register is damaged: {what}", reason="REGISTER_DAMAGED")
    return plan


def _is_over(number: int, most: int | None) -> bool:
    return most is not None and number > most


def _require(counted: Usage | Account, number: int, most: int | None, what: str) -> None:
    if not _is_over(number, most):
        return
    would = f"this would make {number} {what}"
    whose: dict[str, str]
    if isinstance(counted, Usage):
        text, whose = f"unit {counted.unit!r} is full: {would}, and its limit is {most}", {"unit": counted.unit}
    else:
        text = f"what principal {counted.principal!r} wrote is too much: {would}, and its limit is {most}"
        whose = {"principal": counted.principal}
    raise StorageFullError(text, reason="QUOTA", **whose, limit=most, size=number)
