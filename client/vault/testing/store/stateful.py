"""A Store held against a dict: any sequence of calls leaves both with the same objects.

A Hypothesis state machine. Derive from it, say how the store is opened, and hand it to
`run_state_machine_as_test`:

    class MyMachine(StoreMachine):
        def open_store(self, directory):
            return MyStore(directory)

    def test_my_store_behaves_like_a_dict():
        run_state_machine_as_test(MyMachine)
"""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vault.errors import AlreadyExistsError, ConflictError, NotFoundError, VaultError
from vault.store.contract import BlockReader, BlockWriter, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.values import (
    Block,
    Change,
    ChangeKind,
    DeleteSpec,
    Key,
    ListOrder,
    LoadedObject,
    LoadItem,
    MetadataSpec,
    NotModified,
    ObjectInfo,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
    checksum,
)
from vault.testing.store.objects import blocks_of, expected_entries, payload

UNIT = "unit"

# Few ids, names and tags, so that they meet.
ids = st.integers(min_value=1, max_value=6)
names = st.sampled_from(["a", "b", "a%", "ä", "5"])
keys: st.SearchStrategy[Key] = ids | names
tags = st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["", "1", "ä"]), max_size=2)
sizes = st.sampled_from([0, 1, 1000, 70_000, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 2 * BLOCK_SIZE + 3])
small_sizes = st.sampled_from([0, 1, 1000, 70_000, BLOCK_SIZE])
seeds = st.integers(min_value=0, max_value=3)


@dataclass
class Expected:
    """What the dict holds of one object."""

    data: bytes
    name: str | None
    tags: dict[str, str]
    datatype: str
    info: ObjectInfo | None = field(default=None)

    @property
    def generation(self) -> int:
        assert self.info is not None
        return self.info.generation


class Dict:
    """The plain dict, and what the contract says each call does to it."""

    def __init__(self) -> None:
        self.objects: dict[int, Expected] = {}

    def id_of(self, key: Key) -> int | None:
        if isinstance(key, int):
            return key if key in self.objects else None
        return next((data_id for data_id, expected in self.objects.items() if expected.name == key), None)

    def get(self, key: Key) -> Expected | None:
        data_id = self.id_of(key)
        return None if data_id is None else self.objects[data_id]

    def refusal(self, key: Key, if_generation: int | None) -> type[VaultError] | None:
        """What an update or a change of metadata must raise."""
        expected = self.get(key)
        if expected is None:
            return NotFoundError
        return ConflictError if if_generation not in (None, expected.generation) else None

    def taken(self, data_id: int, name: str | None) -> bool:
        return data_id in self.objects or (name is not None and self.id_of(name) is not None)


class StoreMachine(RuleBasedStateMachine):
    """Calls of a Store, each made on a dict too, and the two compared.

    Attributes:
        reopens: The store can be closed and opened again in the same directory.
    """

    reopens: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="vault-machine-"))
        self.store = self.open_store(self.directory)
        self.dict = Dict()
        self.changes: list[Change] = []
        self.requests: list[tuple[Any, Any]] = []

    def open_store(self, directory: Path) -> Store:
        """Opens the store; its objects are in `directory`, if anywhere."""
        raise NotImplementedError

    def close_store(self, store: Store) -> None:
        """Closes it, and what `open_store` opened with it."""
        store.close()

    # Writes

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

    @rule(key=keys, size=sizes, seed=seeds)
    def abandon(self, key: Key, size: int, seed: int) -> None:
        """Writes that never commit."""
        spec = UploadSpec(99, None)
        writers = [self.store.upload(UNIT, spec)]
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

    # Reads

    @rule(key=keys, offset=st.integers(0, 2 * BLOCK_SIZE), length=st.none() | st.integers(0, 2 * BLOCK_SIZE))
    def load_a_range(self, key: Key, offset: int, length: int | None) -> None:
        expected = self.dict.get(key)
        if expected is None:
            assert self.store.load(UNIT, key, offset=offset, length=length) is None
            return
        offset = min(offset, len(expected.data))
        end = len(expected.data) if length is None else min(len(expected.data), offset + length)
        reader = self.store.load(UNIT, key, offset=offset, length=length)
        assert isinstance(reader, BlockReader)
        with reader:
            for block in reader:
                block.verify(reader.info)
                assert bytes(block.data) == expected.data[block.offset : block.offset + BLOCK_SIZE]
                offset = max(offset, block.offset + len(block.data))
        assert offset >= end, "the blocks cover the range"

    @rule(wanted=st.lists(st.tuples(keys, st.sampled_from([None, 0, 1])), max_size=5))
    def load_many(self, wanted: list[tuple[Key, int | None]]) -> None:
        items = [LoadItem(key, self._generation(key, off)) for key, off in wanted]
        for item, outcome in zip(items, self.store.load_many(UNIT, items), strict=True):
            expected = self.dict.get(item.key)
            if expected is None:
                assert outcome is None
            elif item.if_generation_not_match == expected.generation:
                assert outcome == NotModified(expected.generation)
            else:
                assert isinstance(outcome, LoadedObject), outcome
                assert outcome.info == expected.info
                assert outcome.data is None or outcome.data == expected.data

    @rule(keys=st.lists(keys, max_size=6))
    def look_up(self, keys: list[Key]) -> None:
        expected = [self.dict.get(key) for key in keys]
        assert self.store.stat_many(UNIT, keys) == [one and one.info for one in expected]
        assert self.store.exists_many(UNIT, keys) == [one.generation if one else 0 for one in expected]

    @rule(
        prefix=st.none() | st.sampled_from(["", "a", "ä", "%", "a%", "x"]),
        tags=tags,
        page_size=st.integers(0, 3),
        order=st.none() | st.sampled_from(ListOrder),
        descending=st.booleans(),
        after=st.none() | st.integers(0, 7) | names,
        delimiter=st.none() | st.sampled_from(["a", "%", "a%", "ä", "x"]),
    )
    def list_page(self, page_size: int, delimiter: str | None, **query: Any) -> None:
        if query["order"] in (None, ListOrder.NAME):
            query["delimiter"] = delimiter
        by_name = query["order"] is ListOrder.NAME or query["prefix"] is not None or query.get("delimiter") is not None
        if query["order"] in (ListOrder.ID, ListOrder.REVISION):
            by_name = False
        if isinstance(query["after"], str) is not by_name:
            query["after"] = None
        found: list[ObjectInfo | str] = []
        token = ""
        while True:
            page = self.store.list_page(UNIT, page_size=page_size, page_token=token, **query)
            found += page.objects
            found += page.prefixes
            if not (token := page.next_page_token):
                break
        infos = [expected.info for expected in self.dict.objects.values() if expected.info is not None]
        wanted = expected_entries(infos, **query)
        assert [entry for entry in found if isinstance(entry, str)] == [e for e in wanted if isinstance(e, str)]
        assert [entry for entry in found if not isinstance(entry, str)] == [e for e in wanted if not isinstance(e, str)]

    @precondition(lambda self: self.reopens)
    @rule()
    def reopen(self) -> None:
        self.close_store(self.store)
        self.store = self.open_store(self.directory)

    # What always holds

    @invariant()
    def every_object_is_as_the_dict_says(self) -> None:
        for data_id, expected in self.dict.objects.items():
            reader = self.store.load(UNIT, data_id)
            assert isinstance(reader, BlockReader)
            with reader:
                assert reader.info == expected.info
                assert _bytes_of(reader) == expected.data
            info = reader.info
            assert (info.name, dict(info.tags), info.datatype) == (expected.name, expected.tags, expected.datatype)
            assert (info.size, info.checksum) == (len(expected.data), checksum(expected.data))

    @invariant()
    def nothing_else_is_there(self) -> None:
        assert [info.data_id for info in self.store.list_page(UNIT).objects] == sorted(self.dict.objects)
        assert self.store.list_units() == ([UNIT] if self.dict.objects else [])

    @invariant()
    def the_feed_tells_every_change_once(self) -> None:
        if self.store.local_feed:
            assert self.store.changes(0)[1] == self.changes
        assert self.store.revision == (self.changes[-1].revision if self.changes else 0)

    def teardown(self) -> None:
        self.close_store(self.store)
        shutil.rmtree(self.directory)

    def _generation(self, key: Key, off: int | None) -> int | None:
        """A generation for a precondition: none, the right one, or one that is `off` by so much."""
        expected = self.dict.get(key)
        return None if off is None else (expected.generation if expected else 3) + off

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


def _bytes_of(reader: BlockReader) -> bytes:
    def verified(block: Block) -> bytes:
        block.verify(reader.info)
        return bytes(block.data)

    return b"".join(verified(block) for block in reader)
