"""All of an object, read front to back in whatever way, is held against the checksum of the whole."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import pytest
from vault import AsyncVault, BytesWrapper, RemoteVault
from vault.errors import CorruptionError, ProtocolError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key, ObjectInfo, ObjectRanges
from vault.store.wrapper import AsyncWrapperStore
from vault_server import AsyncEmbeddedStore, AsyncServer, EmbeddedStore

from tests.files.objects import put, some_bytes

STRUCTURE = {"files": (BytesWrapper, 0)}
SIZES = [0, 100_000, 2 * BLOCK_SIZE + 5]
WAYS = ["read", "pieces", "small pieces", "read1", "readinto", "lines", "blocks", "read_at", "part", "download", "load"]


def another(info: ObjectInfo) -> ObjectInfo:
    return replace(info, checksum=info.checksum ^ 1)


class Lying(AsyncWrapperStore):
    """Shows another checksum of every object than that of its bytes; those of the blocks are right."""

    async def stat_many(self, unit: str, keys: Sequence[Key]) -> list[ObjectInfo | None]:
        return [info and another(info) for info in await super().stat_many(unit, keys)]

    async def load(self, *args: Any, **options: Any) -> Any:
        reader: Any = await super().load(*args, **options)
        reader.info = another(reader.info)
        return reader

    async def load_many(self, unit: str, items: Any) -> Any:
        found: list[Any] = list(await super().load_many(unit, items))
        return [replace(each, info=another(each.info)) for each in found]

    async def read(self, *args: Any, **options: Any) -> ObjectRanges | None:
        found: Any = await super().read(*args, **options)
        return replace(found, info=another(found.info)) if isinstance(found, ObjectRanges) else found


async def each_of(result: Any) -> Any:
    """What a call of either face came to."""
    return await result if isinstance(result, Awaitable) else result


async def given_out(vault: Any, data_id: int, way: str, folder: Path) -> AsyncIterator[bytes]:
    """The bytes of an object, as a way to read it gives them out; of either face."""
    if way == "download":
        await each_of(vault.download_file("files", data_id, folder / "down"))
        yield (folder / "down").read_bytes()
        return
    if way == "load":
        ticket = await each_of(vault.load("files", data_id))
        yield ticket.get_data().data
        await each_of(ticket.close())
        return
    if way == "part":
        yield await each_of(vault.read("files", data_id))
        return
    reader = await each_of(vault.open("files", data_id))
    buffer = bytearray(300_000)

    async def fill() -> bytes:
        return bytes(buffer[: await each_of(reader.readinto(buffer))])

    steps: dict[str, Callable[[], Any]] = {
        "read": reader.read,
        "pieces": partial(reader.read, 300_000),
        "small pieces": partial(reader.read, 70_000),
        "read1": reader.read1,
        "readinto": fill,
        "lines": reader.readline,
    }
    try:
        if way == "read_at":
            yield await each_of(reader.read_at(0))
        elif way == "blocks":
            blocks = reader.blocks()
            if isinstance(blocks, Iterator):
                for block in blocks:
                    yield block
            else:
                async for block in blocks:
                    yield block
        else:
            while data := await each_of(steps[way]()):
                yield data
    finally:
        await each_of(reader.close())


@pytest.fixture(params=["async", "sync"])
def face(request: pytest.FixtureRequest, store: EmbeddedStore) -> Callable[..., None]:
    """Gives a vault on the store, or on one in front of it, to a function: on an event loop, or over the wire."""

    def run(work: Callable[[Any], Any], *, lying: bool) -> None:
        async def main() -> None:
            async with AsyncEmbeddedStore(store) as inner:
                shown = Lying(inner) if lying else inner
                if request.param == "async":
                    async with AsyncVault(shown, STRUCTURE) as vault:
                        await work(vault)
                    return
                async with AsyncServer(shown) as server:
                    await asyncio.to_thread(remotely, server.address)

        def remotely(address: str) -> None:
            with RemoteVault(address, STRUCTURE) as vault:
                asyncio.run(work(vault))

        asyncio.run(main())

    return run


def test_what_the_whole_checksum_is_not_of_is_not_given_out_to_its_end(
    store: EmbeddedStore, face: Callable[..., None], tmp_path: Path
) -> None:
    async def work(vault: Any) -> None:
        for way, (info, data) in product(WAYS, stored):
            out = b""
            with pytest.raises((CorruptionError, ProtocolError) if not data else CorruptionError):
                async for piece in given_out(vault, info.data_id, way, tmp_path):
                    out += piece
            assert data.startswith(out)
            assert len(out) < max(len(data), 1), way
            if way != "small pieces":  # of so small an object a first one is read alone
                assert len(out) <= max(len(data) - 1, 0) // BLOCK_SIZE * BLOCK_SIZE, f"{way}: some of the last block"

    stored = [(put(store, data), data) for data in map(some_bytes, SIZES)]
    face(work, lying=True)
    assert not list(tmp_path.glob("down*"))


def test_every_way_gives_all_the_bytes_of_a_sound_object(
    store: EmbeddedStore, face: Callable[..., None], tmp_path: Path
) -> None:
    async def work(vault: Any) -> None:
        for way, (info, data) in product(WAYS, stored):
            out = b"".join([piece async for piece in given_out(vault, info.data_id, way, tmp_path)])
            assert out == data, way

    stored = [(put(store, data), data) for data in map(some_bytes, SIZES)]
    face(work, lying=False)


def test_a_seek_past_what_was_not_read_leaves_it_at_the_blocks(store: EmbeddedStore, face: Callable[..., None]) -> None:
    data = some_bytes(3 * BLOCK_SIZE)
    data_id = put(store, data).data_id

    async def work(vault: Any) -> None:
        reader = await each_of(vault.open("files", data_id))
        reader.seek(BLOCK_SIZE)
        assert await each_of(reader.read()) == data[BLOCK_SIZE:]
        reader.seek(0)
        assert await each_of(reader.read()) == data
        await each_of(reader.close())

    face(work, lying=True)


def test_going_back_within_what_was_read_does_not_turn_it_off(store: EmbeddedStore, face: Callable[..., None]) -> None:
    data_id = put(store, some_bytes(3 * BLOCK_SIZE)).data_id

    async def work(vault: Any) -> None:
        reader = await each_of(vault.open("files", data_id))
        await each_of(reader.read(2 * BLOCK_SIZE))
        reader.seek(5)
        with pytest.raises(CorruptionError, match="though its blocks do"):
            await each_of(reader.read())
        with pytest.raises(CorruptionError):  # and again
            await each_of(reader.read())
        await each_of(reader.close())

    face(work, lying=True)


def test_a_head_that_was_read_alone_has_to_be_the_blocks(store: EmbeddedStore) -> None:
    class Elsewhere(AsyncWrapperStore):
        local_bytes: ClassVar[bool] = False

        async def read(self, *args: Any, **options: Any) -> ObjectRanges | None:
            found: Any = await super().read(*args, **options)
            return ObjectRanges(found.info, [b"\0" * len(part) for part in found.parts], found.blocks)

    async def main() -> None:
        async with (
            AsyncEmbeddedStore(store) as inner,
            AsyncVault(Elsewhere(inner), STRUCTURE) as vault,
            await vault.open("files", data_id) as reader,
        ):
            assert await reader.read(10) == b"\0" * 10
            with pytest.raises(CorruptionError, match="first 10 bytes"):
                await reader.read()

    data_id = put(store, some_bytes(100_000)).data_id
    asyncio.run(main())
