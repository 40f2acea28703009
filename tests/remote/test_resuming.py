"""Transfers that lose their connection, or their server, in the middle: they go on, and end with equal bytes."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from vault import BytesWrapper, RemoteVault
from vault._async.files import AsyncObjectReader, reopener
from vault._async.remote import AsyncRemoteStore
from vault._sync.remote import RemoteStore
from vault.errors import ConflictError, NotFoundError, UnavailableError
from vault.model import (
    Block,
    ChangeKind,
    DeleteSpec,
    ObjectInfo,
    UpdateSpec,
    UploadSpec,
    WriteStatus,
    checksum,
    new_data_id,
)
from vault.rules import BLOCK_SIZE
from vault.store import AsyncBlockReader, AsyncBlockWriter, AsyncStore, BlockReader
from vault.testing.faces import AsyncFace
from vault.testing.objects import blocks_of, drain
from vault_server import EmbeddedStore, Server

from tests.faults.proxy import Proxy
from tests.server.process import Serve, Served

DATA = random.Random(3).randbytes(64 * BLOCK_SIZE + 4321)
"""64 MiB, and a short block."""

PART = DATA[: 24 * BLOCK_SIZE + 4321]
TIMEOUT = 20.0


@pytest.fixture(params=["sync", "async"])
def open_store(request: pytest.FixtureRequest) -> Callable[[str], AsyncStore]:
    """Makes a client, sync behind the async contract or async."""

    def make(address: str, timeout: float = TIMEOUT) -> AsyncStore:
        if request.param == "sync":
            return AsyncFace(RemoteStore(address, timeout=timeout))
        return AsyncRemoteStore(address, timeout=timeout)

    return make


async def send(writer: AsyncBlockWriter, at: Callable[[int], Any] = lambda _: None, data: bytes = DATA) -> ObjectInfo:
    """Writes and commits; calls `at` with the index of each block before it is written."""
    async with writer:
        for index, block in enumerate(blocks_of(data)):
            await asyncio.to_thread(at, index)
            await writer.write(block)
        await asyncio.to_thread(at, -1)
        return await writer.commit(len(data), checksum(data))


async def fetch(store: AsyncStore, data_id: int, at: Callable[[int], Any] = lambda _: None) -> bytes:
    reader = await store.load("u", data_id)
    assert isinstance(reader, AsyncBlockReader)
    data = bytearray()
    async with reader:
        async for block in reader:
            block.verify(reader.info)
            assert block.offset == len(data)
            data += block.data
            await asyncio.to_thread(at, len(data) // BLOCK_SIZE)
    return bytes(data)


class Restarting:
    """A server process on one port, behind a proxy that counts; killed and started again."""

    def __init__(self, serve: Serve, proxy: Proxy, directory: Path) -> None:
        self._serve = serve
        self._proxy = proxy
        self._directory = directory
        self.kills = 0
        self.server = self._start()

    def _start(self) -> Served:
        served = self._serve(self._directory, "--listen", "127.0.0.1:0", "--durability", "relaxed")
        self._proxy.target = served.address
        return served

    def kill(self) -> None:
        """SIGKILL, a moment without any server, and a new one at the same address."""
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait()
        self.kills += 1
        self._proxy.refuse()
        time.sleep(0.2)
        self.server = self._start()
        self._proxy.accept()

    def kill_at(self, *indexes: int) -> Callable[[int], None]:
        def at(index: int) -> None:
            if index in indexes:
                self.kill()

        return at


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy("127.0.0.1:1") as started:
        yield started


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "served"
    yield path
    with EmbeddedStore(path) as store:
        assert store.check(deep=True).ok


@pytest.fixture
def restarting(serve: Serve, proxy: Proxy, directory: Path) -> Restarting:
    return Restarting(serve, proxy, directory)


@pytest.fixture
def local(store: EmbeddedStore, proxy: Proxy) -> Iterator[Server]:
    """A server in this process, behind the proxy."""
    with Server(store) as server:
        proxy.target = server.address
        yield server
        server.stop(0)  # connections that were made black holes are open on its side


def nothing_is_kept(store: EmbeddedStore) -> bool:
    return not list((store.directory / ".staging").glob("writes/*"))


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # other processes send no events
            await asyncio.sleep(0.01)


# The server dies


async def test_an_upload_survives_two_kills_of_its_server_and_sends_little_twice(
    restarting: Restarting, proxy: Proxy, open_store: Callable[[str], AsyncStore], directory: Path
) -> None:
    async with open_store(proxy.address) as store:
        spec = UploadSpec(new_data_id(), "large")
        info = await send(await store.upload("u", spec), restarting.kill_at(20, 45))
        assert restarting.kills == 2
        assert (info.size, info.checksum) == (len(DATA), checksum(DATA))
        # Each kill costs at most what was kept and what lay in buffers, not what came before.
        assert proxy.forwarded["up"] < len(DATA) + 2 * 20 * BLOCK_SIZE
        assert await fetch(store, spec.data_id) == DATA
    restarting.server.terminate()
    with EmbeddedStore(directory) as opened:
        assert [change.kind for change in opened.changes(0)[1]] == [ChangeKind.UPLOADED], "it was applied once"
        assert nothing_is_kept(opened)


async def test_an_update_survives_a_kill_of_its_server(
    restarting: Restarting, proxy: Proxy, open_store: Callable[[str], AsyncStore]
) -> None:
    async with open_store(proxy.address) as store:
        before = await send(await store.upload("u", UploadSpec(5)), data=b"before")
        update = await store.update("u", UpdateSpec(5, if_generation=before.generation))
        info = await send(update, restarting.kill_at(30))
        assert restarting.kills == 1
        assert info.generation > before.generation
        assert await fetch(store, 5) == DATA


async def test_a_download_survives_two_kills_of_its_server_and_gets_little_twice(
    restarting: Restarting, proxy: Proxy, open_store: Callable[[str], AsyncStore]
) -> None:
    async with open_store(proxy.address) as store:
        info = await send(await store.upload("u", UploadSpec(5)))
        before = proxy.forwarded["down"]
        assert await fetch(store, 5, restarting.kill_at(10, 40)) == DATA
        assert restarting.kills == 2
        assert proxy.forwarded["down"] - before < len(DATA) + 2 * 20 * BLOCK_SIZE
        assert await store.exists_many("u", [5]) == [info.generation]


async def test_a_server_killed_right_after_it_was_resumed_is_resumed_again(
    restarting: Restarting, proxy: Proxy, open_store: Callable[[str], AsyncStore]
) -> None:
    async with open_store(proxy.address) as store:
        info = await send(await store.upload("u", UploadSpec(5)), restarting.kill_at(10, 11, -1), PART)
        assert restarting.kills == 3
        assert info.checksum == checksum(PART)
        assert await fetch(store, 5) == PART


async def test_a_graceful_restart_cuts_an_upload_off_and_it_goes_on(
    serve: Serve, proxy: Proxy, directory: Path, open_store: Callable[[str], AsyncStore]
) -> None:
    arguments = (directory, "--listen", "127.0.0.1:0", "--durability", "relaxed", "--grace", "0.1")
    served = serve(*arguments)
    proxy.target = served.address

    def restart(index: int) -> None:
        if index == 12:
            assert served.terminate()[0] == 0
            proxy.target = serve(*arguments).address

    async with open_store(proxy.address) as store:
        await send(await store.upload("u", UploadSpec(5)), restart, PART)
        assert proxy.forwarded["up"] < len(PART) + 12 * BLOCK_SIZE
        assert await fetch(store, 5) == PART


# The connection dies


@pytest.mark.parametrize("seed", range(3))
async def test_an_upload_survives_many_cuts_anywhere(
    local: Server, proxy: Proxy, store: EmbeddedStore, open_store: Callable[[str], AsyncStore], seed: int
) -> None:
    dice = random.Random(seed)
    cuts: list[threading.Event] = []

    def cut(index: int) -> None:
        if index % 8 == 4:
            cuts.append(proxy.cut_after(dice.randrange(2 * BLOCK_SIZE), "up", reset=dice.random() < 0.5))
        elif index % 8 == 0 and index:
            cuts.append(proxy.cut_after(dice.randrange(100), "down", reset=dice.random() < 0.5))

    async with open_store(proxy.address) as remote:
        info = await send(await remote.upload("u", UploadSpec(5)), cut, PART)
    assert sum(event.is_set() for event in cuts) >= 4
    assert info.checksum == checksum(PART)
    assert store.changes(0)[0] == 1
    assert await fetch(AsyncFace(store), 5) == PART
    assert nothing_is_kept(store)


async def test_a_download_survives_many_cuts_anywhere(
    local: Server, proxy: Proxy, open_store: Callable[[str], AsyncStore]
) -> None:
    dice = random.Random(5)
    async with open_store(proxy.address) as remote:
        await send(await remote.upload("u", UploadSpec(5)))
        cuts = []

        def cut(index: int) -> None:
            # Not near the end: what was sent ahead would have passed already.
            if index % 5 == 3 and index < 40:
                cuts.append(proxy.cut_after(dice.randrange(BLOCK_SIZE), "down"))

        assert await fetch(remote, 5, cut) == DATA
        assert sum(event.is_set() for event in cuts) >= 4


@pytest.mark.parametrize("size", [1000, len(PART)])
@pytest.mark.parametrize("when", ["the commit", "the reply"])
async def test_a_lost_reply_to_the_commit_is_asked_for_again_and_the_write_applied_once(
    local: Server,
    proxy: Proxy,
    store: EmbeddedStore,
    open_store: Callable[[str], AsyncStore],
    size: int,
    when: str,
) -> None:
    data = DATA[:size]
    cuts = []

    def cut(index: int) -> None:
        if index == -1 and when == "the reply":
            cuts.append(proxy.cut_after(1, "down"))
        elif index == -1:
            cuts.append(proxy.cut_after(10, "up"))

    async with open_store(proxy.address) as remote:
        spec = UploadSpec(5, "once")
        writer = await remote.upload("u", spec)
        info = await send(writer, cut, data)
        assert cuts[0].is_set()
        assert [(change.revision, change.data_id) for change in store.changes(0)[1]] == [(1, 5)]
        assert info == store.stat_many("u", [5])[0]
        assert await remote.write_status("u", spec.request_id) == WriteStatus(size, info)
        assert await fetch(remote, 5) == data


async def test_a_connection_that_swallows_everything_is_replaced_within_the_timeout(
    local: Server, proxy: Proxy, open_store: Callable[..., AsyncStore]
) -> None:
    async with open_store(proxy.address, timeout=4) as remote:

        def swallow(*indexes: int) -> Callable[[int], Any]:
            return lambda index: proxy.blackhole() if index in indexes else None

        connections = proxy.connections
        info = await send(await remote.upload("u", UploadSpec(5)), swallow(10, -1), PART)
        assert info.checksum == checksum(PART)
        assert proxy.connections - connections >= 2
        assert await fetch(remote, 5, swallow(10)) == PART
        assert proxy.forwarded["up"] < len(PART) + 24 * BLOCK_SIZE


async def test_calls_over_a_connection_that_swallows_everything_get_another_within_the_timeout(
    local: Server, proxy: Proxy, open_store: Callable[..., AsyncStore], store: EmbeddedStore
) -> None:
    async with open_store(proxy.address, timeout=4) as remote:
        await send(await remote.upload("u", UploadSpec(5)), data=b"small")
        proxy.blackhole()
        assert await remote.exists_many("u", [5]) == [1]
        proxy.blackhole()
        assert await remote.delete_many("u", [DeleteSpec(5)]) == [2]
    assert store.changes(0)[0] == 2


async def test_a_server_that_stays_away_is_said_to_be_and_the_time_counts_from_the_last_progress(
    local: Server, proxy: Proxy, open_store: Callable[..., AsyncStore], store: EmbeddedStore
) -> None:
    def leave(index: int) -> None:
        if index == 10:
            proxy.refuse()
            proxy.cut()

    async with open_store(proxy.address, timeout=1) as remote:
        with pytest.raises(UnavailableError, match=f"no answer from {proxy.address} within 1 s"):
            await send(await remote.upload("u", UploadSpec(5)), leave)
        proxy.accept()
        await send(await remote.upload("u", UploadSpec(6)), data=PART)
        reader = await remote.load("u", 6)
        assert isinstance(reader, AsyncBlockReader)
        with pytest.raises(UnavailableError, match=f"no answer from {proxy.address} within 1 s"):
            async with reader:
                async for block in reader:
                    leave(block.offset // BLOCK_SIZE)
    assert store.exists_many("u", [5]) == [0]


async def test_a_slow_connection_is_not_taken_for_a_dead_one(
    local: Server, proxy: Proxy, open_store: Callable[..., AsyncStore]
) -> None:
    async with open_store(proxy.address, timeout=8) as remote:
        proxy.throttle(3 * BLOCK_SIZE)  # so that the whole takes longer than a message is waited for
        data = DATA[: 8 * BLOCK_SIZE]
        await send(await remote.upload("u", UploadSpec(5)), data=data)
        assert await fetch(remote, 5) == data
        assert proxy.connections == 1


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


# Clients that disappear


VANISHING = """
import sys
from vault._sync.remote import RemoteStore
from vault.model import Block, UploadSpec, checksum
from vault.rules import BLOCK_SIZE
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

    asyncio.run(wait_for(lambda: not open_files()))
    kept = directory / ".staging" / "writes" / (b"v" * 16).hex() / "bytes"
    assert kept.stat().st_size >= 12 * BLOCK_SIZE
    moment = time.time() - 601
    os.utime(kept, (moment, moment))
    with RemoteStore(served.address) as remote:
        other = remote.upload("u", UploadSpec(6), resumable=True)
        other.write(blocks_of(DATA)[0])
        other.suspend()  # whereupon the store looks what is due
        asyncio.run(wait_for(lambda: not kept.exists()))
        assert remote.list_units() == []


@pytest.mark.parametrize("how", ["abort", "drop", "raise"])
def test_a_client_that_gives_up_leaves_nothing_staged(
    local: Server, proxy: Proxy, store: EmbeddedStore, how: str
) -> None:
    with RemoteStore(proxy.address, timeout=TIMEOUT) as remote:
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
        asyncio.run(wait_for(lambda: nothing_is_kept(store)))
    assert store.list_units() == []


async def test_a_cancelled_task_leaves_nothing_staged(local: Server, proxy: Proxy, store: EmbeddedStore) -> None:
    async with AsyncRemoteStore(proxy.address, timeout=TIMEOUT) as remote:
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
        await wait_for(lambda: nothing_is_kept(store))


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
    await wait_for(lambda: nothing_is_kept(store))


# Edges


async def test_a_server_before_a_server_survives_cuts_on_both_sides(
    local: Server, proxy: Proxy, store: EmbeddedStore, open_store: Callable[[str], AsyncStore]
) -> None:
    with (
        RemoteStore(proxy.address, timeout=TIMEOUT) as behind,
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
    with RemoteStore(proxy.address, timeout=TIMEOUT) as remote:
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
            begun = AsyncObjectReader(reader.info, reopener(remote, reader.info))
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
    # One that lives until the interpreter ends may keep it from ending: see `_untie`.
    with RemoteVault(proxy.address, {"u": (BytesWrapper, 0)}, timeout=TIMEOUT) as vault:
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
