"""Files on an event loop: the same bytes, nothing left behind by what is cancelled or dropped."""

import asyncio
import gc
import io
from collections.abc import AsyncIterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault import ConnectionSettings
from vault._async.files.object_reader import open_reader
from vault._async.files.object_writer import AsyncObjectWriter
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.files.object_reader import open_reader as open_sync_reader
from vault.errors import ClosedError, ConflictError, NotFoundError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import SmallUpdate, UpdateSpec, UploadSpec, new_data_id
from vault.store.values import checksum
from vault_server import AsyncEmbeddedStore, EmbeddedStore, Server, StoreOptions

from tests.files.objects import put, some_bytes, staged_files

DATA = some_bytes(3 * BLOCK_SIZE + 5)

positions = st.one_of(
    st.integers(0, len(DATA) + 10),
    st.builds(lambda block, delta: max(0, block * BLOCK_SIZE + delta), st.integers(0, 3), st.integers(-3, 3)),
)
lengths = st.one_of(st.integers(-1, 40), st.sampled_from([BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, len(DATA)]))
steps = st.lists(st.tuples(st.sampled_from(["read", "read1", "readinto", "readline"]), positions, lengths), max_size=12)


@pytest.fixture(params=["embedded", "remote"])
async def face(request: pytest.FixtureRequest, store: EmbeddedStore) -> AsyncIterator[AsyncStore]:
    if request.param == "embedded":
        async with AsyncEmbeddedStore(store) as embedded:
            yield embedded
        return
    with Server(store) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            yield remote


async def new_writer(store: AsyncStore, name: str | None = None) -> AsyncObjectWriter:
    spec = UploadSpec(new_data_id(), name=name)
    writer = AsyncObjectWriter(spec.data_id, partial(store.upload, "files", spec))
    await writer.start()
    return writer


async def put_async(store: AsyncStore, data: bytes) -> int:
    async with await new_writer(store) as writer:
        await writer.write(data)
    return writer.data_id


def test_any_steps_of_a_reader_agree_with_bytes_in_memory(store: EmbeddedStore) -> None:
    info = put(store, DATA)

    @settings(max_examples=60)
    @given(steps)
    def agrees(taken: list[tuple[str, int, int]]) -> None:
        reference = io.BytesIO(DATA)
        with open_sync_reader(store, "files", info.data_id) as reader:
            for method, position, length in taken:
                assert reader.seek(position) == reference.seek(position)
                if method == "readinto":
                    ours, theirs = bytearray(max(length, 0)), bytearray(max(length, 0))
                    assert reader.readinto(ours) == reference.readinto(theirs)
                    assert ours == theirs
                elif method == "read1":
                    piece = reader.read1(length)
                    assert piece == reference.read(len(piece))
                    assert piece or length == 0 or position >= len(DATA)
                else:
                    assert getattr(reader, method)(length) == getattr(reference, method)(length)
                assert reader.tell() == reference.tell()

    agrees()


async def test_an_async_reader_reads_seeks_and_iterates(face: AsyncStore) -> None:
    data = b"first\n" + DATA.replace(b"\n", b"") + b"\nlast"
    data_id = await put_async(face, data)
    async with await open_reader(face, "files", data_id) as reader:
        assert (reader.size, reader.seekable(), reader.readable(), reader.writable()) == (len(data), True, True, False)
        lines = []
        while line := await reader.readline():
            lines.append(line)
        assert lines == io.BytesIO(data).readlines()
        assert reader.seek(-4, io.SEEK_END) == len(data) - 4
        assert await reader.read() == b"last"
        reader.seek(2)
        buffer = bytearray(BLOCK_SIZE)
        assert await reader.readinto(buffer) == BLOCK_SIZE
        assert buffer == data[2 : BLOCK_SIZE + 2]
    with pytest.raises(ClosedError):
        await reader.read()


async def test_an_async_writer_that_raises_leaves_nothing(face: AsyncStore) -> None:
    writer = await new_writer(face)

    async def fail() -> None:
        async with writer:
            await writer.write(DATA)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    with pytest.raises(ClosedError):
        await writer.write(b"more")
    with pytest.raises(NotFoundError):
        _ = writer.info
    assert await face.list_units() == []


async def test_a_dropped_async_writer_warns_and_gives_its_bytes_back(face: AsyncStore, store: EmbeddedStore) -> None:
    writer = await new_writer(face)
    await writer.write(DATA)
    async with asyncio.timeout(20):
        while not staged_files(store):  # noqa: ASYNC110  # as below
            await asyncio.sleep(0.01)
    with pytest.warns(ResourceWarning, match="dropped without closing"):
        del writer
        gc.collect()
    async with asyncio.timeout(20):
        while staged_files(store):  # noqa: ASYNC110  # the file system sends no events
            await asyncio.sleep(0.01)
    assert await face.list_units() == []


async def test_a_reader_whose_read_was_cancelled_reads_on(face: AsyncStore) -> None:
    data_id = await put_async(face, DATA)
    async with await open_reader(face, "files", data_id) as reader:
        for _ in range(5):
            reading = asyncio.create_task(reader.read())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            reader.seek(0)
        assert await reader.read() == DATA


async def test_one_reader_never_mixes_generations(face: AsyncStore) -> None:
    data_id = await put_async(face, DATA)
    async with await open_reader(face, "files", data_id) as reader:
        assert await reader.read(10) == DATA[:10]
        update = SmallUpdate(UpdateSpec(data_id), b"new", checksum(b"new"))
        (outcome,) = await face.update_many("files", [update])
        assert not isinstance(outcome, Exception)
        assert await reader.read() == DATA[10:], "the stream that is open goes on with the bytes it began with"
    async with await open_reader(face, "files", data_id) as reader:
        assert await reader.read() == b"new"


async def test_a_seek_in_a_replaced_object_finds_the_old_bytes(face: AsyncStore) -> None:
    data = some_bytes(8 * BLOCK_SIZE)
    data_id = await put_async(face, data)
    async with await open_reader(face, "files", data_id) as reader:
        await reader.read(10)
        await face.update_many("files", [SmallUpdate(UpdateSpec(data_id), b"new", checksum(b"new"))])
        reader.seek(7 * BLOCK_SIZE)
        assert await reader.read() == data[7 * BLOCK_SIZE :]


@pytest.mark.parametrize("store", [StoreOptions(retention=0)], indirect=True)
async def test_a_seek_in_a_replaced_object_of_which_nothing_is_retained_is_a_conflict_that_says_so(
    face: AsyncStore,
) -> None:
    data_id = await put_async(face, some_bytes(8 * BLOCK_SIZE))
    async with await open_reader(face, "files", data_id) as reader:
        await reader.read(10)
        await face.update_many("files", [SmallUpdate(UpdateSpec(data_id), b"new", checksum(b"new"))])
        reader.seek(7 * BLOCK_SIZE)
        with pytest.raises(ConflictError, match="was replaced while it was read"):
            await reader.read(1)


async def test_a_reader_maps_what_is_a_local_file(face: AsyncStore) -> None:
    data_id = await put_async(face, DATA)
    async with await open_reader(face, "files", data_id) as reader:
        view = await reader.map()
        assert await reader.read(3) == DATA[:3]
    if face.local_feed:
        assert view is not None
        assert view.readonly
        assert bytes(view) == DATA
    else:
        assert view is None
