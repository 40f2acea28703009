"""A store that is closed while calls are under way: each of them is told so, and by nothing else."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from vault._async.remote import AsyncRemoteStore
from vault._sync.remote import RemoteStore
from vault.errors import ClosedError
from vault.model import Block, UploadSpec, checksum, new_data_id
from vault.rules import BLOCK_SIZE
from vault_server import EmbeddedStore, Server

DATA = bytes(BLOCK_SIZE)
CHECKSUM = checksum(DATA)


@pytest.fixture
def address(store: EmbeddedStore) -> Iterator[str]:
    with Server(store) as server:
        yield server.address


def test_a_writer_is_told_that_its_store_is_closed(address: str) -> None:
    store = RemoteStore(address, timeout=20)
    writer = store.upload("u", UploadSpec(new_data_id()))
    store.close()
    with pytest.raises(ClosedError):
        writer.commit(0)
    writer.abort()


async def test_a_task_that_uploads_is_told_and_not_cancelled(address: str) -> None:
    store = AsyncRemoteStore(address, timeout=20)
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
    store = AsyncRemoteStore(address, timeout=20)

    async def ask() -> None:
        while True:
            await store.list_units()

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    await asyncio.sleep(0.1)
    await store.close()
    outcomes = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 10)
    assert {type(outcome) for outcome in outcomes} == {ClosedError}


async def test_a_cancelled_task_stays_cancelled_when_the_store_closes_too(address: str) -> None:
    store = AsyncRemoteStore(address, timeout=20)
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
        store = RemoteStore(address, timeout=20)
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


def _threads_of_channels() -> list[str]:
    """Ours only: gRPC keeps threads of its own for the whole process."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name in ("vault-replies", "vault-watchdog")]
