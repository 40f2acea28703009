"""The writes: each a function of a transaction, which decides its preconditions and does it whole or raises.

A request that was applied before (its id is in the feed) is answered as it was then, and does nothing. What is kept
of it is compared with what is asked for: another write under the same id is refused.
"""

import json
import sqlite3
from dataclasses import dataclass, replace

from vault.errors import AlreadyExistsError, InvalidArgumentError
from vault.store.limits import check_new
from vault.store.values import ChangeKind, DeleteSpec, Key, MetadataSpec, ObjectInfo, UpdateSpec, UploadSpec

from vault_server.storage.commit.transaction import Transaction
from vault_server.storage.failpoints import reached
from vault_server.storage.files.staging import StagedFile
from vault_server.storage.index.objects import (
    Row,
    find_generation,
    find_row,
    from_time,
    pack_tags,
    require_generation,
    require_row,
    signed,
    to_time,
    unpack_tags,
)


@dataclass(frozen=True, slots=True)
class NewContents:
    """Bytes to commit: in `data`, or in a staged file. `blocks` as `pack_checksums` packs them."""

    size: int
    checksum: int
    blocks: bytes
    data: bytes | None
    staged: StagedFile | None


def upload(tx: Transaction, unit: str, spec: UploadSpec, contents: NewContents) -> ObjectInfo:
    """Makes a new object. AlreadyExistsError: OBJECT_EXISTS, NAME_TAKEN. InvalidArgumentError."""
    answered = find_uploaded(tx.connection, unit, spec)
    if answered is not None:
        return require_same(answered, contents.size, contents.checksum)
    refuse_new(tx.connection, unit, spec)
    revision = tx.take_revision()
    info = ObjectInfo(
        unit=unit,
        data_id=spec.data_id,
        generation=revision,
        revision=revision,
        size=contents.size,
        checksum=contents.checksum,
        datatype=spec.datatype,
        name=spec.name,
        tags=dict(spec.tags),
        created_at=tx.now,
        updated_at=tx.now,
    )
    file = None
    if contents.staged is not None:
        file = tx.place(contents.staged, unit, spec.data_id, revision, first=True)
    insert_object(tx.connection, info, file=file, data=contents.data, blocks=contents.blocks)
    tx.record(ChangeKind.UPLOADED, info, revision, spec.request_id)
    return info


def update(tx: Transaction, unit: str, spec: UpdateSpec, contents: NewContents) -> ObjectInfo:
    """Replaces an object's bytes. NotFoundError, ConflictError, InvalidArgumentError."""
    answered = find_updated(tx.connection, unit, spec)
    if answered is not None:
        return require_same(answered, contents.size, contents.checksum)
    row = require_updatable(tx.connection, unit, spec)
    revision = tx.take_revision()
    info = replace(
        row.info,
        generation=revision,
        revision=revision,
        size=contents.size,
        checksum=contents.checksum,
        datatype=row.info.datatype if spec.datatype is None else spec.datatype,
        updated_at=max(tx.now, row.info.updated_at),  # it does not go back where the clock does
    )
    tx.retire(row)
    file = None
    if contents.staged is not None:
        file = tx.place(contents.staged, unit, info.data_id, revision, first=False)
    tx.connection.execute(
        "UPDATE objects SET generation = ?, revision = ?, size = ?, checksum = ?, datatype = ?, updated_at = ? "
        "WHERE number = ?",
        (revision, revision, info.size, signed(info.checksum), info.datatype, from_time(info.updated_at), row.number),
    )
    reached("object written")
    tx.connection.execute(
        "INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?)", (row.number, file, contents.data, contents.blocks)
    )
    reached("contents written")
    tx.record(ChangeKind.UPDATED, info, revision, spec.request_id)
    return info


def delete(tx: Transaction, unit: str, spec: DeleteSpec) -> int:
    """Deletes an object; the revision of the deletion, 0 when there was none. ConflictError."""
    answered = find_answer(tx.connection, unit, ChangeKind.DELETED, spec.request_id)
    if answered is not None:
        if not (_names(spec.key, answered) and spec.if_generation in (None, answered.generation)):
            raise other_write(unit)
        return answered.revision
    row = find_row(tx.connection, unit, spec.key)
    if row is None:
        return 0
    require_generation(row.info, spec.if_generation)
    revision = tx.take_revision()
    tx.retire(row)
    tx.connection.execute("DELETE FROM contents WHERE number = ?", (row.number,))
    reached("contents deleted")
    tx.connection.execute("DELETE FROM objects WHERE number = ?", (row.number,))
    reached("object deleted")
    _remove_tags(tx.connection, row.info)
    tx.record(ChangeKind.DELETED, row.info, revision, spec.request_id)
    return revision


def set_metadata(tx: Transaction, unit: str, spec: MetadataSpec) -> ObjectInfo:
    """Changes an object's name or tags. NotFoundError, ConflictError, InvalidArgumentError, AlreadyExistsError:
    NAME_TAKEN."""
    answered = find_answer(tx.connection, unit, ChangeKind.METADATA, spec.request_id)
    if answered is not None:
        if not _is_answer(answered, spec):
            raise other_write(unit)
        return answered
    row = require_row(tx.connection, unit, spec.key)
    require_generation(row.info, spec.if_generation)
    if spec.name and spec.name != row.info.name:
        check_new(name=spec.name)
        refuse_name(tx.connection, unit, spec.name)
    if spec.tags:
        check_new(tags=dict(spec.tags.items() - row.info.tags.items()))
    revision = tx.take_revision()
    info = replace(
        row.info,
        revision=revision,
        name=row.info.name if spec.name is None else (spec.name or None),
        tags=row.info.tags if spec.tags is None else dict(spec.tags),
        updated_at=max(tx.now, row.info.updated_at),  # it does not go back where the clock does
    )
    tx.connection.execute(
        "UPDATE objects SET revision = ?, name = ?, tags = ?, updated_at = ? WHERE number = ?",
        (revision, info.name, pack_tags(info.tags), from_time(info.updated_at), row.number),
    )
    reached("metadata written")
    if info.tags != row.info.tags:
        _remove_tags(tx.connection, row.info)
        _insert_tags(tx.connection, info)
    tx.record(ChangeKind.METADATA, info, revision, spec.request_id)
    return info


def find_answer(connection: sqlite3.Connection, unit: str, kind: ChangeKind, request_id: bytes) -> ObjectInfo | None:
    """What this request was answered when it was applied; None when it was not (within the feed's history)."""
    found = _find_change(connection, request_id)
    if found is None:
        return None
    of_kind, info = found
    if info.unit != unit or of_kind is not kind:
        raise other_write(unit)
    return info


def find_uploaded(connection: sqlite3.Connection, unit: str, spec: UploadSpec) -> ObjectInfo | None:
    """`find_answer` of an upload; its bytes are compared by `require_same`."""
    answered = find_answer(connection, unit, ChangeKind.UPLOADED, spec.request_id)
    if answered is not None and (
        (answered.data_id, answered.name, answered.datatype) != (spec.data_id, spec.name, spec.datatype)
        or answered.tags != spec.tags
    ):
        raise other_write(unit)
    return answered


def find_updated(connection: sqlite3.Connection, unit: str, spec: UpdateSpec) -> ObjectInfo | None:
    """`find_answer` of an update; its bytes are compared by `require_same`."""
    answered = find_answer(connection, unit, ChangeKind.UPDATED, spec.request_id)
    if answered is not None and not (
        _names(spec.key, answered)
        and spec.datatype in (None, answered.datatype)
        # The generation that it replaced is not kept, but was a lower one.
        and (spec.if_generation is None or spec.if_generation < answered.generation)
    ):
        raise other_write(unit)
    return answered


def require_same(answered: ObjectInfo, size: int, checksum: int | None) -> ObjectInfo:
    """The answer, when the write that it was given to had these bytes; `other_write` when not."""
    if size != answered.size or checksum not in (None, answered.checksum):
        raise other_write(answered.unit)
    return answered


def _names(key: Key, answered: ObjectInfo) -> bool:
    return key in (answered.data_id, answered.name)


def _is_answer(answered: ObjectInfo, spec: MetadataSpec) -> bool:
    """Whether this change of metadata can have been answered so. What the object was called before is not kept."""
    return (
        (_names(spec.key, answered) or (isinstance(spec.key, str) and spec.name is not None))
        and (spec.name is None or (spec.name or None) == answered.name)
        and (spec.tags is None or spec.tags == answered.tags)
        and spec.if_generation in (None, answered.generation)
    )


def other_write(unit: str) -> InvalidArgumentError:
    """The error for a request id that was used for another write."""
    return InvalidArgumentError(
        "the request id was used for another write: every write needs a new one", reason="BAD_REQUEST_ID", unit=unit
    )


def find_written(connection: sqlite3.Connection, unit: str, request_id: bytes) -> ObjectInfo | None:
    """What an upload or update with this id in this unit was answered; None when there was none."""
    found = _find_change(connection, request_id)
    if found is None or found[1].unit != unit or found[0] not in (ChangeKind.UPLOADED, ChangeKind.UPDATED):
        return None
    return found[1]


def _find_change(connection: sqlite3.Connection, request_id: bytes) -> tuple[ChangeKind, ObjectInfo] | None:
    found = connection.execute(
        "SELECT revision, unit, data_id, kind, generation, name, answer FROM changes WHERE request_id = ?",
        (request_id,),
    ).fetchone()
    if found is None:
        return None
    revision, unit, data_id, kind, generation, name, answer = found
    size, checksum, datatype, tags, created_at, updated_at = json.loads(answer)
    return ChangeKind(kind), ObjectInfo(
        unit=unit,
        data_id=data_id,
        generation=generation,
        revision=revision,
        size=size,
        checksum=checksum,
        datatype=datatype,
        name=name,
        tags=unpack_tags(tags),
        created_at=to_time(created_at),
        updated_at=to_time(updated_at),
    )


def require_updatable(connection: sqlite3.Connection, unit: str, spec: UpdateSpec) -> Row:
    """The row of the object that an update is for. NotFoundError, ConflictError, InvalidArgumentError."""
    row = require_row(connection, unit, spec.key)
    require_generation(row.info, spec.if_generation)
    if spec.datatype is not None and spec.datatype != row.info.datatype:
        check_new(datatype=spec.datatype)
    return row


def refuse_new(connection: sqlite3.Connection, unit: str, spec: UploadSpec) -> None:
    """Raises InvalidArgumentError when no new object may be so named or tagged, AlreadyExistsError when the id or the
    name is taken."""
    check_new(name=spec.name, tags=spec.tags, datatype=spec.datatype)
    generation = find_generation(connection, unit, spec.data_id)
    if generation:
        raise AlreadyExistsError(
            f"unit {unit!r} already has an object with id {spec.data_id}",
            reason="OBJECT_EXISTS",
            unit=unit,
            data_id=spec.data_id,
            generation=generation,
        )
    if spec.name is not None:
        refuse_name(connection, unit, spec.name)


def refuse_name(connection: sqlite3.Connection, unit: str, name: str) -> None:
    """Raises AlreadyExistsError when the name is taken."""
    found = connection.execute("SELECT data_id FROM objects WHERE unit = ? AND name = ?", (unit, name)).fetchone()
    if found:
        raise AlreadyExistsError(
            f"the name {name!r} in unit {unit!r} belongs to object {found[0]}",
            reason="NAME_TAKEN",
            unit=unit,
            name=name,
            data_id=found[0],
        )


def insert_object(
    connection: sqlite3.Connection, info: ObjectInfo, *, file: str | None, data: bytes | None, blocks: bytes
) -> None:
    """Inserts an object's rows."""
    number = connection.execute(
        "INSERT INTO objects VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            info.unit,
            info.data_id,
            info.generation,
            info.revision,
            info.size,
            signed(info.checksum),
            info.datatype,
            info.name,
            pack_tags(info.tags),
            from_time(info.created_at),
            from_time(info.updated_at),
        ),
    ).lastrowid
    reached("object written")
    connection.execute("INSERT INTO contents VALUES (?, ?, ?, ?)", (number, file, data, blocks))
    reached("contents written")
    _insert_tags(connection, info)


def _insert_tags(connection: sqlite3.Connection, info: ObjectInfo) -> None:
    if info.tags:
        connection.executemany(
            "INSERT INTO tags VALUES (?, ?, ?, ?)",
            [(info.unit, key, value, info.data_id) for key, value in info.tags.items()],
        )
        reached("tags written")


def _remove_tags(connection: sqlite3.Connection, info: ObjectInfo) -> None:
    if info.tags:
        connection.executemany(
            "DELETE FROM tags WHERE unit = ? AND key = ? AND value = ? AND data_id = ?",
            [(info.unit, key, value, info.data_id) for key, value in info.tags.items()],
        )
        reached("tags deleted")
