"""A store that is closed while calls are under way: each of them is told so, and by nothing else."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from vault import ConnectionSettings
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.remote.store import RemoteStore
from vault.errors import ClosedError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec, new_data_id
from vault.store.values import Block, checksum
from vault_server import EmbeddedStore, Server

DATA = bytes(BLOCK_SIZE)
CHECKSUM = checksum(DATA)


@pytest.fixture
def address(store: EmbeddedStore) -> Iterator[str]:
    with Server(store) as server:
        yield server.address


def test_a_writer_is_told_that_its_store_is_closed(address: str) -> None:
    store = RemoteStore(address, ConnectionSettings(timeout=20))
    writer = store.upload("u", UploadSpec(new_data_id()))
    store.close()
    with pytest.raises(ClosedError):
        writer.commit(0)
    writer.abort()


async def test_a_task_that_uploads_is_told_and_not_cancelled(address: str) -> None:
    store = AsyncRemoteStore(address, ConnectionSettings(timeout=20))
    begun = asyncio.Event()

    async def upload() -> None:
        async with await store.upload("u", UploadSpec(new_data_id())) as writer:
            for index in range(1_000_000):
                await writer.write(Block(index * BLOCK_SIZE, DATA, CHECKSUM))
                begun.set()

    uploading = asyncio.create_task(upload())
    await begun.wait()
    await store.close()
    with pytest.raises(ClosedError):
        await asyncio.wait_for(uploading, 10)


async def test_tasks_that_ask_are_told(address: str) -> None:
    store = AsyncRemoteStore(address, ConnectionSettings(timeout=20))

    async def ask() -> None:
        while True:
            await store.list_units()

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    await asyncio.sleep(0.1)
    await store.close()
    outcomes = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 10)
    assert {type(outcome) for outcome in outcomes} == {ClosedError}


async def test_a_cancelled_task_stays_cancelled_when_the_store_closes_too(address: str) -> None:
    store = AsyncRemoteStore(address, ConnectionSettings(timeout=20))
    writer = await store.upload("u", UploadSpec(new_data_id()))

    async def write() -> None:
        for index in range(1_000_000):
            await writer.write(Block(index * BLOCK_SIZE, DATA, CHECKSUM))

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.1)
    writing.cancel()
    await store.close()
    with pytest.raises(asyncio.CancelledError):
        await writing


def _ask(store: RemoteStore) -> None:
    store.exists_many("u", [1])


def _watch(store: RemoteStore) -> None:
    with store.watch() as watch:
        next(iter(watch))


def _upload(store: RemoteStore) -> None:
    with store.upload("u", UploadSpec(new_data_id())) as writer:
        writer.write(Block(0, b"a", checksum(b"a")))
        writer.commit(1)


@pytest.mark.parametrize("call", [_ask, _watch, _upload])
def test_threads_that_call_as_the_store_closes_are_told(address: str, call: Callable[[RemoteStore], None]) -> None:
    for _ in range(5):
        store = RemoteStore(address, ConnectionSettings(timeout=20))
        outcomes: list[type[BaseException]] = []

        def repeat(store: RemoteStore = store, outcomes: list[type[BaseException]] = outcomes) -> None:
            try:
                while True:
                    call(store)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is compared below
                outcomes.append(type(error))

        threads = [threading.Thread(target=repeat) for _ in range(4)]
        for thread in threads:
            thread.start()
        call(store)
        store.close()
        for thread in threads:
            thread.join()
        assert outcomes == [ClosedError] * 4
    until = time.monotonic() + 10
    while (left := _threads_of_channels()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


LEAVING = """
import gc, sys, threading, time
from grpc._channel import _Rendezvous
from vault import ConnectionSettings, Vault
from tests.vault.places import STRUCTURE, Note

vault = Vault(sys.argv[1], STRUCTURE, connection=ConnectionSettings(timeout=20))
with vault.open_writer("notes") as done:
    done.write(bytes(9_000_000))
vault.load("notes", vault.upload("notes", Note("x"))).close()
reader = vault.open("notes", done.data_id)
reader.read(10)
writer = vault.open_writer("notes")
writer.write(bytes(2_500_000))
blocks = iter(vault._store.load("notes", done.data_id))
next(blocks)
kept = [reader, writer, blocks, vault.watch("notes"), vault._store.watch(["notes"])]
held = threading.Event()

def hold():
    for call in [each for each in gc.get_objects() if isinstance(each, _Rendezvous)]:
        call._state.condition.acquire()
    held.set()
    time.sleep(1000)

threading.Thread(target=hold, daemon=True).start()
held.wait()
sys.exit(3)
"""


def test_a_program_ends_while_a_thread_that_is_stopped_holds_the_locks_of_grpc(address: str) -> None:
    arguments = [sys.executable, "-W", "ignore", "-c", LEAVING, f"grpc://{address}"]
    assert subprocess.run(arguments, timeout=30, check=False).returncode == 3


def test_a_lock_of_grpc_that_is_never_released_holds_up_no_timeout_and_no_close(address: str) -> None:
    store = RemoteStore(address, ConnectionSettings(timeout=20))
    store.list_units()
    watches = [store.watch(), store.watch()]
    calls = [watch._receiver._call for watch in watches]  # type: ignore[attr-defined]
    let_go = threading.Event()

    def hold() -> None:
        with calls[0].stream._state.condition:
            held.set()
            let_go.wait()

    held = threading.Event()
    holding = threading.Thread(target=hold)
    holding.start()
    held.wait()
    watchdog = calls[1].connection.watchdog
    with watchdog.watching(calls[0], 0.1), watchdog.watching(calls[1], 0.2):
        until = time.monotonic() + 10
        while not calls[1].stream.cancelled():
            assert time.monotonic() < until
            time.sleep(0.01)
    began = time.monotonic()
    store.close()
    assert time.monotonic() - began < 15
    let_go.set()
    holding.join()


def _threads_of_channels() -> list[str]:
    """Ours only: gRPC keeps threads of its own for the whole process."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name in ("vault-replies", "vault-watchdog")]
