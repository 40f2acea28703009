"""The decision on a group of writes: what each is answered, and what the index has to change. Pure.

The writes are decided in their order, each seeing what those before it did; one that is refused leaves nothing. A
request that was applied before is answered as it was then, and does nothing; another write under its id is refused.

An engine asks its index for the facts and applies the plan with nobody else writing in between.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from vault.errors import VaultError, object_not_found
from vault.store.limits import check_new
from vault.store.values import Key, ObjectInfo, from_time, info_of_row

from vault_server.storage.decision.columns import decide_new
from vault_server.storage.decision.group import Group, require_unchanged
from vault_server.storage.decision.plan import Answer, Facts, Outcome, Plan, Retention
from vault_server.storage.decision.quota import UndecidedError
from vault_server.storage.decision.refusals import copy_onto_itself, name_taken, other_write, require_generation
from vault_server.storage.decision.rows import Row, pack_tags, signed, to_info
from vault_server.storage.decision.writes import (
    Batch,
    ContentWrite,
    Copy,
    Delete,
    Drop,
    Put,
    SetMetadata,
    Update,
    Upload,
    Write,
)


def decide(facts: Facts, writes: Iterable[Write], clock: int, retention: Retention = Retention()) -> Plan:  # noqa: B008  # frozen
    """Decides a group of writes.

    Args:
        facts: Of what `asked(writes)` names. They are not changed.
        writes: In the order in which they take effect.
        clock: The time, in microseconds since 1970.
        retention: How long what is replaced stays.
    """
    if type(writes) is Batch and (plan := decide_new(facts, writes, clock, retention)) is not None:
        return plan
    group = Group(facts, clock, retention)
    outcomes: list[Outcome] = []
    try:
        for write in writes:
            outcomes.append(_outcome(group, write))  # noqa: PERF401  # those until one cannot be decided
    except UndecidedError as error:
        return group.plan(outcomes, error.write)
    return group.plan(outcomes)


def preview(facts: Facts, write: ContentWrite, clock: int) -> ObjectInfo | None:
    """What a write was answered before, when it was; raises what it is refused with as things are now.

    Its bytes, which may not be there yet, are not looked at.
    """
    group = Group(facts, clock, Retention())
    answer = group.answer(write)
    if answer is not None:
        return to_info(answer.row)
    before = _require_possible(group, write)
    try:
        group.make_room(write, before)
    except UndecidedError:  # there is something to be evicted
        return None
    return None


def require_room(facts: Facts, write: ContentWrite, clock: int) -> None:
    """Raises StorageFullError, QUOTA, when there is no room for a write's bytes, as far as its content has them."""
    group = Group(facts, clock, Retention())
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


def _outcome(group: Group, write: Write) -> Outcome:
    """Decides one write."""
    try:
        answer = group.answer(write)
        if answer is not None:
            return _answered(write, answer)
        return _ARMS[type(write)](group, write)
    except VaultError as error:
        return error


def _answered(write: Write, answer: Answer) -> Outcome:
    if isinstance(write, Delete | Drop):
        return answer.row.revision
    info = to_info(answer.row)
    if isinstance(write, SetMetadata | Copy):  # its source may be another by now
        return info
    return require_same(info, write.content.size, write.content.checksum)


def _require_possible(group: Group, write: ContentWrite) -> Row | None:
    """The object in whose place a write's bytes come; None: in nobody's. Raises what refuses it, whatever they are."""
    if isinstance(write, Upload):
        _require_new(group, write)
        return None
    return _require_puttable(group, write) if isinstance(write, Put) else _require_updatable(group, write)[0]


def _require_new(group: Group, write: Upload) -> None:
    """Raises InvalidArgumentError when no new object may be so named or tagged, AlreadyExistsError when the id or the
    name is taken."""
    spec = write.spec
    check_new(name=spec.name, tags=spec.tags, datatype=spec.datatype)
    group.refuse_id(write.unit, spec.data_id)
    if spec.name is not None:
        group.refuse_name(write.unit, spec.name)


def _require_updatable(group: Group, write: Update) -> tuple[Row, ObjectInfo]:
    """The object that an update is for. NotFoundError, ConflictError, InvalidArgumentError."""
    spec = write.spec
    row, info = group.require(write.unit, spec)
    if spec.datatype is not None and spec.datatype != row.datatype:
        check_new(datatype=spec.datatype)
    _check_new_tags(spec.tags, info)
    return row, info


def _require_puttable(group: Group, write: Put) -> Row | None:
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
    group.refuse_id(unit, spec.data_id)
    return None


def _check_new_tags(tags: Mapping[str, str] | None, known: ObjectInfo) -> None:
    """Tags that an object has already may stay."""
    if tags:
        check_new(tags=dict(tags.items() - known.tags.items()))


def _upload(group: Group, write: Upload) -> Outcome:
    _require_new(group, write)
    group.make_room(write, None)
    spec, content, now, revision = write.spec, write.content, group.now, group.revision + 1
    begun = (write.unit, spec.data_id, revision, revision, content.size)
    named = (spec.datatype, spec.name)
    tags = pack_tags(spec.tags)
    after = Row(*begun, signed(content.checksum), *named, tags, now, now, now, None, write.principal, revision)
    group.change(write, None, after, content)
    return info_of_row(*begun, content.checksum, *named, spec.tags, now, now, now, None)


def _update(group: Group, write: Update) -> Outcome:
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
    return info_of_row(*begun, content.checksum, *named, told_tags, made, moment, moment, until)


def _put(group: Group, write: Put) -> Outcome:
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


def _copy(group: Group, write: Copy) -> Outcome:
    unit, spec, source = write.unit, write.spec, write.source
    expires_at = None if source is None or source.expires_at is None else from_time(source.expires_at)
    if source is None or (expires_at is not None and expires_at <= group.now):
        raise object_not_found(write.from_unit, spec.key)
    before = None if spec.name is None else group.find(unit, spec.name)
    if before is None:
        if spec.name is not None:
            check_new(name=spec.name)
        group.refuse_id(unit, spec.data_id)
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


def _delete(group: Group, write: Delete | Drop) -> Outcome:
    before = group.find(write.unit, write.spec.key)
    if before is None:
        return 0
    require_unchanged(before, write.spec)
    to_info(before)  # raises for a row that is damaged, as all that is asked of it does
    if isinstance(write, Drop):
        group.drop(before, write.principal)
    else:
        group.change(write, before, None)
    return group.revision


def _set_metadata(group: Group, write: SetMetadata) -> Outcome:
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


_ARMS: Final[Mapping[type, Callable[[Group, Any], Outcome]]] = {
    Upload: _upload,
    Update: _update,
    Put: _put,
    Copy: _copy,
    Delete: _delete,
    Drop: _delete,
    SetMetadata: _set_metadata,
}
"""By kind of write: each raises what refuses it, or takes its change over and says what it is answered."""
