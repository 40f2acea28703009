"""Where a transfer must not simply go on: what the server lost, another generation, another store."""

import contextlib
import gc
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from vault import BytesWrapper, ConnectionSettings, RemoteVault
from vault._async.files.block_stream import AsyncBlockSource
from vault._async.files.object_reader import AsyncObjectReader
from vault._async.files.range_reader import AsyncRangeReader
from vault._sync.remote.store import RemoteStore
from vault.errors import ConflictError, NotFoundError, UnavailableError
from vault.store._async.reopening import reopener
from vault.store.contract import AsyncBlockReader, AsyncStore, BlockReader
from vault.store.limits import BLOCK_SIZE, EXACT_BELOW
from vault.store.specs import UpdateSpec, UploadSpec
from vault.store.values import Block, checksum
from vault.testing.store.objects import blocks_of, drain
from vault_server import EmbeddedStore, Server

from tests.faults.proxy import Proxy
from tests.remote.transfers import DATA, PART, TIMEOUT, fetch, nothing_is_kept, send

# What the server lost


async def test_a_write_that_the_server_lost_is_said_to_be_lost(
    local: Server, proxy: Proxy, store: EmbeddedStore, open_store: Callable[[str], AsyncStore]
) -> None:
    spec = UploadSpec(5)

    def lose(index: int) -> None:
        if index == 15:
            proxy.refuse()
            proxy.cut()
            lost = time.monotonic() + 20
            while time.monotonic() < lost:
                store.abort_write("u", spec.request_id)
                time.sleep(0.01)
                with contextlib.suppress(NotFoundError):
                    store.write_status("u", spec.request_id)
                    continue
                break
            proxy.accept()

    async with open_store(proxy.address) as remote:
        with pytest.raises(UnavailableError, match="must be written again") as caught:
            await send(await remote.upload("u", spec), lose, PART)
        assert caught.value.reason == "WRITE_LOST"
        info = await send(await remote.upload("u", spec), data=PART)
        assert info.checksum == checksum(PART)
    assert nothing_is_kept(store)


# Edges


async def test_a_server_before_a_server_survives_cuts_on_both_sides(
    local: Server, proxy: Proxy, store: EmbeddedStore, open_store: Callable[[str], AsyncStore]
) -> None:
    with (
        RemoteStore(proxy.address, ConnectionSettings(timeout=TIMEOUT)) as behind,
        Server(behind) as edge,
        Proxy(edge.address) as before,
    ):

        def cut(index: int) -> None:
            if index % 10 == 4:
                proxy.cut()
            if index % 10 == 8:
                before.cut()

        async with open_store(before.address) as remote:
            info = await send(await remote.upload("u", UploadSpec(5)), cut, PART)
            assert info.checksum == checksum(PART)
            assert await fetch(remote, 5, cut) == PART
    assert store.changes(0)[0] == 1
    assert nothing_is_kept(store)


def test_a_reader_of_a_range_gets_its_range_over_cuts(local: Server, proxy: Proxy) -> None:
    with RemoteStore(proxy.address, ConnectionSettings(timeout=TIMEOUT)) as remote:
        with remote.upload("u", UploadSpec(5)) as writer:
            for block in blocks_of(DATA):
                writer.write(block)
            writer.commit(len(DATA))
        reader = remote.load("u", 5, offset=10 * BLOCK_SIZE + 3, length=20 * BLOCK_SIZE)
        assert isinstance(reader, BlockReader)
        found = []
        with reader:
            for block in reader:
                found.append(block)
                if len(found) % 7 == 3:
                    proxy.cut()
    assert [block.offset for block in found] == [index * BLOCK_SIZE for index in range(10, 31)]
    assert b"".join(bytes(block.data) for block in found) == DATA[10 * BLOCK_SIZE : 31 * BLOCK_SIZE]


async def test_a_replaced_object_is_read_to_its_end_over_cuts(
    local: Server, proxy: Proxy, open_store: Callable[[str], AsyncStore]
) -> None:
    async with open_store(proxy.address) as remote:
        await send(await remote.upload("u", UploadSpec(5)), data=PART)
        reader = await remote.load("u", 5)
        assert isinstance(reader, AsyncBlockReader)
        blocks = aiter(reader)
        first = await anext(blocks)
        assert isinstance(first, Block)
        await send(await remote.update("u", UpdateSpec(5)), data=b"replaced")
        proxy.cut()
        rest = [bytes(block.data) async for block in blocks]
        await reader.close()
        assert bytes(first.data) + b"".join(rest) == PART
        again = await remote.load("u", 5)
        assert isinstance(again, AsyncBlockReader)
        assert await drain(again) == b"replaced"


async def test_a_download_does_not_go_on_with_another_stores_bytes(
    local: Server, proxy: Proxy, tmp_path: Path, open_store: Callable[[str], AsyncStore]
) -> None:
    with EmbeddedStore(tmp_path / "other") as other_store, Server(other_store) as other:
        for address, data in ((local.address, PART), (other.address, PART[::-1])):
            async with open_store(address) as remote:
                await send(await remote.upload("u", UploadSpec(5)), data=data)
        async with open_store(proxy.address) as remote:
            reader = await remote.load("u", 5)
            assert isinstance(reader, AsyncBlockReader)
            source = AsyncBlockSource(reader.info, reopener(remote, reader.info))
            begun = AsyncObjectReader(reader.info, source, AsyncRangeReader(remote, reader.info, EXACT_BELOW))
            assert await begun.read(10) == PART[:10]
            blocks = aiter(reader)
            await anext(blocks)
            proxy.target = other.address  # with an object of the same id and generation
            proxy.cut()
            with pytest.raises(ConflictError, match="another store"):
                async for _ in blocks:
                    pass
            await reader.close()
            begun.seek(20 * BLOCK_SIZE)
            with pytest.raises(ConflictError, match="another store"):
                await begun.read(10)
            await begun.close()
            again = await remote.load("u", 5)
            assert isinstance(again, AsyncBlockReader)
            assert await drain(again) == PART[::-1]


def test_a_stream_that_was_cut_is_gone_with_its_transfer_and_not_left_to_the_collector(
    local: Server, proxy: Proxy, store: EmbeddedStore
) -> None:
    # One that lives until the interpreter ends may keep it from ending: see `vault._grpc.calls.untie`.
    with RemoteVault(proxy.address, {"u": (BytesWrapper, 0)}, connection=ConnectionSettings(timeout=TIMEOUT)) as vault:
        vault.upload("u", BytesWrapper(PART), data_id=5)
        gc.collect()
        before = [each for each in gc.get_objects() if isinstance(each, grpc.RpcError)]
        gc.disable()
        try:
            cut = proxy.cut_after(3 * BLOCK_SIZE, "down")
            with vault.open("u", 5) as reader:
                assert reader.read() == PART
            assert cut.is_set()
            vault.close()
            left = [each for each in gc.get_objects() if isinstance(each, grpc.RpcError)]
        finally:
            gc.enable()
        assert [each for each in left if all(each is not known for known in before)] == []
    assert store.check(deep=True).ok
