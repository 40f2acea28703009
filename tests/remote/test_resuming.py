"""Transfers that lose their connection, or their server, in the middle: they go on, and end with equal bytes."""

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from vault.errors import UnavailableError
from vault.store.contract import AsyncBlockReader, AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import DeleteSpec, UpdateSpec, UploadSpec, new_data_id
from vault.store.values import ChangeKind, WriteStatus, checksum
from vault.testing.store.sync_and_async import AsyncFace
from vault_server import EmbeddedStore, Server

from tests.faults.proxy import Proxy
from tests.remote.transfers import DATA, PART, Restarting, fetch, nothing_is_kept, send
from tests.server.process import Serve

pytestmark = pytest.mark.slow

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
