"""The decision on a group of writes: what each is answered, and what the index has to change. Pure.

The writes are decided in their order, each seeing what those before it did; one that is refused leaves nothing. A
request that was applied before is answered as it was then, and does nothing; another write under its id is refused.

An engine asks its index for the facts and applies the plan with nobody else writing in between.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from vault.errors import VaultError, object_not_found
from vault.store.columns import from_time, to_time
from vault.store.limits import check_new
from vault.store.values import ChangeKind, DeleteSpec, Key, MetadataSpec, ObjectInfo, UpdateSpec

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
from vault_server.storage.decision.quota import Room, UndecidedError
from vault_server.storage.decision.refusals import (
    copy_onto_itself,
    name_taken,
    object_exists,
    other_write,
    require_generation,
    require_revision,
)
from vault_server.storage.decision.rows import (
    Row,
    change_row,
    pack_tags,
    retired_row,
    signed,
    to_info,
    unpack_tags,
)
from vault_server.storage.decision.writes import (
    Content,
    ContentWrite,
    Copy,
    Delete,
    Drop,
    PlacingWrite,
    Put,
    SetMetadata,
    Update,
    Upload,
    Write,
    request_hash,
)

_UPLOADED: Final = ChangeKind.UPLOADED.value
_UPDATED: Final = ChangeKind.UPDATED.value
_METADATA: Final = ChangeKind.METADATA.value
_DELETED: Final = ChangeKind.DELETED.value


def decide(facts: Facts, writes: Iterable[Write], clock: int, retention: Retention = Retention()) -> Plan:  # noqa: B008  # frozen
    """Decides a group of writes.

    Args:
        facts: Of what `asked(writes)` names. They are not changed.
        writes: In the order in which they take effect.
        clock: The time, in microseconds since 1970.
        retention: How long what is replaced stays.
    """
    group = _Group(facts, clock, retention)
    outcomes: list[Outcome] = []
    try:
        for write in writes:
            outcomes.append(group.outcome(write))  # noqa: PERF401  # those until one cannot be decided
    except UndecidedError as error:
        return group.plan(outcomes, error.write)
    return group.plan(outcomes)


def preview(facts: Facts, write: ContentWrite, clock: int) -> ObjectInfo | None:
    """What a write was answered before, when it was; raises what it is refused with as things are now.

    Its bytes, which may not be there yet, are not looked at.
    """
    group = _Group(facts, clock, Retention())
    answer = group.answer(write)
    if answer is not None:
        return to_info(answer.row)
    with contextlib.suppress(UndecidedError):  # there is something to be evicted
        group.make_room(write, _require_possible(group, write))
    return None


def require_room(facts: Facts, write: ContentWrite, clock: int) -> None:
    """Raises StorageFullError, QUOTA, when there is no room for a write's bytes, as far as its content has them."""
    group = _Group(facts, clock, Retention())
    try:
        before = _require_possible(group, write)
    except VaultError:  # the commit decides; until then it may change
        return
    with contextlib.suppress(UndecidedError):
        group.make_room(write, before)


def require_same(answered: ObjectInfo, size: int, checksum: int | None) -> ObjectInfo:
    """The answer, when the write that it was given to had these bytes; raises `other_write` when not.

    Args:
        checksum: None: it is not known.
    """
    if size != answered.size or checksum not in (None, answered.checksum):
        raise other_write(answered.unit)
    return answered


class _Group:
    """What a group of writes has come to so far.

    Attributes:
        now: The store's time, which never goes back; `moment`: the same as the contract has it.
        revision: Of the last change.
        rows: Objects, as the writes so far leave them; without those that they deleted. `names`: whose they are.
    """

    def __init__(self, facts: Facts, clock: int, retention: Retention) -> None:
        self.now = max(clock, facts.clock)
        self.moment = to_time(self.now)
        self.revision = facts.revision
        self.rows = {key: found.row for key, found in facts.rows.items()}
        self.names = {(row.unit, row.name): row.data_id for row in self.rows.values() if row.name is not None}
        self._facts = facts
        self._clock = clock
        self._retention = retention
        self._requests: dict[tuple[str, bytes], tuple[Any, ...]] = {}
        self._units: dict[str, int] = {}
        self._touched: dict[tuple[str, int], None] = {}
        self._contents: dict[int, NewContent] = {}
        self._changes: list[tuple[Any, ...]] = []
        self._retired: list[tuple[Any, ...]] = []
        self._dropped: list[int] = []
        self._trash: list[str] = []
        self._inlined = 0
        self._expires: int | None = None
        self._rooms = {
            unit: Room(usage, facts.oldest.get(unit)) for unit, usage in facts.units.items() if usage.is_limited
        }

    def outcome(self, write: Write) -> Outcome:
        """Decides one write."""
        try:
            answer = self.answer(write)
            if answer is not None:
                return _answered(write, answer)
            return _ARMS[type(write)](self, write)
        except VaultError as error:
            return error

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
        _require_unchanged(row, spec)
        return row, to_info(row)

    def refuse_name(self, unit: str, name: str) -> None:
        """Raises AlreadyExistsError, NAME_TAKEN, when the name is."""
        owner = self.find(unit, name)
        if owner is not None:
            raise name_taken(unit, name, owner.data_id)

    def expiry(self, seconds: float | None) -> int | None:
        """When something expires that is to be there for so long; None: never."""
        return None if seconds is None or seconds == math.inf else self.now + round(seconds * 1e6)

    def make_room(self, write: PlacingWrite, before: Row | None) -> None:
        """Evicts what has to go for an object that comes into the place of another; raises StorageFullError, QUOTA."""
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
        self._units[unit] = revision
        if (room := self._rooms.get(unit)) is not None:
            room.count(before, after)
        return kind

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
            self._floor() if self._changes else None,
            contents=list(self._contents.values()),
            dropped=self._dropped,
            trash=self._trash,
            retired=self._retired,
            changes=self._changes,
            expires=self._expires,
            undecided=undecided,
            inlined=self._inlined,
        )
        counts = {unit: [0, 0] for unit in self._units}
        for key in self._touched:
            found, after, count = facts.rows.get(key), self.rows.get(key), counts[key[0]]
            old = new = None
            if after is not None:
                count[0] += 1
                count[1] += after.size
                new = after.tags
                (plan.inserted if found is None else plan.updated).append(after)
            if found is not None:
                before = found.row
                count[0] -= 1
                count[1] -= before.size
                old = before.tags
                if after is None:
                    plan.deleted.append(key)
                elif before.name is not None and before.name != after.name:
                    plan.unnamed.append(key)
            if old != new:
                plan.untagged += _tag_rows(key, old)
                plan.tagged += _tag_rows(key, new)
        for unit, revision in self._units.items():
            before_it = facts.units.get(unit, Usage(unit))
            objects, size = counts[unit]
            plan.units.append(
                Usage(unit, before_it.objects + objects, before_it.bytes + size, revision, *before_it[4:])
            )
        return plan

    def _floor(self) -> int | None:
        """Where the feed begins from now on; None: where it did."""
        facts, retention = self._facts, self._retention
        for revision, committed_at in facts.floors:
            enough = facts.feed_floor + retention.step <= revision <= facts.revision - retention.history
            if enough and committed_at <= self.now - retention.window:
                return revision
        return None


def _tag_rows(key: tuple[str, int], packed: str | None) -> list[tuple[str, str, str, int]]:
    unit, data_id = key
    return [(unit, tag, value, data_id) for tag, value in unpack_tags(packed).items()] if packed else []


def _answered(write: Write, answer: Answer) -> Outcome:
    if isinstance(write, Delete | Drop):
        return answer.row.revision
    info = to_info(answer.row)
    if isinstance(write, SetMetadata | Copy):  # its source may be another by now
        return info
    return require_same(info, write.content.size, write.content.checksum)


def _require_possible(group: _Group, write: ContentWrite) -> Row | None:
    """The object in whose place a write's bytes come; None: in nobody's. Raises what refuses it, whatever they are."""
    if isinstance(write, Upload):
        _require_new(group, write)
        return None
    return _require_puttable(group, write) if isinstance(write, Put) else _require_updatable(group, write)[0]


def _require_new(group: _Group, write: Upload) -> None:
    """Raises InvalidArgumentError when no new object may be so named or tagged, AlreadyExistsError when the id or the
    name is taken."""
    spec = write.spec
    check_new(name=spec.name, tags=spec.tags, datatype=spec.datatype)
    there = group.find(write.unit, spec.data_id)
    if there is not None:
        raise object_exists(write.unit, spec.data_id, there.generation)
    if spec.name is not None:
        group.refuse_name(write.unit, spec.name)


def _require_updatable(group: _Group, write: Update) -> tuple[Row, ObjectInfo]:
    """The object that an update is for. NotFoundError, ConflictError, InvalidArgumentError."""
    spec = write.spec
    row, info = group.require(write.unit, spec)
    if spec.datatype is not None and spec.datatype != row.datatype:
        check_new(datatype=spec.datatype)
    _check_new_tags(spec.tags, info)
    return row, info


def _require_puttable(group: _Group, write: Put) -> Row | None:
    """The object that a put replaces; None: it makes a new one. NotFoundError, ConflictError, AlreadyExistsError,
    InvalidArgumentError."""
    unit, spec = write.unit, write.spec
    key: Key = spec.data_id if spec.name is None else spec.name
    row = group.find(unit, key)
    if row is not None:
        require_generation(unit, row.data_id, row.generation, spec.if_generation)
        if spec.datatype != row.datatype:
            check_new(datatype=spec.datatype)
        _check_new_tags(spec.tags, to_info(row))
        return row
    if spec.if_generation:
        raise object_not_found(unit, key)
    check_new(name=spec.name, tags=spec.tags, datatype=spec.datatype)
    there = group.find(unit, spec.data_id)
    if there is not None:
        raise object_exists(unit, spec.data_id, there.generation)
    return None


def _require_unchanged(row: Row, spec: UpdateSpec | MetadataSpec | DeleteSpec) -> None:
    require_generation(row.unit, row.data_id, row.generation, spec.if_generation)
    if spec.if_revision is not None:
        require_revision(row.unit, row.data_id, row.revision, spec.if_revision)


def _check_new_tags(tags: Mapping[str, str] | None, known: ObjectInfo) -> None:
    """Tags that an object has already may stay."""
    if tags:
        check_new(tags=dict(tags.items() - known.tags.items()))


def _upload(group: _Group, write: Upload) -> Outcome:
    _require_new(group, write)
    group.make_room(write, None)
    spec, content, now, revision = write.spec, write.content, group.now, group.revision + 1
    begun = (write.unit, spec.data_id, revision, revision, content.size)
    named = (spec.datatype, spec.name)
    tags = pack_tags(spec.tags)
    after = Row(*begun, signed(content.checksum), *named, tags, now, now, now, None, write.principal, revision)
    group.change(write, None, after, content)
    return ObjectInfo(*begun, content.checksum, *named, dict(spec.tags), *[group.moment] * 3)


def _update(group: _Group, write: Update) -> Outcome:
    before, known = _require_updatable(group, write)
    group.make_room(write, before)
    spec, content, revision = write.spec, write.content, group.revision + 1
    begun = (write.unit, before.data_id, revision, revision, content.size)
    named = (before.datatype if spec.datatype is None else spec.datatype, before.name)
    moment = max(group.now, before.updated_at)
    made, until = before.created_at, before.expires_at
    tags, told_tags = before.tags, known.tags
    if spec.tags is not None:
        tags, told_tags = pack_tags(spec.tags), dict(spec.tags)
    bytes_of = (signed(content.checksum), *named, tags)
    after = Row(*begun, *bytes_of, made, moment, moment, until, write.principal, revision)
    group.change(write, before, after, content)
    updated_at = max(group.moment, known.updated_at)
    told = (content.checksum, *named, told_tags)
    return ObjectInfo(*begun, *told, known.created_at, updated_at, updated_at, known.expires_at)


def _put(group: _Group, write: Put) -> Outcome:
    before = _require_puttable(group, write)
    group.make_room(write, before)
    spec, content, revision, now = write.spec, write.content, group.revision + 1, group.now
    whose = (spec.data_id, spec.name) if before is None else (before.data_id, before.name)
    created = now if before is None else before.created_at
    updated = written = now if before is None else max(now, before.updated_at)
    if spec.times is not None:
        taken = (spec.times.created_at, spec.times.updated_at, spec.times.written_at)
        created, updated, written = (min(from_time(moment), now) for moment in taken)
    begun = (write.unit, whose[0], revision, revision, content.size, signed(content.checksum), spec.datatype, whose[1])
    until = group.expiry(spec.expires_in)
    after = Row(*begun, pack_tags(spec.tags), created, updated, written, until, write.principal, revision)
    info = to_info(after)
    group.change(write, before, after, content)
    return info


def _copy(group: _Group, write: Copy) -> Outcome:
    unit, spec, source = write.unit, write.spec, write.source
    expires_at = None if source is None or source.expires_at is None else from_time(source.expires_at)
    if source is None or (expires_at is not None and expires_at <= group.now):
        raise object_not_found(write.from_unit, spec.key)
    before = None if spec.name is None else group.find(unit, spec.name)
    if before is None:
        if spec.name is not None:
            check_new(name=spec.name)
        there = group.find(unit, spec.data_id)
        if there is not None:
            raise object_exists(unit, spec.data_id, there.generation)
    elif not spec.replace:
        raise name_taken(unit, before.name or "", before.data_id)
    elif (unit, before.data_id) == (write.from_unit, source.data_id):
        raise copy_onto_itself(unit, before.name or "", before.data_id)
    else:
        to_info(before)  # raises for a row that is damaged
    group.make_room(write, before)
    content, now, revision = write.content, group.now, group.revision + 1
    data_id, created, moment = spec.data_id, now, now
    if before is not None:
        data_id, created, moment = before.data_id, before.created_at, max(now, before.updated_at)
    begun = (unit, data_id, revision, revision, content.size, signed(content.checksum), source.datatype, spec.name)
    tags = pack_tags(source.tags)
    after = Row(*begun, tags, created, moment, moment, expires_at, write.principal, revision)
    info = to_info(after)
    group.change(write, before, after, content)
    return info


def _delete(group: _Group, write: Delete) -> Outcome:
    before = group.find(write.unit, write.spec.key)
    if before is None:
        return 0
    _require_unchanged(before, write.spec)
    to_info(before)  # raises for a row that is damaged, as all that is asked of it does
    group.change(write, before, None)
    return group.revision


def _drop(group: _Group, write: Drop) -> Outcome:
    before = group.find(write.unit, write.spec.key)
    if before is None:
        return 0
    _require_unchanged(before, write.spec)
    to_info(before)  # as for a deletion
    group.drop(before, write.principal)
    return group.revision


def _set_metadata(group: _Group, write: SetMetadata) -> Outcome:
    unit, spec = write.unit, write.spec
    before, known = group.require(unit, spec)
    replaced = None
    if spec.name and spec.name != before.name:
        check_new(name=spec.name)
        if not spec.replace:
            group.refuse_name(unit, spec.name)
        elif (replaced := group.find(unit, spec.name)) is not None:
            to_info(replaced)  # as for a deletion
    _check_new_tags(spec.tags, known)
    after = before._replace(
        revision=group.revision + (1 if replaced is None else 2),
        name=before.name if spec.name is None else (spec.name or None),
        tags=before.tags if spec.tags is None else pack_tags(spec.tags),
        updated_at=max(group.now, before.updated_at),
        expires_at=before.expires_at if spec.expires_in is None else group.expiry(spec.expires_in),
    )
    info = to_info(after)
    if replaced is not None:
        group.drop(replaced, write.principal)
    group.change(write, before, after)
    return info


_ARMS: Final[Mapping[type, Callable[[_Group, Any], Outcome]]] = {
    Upload: _upload,
    Update: _update,
    Put: _put,
    Copy: _copy,
    Delete: _delete,
    Drop: _drop,
    SetMetadata: _set_metadata,
}
"""By kind of write: each raises what refuses it, or takes its change over and says what it is answered.

Room for: expiry
(`find` takes what has expired for deleted, and changes it so), quotas (`_count` against the unit's limits).
"""
