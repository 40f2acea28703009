"""Parts of an object by a reader: from many threads or tasks at once, and as blocks for whoever passes them on."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from vault._async.files.object_reader import open_reader as open_async_reader
from vault._sync.files.object_reader import open_reader
from vault._sync.remote.store import RemoteStore
from vault.errors import ClosedError, ConflictError, InvalidArgumentError
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec
from vault.testing.store.sync_and_async import AsyncFace
from vault_server import AsyncEmbeddedStore, EmbeddedStore, Server, StoreOptions

from tests.files.objects import put, some_bytes

DATA = some_bytes(4 * BLOCK_SIZE + 77)


def asked(number: int) -> tuple[int, int]:
    """An offset and a length: a few bytes, some of several blocks, or more than one reply holds."""
    rng = random.Random(number)
    return rng.randrange(len(DATA)), rng.choice([1, 100, 10_000, BLOCK_SIZE // 2, 3 * BLOCK_SIZE])


def test_many_threads_read_anywhere_on_one_reader(any_store: Store) -> None:
    info = put(any_store, DATA)
    with open_reader(any_store, "files", info.data_id) as reader, ThreadPoolExecutor(12) as threads:
        assert reader.read(5) == DATA[:5]
        for (offset, length), found in zip(
            map(asked, range(60)), threads.map(lambda number: reader.read_at(*asked(number)), range(60)), strict=True
        ):
            assert found == DATA[offset : offset + length]
        assert reader.tell() == 5, "nobody moved it"
        assert reader.read(5) == DATA[5:10]


@pytest.mark.parametrize("kind", ["embedded", "threads"])
async def test_many_tasks_read_anywhere_on_one_reader(store: EmbeddedStore, kind: str) -> None:
    info = put(store, DATA)
    face: Any = AsyncEmbeddedStore(store) if kind == "embedded" else AsyncFace(store)
    async with await open_async_reader(face, "files", info.data_id) as reader:
        found = await asyncio.gather(*(reader.read_at(*asked(number)) for number in range(60)))
        for number, data in enumerate(found):
            offset, length = asked(number)
            assert data == DATA[offset : offset + length]
    if kind == "embedded":
        await face.close()
    else:
        face.release()


def test_a_part_is_asked_for_from_the_end_too_and_never_past_it(any_store: Store) -> None:
    info = put(any_store, DATA)
    with open_reader(any_store, "files", info.data_id) as reader:
        assert reader.read_at(-8) == DATA[-8:]
        assert reader.read_at(-8, 3) == DATA[-8:-5]
        assert reader.read_at(-len(DATA) - 5, 3) == DATA[:3]
        assert reader.read_at(len(DATA)) == b""
        assert reader.read_at(7, 0) == b""
        assert reader.read_at(len(DATA) - 2, 2**62) == DATA[-2:]
        assert reader.read_at(0) == DATA
        for offset, length in [(len(DATA) + 1, 1), (0, -1), (0.5, 1), ("a", 1), (None, None), (True, 1)]:
            with pytest.raises(InvalidArgumentError) as caught:
                reader.read_at(offset, length)  # type: ignore[arg-type]
            assert caught.value.reason == "BAD_RANGE"
    with pytest.raises(ClosedError):
        reader.read_at(0, 1)


def test_parts_are_of_the_generation_that_was_opened(any_store: Store) -> None:
    info = put(any_store, DATA)
    with open_reader(any_store, "files", info.data_id) as reader:
        any_store.delete_many("files", [DeleteSpec(info.data_id)])
        assert reader.read_at(3 * BLOCK_SIZE, 10) == DATA[3 * BLOCK_SIZE : 3 * BLOCK_SIZE + 10]
        assert reader.read_at(5, 3 * BLOCK_SIZE) == DATA[5 : 3 * BLOCK_SIZE + 5]


@pytest.mark.parametrize("store", [StoreOptions(retention=0)], indirect=True)
def test_a_part_of_what_is_not_retained_is_a_conflict(any_store: Store) -> None:
    info = put(any_store, DATA)
    with open_reader(any_store, "files", info.data_id) as reader:
        any_store.delete_many("files", [DeleteSpec(info.data_id)])
        for length in (10, 3 * BLOCK_SIZE):
            with pytest.raises(ConflictError, match="deleted while it was read"):
                reader.read_at(0, length)
        with pytest.raises(ConflictError, match="deleted while it was read"):
            reader.read(10)


@pytest.mark.parametrize("position", [0, 5, BLOCK_SIZE, 2 * BLOCK_SIZE + 5, len(DATA), len(DATA) + 5])
def test_blocks_are_what_is_left_and_the_reader_closes(any_store: Store, position: int) -> None:
    info = put(any_store, DATA)
    reader = open_reader(any_store, "files", info.data_id)
    reader.seek(position)
    blocks = list(reader.blocks())
    assert b"".join(blocks) == DATA[position:]
    assert all(type(block) is bytes and 0 < len(block) <= BLOCK_SIZE for block in blocks)
    assert reader.closed


def test_blocks_that_are_given_up_close_the_reader(any_store: Store) -> None:
    info = put(any_store, DATA)
    reader = open_reader(any_store, "files", info.data_id)
    for block in reader.blocks():
        assert block == DATA[:BLOCK_SIZE]
        break
    assert reader.closed
    with pytest.raises(ClosedError):
        next(iter(reader.blocks()))


async def test_async_iteration_is_by_block_and_closes(store: EmbeddedStore) -> None:
    info = put(store, DATA)
    async with AsyncEmbeddedStore(store) as face:
        reader = await open_async_reader(face, "files", info.data_id)
        assert [len(block) async for block in reader] == [BLOCK_SIZE] * 4 + [77]
        assert reader.closed


def test_what_is_verified_end_to_end_comes_in_whole_blocks(store: EmbeddedStore) -> None:
    info = put(store, DATA)
    with Server(store) as server, RemoteStore(server.address) as remote:
        found = remote.read("files", info.data_id, [(10, 5)], exact_below=0)
        assert found is not None
        assert [len(block.data) for block in found.blocks] == [BLOCK_SIZE]
        found = remote.read("files", info.data_id, [(10, 5)])
        assert found is not None
        assert (found.blocks, found.parts) == ([], [DATA[10:15]])
