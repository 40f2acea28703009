"""What a reader sees, whatever happens to the object meanwhile."""

import threading
from typing import Any

import pytest
from vault.errors import ClosedError, ConflictError, InvalidArgumentError
from vault.store.contract import BlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import LoadItem
from vault.store.values import LoadedObject, NotModified
from vault_server.storage import EmbeddedStore, StoreOptions
from vault_server.storage.generic._sync.reading_store import BATCH_BYTES
from vault_server.storage.memory import MemoryStore

from tests.storage.objects import LARGE, SMALL, UNIT, delete, read, reader_of, small, succeeded, update, upload


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_a_reader_finishes_with_the_bytes_it_began_with(store: EmbeddedStore, data: bytes) -> None:
    info = upload(store, data)
    with reader_of(store, info.data_id) as updated, reader_of(store, info.data_id) as deleted:
        update(store, info.data_id, data[1:])
        assert b"".join(bytes(block.data) for block in updated) == data
        delete(store, info.data_id)
        upload(store, data[2:], data_id=info.data_id)
        assert b"".join(bytes(block.data) for block in deleted) == data


@pytest.mark.parametrize(
    ("offset", "length", "offsets"),
    [
        (0, None, [0, 1, 2]),
        (1, None, [0, 1, 2]),
        (BLOCK_SIZE, None, [1, 2]),
        (BLOCK_SIZE - 1, 2, [0, 1]),
        (BLOCK_SIZE, BLOCK_SIZE, [1]),
        (BLOCK_SIZE, 0, []),
        (len(LARGE), None, []),
        (len(LARGE) - 1, 1 << 60, [2]),
    ],
)
def test_a_range_is_covered_by_whole_blocks(
    store: EmbeddedStore, offset: int, length: int | None, offsets: list[int]
) -> None:
    info = upload(store, LARGE)
    with reader_of(store, info.data_id, offset=offset, length=length) as reader:
        blocks = list(reader)
    assert [block.offset // BLOCK_SIZE for block in blocks] == offsets
    for block in blocks:
        block.verify(info)
        assert block.data == LARGE[block.offset : block.offset + BLOCK_SIZE]


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1), (len(LARGE) + 1, None), (True, None)])
def test_a_range_outside_the_object_is_refused(store: EmbeddedStore, offset: int, length: int | None) -> None:
    info = upload(store, LARGE)
    with pytest.raises(InvalidArgumentError) as raised:
        store.load(UNIT, info.data_id, offset=offset, length=length)
    assert raised.value.reason == "BAD_RANGE"


def test_generations_decide_whether_there_is_anything_to_read(store: EmbeddedStore) -> None:
    info = upload(store, SMALL, name="n")
    assert store.load(UNIT, "n", if_generation_not_match=info.generation) == NotModified(info.generation)
    found = store.load(UNIT, "n", if_generation=info.generation, if_generation_not_match=info.generation + 1)
    assert isinstance(found, BlockReader)
    found.close()
    with pytest.raises(ConflictError):
        store.load(UNIT, "n", if_generation=info.generation + 1)
    assert store.load(UNIT, "nobody") is None
    assert store.load("nowhere", 1) is None


def test_a_mapping_outlives_the_object(store: EmbeddedStore) -> None:
    info = upload(store, LARGE)
    with reader_of(store, info.data_id) as reader:
        view = reader.map()
    assert view is not None
    assert view.readonly
    delete(store, info.data_id)
    assert view == LARGE


def test_what_has_no_file_of_its_own_is_not_mapped(store: EmbeddedStore) -> None:
    for data in (b"", SMALL):
        with reader_of(store, upload(store, data).data_id) as reader:
            assert reader.map() is None


def test_a_closed_reader_reads_no_more(store: EmbeddedStore) -> None:
    info = upload(store, LARGE)
    reader = reader_of(store, info.data_id)
    blocks = iter(reader)
    next(blocks)
    reader.close()
    reader.close()
    assert list(blocks) == []
    with pytest.raises(ClosedError):
        reader.map()


def test_a_batch_keeps_its_order_and_leaves_out_what_is_too_large(store: EmbeddedStore) -> None:
    first, second = (succeeded(o) for o in store.upload_many(UNIT, [small(b"first", name="n"), small(b"")]))
    block = upload(store, LARGE[:BLOCK_SIZE])
    large = upload(store, LARGE)
    outcomes = store.load_many(
        UNIT,
        [
            LoadItem(large.data_id),
            LoadItem("n"),
            LoadItem(second.data_id),
            LoadItem("nobody"),
            LoadItem(block.data_id),
            LoadItem(first.data_id, first.generation),
            LoadItem(-1),
        ],
    )
    assert outcomes[:6] == [
        LoadedObject(large, None),
        LoadedObject(first, b"first"),
        LoadedObject(second, b""),
        None,
        LoadedObject(block, LARGE[:BLOCK_SIZE]),
        NotModified(first.generation),
    ]
    assert isinstance(outcomes[6], InvalidArgumentError)


@pytest.mark.parametrize("size", [BLOCK_SIZE, 1 << 15])
def test_a_batch_holds_no_more_bytes_than_its_limit(store: EmbeddedStore, size: int) -> None:
    info = upload(store, LARGE[:size])
    wanted = BATCH_BYTES // size + 3
    outcomes = store.load_many(UNIT, [LoadItem(info.data_id)] * wanted)
    sent = [outcome for outcome in outcomes if isinstance(outcome, LoadedObject) and outcome.data is not None]
    assert len(sent) == wanted - 3


def test_readers_and_writers_of_one_object_never_mix_generations(store: EmbeddedStore) -> None:
    data_id = upload(store, bytes(2 * BLOCK_SIZE)).data_id
    stop = threading.Event()
    wrong: list[str] = []

    def read_on() -> None:
        while not stop.is_set():
            if len(set(read(store, data_id))) != 1:
                wrong.append("mixed")

    readers = [threading.Thread(target=read_on) for _ in range(3)]
    for thread in readers:
        thread.start()
    for value in range(1, 13):
        if value % 3:
            update(store, data_id, bytes([value]) * 2 * BLOCK_SIZE)
        else:
            update(store, data_id, bytes([value]) * 100)
    stop.set()
    for thread in readers:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("then", ["replaced", "deleted"])
def test_what_is_collected_between_its_row_and_its_bytes_is_read_as_it_is_now(
    monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    with MemoryStore(StoreOptions(retention=0)) as memory:
        upload(memory, LARGE, data_id=1)
        opened = memory.blobs.open

        def late(found: Any) -> Any:
            monkeypatch.undo()
            if then == "replaced":
                update(memory, 1, LARGE[1:])
            else:
                delete(memory, 1)
            return opened(found)

        monkeypatch.setattr(memory.blobs, "open", late)
        reader = memory.load(UNIT, 1)
        if then == "deleted":
            assert reader is None
        else:
            assert isinstance(reader, BlockReader)
            with reader:
                assert b"".join(bytes(block.data) for block in reader) == LARGE[1:]
