"""Transfers whose client disappears, or that two clients make at once: nothing is left over, one wins."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from vault import ConnectionSettings
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.remote.store import RemoteStore
from vault.errors import ConflictError
from vault.store.contract import AsyncBlockWriter, AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UpdateSpec, UploadSpec
from vault.store.values import ObjectInfo, checksum
from vault.testing.store.objects import blocks_of
from vault.testing.store.sync_and_async import AsyncFace
from vault_server import EmbeddedStore, Server

from tests.faults.proxy import Proxy
from tests.remote.transfers import DATA, PART, TIMEOUT, fetch, nothing_is_kept, send
from tests.server.process import Serve
from tests.waiting import assert_soon

# Clients that disappear


VANISHING = """
import sys
from vault._sync.remote.store import RemoteStore
from vault.store.specs import UploadSpec
from vault.store.values import Block, checksum
from vault.store.limits import BLOCK_SIZE
store = RemoteStore(sys.argv[1])
writer = store.upload("u", UploadSpec(5, request_id=b"v" * 16))
data = bytes(BLOCK_SIZE)
for index in range(20):
    writer.write(Block(index * BLOCK_SIZE, data, checksum(data)))
print("written", flush=True)
sys.stdin.read()
"""


def test_a_client_that_is_killed_frees_files_at_once_and_bytes_after_the_window(serve: Serve, directory: Path) -> None:
    served = serve(directory, "--listen", "127.0.0.1:0", "--durability", "relaxed", "--resume-window", "600")
    with subprocess.Popen(
        [sys.executable, "-c", VANISHING, served.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "written\n"
        client.kill()

    def open_files() -> list[str]:
        names = []
        for entry in Path(f"/proc/{served.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                names.append(str(entry.readlink()))
        return [name for name in names if "/.staging/writes/" in name]

    assert_soon(lambda: not open_files())
    kept = directory / ".staging" / "writes" / (b"v" * 16).hex() / "bytes"
    assert kept.stat().st_size >= 12 * BLOCK_SIZE
    moment = time.time() - 601
    os.utime(kept, (moment, moment))
    with RemoteStore(served.address) as remote:
        other = remote.upload("u", UploadSpec(6), resumable=True)
        other.write(blocks_of(DATA)[0])
        other.suspend()  # whereupon the store looks what is due
        assert_soon(lambda: not kept.exists())
        assert remote.list_units() == []


@pytest.mark.parametrize("how", ["abort", "drop", "raise"])
def test_a_client_that_gives_up_leaves_nothing_staged(
    local: Server, proxy: Proxy, store: EmbeddedStore, how: str
) -> None:
    with RemoteStore(proxy.address, ConnectionSettings(timeout=TIMEOUT)) as remote:
        writer = remote.upload("u", UploadSpec(5))
        for block in blocks_of(DATA)[:20]:
            writer.write(block)
        assert not nothing_is_kept(store)
        if how == "abort":
            writer.abort()
        elif how == "drop":
            del writer
        else:
            with pytest.raises(ZeroDivisionError), writer:
                _ = 1 / 0
        assert_soon(lambda: nothing_is_kept(store))
    assert store.list_units() == []


async def test_a_cancelled_task_leaves_nothing_staged(local: Server, proxy: Proxy, store: EmbeddedStore) -> None:
    async with AsyncRemoteStore(proxy.address, ConnectionSettings(timeout=TIMEOUT)) as remote:
        begun = asyncio.Event()

        async def write() -> None:
            async with await remote.upload("u", UploadSpec(5)) as writer:
                for block in blocks_of(DATA):
                    await writer.write(block)
                    if block.offset > len(PART):
                        begun.set()
                        await asyncio.sleep(60)

        task = asyncio.create_task(write())
        await begun.wait()
        assert not nothing_is_kept(store)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(assert_soon, lambda: nothing_is_kept(store))


# Two writers


async def test_two_writers_of_one_request_are_one_write(
    local: Server, proxy: Proxy, store: EmbeddedStore, open_store: Callable[[str], AsyncStore]
) -> None:
    spec = UploadSpec(5)
    async with open_store(proxy.address) as one, open_store(proxy.address) as other:
        old = await one.upload("u", spec, resumable=True)
        for block in blocks_of(PART)[:20]:
            await old.write(block)
        async with await other.upload("u", spec, resumable=True) as new:
            assert new.persisted_size >= 12 * BLOCK_SIZE
            with pytest.raises(ConflictError) as caught:
                for block in blocks_of(PART)[20:]:
                    await old.write(block)
                await old.commit(len(PART))
            assert caught.value.reason == "WRITE_TAKEN_OVER"
        new = await other.upload("u", spec, resumable=True)
        await send_from(new, PART)
    assert await fetch(AsyncFace(store), 5) == PART


async def test_who_comes_back_to_a_write_that_another_went_on_with_leaves_it_alone(
    local: Server, proxy: Proxy, open_store: Callable[[str], AsyncStore]
) -> None:
    spec = UploadSpec(5)
    async with open_store(proxy.address) as one, open_store(local.address) as other:
        old = await one.upload("u", spec, resumable=True)
        blocks = list(blocks_of(PART))
        for block in blocks[:12]:
            await old.write(block)
        proxy.cut()
        new = await other.upload("u", spec, resumable=True)
        for block in blocks[new.persisted_size // BLOCK_SIZE : 20]:
            await new.write(block)
        await new.suspend()
        with pytest.raises(ConflictError) as caught:
            for block in blocks[12:]:
                await old.write(block)
        assert caught.value.reason == "WRITE_TAKEN_OVER"
        assert (await other.write_status("u", spec.request_id)).persisted_size == 20 * BLOCK_SIZE
        await send_from(await other.upload("u", spec, resumable=True), PART)
        assert await fetch(other, 5) == PART


async def send_from(writer: AsyncBlockWriter, data: bytes) -> ObjectInfo:
    """Writes what the writer does not have, and commits."""
    async with writer:
        for block in blocks_of(data):
            if block.offset >= writer.persisted_size:
                await writer.write(block)
        return await writer.commit(len(data), checksum(data))


async def test_of_two_writers_of_one_object_one_wins_though_both_lose_their_connection(
    local: Server, proxy: Proxy, store: EmbeddedStore, open_store: Callable[[str], AsyncStore]
) -> None:
    async with open_store(proxy.address) as one, open_store(proxy.address) as other:
        before = await send(await one.upload("u", UploadSpec(5)), data=b"before")

        def cut(index: int) -> None:
            if index in (10, 11):
                proxy.cut()

        specs = [UpdateSpec(5, if_generation=before.generation) for _ in range(2)]
        contents = [PART, bytes(reversed(PART))]
        writers = [await remote.update("u", spec) for remote, spec in zip((one, other), specs, strict=True)]
        outcomes = await asyncio.gather(
            *(send(writer, cut, data) for writer, data in zip(writers, contents, strict=True)), return_exceptions=True
        )
        won = [outcome for outcome in outcomes if isinstance(outcome, ObjectInfo)]
        lost = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
        assert len(won) == len(lost) == 1
        assert lost[0].reason == "GENERATION_MISMATCH"
        assert await fetch(one, 5) == contents[outcomes.index(won[0])]
    await asyncio.to_thread(assert_soon, lambda: nothing_is_kept(store))
