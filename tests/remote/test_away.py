"""Servers that are not there, are something else, go away or stand still."""

import asyncio
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from vault import ConnectionSettings
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.remote.store import RemoteStore
from vault.errors import ClosedError, InvalidArgumentError, ProtocolError, UnavailableError, VaultError
from vault.store.contract import BlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec, new_data_id
from vault.store.values import Block, checksum
from vault_server import EmbeddedStore, Server

from tests.faults.ports import held_port

DATA = bytes(BLOCK_SIZE)
BLOCK_CHECKSUM = checksum(DATA)


@pytest.fixture
def free_address() -> Iterator[str]:
    with held_port() as port:
        yield f"127.0.0.1:{port}"


def seconds(call: Callable[[], object], error: type[Exception], match: str) -> float:
    began = time.monotonic()
    with pytest.raises(error, match=match):
        call()
    return time.monotonic() - began


def test_an_address_nobody_listens_on_is_said_within_the_timeout(free_address: str) -> None:
    with RemoteStore(free_address, ConnectionSettings(timeout=1)) as store:
        for call in (
            store.list_units,
            lambda: store.load("u", 1),
            lambda: store.upload("u", UploadSpec(1)),
            store.watch,
        ):
            assert seconds(call, UnavailableError, f"no answer from {free_address} within 1 s.*refused") < 5


async def test_an_address_nobody_listens_on_is_said_within_the_timeout_async(free_address: str) -> None:
    async with AsyncRemoteStore(free_address, ConnectionSettings(timeout=1)) as store:
        with pytest.raises(UnavailableError, match=f"no answer from {free_address} within 1 s.*refused"):
            await store.list_units()
        with pytest.raises(UnavailableError, match=f"no answer from {free_address} within 1 s.*refused"):
            await store.upload("u", UploadSpec(1))


def test_where_nobody_listens_the_address_is_said_once_and_what_to_do(free_address: str, tmp_path: Path) -> None:
    for address in (free_address, f"unix:{tmp_path}/none"):
        with RemoteStore(address, ConnectionSettings(timeout=0.2)) as store, pytest.raises(UnavailableError) as caught:
            store.list_units()
        assert str(caught.value).count(address) == 1
        assert "`vault-grpc serve DIRECTORY --listen ADDRESS` starts one" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        "host:",
        ":50051",
        "host:0",
        "host:99999",
        "http://host:1",
        "grpc://",
        "a b:1",
        "[::1",
        "unix:",
        5,
        None,
    ],
)
def test_an_address_that_is_none_is_refused_before_any_io(address: str) -> None:
    with pytest.raises(InvalidArgumentError, match="bad address") as caught:
        RemoteStore(address)
    assert caught.value.reason == "BAD_ADDRESS"


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", None, True])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidArgumentError, match="bad timeout"):
        RemoteStore("127.0.0.1:1", ConnectionSettings(timeout=timeout))


@pytest.fixture
def web_address() -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_web_server_is_not_taken_for_one_of_ours(web_address: str) -> None:
    with (
        RemoteStore(web_address, ConnectionSettings(timeout=2)) as store,
        pytest.raises((ProtocolError, UnavailableError), match=web_address),
    ):
        store.list_units()


def test_a_grpc_server_of_another_kind_is_said_to_be_one() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with RemoteStore(f"127.0.0.1:{port}", ConnectionSettings(timeout=5)) as store:
            with pytest.raises(ProtocolError, match=r"does not speak vault\.v1"):
                store.list_units()
            with pytest.raises(ProtocolError, match=r"does not speak vault\.v1"):
                store.upload("u", UploadSpec(1))
    finally:
        server.stop(None).wait()


@pytest.fixture
def silent_address() -> Iterator[str]:
    """Takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_never_answers_ends_in_a_timeout(silent_address: str) -> None:
    with RemoteStore(silent_address, ConnectionSettings(timeout=0.5)) as store:
        for call in (store.list_units, lambda: store.load("u", 1), lambda: store.upload("u", UploadSpec(1))):
            assert seconds(call, UnavailableError, silent_address) < 5


class Process:
    """A real server process."""

    def __init__(self, directory: Path) -> None:
        command = Path(sys.executable).with_name("vault-grpc")
        self._process = subprocess.Popen(
            [command, "serve", directory, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().split()[-1]

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    started = Process(tmp_path / "store")
    yield started
    started.end()


def upload(store: RemoteStore, blocks: int, name: str | None = None) -> int:
    spec = UploadSpec(new_data_id(), name=name)
    with store.upload("u", spec) as writer:
        for index in range(blocks):
            writer.write(Block(index * BLOCK_SIZE, DATA, BLOCK_CHECKSUM))
        return writer.commit(blocks * BLOCK_SIZE).data_id


def test_a_server_killed_in_the_middle_of_a_download_ends_it(process: Process) -> None:
    with RemoteStore(process.address, ConnectionSettings(timeout=5)) as store:
        data_id = upload(store, 64)
        reader = store.load("u", data_id)
        assert isinstance(reader, BlockReader)
        with reader, pytest.raises(UnavailableError, match=process.address):  # the loop is what raises
            for number, _ in enumerate(reader):
                if number == 2:
                    process.signal(signal.SIGKILL)


def test_a_server_killed_in_the_middle_of_an_upload_leaves_nothing(process: Process, tmp_path: Path) -> None:
    with (
        RemoteStore(process.address, ConnectionSettings(timeout=5)) as store,
        store.upload("u", UploadSpec(7)) as writer,
    ):
        writer.write(Block(0, DATA, BLOCK_CHECKSUM))
        process.signal(signal.SIGKILL)
        with pytest.raises(UnavailableError, match=process.address):  # at whichever call it shows
            for index in range(1, 64):
                writer.write(Block(index * BLOCK_SIZE, DATA, BLOCK_CHECKSUM))
            writer.commit(64 * BLOCK_SIZE)
    process.end()
    with EmbeddedStore(tmp_path / "store") as store_again:
        assert store_again.list_units() == []
        assert store_again.check(deep=True).ok


def test_a_server_that_stands_still_is_given_up_after_the_timeout(process: Process) -> None:
    with RemoteStore(process.address, ConnectionSettings(timeout=1)) as store:
        data_id = upload(store, 64)
        reader = store.load("u", data_id)
        assert isinstance(reader, BlockReader)
        with reader:
            process.signal(signal.SIGSTOP)
            assert seconds(lambda: sum(1 for _ in reader), UnavailableError, "no progress for 1 s") < 5
        with pytest.raises(UnavailableError, match=process.address):
            upload(store, 1)
        process.signal(signal.SIGCONT)
        assert store.exists_many("u", [data_id]) == [1]


def test_an_upload_to_a_server_that_stands_still_waits_and_does_not_pile_up(process: Process) -> None:
    with (
        RemoteStore(process.address, ConnectionSettings(timeout=1)) as store,
        store.upload("u", UploadSpec(7)) as writer,
    ):
        process.signal(signal.SIGSTOP)
        written = 0
        with pytest.raises(UnavailableError, match="no progress"):  # at whichever write it shows
            for index in range(256):
                writer.write(Block(index * BLOCK_SIZE, DATA, BLOCK_CHECKSUM))
                written += 1
        assert written < 32  # sockets' buffers and two messages, not the object
        process.signal(signal.SIGCONT)


def test_a_refusal_in_the_middle_of_an_upload_reaches_the_sender(process: Process) -> None:
    with (
        RemoteStore(process.address, ConnectionSettings(timeout=5)) as store,
        store.upload("u", UploadSpec(7)) as writer,
    ):
        with pytest.raises(VaultError) as caught:  # at whichever write it shows
            for index in range(64):
                writer.write(Block(index * BLOCK_SIZE, DATA, BLOCK_CHECKSUM + (index == 3)))
            writer.commit(64 * BLOCK_SIZE)
        assert caught.value.reason == "CHECKSUM_MISMATCH"


def test_closing_ends_what_is_running(process: Process) -> None:
    store = RemoteStore(process.address, ConnectionSettings(timeout=30))
    data_id = upload(store, 64)
    watch = store.watch()
    ended = threading.Event()

    def follow() -> None:
        with pytest.raises(ClosedError):
            for _ in watch:
                pass
        ended.set()

    thread = threading.Thread(target=follow)
    thread.start()
    reader = store.load("u", data_id)
    assert isinstance(reader, BlockReader)
    store.close()
    store.close()
    assert ended.wait(10)
    thread.join()
    with pytest.raises(ClosedError):
        sum(1 for _ in reader)
    with pytest.raises(ClosedError):
        store.list_units()


async def test_a_cancelled_task_cancels_its_upload_and_nothing_else(store: EmbeddedStore) -> None:
    with Server(store) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            begun = asyncio.Event()

            async def write_for_ever() -> None:
                async with await remote.upload("u", UploadSpec(7)) as writer:
                    for index in range(1_000_000):
                        await writer.write(Block(index * BLOCK_SIZE, DATA, BLOCK_CHECKSUM))
                        begun.set()

            task = asyncio.create_task(write_for_ever())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await remote.list_units() == []


def test_another_event_loop_is_told_to_make_its_own(store: EmbeddedStore) -> None:
    with Server(store) as server:
        remote = AsyncRemoteStore(server.address, ConnectionSettings(timeout=5))

        async def close() -> None:
            await remote.list_units()

        async def from_another() -> None:
            with pytest.raises(InvalidArgumentError, match="event loop"):
                await remote.list_units()

        first = asyncio.new_event_loop()
        try:
            first.run_until_complete(close())
            asyncio.run(from_another())
            first.run_until_complete(remote.close())
        finally:
            first.close()
