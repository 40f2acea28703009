"""What a group of writes has come to so far, while it is decided on: objects, room, changes. Pure."""

import math
from typing import Any, Final

from vault.errors import object_not_found
from vault.store.specs import DeleteSpec, MetadataSpec, UpdateSpec
from vault.store.values import ChangeKind, Key, ObjectInfo

from vault_server.storage.decision.plan import (
    ROW_BYTES,
    Answer,
    Facts,
    NewContent,
    Outcome,
    Plan,
    Retention,
    Undecided,
    Usage,
    to_answer,
)
from vault_server.storage.decision.quota import Allowance, Room
from vault_server.storage.decision.refusals import (
    name_taken,
    object_exists,
    other_write,
    require_generation,
    require_revision,
)
from vault_server.storage.decision.rows import Row, change_row, retired_row, to_info, unpack_tags
from vault_server.storage.decision.writes import Content, PlacingWrite, Write, request_hash

_UPLOADED: Final = ChangeKind.UPLOADED.value
_UPDATED: Final = ChangeKind.UPDATED.value
_METADATA: Final = ChangeKind.METADATA.value
_DELETED: Final = ChangeKind.DELETED.value


class Group:
    """What a group of writes has come to so far.

    Attributes:
        now: The store's time, which never goes back.
        revision: Of the last change.
        rows: Objects, as the writes so far leave them; without those that they deleted. `names`: whose they are.
    """

    def __init__(self, facts: Facts, clock: int, retention: Retention) -> None:
        self.now = max(clock, facts.clock)
        self.revision = facts.revision
        self.rows = {key: found.row for key, found in facts.rows.items()}
        self.names = {(row.unit, row.name): row.data_id for row in self.rows.values() if row.name is not None}
        self._facts = facts
        self._clock = clock
        self._retention = retention
        self._requests: dict[tuple[str, bytes], tuple[Any, ...]] = {}
        self._units: dict[str, list[int]] = {}  # the revision, and objects and bytes more than before
        self._charges: dict[str, list[int]] = {}  # objects and bytes, likewise
        self._touched: dict[tuple[str, int], None] = {}
        self._contents: dict[int, NewContent] = {}
        self._changes: list[tuple[Any, ...]] = []
        self._retired: list[tuple[Any, ...]] = []
        self._dropped: list[int] = []
        self._trash: list[str] = []
        self._inlined = 0
        self._expires: int | None = None
        self._rooms: dict[str, Room] = {}
        self._allowances: dict[str, Allowance] = {}
        if facts.has_limits:
            self._rooms = {
                unit: Room(usage, facts.oldest.get(unit)) for unit, usage in facts.units.items() if usage.is_limited
            }
            self._allowances = {
                name: Allowance(account) for name, account in facts.accounts.items() if account.is_limited
            }

    def answer(self, write: Write) -> Answer | None:
        """What this request was answered; None when it was not applied."""
        request = (write.principal, write.spec.request_id)
        change = self._requests.get(request)
        answer = self._facts.answers.get(request) if change is None else to_answer(change)
        if answer is not None and answer.request_hash != request_hash(write):
            raise other_write(write.unit)
        return answer

    def find(self, unit: str, key: Key) -> Row | None:
        """The object, as the writes so far leave it; one that has expired is deleted here. CorruptionError when the
        index has led astray."""
        if self._facts.damaged and (error := self._facts.damaged.get((unit, key))) is not None:
            raise error
        if isinstance(key, str):
            data_id = self.names.get((unit, key))
            row = None if data_id is None else self.rows[unit, data_id]
        else:
            row = self.rows.get((unit, key))
        if row is None or row.expires_at is None or row.expires_at > self.now:
            return row
        to_info(row)  # raises for a row that is damaged, which is not believed in this either
        self.drop(row, "")
        return None

    def require(self, unit: str, spec: UpdateSpec | MetadataSpec) -> tuple[Row, ObjectInfo]:
        """The object; raises NotFoundError, ConflictError when it is not at the generation or revision that the spec
        names, or CorruptionError for a row that is none."""
        row = self.find(unit, spec.key)
        if row is None:
            raise object_not_found(unit, spec.key)
        require_unchanged(row, spec)
        return row, to_info(row)

    def refuse_name(self, unit: str, name: str) -> None:
        """Raises AlreadyExistsError, NAME_TAKEN, when the name is."""
        owner = self.find(unit, name)
        if owner is not None:
            raise name_taken(unit, name, owner.data_id)

    def refuse_id(self, unit: str, data_id: int) -> None:
        """Raises AlreadyExistsError, OBJECT_EXISTS, when the id is taken."""
        there = self.find(unit, data_id)
        if there is not None:
            raise object_exists(unit, data_id, there.generation)

    def expiry(self, seconds: float | None) -> int | None:
        """When something expires that is to be there for so long; None: never."""
        return expiry_after(self.now, seconds)

    def make_room(self, write: PlacingWrite, before: Row | None) -> None:
        """Evicts what has to go for an object that comes into the place of another; raises StorageFullError, QUOTA."""
        if self._allowances and (allowance := self._allowances.get(write.principal)) is not None:
            allowance.require(before, write.content.size)
        room = self._rooms.get(write.unit)
        if room is not None:
            for victim in room.take(self.rows, before, write.content.size):
                self.drop(victim, write.principal)

    def drop(self, row: Row, principal: str) -> None:
        """Deletes an object, which is not what a write is answered with."""
        kind = self._replace(row, None, None)
        self._changes.append(change_row(row, self.revision, kind, self.now, (principal, None, None)))

    def change(self, write: Write, before: Row | None, after: Row | None, content: Content | None = None) -> None:
        """Takes a change over. Nothing may refuse the write from here on.

        Args:
            before: The object; None: there is none.
            after: What becomes of it, at the next revision; None: it is deleted.
            content: Its new bytes; None: it keeps those that it has, or is deleted.
        """
        kind = self._replace(before, after, content)
        told = after or before
        assert told is not None  # noqa: S101  # one of them is there
        request = (write.principal, write.spec.request_id)
        self._requests[request] = change = change_row(
            told, self.revision, kind, self.now, (*request, request_hash(write))
        )
        self._changes.append(change)

    def _replace(self, before: Row | None, after: Row | None, content: Content | None) -> int:
        """Puts one row into the place of another; the kind of the change."""
        self.revision = revision = self.revision + 1
        told = after or before
        assert told is not None  # noqa: S101  # one of them is there
        unit, data_id = key = told[:2]
        kind = _UPLOADED
        if before is not None:
            kind = _DELETED if after is None else _METADATA if content is None else _UPDATED
            if after is None or content is not None:
                self._retire(before)
            if before.name is not None:
                del self.names[unit, before.name]
        if after is None:
            del self.rows[key]
        else:
            self.rows[key] = after
            if after.name is not None:
                self.names[unit, after.name] = data_id
            if content is not None:
                self._contents[revision] = NewContent(revision, unit, data_id, content)
            if after.expires_at is not None:
                self._expires = min(after.expires_at, self._expires or after.expires_at)
        self._touched[key] = None
        self._count(unit, before, after)
        if (room := self._rooms.get(unit)) is not None:
            room.count(before, after)
        if self._allowances:
            for row, sign in ((before, -1), (after, 1)):
                if row is not None and (allowance := self._allowances.get(row.principal)) is not None:
                    allowance.count(sign, sign * row.size)
        return kind

    def _count(self, unit: str, before: Row | None, after: Row | None) -> None:
        count = self._units.get(unit)
        if count is None:
            self._units[unit] = count = [0, 0, 0]
        count[0] = self.revision
        if before is not None:
            count[1] -= 1
            count[2] -= before.size
            if before.principal:
                _charge(self._charges, before.principal, -1, -before.size)
        if after is not None:
            count[1] += 1
            count[2] += after.size
            if after.principal:
                _charge(self._charges, after.principal, 1, after.size)

    def _retire(self, row: Row) -> None:
        fresh = self._contents.get(row.content)
        found = self._facts.rows[row.unit, row.data_id] if fresh is None else None
        file = found.file if found is not None else None
        inline = file is None if fresh is None else fresh.content.data is not None
        grace = self._retention.grace
        if grace:
            self._retired.append(retired_row(row, self.revision, self._clock, self._clock + grace))
            self._inlined += row.size + ROW_BYTES if inline else 0
        elif fresh is not None:
            del self._contents[row.content]  # nobody ever sees them
        else:
            self._dropped.append(row.content)
            if file is not None:
                self._trash.append(file)

    def plan(self, outcomes: list[Outcome], undecided: Undecided | None = None) -> Plan:
        """What all of it comes to, each object counted once."""
        facts = self._facts
        plan = Plan(
            outcomes,
            facts.revision,
            self.revision,
            self.now,
            new_floor(facts, self.now, self._retention) if self._changes else None,
            contents=list(self._contents.values()),
            dropped=self._dropped,
            trash=self._trash,
            retired=self._retired,
            changes=self._changes,
            expires=self._expires,
            undecided=undecided,
            inlined=self._inlined,
        )
        for key in self._touched:
            found, after = facts.rows.get(key), self.rows.get(key)
            old = new = None
            if after is not None:
                new = after.tags
                (plan.inserted if found is None else plan.updated).append(after)
            if found is not None:
                before = found.row
                old = before.tags
                if after is None:
                    plan.deleted.append(key)
                elif before.name is not None and before.name != after.name:
                    plan.unnamed.append(key)
            if old != new:
                plan.untagged += tag_rows(key, old)
                plan.tagged += tag_rows(key, new)
        for unit, (revision, objects, size) in self._units.items():
            of = facts.units.get(unit) or Usage(unit)
            plan.units.append(Usage(unit, of.objects + objects, of.bytes + size, revision, *of[4:]))
        plan.charges += [(name, objects, size) for name, (objects, size) in self._charges.items() if objects or size]
        return plan


def expiry_after(now: int, seconds: float | None) -> int | None:
    """When something expires that is to be there for so long; None: never."""
    return None if seconds is None or seconds == math.inf else now + round(seconds * 1e6)


def new_floor(facts: Facts, now: int, retention: Retention) -> int | None:
    """Where the feed begins from now on; None: where it did."""
    for revision, committed_at in facts.floors:
        enough = facts.feed_floor + retention.step <= revision <= facts.revision - retention.history
        if enough and committed_at <= now - retention.window:
            return revision
    return None


def require_unchanged(row: Row, spec: UpdateSpec | MetadataSpec | DeleteSpec) -> None:
    """Raises ConflictError when the object is not at the generation or revision that the spec names."""
    require_generation(row.unit, row.data_id, row.generation, spec.if_generation)
    if spec.if_revision is not None:
        require_revision(row.unit, row.data_id, row.revision, spec.if_revision)


def _charge(charges: dict[str, list[int]], principal: str, objects: int, size: int) -> None:
    count = charges.setdefault(principal, [0, 0])
    count[0] += objects
    count[1] += size


def tag_rows(key: tuple[str, int], packed: str | None) -> list[tuple[str, str, str, int]]:
    """The rows of `tags` for an object's."""
    unit, data_id = key
    return [(unit, tag, value, data_id) for tag, value in unpack_tags(packed).items()] if packed else []
