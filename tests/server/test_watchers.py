"""Watchers of a server: slow ones, stopped ones, many of them, and several processes that write."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
import pytest
from vault import RemoteVault, SlowConsumerError, TextWrapper, Vault
from vault._sync.remote.store import RemoteStore
from vault.store.specs import SmallUpload, UploadSpec, new_data_id
from vault.store.values import Change, checksum
from vault.v1 import vault_pb2 as pb
from vault_server import AsyncServer, EmbeddedStore, Server, ServerSettings, StoreOptions
from vault_server.rpc.admission import WATCH

from tests.server.raw_calls import stub_of
from tests.waiting import assert_soon

pytestmark = pytest.mark.slow

STRUCTURE: Final[dict[str, Any]] = {"notes": (TextWrapper, 0)}
NAME = "x" * 400  # so that a change takes some room on the wire
SLOW = ServerSettings(slow_watcher=0.5)


def write(store: EmbeddedStore, number: int) -> int:
    """Commits so many changes. Returns the last one's revision."""
    for begin in range(0, number, 500):
        items = [
            SmallUpload(UploadSpec(new_data_id(), f"{begin + index} {os.getpid()} {NAME}"), b"x", checksum(b"x"))
            for index in range(500)
        ]
        store.upload_many("notes", items)
    return store.revision


@pytest.fixture
def relaxed(tmp_path: Path) -> EmbeddedStore:
    return EmbeddedStore(tmp_path / "store", StoreOptions(durability="relaxed"))


async def revisions(call: Any, last: int, seen: list[int]) -> None:
    """Reads changes, up to the last one."""
    while not seen or seen[-1] < last:
        event = await call.read()
        if event.HasField("change"):
            seen.append(event.change.revision)


async def test_a_watcher_that_does_not_read_is_cut_off_and_holds_nothing(relaxed: EmbeddedStore) -> None:
    async with AsyncServer(relaxed, settings=SLOW) as server, grpc.aio.insecure_channel(server.address) as channel:
        running = server._running
        assert running is not None
        call = stub_of(channel).Watch(pb.WatchRequest(since_revision=0))
        await call.read()
        last = await asyncio.to_thread(write, relaxed, 20_000)  # over 8 MB, and flow control lets 4 through
        await asyncio.to_thread(assert_soon, lambda: not running._calls.of({WATCH}))
        seen: list[int] = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await revisions(call, last, seen)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert b"SLOW_CONSUMER" in dict(caught.value.trailing_metadata())["grpc-status-details-bin"]
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) < last
        # From there on, nothing is missing.
        await revisions(stub_of(channel).Watch(pb.WatchRequest(since_revision=seen[-1])), last, seen)
        assert seen == list(range(1, last + 1))
    relaxed.close()


def test_a_store_says_that_its_watcher_was_slow(relaxed: EmbeddedStore) -> None:
    with (
        relaxed,
        Server(relaxed, settings=SLOW) as server,
        RemoteStore(server.address) as remote,
        remote.watch(since=0) as watch,
    ):
        events = iter(watch)
        next(events)
        write(relaxed, 20_000)
        time.sleep(2)
        with pytest.raises(SlowConsumerError, match="go on from the last revision"):
            list(events)


def test_a_subscription_that_was_slow_goes_on_where_it_was(relaxed: EmbeddedStore) -> None:
    with relaxed, Server(relaxed, settings=SLOW) as server, RemoteVault(server.address, STRUCTURE) as vault:
        changes = vault.watch()
        last = write(relaxed, 20_000)
        time.sleep(2)
        assert [change.revision for change in islice(changes, last)] == list(range(1, last + 1))


STOPPED = """
import sys
from vault._sync.remote.store import RemoteStore
watch = RemoteStore(sys.argv[1]).watch(since=0)
for number, event in enumerate(watch):
    if number == 0:
        print("watching", flush=True)
"""


def test_clients_that_stop_reading_at_all_do_not_grow_the_server(relaxed: EmbeddedStore) -> None:
    """Stopped processes: not even their gRPC reads. The server's memory stays flat beside them."""
    count, room = 4, 48 << 20
    with relaxed, Server(relaxed, settings=SLOW) as server:
        inner = server._server
        assert inner is not None
        running = inner._running
        assert running is not None
        clients = [
            subprocess.Popen([sys.executable, "-c", STOPPED, server.address], stdout=subprocess.PIPE)
            for _ in range(count)
        ]
        try:
            for client in clients:
                assert client.stdout is not None
                assert client.stdout.readline() == b"watching\n"
                client.send_signal(signal.SIGSTOP)
            write(relaxed, 20_000)  # what any process needs that writes so much
            before = psutil.Process().memory_info().rss
            write(relaxed, 60_000)  # 100 MB for the four of them
            assert_soon(lambda: not running._calls.of({WATCH}))
            assert psutil.Process().memory_info().rss - before < room
        finally:
            for client in clients:
                client.kill()
                client.communicate()


def write_in_a_process(directory: str, number: int) -> None:
    with Vault(directory, STRUCTURE) as vault:
        for step in range(number):
            vault.upload("notes", TextWrapper(str(step)))


@pytest.mark.parametrize("where", ["the directory", "a server"])
def test_every_watcher_sees_every_revision_though_several_processes_write(where: str, tmp_path: Path) -> None:
    processes, each, watchers = 3, 60, 4
    with EmbeddedStore(tmp_path / "store") as store, Server(store) as server:
        location = str(tmp_path / "store") if where == "the directory" else f"grpc://{server.address}"
        vaults = [Vault(location, STRUCTURE) for _ in range(watchers)]
        watches = [vault.watch(since=0) for vault in vaults]
        fresh = multiprocessing.get_context("spawn")
        writers = [
            fresh.Process(target=write_in_a_process, args=(str(tmp_path / "store"), each)) for _ in range(processes)
        ]
        with ThreadPoolExecutor(watchers + 1) as threads:

            def follow(watch: Any) -> list[Change]:
                return list(islice(watch, processes * each))

            following = [threads.submit(follow, watch) for watch in watches]
            for writer in writers:
                writer.start()
            late = threads.submit(follow, vaults[0].watch(since=0))  # in the midst of it
            for writer in writers:
                writer.join(60)
                assert writer.exitcode == 0
            seen = [done.result(60) for done in [*following, late]]
        for changes in seen:
            assert [change.revision for change in changes] == list(range(1, processes * each + 1))
        for vault in vaults:
            vault.close()
        assert store.check(deep=True).ok
