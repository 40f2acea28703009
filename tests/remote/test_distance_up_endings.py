"""How uploads over several connections end: aborted, suspended, cancelled, drained, interrupted, forked, alone."""

import asyncio
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from itertools import count

import pytest
from vault import ConnectionSettings
from vault._async.remote import writer
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.remote.store import RemoteStore
from vault.errors import ConflictError, NotFoundError, UnavailableError, VaultError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, UploadSpec, new_request_id
from vault.store.values import checksum
from vault.testing.store.objects import blocks_of, payload
from vault_server import EmbeddedStore, Server

from tests.faults.proxy import Proxy
from tests.remote.transfers import TIMEOUT, calls_of, connections_of, nothing_is_kept, send, stored
from tests.waiting import assert_soon
from torture.interrupts.delivery import run

AWAY = 0.01
"""Seconds one way: 20 ms there and back."""

FEW = payload(24 * BLOCK_SIZE + 4321)

Open = Callable[..., AsyncStore]


async def test_abort_and_suspend_in_the_middle_end_all_calls(
    store: EmbeddedStore, local: Server, proxy: Proxy, soon: None, open_far: Open
) -> None:
    async with open_far(proxy.address) as remote:
        for number in (2, 4, 9, 14):
            writer = await remote.upload("u", UploadSpec(5))
            for block in list(blocks_of(FEW))[:number]:
                await writer.write(block)
            await writer.abort()
            assert_soon(lambda: not calls_of(local))
            assert nothing_is_kept(store)
            spec = UploadSpec(6, request_id=new_request_id())
            writer = await remote.upload("u", spec, resumable=True)
            for block in list(blocks_of(FEW))[:number]:
                await writer.write(block)
            await writer.suspend()
            assert_soon(lambda: not calls_of(local))
            writer = await remote.upload("u", spec, resumable=True)
            begin = writer.persisted_size
            assert begin <= number * BLOCK_SIZE
            for block in list(blocks_of(FEW))[begin // BLOCK_SIZE :]:
                await writer.write(block)
            await writer.commit(len(FEW), checksum(FEW))
            assert stored(store, 6) == FEW
            store.delete_many("u", [DeleteSpec(6)])


async def test_a_task_that_is_cancelled_leaves_no_call(
    store: EmbeddedStore, local: Server, proxy: Proxy, soon: None
) -> None:
    connection = ConnectionSettings(timeout=TIMEOUT, connections=4)
    async with AsyncRemoteStore(proxy.address, connection) as remote:
        for number in (2, 7, 13):
            taken = asyncio.Event()

            async def write(number: int = number, taken: asyncio.Event = taken) -> None:
                async with await remote.upload("u", UploadSpec(5)) as writer:
                    for index, block in enumerate(blocks_of(FEW)):
                        if index == number:
                            proxy.throttle(1)
                            taken.set()
                        await writer.write(block)
                    await writer.commit(len(FEW), checksum(FEW))

            task = asyncio.create_task(write())
            await taken.wait()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            proxy.restore()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert_soon(lambda: not calls_of(local))
            assert store.list_units() == []
            assert_soon(lambda: nothing_is_kept(store))


async def test_a_server_that_drains_lets_it_finish(
    store: EmbeddedStore, proxy: Proxy, soon: None, open_far: Open
) -> None:
    with Server(store) as server:
        async with open_far(server.address) as remote:
            writer = await remote.upload("u", UploadSpec(5))
            stopping = []

            def stop(index: int) -> None:
                if index == 9:
                    assert connections_of(writer) == 4
                    stopping.append(asyncio.run_coroutine_threadsafe(asyncio.to_thread(server.stop, 20), loop))

            loop = asyncio.get_running_loop()
            await send(writer, stop, FEW)
            await asyncio.wrap_future(stopping[0])
    assert stored(store, 5) == FEW


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
    "ignore::ResourceWarning",
)
@pytest.mark.parametrize("within", ["own", "grpc"])
def test_after_an_interrupt_anywhere_it_is_written_again(
    store: EmbeddedStore, local: Server, soon: None, within: str
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    ids = count(1)
    few = FEW[: 12 * BLOCK_SIZE]
    with RemoteStore(local.address, ConnectionSettings(timeout=TIMEOUT, connections=3)) as remote:

        def write() -> int:
            data_id = next(ids)
            with remote.upload("u", UploadSpec(data_id)) as writer:
                for block in blocks_of(few):
                    writer.write(block)
                writer.commit(len(few), checksum(few))
            return data_id

        points, written, error = run(write, 0, within)
        assert error is None
        assert stored(store, written) == few
        for point in sorted(random.Random(seed).sample(range(1, points.count + 1), 8)):
            _, written, error = run(write, point, within)
            if error is None:
                assert stored(store, written) == few, f"seed {seed}, point {point}"
            else:
                assert isinstance(error, KeyboardInterrupt), f"seed {seed}, point {point}: {error!r}"
            assert stored(store, write()) == few, f"seed {seed}, point {point}"
    assert_soon(lambda: not calls_of(local))


FORK = """
    import os, sys
    from vault import ConnectionSettings, RemoteStore
    from vault._sync.remote import writer as module
    from vault.errors import ClosedError
    from vault.store.specs import UploadSpec
    from vault.store.values import checksum
    from vault.testing.store.objects import blocks_of, payload

    module.LEAD, module.JOIN = 1, 3
    data = payload(24 << 20)
    store = RemoteStore(sys.argv[1], ConnectionSettings(timeout=10, connections=4))

    def write(writer, blocks):
        for block in blocks:
            writer.write(block)
        return writer.commit(len(data), checksum(data))

    blocks = list(blocks_of(data))
    writer = store.upload("u", UploadSpec(5))
    for block in blocks[:11]:
        writer.write(block)
    assert writer._sides.connections == 4
    child = os.fork()
    if child == 0:
        try:
            writer.write(blocks[11])
        except ClosedError:
            writer.abort()
            del writer
            os._exit(write(store.upload("u", UploadSpec(6)), blocks).checksum != checksum(data))
        os._exit(2)
    info = write(writer, blocks[11:])
    _, status = os.waitpid(child, 0)
    store.close()
    sys.exit(os.waitstatus_to_exitcode(status) or info.checksum != checksum(data))
"""


def test_a_write_stays_the_parents_over_a_fork(store: EmbeddedStore, local: Server) -> None:
    for _ in range(3):
        command = [sys.executable, "-c", textwrap.dedent(FORK), local.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert [result.size for result in store.stat_many("u", [5, 6]) if result is not None] == [24 << 20] * 2
        store.delete_many("u", [DeleteSpec(5), DeleteSpec(6)])


async def test_without_a_server_it_says_so_in_time(proxy: Proxy, store: EmbeddedStore, soon: None) -> None:
    with Server(store) as server:
        proxy.target = server.address
        async with AsyncRemoteStore(proxy.address, ConnectionSettings(timeout=2.0, connections=4)) as remote:
            writer = await remote.upload("u", UploadSpec(5))
            blocks = list(blocks_of(FEW))
            for block in blocks[:9]:
                await writer.write(block)
            proxy.refuse()
            proxy.cut()
            began = asyncio.get_running_loop().time()
            with pytest.raises(UnavailableError):
                for block in blocks[9:]:
                    await writer.write(block)
            assert asyncio.get_running_loop().time() - began < 10
            with pytest.raises(VaultError):
                await writer.commit(len(FEW), checksum(FEW))


@pytest.mark.parametrize("number", [writer.LEAD, writer.JOIN - 1, writer.JOIN, writer.JOIN + 1, writer.JOIN + 3])
async def test_a_writer_is_told_that_another_one_took_over_or_gave_up(
    store: EmbeddedStore, local: Server, open_far: Open, number: int
) -> None:
    blocks = list(blocks_of(FEW))
    async with open_far(local.address) as one, open_far(local.address) as other:
        for how in ("take over", "abort"):
            spec = UploadSpec(5, request_id=new_request_id())
            old = await one.upload("u", spec, resumable=True)
            for block in blocks[:number]:
                await old.write(block)
            if how == "abort":
                await other.abort_write("u", spec.request_id)
            else:
                new = await other.upload("u", spec, resumable=True)
            with pytest.raises((ConflictError, UnavailableError, NotFoundError)) as caught:
                for block in blocks[number:]:
                    await old.write(block)
                await old.commit(len(FEW), checksum(FEW))
            assert store.list_units() == []
            if how == "take over":
                assert caught.value.reason == "WRITE_TAKEN_OVER"
                async with new:
                    for block in blocks[new.persisted_size // BLOCK_SIZE :]:
                        await new.write(block)
                    await new.commit(len(FEW), checksum(FEW))
                assert stored(store, 5) == FEW
                store.delete_many("u", [DeleteSpec(5)])
    assert_soon(lambda: not calls_of(local))
