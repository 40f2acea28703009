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
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from vault.errors import InvalidArgumentError
from vault.store.contract import BlockReader, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import LoadItem
from vault.store.values import Block, Key, ListOrder, LoadedObject, NotModified, ObjectInfo, checksum
from vault.testing.store.objects import expected_entries
from vault.testing.store.stateful_writes import UNIT, WriteRules, keys, names, tags

offsets = st.integers(-2 * BLOCK_SIZE, 2 * BLOCK_SIZE)


class StoreMachine(WriteRules):
    """Calls of a Store, each made on a dict too, and the two compared.

    Attributes:
        reopens: The store can be closed and opened again in the same directory.
    """

    reopens: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="vault-machine-"))
        self.store = self.open_store(self.directory)

    def open_store(self, directory: Path) -> Store:
        """Opens the store; its objects are in `directory`, if anywhere."""
        raise NotImplementedError

    def close_store(self, store: Store) -> None:
        """Closes it, and what `open_store` opened with it."""
        store.close()

    # Reads

    @rule(key=keys, ranges=st.lists(st.tuples(offsets, st.none() | st.integers(0, BLOCK_SIZE)), min_size=1, max_size=4))
    def read(self, key: Key, ranges: list[tuple[int, int | None]]) -> None:
        expected = self.dict.get(key)
        if expected is None:
            assert self.store.read(UNIT, key, ranges) is None
            return
        size = len(expected.data)
        ranges = [(min(offset, size), length) for offset, length in ranges]
        starts = [max(size + offset, 0) if offset < 0 else offset for offset, _ in ranges]
        parts = [
            expected.data[start : size if length is None else start + length]
            for start, (_, length) in zip(starts, ranges, strict=True)
        ]
        try:
            found = self.store.read(UNIT, key, ranges)
        except InvalidArgumentError as error:
            if error.reason != "MESSAGE_TOO_LARGE" or sum(map(len, parts)) <= 3 * BLOCK_SIZE:  # a reply holds that
                raise
            return
        assert found is not None
        assert found.info == expected.info
        assert found.parts == parts

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


def _bytes_of(reader: BlockReader) -> bytes:
    def verified(block: Block) -> bytes:
        block.verify(reader.info)
        return bytes(block.data)

    return b"".join(verified(block) for block in reader)
