"""Large uploads over a distance: by several connections, with the same bytes, errors and endings as by one."""

import asyncio
import random
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vault import BytesWrapper, ConnectionSettings, RemoteVault
from vault._async.remote.store import AsyncRemoteStore
from vault._grpc.distance import MOST_CONNECTIONS
from vault._sync.remote.store import RemoteStore
from vault.errors import ChecksumError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec
from vault.store.values import Block, checksum
from vault.testing.store.objects import blocks_of, payload
from vault.testing.store.sync_and_async import AsyncFace
from vault_server import EmbeddedStore, Server, ServerSettings
from vault_server.access.budgets import Budget

from tests.faults.proxy import Proxy
from tests.remote.transfers import DATA, TIMEOUT, Restarting, calls_of, connections_of, nothing_is_kept, send, stored
from tests.server.process import Serve
from tests.waiting import assert_soon

AWAY = 0.01
"""Seconds one way: 20 ms there and back."""

FEW = payload(24 * BLOCK_SIZE + 4321)

Open = Callable[..., AsyncStore]


# Distance


async def test_a_large_upload_to_afar_goes_over_several_connections(
    store: EmbeddedStore, local: Server, proxy: Proxy, open_far: Open
) -> None:
    proxy.delay(10 * AWAY)  # so that a machine with much to do is not what bounds it
    async with open_far(proxy.address, None) as remote:
        await send(await remote.upload("u", UploadSpec(5)))
    assert stored(store, 5) == DATA
    assert 3 <= proxy.connections <= MOST_CONNECTIONS
    assert proxy.forwarded["up"] < len(DATA) + BLOCK_SIZE, "every block was sent once"
    assert store.check(deep=True).ok


async def test_one_connection_is_enough_nearby_and_for_what_is_small(
    store: EmbeddedStore, local: Server, proxy: Proxy, open_far: Open
) -> None:
    async with open_far(proxy.address, None) as remote:
        channel: Any = getattr(remote, "_store", remote)
        channel._channel.distance.see(0.0005)  # as a call that a busy machine did not hold up
        await send(await remote.upload("u", UploadSpec(5)))
        assert proxy.connections == 1
    proxy.delay(AWAY)
    async with open_far(proxy.address, None) as remote:
        for number in range(3):
            await send(await remote.upload("u", UploadSpec(10 + number)), data=FEW[: 4 * BLOCK_SIZE])
        assert proxy.connections == 2


async def test_on_a_slow_line_one_connection_stays_the_only_one_that_blocks_go_by(
    store: EmbeddedStore, local: Server, proxy: Proxy, open_far: Open
) -> None:
    proxy.delay(AWAY)
    proxy.throttle(20e6, "up")
    found = []
    async with open_far(proxy.address, None) as remote:
        writer = await remote.upload("u", UploadSpec(5))
        await send(writer, lambda _: found.append(connections_of(writer)), FEW)
    assert set(found) == {1}
    assert stored(store, 5) == FEW


async def test_a_vault_uploads_files_by_several_connections(
    store: EmbeddedStore, local: Server, proxy: Proxy, soon: None, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(FEW)
    with RemoteVault(proxy.address, {"u": (BytesWrapper, 1)}, connections=3, cache=False) as vault:
        data_id = vault.upload_file("u", tmp_path / "file")
        assert stored(store, data_id) == FEW
        assert proxy.connections == 3
        info = vault.put_file("u", "name", tmp_path / "file")
        assert proxy.connections == 3
        assert info.size == len(FEW)


# What is lost


async def test_it_is_the_same_whatever_is_written_and_lost(
    store: EmbeddedStore, local: Server, proxy: Proxy, soon: None
) -> None:
    dice = random.Random(8)
    ids = count(1)
    with ExitStack() as stack:
        faces: dict[tuple[bool, int], AsyncStore] = {}
        for connections in (1, 2, 3, 8):
            connection = ConnectionSettings(timeout=TIMEOUT, connections=connections)
            faces[False, connections] = AsyncFace(stack.enter_context(RemoteStore(proxy.address, connection)))
            faces[True, connections] = AsyncRemoteStore(proxy.address, connection)
        loop = asyncio.get_running_loop()

        async def check(face: tuple[bool, int], size: int, cuts: list[int]) -> None:
            data_id = next(ids)
            channel: Any = getattr(faces[face], "_store", faces[face])
            channel._channel.distance._alone_until = 0.0

            def cut(index: int) -> None:
                if index in cuts:
                    proxy.cut_after(dice.randrange(2 * BLOCK_SIZE), "up", reset=dice.random() < 0.5)

            info = await send(await faces[face].upload("u", UploadSpec(data_id)), cut, FEW[:size])
            assert (info.size, info.checksum) == (size, checksum(FEW[:size]))
            assert stored(store, data_id) == FEW[:size]

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.sampled_from(list(faces)),
            st.integers(0, len(FEW)) | st.integers(0, 24).map(lambda blocks: blocks * BLOCK_SIZE),
            st.lists(st.integers(1, 24), max_size=3),
        )
        def examine(face: tuple[bool, int], size: int, cuts: list[int]) -> None:
            asyncio.run_coroutine_threadsafe(check(face, size, cuts), loop).result(60)

        await asyncio.to_thread(examine)
        for (is_async, _), face in faces.items():
            if is_async:
                await face.close()
    assert_soon(lambda: not calls_of(local))
    assert store.check(deep=True).ok
    assert nothing_is_kept(store)


@pytest.mark.slow
async def test_it_survives_two_kills_of_its_server(restarting: Restarting, proxy: Proxy, open_far: Open) -> None:
    async with open_far(proxy.address) as remote:
        info = await send(await remote.upload("u", UploadSpec(5)), restarting.kill_at(20, 45))
        assert restarting.kills == 2
        assert (info.size, info.checksum) == (len(DATA), checksum(DATA))


async def test_it_goes_on_when_the_connections_say_nothing_any_more(
    store: EmbeddedStore, local: Server, proxy: Proxy, soon: None, open_far: Open
) -> None:
    async with open_far(proxy.address) as remote:
        frozen: list[int] = []

        def freeze(index: int) -> None:
            if index == 9:
                frozen.append(proxy.blackhole())

        await send(await remote.upload("u", UploadSpec(5)), freeze, FEW)
        assert frozen == [4]
    assert stored(store, 5) == FEW


async def test_it_goes_on_when_a_further_connection_says_nothing_any_more(
    store: EmbeddedStore, local: Server, proxy: Proxy, soon: None, open_far: Open
) -> None:
    async with open_far(proxy.address) as remote:
        writer = await remote.upload("u", UploadSpec(5))

        def freeze(index: int) -> None:
            if index == 9:
                youngest = max(proxy._open, key=lambda each: each._sockets[0].fileno())
                proxy._loop.call_soon_threadsafe(youngest.freeze)

        await send(writer, freeze, FEW)
    assert stored(store, 5) == FEW
    assert_soon(lambda: not calls_of(local))


async def test_altered_bytes_are_refused_as_by_one_connection(
    store: EmbeddedStore, local: Server, proxy: Proxy, soon: None, open_far: Open
) -> None:
    async with open_far(proxy.address) as remote:
        for bad in (1, 6, 7, 8, 9, 24):
            writer = await remote.upload("u", UploadSpec(5))
            with pytest.raises(ChecksumError):
                async with writer:
                    for index, block in enumerate(blocks_of(FEW)):
                        await writer.write(
                            block if index != bad else Block(block.offset, block.data, block.checksum ^ 1)
                        )
                    await writer.commit(len(FEW), checksum(FEW))
    assert store.list_units() == []
    assert nothing_is_kept(store)
    assert_soon(lambda: not calls_of(local))


# Who cannot


class Older(grpc.aio.ServerInterceptor):
    """A server of before WriteBlock."""

    async def intercept_service(self, continuation: Callable[[Any], Any], details: grpc.HandlerCallDetails) -> Any:
        return None if details.method.endswith("WriteBlock") else await continuation(details)


async def test_an_older_server_gets_it_by_one(store: EmbeddedStore, soon: None, open_far: Open) -> None:
    with Server(store, interceptors=[Older()]) as server:
        async with open_far(server.address) as remote:
            for data_id in (5, 6):
                await send(await remote.upload("u", UploadSpec(data_id)), data=FEW)
                assert stored(store, data_id) == FEW


async def test_an_edge_passes_it_on(store: EmbeddedStore, local: Server, soon: None, open_far: Open) -> None:
    with RemoteStore(local.address) as upstream, Server(upstream) as edge:
        async with open_far(edge.address) as remote:
            await send(await remote.upload("u", UploadSpec(5)), data=FEW)
    assert stored(store, 5) == FEW


async def test_a_caller_who_may_have_few_calls_gets_by(store: EmbeddedStore, soon: None, open_far: Open) -> None:
    for calls in (1, 2, 5):
        with Server(store, settings=ServerSettings(budget=Budget(calls=calls))) as server:
            async with open_far(server.address) as remote:
                await send(await remote.upload("u", UploadSpec(calls)), data=FEW)
        assert stored(store, calls) == FEW


async def test_of_many_uploads_at_once_few_have_several_connections(
    store: EmbeddedStore, local: Server, soon: None, open_far: Open
) -> None:
    async with open_far(local.address) as remote:
        writers = [await remote.upload("u", UploadSpec(data_id)) for data_id in range(1, 6)]
        for index, block in enumerate(blocks_of(FEW)):
            for writer in writers:
                await writer.write(block)
            if index == 10:
                assert sorted(map(connections_of, writers)) == [1, 1, 1, 4, 4]
        for writer in writers:
            await writer.commit(len(FEW), checksum(FEW))
    for data_id in range(1, 6):
        assert stored(store, data_id) == FEW


@pytest.mark.slow
async def test_workers_take_it(serve: Serve, tmp_path: Path, soon: None, open_far: Open) -> None:
    served = serve(tmp_path / "kept", "--listen", "127.0.0.1:0", "--workers", "2")
    async with open_far(served.address, 8) as remote:
        for data_id in range(1, 5):
            info = await send(await remote.upload("u", UploadSpec(data_id)), data=FEW)
            assert info.checksum == checksum(FEW)
