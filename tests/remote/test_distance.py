"""Large downloads over a distance: by several connections, with the same bytes, errors and endings as by one."""

import asyncio
import math
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vault import BytesWrapper, ConnectionSettings, RemoteVault
from vault._async.remote.store import AsyncRemoteStore
from vault._grpc.distance import MOST_CONNECTIONS, Distance
from vault._sync.remote.store import RemoteStore
from vault.errors import ClosedError, ConflictError, InvalidArgumentError
from vault.store.contract import AsyncBlockReader, AsyncStore, BlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UpdateSpec, UploadSpec
from vault.store.values import checksum
from vault.testing.store.objects import blocks_of, payload
from vault.testing.store.sync_and_async import AsyncFace
from vault_server import EmbeddedStore, Server, ServerSettings
from vault_server.access.budgets import Budget
from vault_server.rpc.admission import TRANSFERS
from vault_server.storage.options import StoreOptions

from tests.faults.proxy import Proxy
from tests.remote.transfers import DATA, TIMEOUT, Restarting, fetch, send
from tests.waiting import assert_soon
from torture.interrupts.delivery import run

AWAY = 0.01
"""Seconds one way: 20 ms there and back."""

FEW = payload(12 * BLOCK_SIZE + 4321)

Open = Callable[..., AsyncStore]


@pytest.fixture
def local(store: EmbeddedStore, local: Server) -> Server:
    """The server in this process, behind the proxy, with object 5."""
    put(store, FEW)
    return local


def put(store: EmbeddedStore, data: bytes, data_id: int = 5) -> None:
    with store.upload("u", UploadSpec(data_id)) as writer:
        for block in blocks_of(data):
            writer.write(block)
        writer.commit(len(data), checksum(data))


def replace(store: EmbeddedStore, data: bytes) -> None:
    (generation,) = store.exists_many("u", [5])
    with store.update("u", UpdateSpec(5, if_generation=generation)) as writer:
        for block in blocks_of(data):
            writer.write(block)
        writer.commit(len(data), checksum(data))


def transfers_of(server: Server) -> int:
    calls = server._server._running._calls  # type: ignore[union-attr]
    return len(calls.of(TRANSFERS))


def stripes_of(reader: AsyncBlockReader) -> int:
    """By how many streams its blocks come, whichever face it has."""
    inner: Any = getattr(reader, "_reader", reader)
    return len(inner._stripes)


async def opened(store: AsyncStore, **options: Any) -> AsyncBlockReader:
    reader = await store.load("u", 5, **options)
    assert isinstance(reader, AsyncBlockReader)
    return reader


# How many


@pytest.mark.parametrize(
    ("milliseconds", "connections"), [(0.1, 1), (1, 1), (5, 1), (6, 2), (20, 4), (50, MOST_CONNECTIONS), (9999, 8)]
)
def test_a_longer_round_trip_is_worth_more_connections(milliseconds: float, connections: int) -> None:
    distance = Distance()
    assert not distance.is_known
    for longer in (4, 1, 7):
        distance.see(milliseconds / 1000 * longer)
    assert distance.is_known
    assert distance.connections == connections


@given(st.lists(st.floats(0, 100), min_size=1))
def test_never_more_than_the_shortest_round_trip_is_worth(seconds: list[float]) -> None:
    distance = Distance()
    for each in seconds:
        distance.see(each)
    most = min(MOST_CONNECTIONS, max(1, math.ceil(min(seconds) * 800e6 / (4 << 20))))
    assert distance.connections == most


@pytest.mark.parametrize("connections", [0, 9, -1, 2.5, "4", True])
def test_a_number_of_connections_that_can_be_none_is_refused(connections: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="connections"):
        ConnectionSettings(connections=connections)


async def test_a_large_download_from_afar_comes_over_several_connections(
    store: EmbeddedStore, proxy: Proxy, open_far: Open
) -> None:
    put(store, DATA)
    with Server(store) as server:
        proxy.target = server.address
        proxy.delay(AWAY)
        async with open_far(proxy.address, None) as remote:
            assert await fetch(remote, 5) == DATA
        assert 5 <= proxy.connections <= 1 + MOST_CONNECTIONS
        assert proxy.forwarded["down"] < len(DATA) + 10 * BLOCK_SIZE, "one window was sent in vain, and no more"


async def test_one_connection_is_enough_nearby_and_for_what_is_small(
    store: EmbeddedStore, proxy: Proxy, open_far: Open
) -> None:
    put(store, FEW)
    with Server(store) as server:
        proxy.target = server.address
        proxy.delay(AWAY)
        async with open_far(proxy.address, None) as remote:
            assert await fetch(remote, 5) == FEW
            assert await fetch(remote, 5) == FEW
        assert proxy.connections == 1
        async with open_far(server.address, 1) as remote:
            reader = await opened(remote)
            assert [block.offset async for block in reader] == list(range(0, len(FEW), BLOCK_SIZE))
            assert stripes_of(reader) == 1


async def test_what_is_large_and_near_comes_over_one_too(store: EmbeddedStore, proxy: Proxy, open_far: Open) -> None:
    put(store, DATA)
    with Server(store) as server:
        proxy.target = server.address
        async with open_far(proxy.address, None) as remote:
            channel: Any = getattr(remote, "_store", remote)
            channel._channel.distance.see(0.005)  # as a call that a busy machine did not hold up
            assert await fetch(remote, 5) == DATA
        assert proxy.connections == 1


class Overtaken(grpc.aio.ServerInterceptor):
    """Answers small calls late, as where the blocks of a transfer are before them on a narrow link."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        if handler_call_details.method.endswith("GetCapabilities"):
            await asyncio.sleep(0.1)
        return await continuation(handler_call_details)


@pytest.mark.parametrize(("began_in", "least"), [(0.0001, 1), (0.005, 1), (0.012, 3), (9.0, MOST_CONNECTIONS)])
async def test_a_near_server_whose_small_calls_wait_for_blocks_is_near(
    store: EmbeddedStore, open_far: Open, began_in: float, least: int
) -> None:
    with Server(store, interceptors=[Overtaken()]) as server:
        async with open_far(server.address, None) as remote:
            inner: Any = getattr(remote, "_store", remote)
            found = inner._channel.connections_for_transfer(began_in)
            assert (await found if isinstance(found, Awaitable) else found) == least


async def test_a_vault_loads_files_and_reads_by_several_connections(
    local: Server, proxy: Proxy, soon: None, tmp_path: Path
) -> None:
    with RemoteVault(proxy.address, {"u": (BytesWrapper, 1)}, connections=3, cache=False) as vault:
        vault.download_file("u", 5, tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == FEW
        assert proxy.connections == 1 + 3
        with vault.open("u", 5) as reader:
            assert reader.read(10) == FEW[:10]
            assert reader.read() == FEW[10:]


# What comes


async def test_it_is_the_same_whatever_is_read_and_lost(local: Server, proxy: Proxy, soon: None) -> None:
    dice = random.Random(8)
    with ExitStack() as stack:
        faces: dict[tuple[bool, int], AsyncStore] = {}
        for connections in (1, 2, 3, 8):
            connection = ConnectionSettings(timeout=TIMEOUT, connections=connections)
            faces[False, connections] = AsyncFace(stack.enter_context(RemoteStore(proxy.address, connection)))
            faces[True, connections] = AsyncRemoteStore(proxy.address, connection)
        loop = asyncio.get_running_loop()

        async def check(face: tuple[bool, int], offset: int, length: int | None, cuts: list[int]) -> None:
            store = faces[face]
            reader = await opened(store, offset=offset, length=length)
            end = len(FEW) if length is None else min(len(FEW), offset + length)
            first = offset // BLOCK_SIZE * BLOCK_SIZE
            due = [block.offset for block in blocks_of(FEW)[first // BLOCK_SIZE :] if block.offset < end]
            found = []
            async with reader:
                async for block in reader:
                    block.verify(reader.info)
                    assert block.data == FEW[block.offset : block.offset + BLOCK_SIZE]
                    found.append(block.offset)
                    if len(found) in cuts:
                        proxy.cut_after(dice.randrange(2 * BLOCK_SIZE), "down", reset=dice.random() < 0.5)
            assert found == (due if offset < end else [])

        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.sampled_from(list(faces)),
            st.integers(0, len(FEW)),
            st.none() | st.integers(0, len(FEW) + 5),
            st.lists(st.integers(1, 12), max_size=3),
        )
        def examine(face: tuple[bool, int], offset: int, length: int | None, cuts: list[int]) -> None:
            asyncio.run_coroutine_threadsafe(check(face, offset, length, cuts), loop).result(60)

        await asyncio.to_thread(examine)
        for (is_async, _), store in faces.items():
            if is_async:
                await store.close()
    assert_soon(lambda: not transfers_of(local))


@pytest.mark.slow
async def test_it_survives_two_kills_of_its_server_and_gets_little_twice(
    restarting: Restarting, proxy: Proxy, open_far: Open
) -> None:
    async with open_far(proxy.address) as store:
        await send(await store.upload("u", UploadSpec(5)))
        before = proxy.forwarded["down"]
        assert await fetch(store, 5, restarting.kill_at(10, 40)) == DATA
        assert restarting.kills == 2
        # Each kill costs what lay in the windows of the streams.
        assert proxy.forwarded["down"] - before < len(DATA) + 3 * 4 * 5 * BLOCK_SIZE


async def test_it_goes_on_when_the_connections_say_nothing_any_more(
    local: Server, proxy: Proxy, soon: None, open_far: Open
) -> None:
    for connections in (1, 4):
        async with open_far(proxy.address, connections) as remote:
            frozen: list[int] = []

            def freeze(index: int, frozen: list[int] = frozen) -> None:
                if index == 9:
                    frozen.append(proxy.blackhole())

            assert await fetch(remote, 5, freeze) == FEW
            assert frozen == [1 if connections == 1 else 1 + connections]
            proxy.cut()


# Generations


async def test_a_generation_that_is_replaced_in_the_middle_is_read_to_its_end(
    store: EmbeddedStore, local: Server, proxy: Proxy, soon: None, open_far: Open
) -> None:
    async with open_far(proxy.address) as remote:

        def at(index: int) -> None:
            if index in (1, 5):
                replace(store, payload(3 * BLOCK_SIZE, index))

        assert await fetch(remote, 5, at) == FEW


@pytest.mark.parametrize("when", [0, 1, 3, 8])
async def test_so_is_one_that_is_not_retained_before_or_after_its_stripes_have_begun(
    tmp_path: Path, soon: None, open_far: Open, when: int
) -> None:
    with EmbeddedStore(tmp_path / "kept", StoreOptions(retention=0)) as store, Server(store) as server:
        put(store, FEW)
        async with open_far(server.address) as remote:
            reader = await opened(remote)
            found = bytearray()
            async with reader:
                if when == 0:
                    replace(store, b"new")
                async for block in reader:
                    found += block.data
                    if len(found) == when * BLOCK_SIZE:
                        replace(store, b"new")
                assert stripes_of(reader) in {0: [1], 8: [4]}.get(when, [1, 4])
            assert found == FEW
        assert store.check(deep=True).ok


async def test_one_that_is_gone_when_its_connections_are_lost_is_a_conflict(
    tmp_path: Path, proxy: Proxy, soon: None, open_far: Open
) -> None:
    with EmbeddedStore(tmp_path / "kept", StoreOptions(retention=0)) as store, Server(store) as server:
        put(store, DATA)
        proxy.target = server.address
        async with open_far(proxy.address) as remote:

            def at(index: int) -> None:
                if index == 10:
                    replace(store, b"new")
                    proxy.cut()

            with pytest.raises(ConflictError, match="replaced or deleted while it was read"):
                await fetch(remote, 5, at)
            assert_soon(lambda: not transfers_of(server))


# Who cannot


async def test_through_an_edge_it_comes_by_one_stream(local: Server, soon: None, open_far: Open) -> None:
    with RemoteStore(local.address) as upstream, Server(upstream) as edge:
        async with open_far(edge.address) as remote:
            for _ in range(2):
                reader = await opened(remote)
                assert b"".join([bytes(block.data) async for block in reader]) == FEW
                assert stripes_of(reader) == 1


async def test_it_goes_on_at_a_server_that_sends_all_blocks(
    local: Server, proxy: Proxy, soon: None, open_far: Open
) -> None:
    with RemoteStore(local.address) as upstream, Server(upstream) as edge:

        def move(index: int) -> None:
            if index == 8:
                proxy.target = edge.address
                proxy.cut()

        async with open_far(proxy.address) as remote:
            assert await fetch(remote, 5, move) == FEW


async def test_a_caller_who_may_have_few_streams_gets_by_with_one(store: EmbeddedStore, open_far: Open) -> None:
    put(store, DATA)
    with Server(store, settings=ServerSettings(budget=Budget(transfers=2))) as server:
        async with open_far(server.address) as remote:
            reader = await opened(remote)
            assert b"".join([bytes(block.data) async for block in reader]) == DATA
            assert stripes_of(reader) == 1
            assert await fetch(remote, 5) == DATA


async def test_of_many_downloads_at_once_few_have_several_connections(
    local: Server, soon: None, open_far: Open
) -> None:
    async with open_far(local.address) as remote:
        readers = [await opened(remote) for _ in range(5)]
        iterators = [aiter(reader) for reader in readers]
        for _ in range(9):
            for iterator in iterators:
                await anext(iterator)
        assert sorted(map(stripes_of, readers)) == [1, 1, 1, 4, 4]
        for reader, iterator in zip(readers, iterators, strict=True):
            assert [block.offset async for block in iterator][-1] == 12 * BLOCK_SIZE
            await reader.close()


# Endings


async def test_closing_in_the_middle_ends_all_streams(local: Server, proxy: Proxy, soon: None, open_far: Open) -> None:
    async with open_far(proxy.address) as remote:
        for count in (3, 5, 9):
            async with await opened(remote) as reader:
                blocks = aiter(reader)
                for _ in range(count):
                    await anext(blocks)
            assert_soon(lambda: not transfers_of(local))
        assert proxy.connections == 1 + 4
        reader = await opened(remote)
        blocks = aiter(reader)
        for _ in range(8):
            await anext(blocks)
    with pytest.raises(ClosedError):
        while True:
            await anext(blocks)
    assert_soon(lambda: not transfers_of(local))
    assert_soon(lambda: not proxy.cut())
    assert_soon(lambda: "vault-watchdog" not in [thread.name for thread in threading.enumerate()])


async def test_a_task_that_is_cancelled_leaves_no_stream(local: Server, proxy: Proxy, soon: None) -> None:
    connection = ConnectionSettings(timeout=TIMEOUT, connections=4)
    async with AsyncRemoteStore(proxy.address, connection) as remote:
        for count in (2, 7, 9):
            taken = asyncio.Event()

            async def read(count: int = count, taken: asyncio.Event = taken) -> None:
                number = 0
                async for _ in await opened(remote):
                    number += 1
                    if number == count:
                        proxy.throttle(1)
                        taken.set()

            task = asyncio.create_task(read())
            await taken.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            proxy.restore()
            assert_soon(lambda: not transfers_of(local))


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
    "ignore::ResourceWarning",
)
@pytest.mark.parametrize("within", ["own", "grpc"])
def test_after_an_interrupt_anywhere_it_is_read_again(local: Server, soon: None, within: str) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    with RemoteStore(local.address, ConnectionSettings(timeout=TIMEOUT, connections=3)) as remote:

        def read() -> bytes:
            reader = remote.load("u", 5)
            assert isinstance(reader, BlockReader)
            with reader:
                return b"".join([bytes(block.data) for block in reader])

        points, found, error = run(read, 0, within)
        assert (found, error) == (FEW, None)
        for point in sorted(random.Random(seed).sample(range(1, points.count + 1), 8)):
            _, found, error = run(read, point, within)
            assert found == FEW or isinstance(error, KeyboardInterrupt), f"seed {seed}, point {point}: {error!r}"
            assert read() == FEW, f"seed {seed}, point {point}"
    assert_soon(lambda: not transfers_of(local))


FORK = """
    import os, sys
    from vault import ConnectionSettings, RemoteStore
    from vault._sync.remote import reader as module
    from vault.errors import ClosedError

    module.LEAST_SPREAD = 2
    store = RemoteStore(sys.argv[1], ConnectionSettings(timeout=10, connections=3))
    reader = store.load("u", 5)
    blocks = iter(reader)
    taken = [next(blocks).offset for _ in range(7)]
    assert len(reader._stripes) == 3
    child = os.fork()
    if child == 0:
        try:
            next(blocks)
        except ClosedError:
            reader.close()
            again = [block.offset for block in store.load("u", 5)]
            os._exit(0 if len(again) == 13 else 1)
        os._exit(2)
    _, status = os.waitpid(child, 0)
    taken += [block.offset for block in blocks]
    store.close()
    sys.exit(os.waitstatus_to_exitcode(status) or taken != [number << 20 for number in range(13)])
"""


def test_a_reader_stays_the_parents_over_a_fork(local: Server) -> None:
    command = [sys.executable, "-c", textwrap.dedent(FORK), local.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


# Connections


async def test_connections_that_age_cut_nothing(store: EmbeddedStore, proxy: Proxy, soon: None, open_far: Open) -> None:
    put(store, FEW)
    with Server(store, settings=ServerSettings(max_connection_age=0.5)) as server:
        proxy.target = server.address
        async with open_far(proxy.address) as remote:
            proxy.throttle(len(FEW) / 2, "down")
            assert await fetch(remote, 5) == FEW
            assert await fetch(remote, 5) == FEW
    assert proxy.connections > 4
