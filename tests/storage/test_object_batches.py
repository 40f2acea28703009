"""A batch of reads answers as its items do one by one, whatever they are and however the register is damaged."""

import contextlib
import sqlite3
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault.errors import CorruptionError, StorageError, VaultError
from vault.store.columns import LoadedObjects, ObjectInfos
from vault.store.specs import LoadItem, SmallUpload, UploadSpec
from vault.store.values import Key, LoadedObject, checksum
from vault.testing.congruence import comparable, outcome
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.generic._sync.reading_store import BATCH_BYTES
from vault_server.storage.index.connections import GIVEN
from vault_server.storage.index.object_batches import load_all
from vault_server.storage.index.padded import MOST_KEYS

from tests.storage.objects import UNIT, small, succeeded

KEYS: list[Key] = [1, 2, 3, 4, 5, 6, "one", "two", "nobody", "three"]
VALUES = (None, 0, -1, 1, 2, 6, 1 << 62, -(1 << 63), 1.5, "", "one", UNIT, b"", b"12345678", '{"a":1}', '{"a":"b"}')
keys = st.lists(st.sampled_from(KEYS), max_size=8)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """Objects in the register, one in a file, one empty, some with names or tags."""
    with EmbeddedStore(tmp_path_factory.mktemp("batches"), StoreOptions(inline_limit=100)) as store:
        for data_id, data, name, tags in (
            (1, b"1", "one", {}),
            (2, b"22", "two", {"a": "b"}),
            (3, b"", "three", {}),
            (4, b"4" * 101, None, {}),
            (5, b"55555", None, {"c": "d"}),
        ):
            spec = UploadSpec(data_id, name, tags)
            succeeded(*store.upload_many(UNIT, [SmallUpload(spec, data, checksum(data))]))
        yield store


@contextmanager
def damaging(store: EmbeddedStore) -> Iterator[sqlite3.Connection]:
    """The register, to be changed behind the store's back; put right in the end."""
    register = store.directory / "register.db"
    with (
        closing(sqlite3.connect(":memory:")) as sound,
        closing(sqlite3.connect(register, isolation_level=None)) as connection,
    ):
        connection.backup(sound)
        try:
            yield connection
        finally:
            sound.backup(connection)
    assert store.check().ok


def one_by_one(call: Callable[[Sequence[Any]], Sequence[Any]], asked: Sequence[Any]) -> Any:
    """What the call says of each alone; the first error, where it raises."""

    def each(_: object) -> list[Any]:
        return [item for key in asked for item in call([key])]

    return outcome(each, None)


def assert_a_batch_is_its_items(store: EmbeddedStore, asked: Sequence[Key]) -> None:
    for call in (
        lambda keys: store.exists_many(UNIT, keys),
        lambda keys: store.stat_many(UNIT, keys),
        lambda keys: store.load_many(UNIT, [LoadItem(key) for key in keys]),
    ):
        together = outcome(call, asked)
        alone = one_by_one(call, asked)
        if isinstance(alone, VaultError):  # of several errors, whichever is found first
            assert isinstance(together, type(alone))
        else:
            assert comparable(together) == comparable(alone)


@given(keys)
def test_a_batch_is_its_items(store: EmbeddedStore, asked: list[Key]) -> None:
    assert_a_batch_is_its_items(store, asked)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["objects", "contents"]),
    st.integers(0, 30),
    st.integers(0, 10),
    st.sampled_from(VALUES),
    keys.filter(lambda asked: len(asked) > 1),
)
def test_a_batch_of_damaged_rows_is_its_items(
    store: EmbeddedStore, table: str, column: int, row: int, value: Any, asked: list[Key]
) -> None:
    with damaging(store) as register:
        names = [name for _, name, *_ in register.execute(f"PRAGMA table_info({table})")]
        numbers = register.execute(f"SELECT rowid FROM {table} ORDER BY rowid").fetchall()
        set_one = f"UPDATE OR IGNORE {table} SET {names[column % len(names)]} = ? WHERE rowid = ?"
        with contextlib.suppress(sqlite3.IntegrityError):  # of another type than the table has there
            register.execute(set_one, (value, *numbers[row % len(numbers)]))
        assert_a_batch_is_its_items(store, asked)


def test_an_index_that_leads_to_another_object_is_told_of_in_a_batch_as_alone(store: EmbeddedStore) -> None:
    with damaging(store) as register:
        schema = register.execute("SELECT rowid, * FROM sqlite_schema WHERE name LIKE 'objects_by_%'").fetchall()
        register.execute("PRAGMA writable_schema = ON")
        register.execute("DELETE FROM sqlite_schema WHERE name LIKE 'objects_by_%'")
        register.execute("PRAGMA writable_schema = RESET")
        ids = register.execute("SELECT number, data_id, name FROM objects WHERE data_id IN (1, 2)").fetchall()
        (one, _, _), (two, _, _) = ids
        swap = "UPDATE objects SET data_id = ?, name = ? WHERE number = ?"
        register.execute(swap, (2, "two", one))
        register.execute(swap, (1, "one", two))
        register.execute("PRAGMA writable_schema = ON")
        for rowid, *values in schema:
            register.execute(
                "INSERT INTO sqlite_schema (rowid, type, name, tbl_name, rootpage, sql) VALUES (?,?,?,?,?,?)",
                (rowid, *values),
            )
        register.execute("PRAGMA writable_schema = RESET")
        with pytest.raises(CorruptionError, match="asked for 1 of unit"):
            store.stat_many(UNIT, [1, 3])
        for asked in ([1, 2, 3], ["one", "three"], [3, 4]):
            assert_a_batch_is_its_items(store, asked)


@pytest.mark.parametrize("column", ["datatype", "name", "tags"])
def test_a_text_that_is_none_is_told_of_in_a_batch_as_alone(store: EmbeddedStore, column: str) -> None:
    with damaging(store) as register:
        register.execute(f"UPDATE objects SET {column} = CAST(x'ff' AS TEXT) WHERE data_id = 1")
        for asked in ([1], [1, 3]):
            with pytest.raises(StorageError, match="register"):
                store.load_many(UNIT, [LoadItem(key) for key in asked])
    (three,) = store.load_many(UNIT, [LoadItem(3)])
    assert isinstance(three, LoadedObject)


def test_a_row_is_not_held_after_it_was_read(store: EmbeddedStore) -> None:
    connection = store.engine.connections.connect()
    with closing(connection):
        assert connection.only(f"SELECT {GIVEN}(?, NULL, x'01', 'a')", (1,)) == (1, None, b"\x01", "a")
        assert connection.only(f"SELECT {GIVEN}(1) WHERE 0", ()) is None
        assert connection.only(f"SELECT {GIVEN}()", ()) == ()
        held = weakref.finalize(connection, list)
        assert held.alive
    del connection
    assert not held.alive


def test_a_batch_of_thousands_is_in_order_and_as_columns(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path, StoreOptions(durability="relaxed")) as store:
        count = 2 * MOST_KEYS + 5
        items = [small(b"%d" % at, data_id=count - at, name=f"n{at}") for at in range(count)]
        infos = ObjectInfos.of(store.upload_many(UNIT, items))
        asked: list[Key] = [f"n{at}" if at % 3 else count - at for at in range(count)]
        asked[7] = asked[MOST_KEYS] = "nobody"
        loaded, stated = store.load_many(UNIT, [LoadItem(key) for key in asked]), store.stat_many(UNIT, asked)
        assert isinstance(loaded, LoadedObjects)
        assert isinstance(stated, ObjectInfos)
        assert loaded.others == stated.others == {7: None, MOST_KEYS: None}
        for at in range(count):
            if at not in loaded.others:
                assert stated[at] == infos[at]
                assert (loaded.data_ids[at], loaded.data[at]) == (count - at, b"%d" % at)
                assert loaded.checksums[at] == checksum(b"%d" % at)
        assert store.exists_many(UNIT, asked) == list(stated.generations)


def test_no_more_than_the_room_and_a_few_objects_is_taken_for_a_batch(store: EmbeddedStore) -> None:
    found = store.engine.connections.read(lambda connection: load_all(connection, UNIT, [1, 2, 5], 3))
    assert found is None
    assert store.engine.connections.read(lambda connection: load_all(connection, UNIT, [1, 2, 5], 8)) is not None
    assert BATCH_BYTES >= 64 << 20
