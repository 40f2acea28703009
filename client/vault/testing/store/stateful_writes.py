"""What a Store's writes do to a dict: the rules of `vault.testing.store.stateful` that write."""

import math
import time
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from vault.errors import AlreadyExistsError, ConflictError, InvalidArgumentError, VaultError
from vault.store.contract import BlockWriter, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.outcomes import single
from vault.store.specs import (
    CopySpec,
    DeleteSpec,
    MetadataSpec,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
)
from vault.store.values import Change, ChangeKind, Key, ObjectInfo, checksum
from vault.testing.store.objects import blocks_of, payload
from vault.testing.store.stateful_dict import Dict, Expected

UNIT = "unit"

# Few ids, names and tags, so that they meet.
ids = st.integers(min_value=1, max_value=6)
names = st.sampled_from(["a", "b", "a%", "ä", "5"])
keys: st.SearchStrategy[Key] = ids | names
tags = st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["", "1", "ä"]), max_size=2)
sizes = st.sampled_from([0, 1, 1000, 70_000, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 2 * BLOCK_SIZE + 3])
small_sizes = st.sampled_from([0, 1, 1000, 70_000, BLOCK_SIZE])
seeds = st.integers(min_value=0, max_value=3)
flags = st.booleans()


class WriteRules(RuleBasedStateMachine):
    """Writes of a Store, each made on a dict too.

    Attributes:
        store: The store.
        dict: What must be in it.
        changes: What its feed must tell.
    """

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.dict = Dict()
        self.changes: list[Change] = []

    @rule(data_id=ids, name=st.none() | names, tags=tags, size=sizes, seed=seeds, datatype=st.sampled_from(["", "t"]))
    def upload(self, data_id: int, name: str | None, tags: dict[str, str], size: int, seed: int, datatype: str) -> None:
        spec = UploadSpec(data_id, name, tags, datatype)
        data = payload(size, seed)
        if self.dict.taken(data_id, name):
            self._refused(AlreadyExistsError, lambda: _send(self.store.upload(UNIT, spec), data))
            return
        info = _send(self.store.upload(UNIT, spec), data)
        self._uploaded(spec, data, info)
        assert _send(self.store.upload(UNIT, spec), data) == info, "a retry answers the same"

    @rule(key=keys, size=sizes, seed=seeds, off=st.sampled_from([None, 0, 0, 1, -1]))
    def update(self, key: Key, size: int, seed: int, off: int | None) -> None:
        spec = UpdateSpec(key, self._generation(key, off))
        data = payload(size, seed)
        if refusal := self.dict.refusal(key, spec.if_generation):
            self._refused(refusal, lambda: _send(self.store.update(UNIT, spec), data))
            return
        info = _send(self.store.update(UNIT, spec), data)
        self._updated(key, data, info)
        assert _send(self.store.update(UNIT, spec), data) == info, "a retry answers the same"

    @rule(
        key=keys, size=sizes, seed=seeds, tags=st.none() | tags, off=st.sampled_from([None, 0, 0, 1, -1]), batch=flags
    )
    def update_tagged(
        self, key: Key, size: int, seed: int, tags: dict[str, str] | None, off: int | None, *, batch: bool
    ) -> None:
        spec = UpdateSpec(key, if_revision=self._revision(key, off), tags=tags)
        data = payload(size, seed)
        if refusal := self.dict.refusal(key, None, spec.if_revision):
            self._refused(refusal, lambda: self._put(spec, data, batch=batch))
            return
        expected = self.dict.get(key)
        assert expected is not None
        expected.tags = expected.tags if tags is None else tags
        info = self._put(spec, data, batch=batch)
        self._updated(key, data, info)
        assert self._put(spec, data, batch=not batch) == info, "a retry answers the same"

    @rule(
        data_id=ids,
        name=st.none() | names,
        tags=tags,
        size=sizes,
        seed=seeds,
        datatype=st.sampled_from(["", "t"]),
        off=st.sampled_from([None, None, 0, 1, "new"]),
        batch=flags,
    )
    def put(
        self,
        data_id: int,
        name: str | None,
        tags: dict[str, str],
        size: int,
        seed: int,
        datatype: str,
        off: int | str | None,
        *,
        batch: bool,
    ) -> None:
        key: Key = data_id if name is None else name
        if_generation = 0 if isinstance(off, str) else self._generation(key, off)
        spec = PutSpec(name, data_id, tags, datatype, if_generation)
        data = payload(size, seed)
        if refusal := self.dict.put_refusal(spec):
            self._refused(refusal, lambda: self._put(spec, data, batch=batch))
            return
        info = self._put(spec, data, batch=batch)
        expected = self.dict.get(key)
        if expected is None:
            self._uploaded(UploadSpec(data_id, name, tags, datatype), data, info)
        else:
            expected.tags, expected.datatype = tags, datatype
            self._updated(key, data, info)
        assert self._put(spec, data, batch=not batch) == info, "a retry answers the same"

    @rule(moves=st.lists(st.tuples(keys, names, flags, st.sampled_from([None, None, 0, 1])), max_size=5))
    def rename_many(self, moves: list[tuple[Key, str, bool, int | None]]) -> None:
        """Each sees what those before it did."""
        specs = [
            MetadataSpec(key, name, replace=replace, if_revision=self._revision(key, off))
            for key, name, replace, off in moves
        ]
        outcomes = self.store.set_metadata_many(UNIT, specs)
        for spec, outcome in zip(specs, outcomes, strict=True):
            refusal = self.dict.refusal(spec.key, None, spec.if_revision)
            holder, data_id = self.dict.id_of(spec.name or ""), self.dict.id_of(spec.key)
            if refusal is None and holder not in (None, data_id) and not spec.replace:
                refusal = AlreadyExistsError
            if refusal is not None:
                assert type(outcome) is refusal, outcome
                continue
            assert isinstance(outcome, ObjectInfo), outcome
            assert data_id is not None
            if holder is not None and holder != data_id:
                gone = self.dict.objects.pop(holder)
                told = Change(outcome.revision - 1, UNIT, holder, ChangeKind.DELETED, gone.generation, gone.name)
                self._changed(told)
            expected = self.dict.objects[data_id]
            expected.name, expected.info = spec.name, outcome
            told = Change(outcome.revision, UNIT, data_id, ChangeKind.METADATA, expected.generation, expected.name)
            self._changed(told)

    @rule(key=keys, name=st.none() | names, data_id=ids, replace=st.booleans(), off=st.sampled_from([None, 0, 1]))
    def copy(self, key: Key, name: str | None, data_id: int, replace: bool, off: int | None) -> None:  # noqa: FBT001  # drawn
        replace = replace and name is not None
        spec = CopySpec(key, name, data_id, replace, self._generation(key, off))
        (outcome,) = self.store.copy_many(UNIT, [spec])
        source = self.dict.get(key)
        owner = None if name is None else self.dict.id_of(name)
        refusal = self.dict.refusal(key, spec.if_generation)
        if refusal is None and owner is not None:
            itself = InvalidArgumentError if owner == self.dict.id_of(key) else None
            refusal = itself if replace else AlreadyExistsError
        elif refusal is None and data_id in self.dict.objects:
            refusal = AlreadyExistsError
        if refusal is not None:
            assert type(outcome) is refusal, outcome
            return
        assert source is not None
        assert isinstance(outcome, ObjectInfo), outcome
        made = Expected(source.data, name, dict(source.tags), source.datatype, outcome)
        self.dict.objects[data_id if owner is None else owner] = made
        kind = ChangeKind.UPLOADED if owner is None else ChangeKind.UPDATED
        self._changed(Change(outcome.revision, UNIT, outcome.data_id, kind, outcome.generation, name))
        assert self.store.copy_many(UNIT, [spec]) == [outcome], "a retry answers the same"

    @rule(key=keys, off=st.sampled_from([0, 0, 1, -1]))
    def delete_unchanged(self, key: Key, off: int) -> None:
        spec = DeleteSpec(key, if_revision=self._revision(key, off))
        (outcome,) = self.store.delete_many(UNIT, [spec])
        data_id = self.dict.id_of(key)
        if data_id is None:
            assert outcome == 0
        elif self.dict.refusal(key, None, spec.if_revision):
            assert isinstance(outcome, ConflictError), outcome
        else:
            assert isinstance(outcome, int), outcome
            gone = self.dict.objects.pop(data_id)
            self._changed(Change(outcome, UNIT, data_id, ChangeKind.DELETED, gone.generation, gone.name))

    @rule(key=keys, size=sizes, seed=seeds)
    def abandon(self, key: Key, size: int, seed: int) -> None:
        """Writes that never commit."""
        spec = UploadSpec(99, None)
        writers = [self.store.upload(UNIT, spec), self.store.put(UNIT, PutSpec("a", 98))]
        if self.dict.get(key):
            writers.append(self.store.update(UNIT, UpdateSpec(key)))
        for writer in writers:
            with writer:
                for block in blocks_of(payload(size, seed)):
                    writer.write(block)

    @rule(
        items=st.lists(st.tuples(ids, st.none() | names, small_sizes, seeds), max_size=5),
        tags=tags,
    )
    def upload_many(self, items: list[tuple[int, str | None, int, int]], tags: dict[str, str]) -> None:
        uploads = [
            SmallUpload(UploadSpec(data_id, name, tags), payload(size, seed), checksum(payload(size, seed)))
            for data_id, name, size, seed in items
        ]
        for item, outcome in zip(uploads, self.store.upload_many(UNIT, uploads), strict=True):
            if self.dict.taken(item.spec.data_id, item.spec.name):
                assert isinstance(outcome, AlreadyExistsError), outcome
            else:
                assert isinstance(outcome, ObjectInfo), outcome
                self._uploaded(item.spec, item.data, outcome)

    @rule(items=st.lists(st.tuples(keys, small_sizes, seeds, st.sampled_from([None, 0, 1])), max_size=5))
    def update_many(self, items: list[tuple[Key, int, int, int | None]]) -> None:
        updates = [
            SmallUpdate(UpdateSpec(key, self._generation(key, off)), payload(size, seed), checksum(payload(size, seed)))
            for key, size, seed, off in items
        ]
        for item, outcome in zip(updates, self.store.update_many(UNIT, updates), strict=True):
            refusal = self.dict.refusal(item.spec.key, item.spec.if_generation)
            if refusal is None:
                assert isinstance(outcome, ObjectInfo), outcome
                self._updated(item.spec.key, item.data, outcome)
            else:
                assert type(outcome) is refusal, outcome

    @rule(items=st.lists(st.tuples(keys, st.sampled_from([None, None, 0, 1])), min_size=1, max_size=4))
    def delete_many(self, items: list[tuple[Key, int | None]]) -> None:
        specs = [DeleteSpec(key, self._generation(key, off)) for key, off in items]
        for spec, outcome in zip(specs, self.store.delete_many(UNIT, specs), strict=True):
            data_id = self.dict.id_of(spec.key)
            if data_id is None:
                assert outcome == 0
            elif self.dict.refusal(spec.key, spec.if_generation):
                assert isinstance(outcome, ConflictError), outcome
            else:
                assert isinstance(outcome, int), outcome
                gone = self.dict.objects.pop(data_id)
                self._changed(Change(outcome, UNIT, data_id, ChangeKind.DELETED, gone.generation, gone.name))

    @rule(key=keys, name=st.none() | st.just("") | names, tags=st.none() | tags, off=st.sampled_from([None, 0, 1]))
    def set_metadata(self, key: Key, name: str | None, tags: dict[str, str] | None, off: int | None) -> None:
        spec = MetadataSpec(key, name, tags, self._generation(key, off))
        refusal = self.dict.refusal(key, spec.if_generation)
        if refusal is None and name and self.dict.id_of(name) not in (None, self.dict.id_of(key)):
            refusal = AlreadyExistsError
        if refusal is not None:
            self._refused(refusal, lambda: self.store.set_metadata(UNIT, spec))
            return
        data_id, expected = self.dict.id_of(key), self.dict.get(key)
        assert data_id is not None
        assert expected is not None
        info = self.store.set_metadata(UNIT, spec)
        if name is not None:
            expected.name = name or None
        if tags is not None:
            expected.tags = tags
        expected.info = info
        self._changed(Change(info.revision, UNIT, data_id, ChangeKind.METADATA, expected.generation, expected.name))
        assert self.store.set_metadata(UNIT, spec) == info, "a retry answers the same"

    @rule(key=keys, seconds=st.sampled_from([1000.0, math.inf]), off=st.sampled_from([None, 0, 1]))
    def touch(self, key: Key, seconds: float, off: int | None) -> None:
        spec = MetadataSpec(key, if_revision=self._revision(key, off), expires_in=seconds)
        if refusal := self.dict.refusal(key, None, spec.if_revision):
            self._refused(refusal, lambda: self.store.set_metadata(UNIT, spec))
            return
        info = self._touched(key, spec)
        lasting = None if info.expires_at is None else (info.expires_at - info.updated_at).total_seconds()
        assert lasting == (None if seconds == math.inf else seconds)

    @rule(key=keys)
    def expire(self, key: Key) -> None:
        """It is gone at its moment; the next write to it tells so, if nothing has before."""
        if self.dict.get(key) is None:
            return
        info = self._touched(key, MetadataSpec(key, expires_in=0.000_001))
        assert info.expires_at is not None
        while datetime.now(UTC) <= info.expires_at:
            time.sleep(0)
        assert self.store.exists_many(UNIT, [key]) == [0]
        assert self.store.delete_many(UNIT, [DeleteSpec(info.data_id)]) == [0]
        del self.dict.objects[info.data_id]
        told = Change(info.revision + 1, UNIT, info.data_id, ChangeKind.DELETED, info.generation, info.name)
        self._changed(told)

    def _touched(self, key: Key, spec: MetadataSpec) -> ObjectInfo:
        expected = self.dict.get(key)
        assert expected is not None
        expected.info = info = self.store.set_metadata(UNIT, spec)
        self._changed(
            Change(info.revision, UNIT, info.data_id, ChangeKind.METADATA, expected.generation, expected.name)
        )
        assert self.store.set_metadata(UNIT, spec) == info, "a retry answers the same"
        return info

    def _generation(self, key: Key, off: int | None) -> int | None:
        """A generation for a precondition: none, the right one, or one that is `off` by so much."""
        expected = self.dict.get(key)
        return None if off is None else (expected.generation if expected else 3) + off

    def _revision(self, key: Key, off: int | None) -> int | None:
        """As `_generation`, of a revision."""
        expected = self.dict.get(key)
        return None if off is None else (expected.revision if expected else 3) + off

    def _put(self, spec: PutSpec | UpdateSpec, data: bytes, *, batch: bool) -> ObjectInfo:
        """By a batch of one, where it fits."""
        if not batch or len(data) > BLOCK_SIZE:
            return _send(self.store.put(UNIT, spec), data)
        return single(self.store.put_many(UNIT, [SmallPut(spec, data, checksum(data))]))

    def _uploaded(self, spec: UploadSpec, data: bytes, info: ObjectInfo) -> None:
        self.dict.objects[spec.data_id] = Expected(data, spec.name, dict(spec.tags), spec.datatype, info)
        self._changed(Change(info.revision, UNIT, spec.data_id, ChangeKind.UPLOADED, info.generation, info.name))

    def _updated(self, key: Key, data: bytes, info: ObjectInfo) -> None:
        expected = self.dict.get(key)
        assert expected is not None
        expected.data, expected.info = data, info
        self._changed(Change(info.revision, UNIT, info.data_id, ChangeKind.UPDATED, info.generation, info.name))

    def _changed(self, change: Change) -> None:
        assert not self.changes or change.revision > self.changes[-1].revision, "revisions go up"
        self.changes.append(change)

    def _refused(self, kind: type[VaultError], call: Any) -> None:
        try:
            answer = call()
        except VaultError as error:
            assert type(error) is kind, f"{error!r} should be a {kind.__name__}"  # noqa: PT017  # no fixture here
        else:
            raise AssertionError(f"{answer!r} should have been refused with {kind.__name__}")


def _send(writer: BlockWriter, data: bytes) -> ObjectInfo:
    with writer:
        for block in blocks_of(data):
            writer.write(block)
        return writer.commit(len(data), checksum(data))
