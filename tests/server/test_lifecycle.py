"""Starting, stopping and draining; addresses; health and reflection."""

import asyncio
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from vault.errors import ClosedError, InvalidArgumentError, UnavailableError
from vault.store import Store
from vault.v1 import vault_pb2 as pb
from vault_server import AccessSettings, AsyncEmbeddedStore, AsyncServer, EmbeddedStore, Server

from tests.server.raw_calls import Stub, block, commit, load, say, start, stub_of, told, whole
from tests.server.staging import staged

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
BLOCK = bytes(1 << 20)


async def health_of(channel: grpc.aio.Channel, service: str = "") -> int:
    reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return int(reply.status)


@pytest.mark.parametrize("service", ["", "vault.v1.VaultService"])
async def test_a_running_server_is_serving(channel: grpc.aio.Channel, service: str) -> None:
    assert await health_of(channel, service) == SERVING


async def test_health_of_an_unknown_service_is_not_found(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health_of(channel, "no.such.Service")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_drain_lets_a_running_upload_finish_and_refuses_new_calls(
    server: AsyncServer, channel: grpc.aio.Channel, stub: Stub, store: EmbeddedStore
) -> None:
    upload = stub.Upload()
    await upload.write(start())
    await upload.read()
    health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
    statuses = aiter(health)
    assert (await anext(statuses)).status == SERVING

    stopping = asyncio.create_task(server.stop(30))
    assert (await anext(statuses)).status == NOT_SERVING
    assert await health_of(channel, "vault.v1.VaultService") == NOT_SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListUnits(pb.ListUnitsRequest())
    assert isinstance(told(caught.value), UnavailableError)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    for request in (block(0, BLOCK), commit(len(BLOCK))):
        await upload.write(request)
    await upload.done_writing()
    last = await upload.read()
    assert isinstance(last, pb.UploadResponse)
    info = last.info
    assert info.size == len(BLOCK)
    await stopping
    assert store.exists_many("u", [1]) == [info.generation]


async def test_what_is_not_finished_within_the_grace_is_cancelled_and_leaves_nothing(
    server: AsyncServer, stub: Stub, store: EmbeddedStore, tmp_path: Path
) -> None:
    upload = stub.Upload()
    for request in (start(), block(0, BLOCK)):
        await upload.write(request)
    await upload.read()
    begun = time.monotonic()
    await server.stop(0.3)
    assert 0.25 < time.monotonic() - begun < 5
    assert store.list_units() == []
    assert staged(tmp_path) == []


async def test_watches_end_at_once_and_do_not_hold_the_drain(
    server: AsyncServer, channel: grpc.aio.Channel, stub: Stub
) -> None:
    watch = stub.Watch(pb.WatchRequest())
    health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
    events = aiter(watch)
    await anext(events)
    await anext(aiter(health))
    begun = time.monotonic()
    await server.stop(30)
    assert time.monotonic() - begun < 2
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [event async for event in events]
    error = told(caught.value)
    assert isinstance(error, UnavailableError)
    assert "stopping" in str(error)


async def test_stopping_is_harmless_when_repeated_or_never_started(store: EmbeddedStore) -> None:
    server = AsyncServer(store)
    with pytest.raises(ClosedError, match="before it is started"):
        _ = server.address
    await server.start()
    await server.start()
    await asyncio.gather(server.stop(), server.stop(), server.wait())
    await server.stop()
    with pytest.raises(ClosedError, match="make another"):
        await server.start()
    await AsyncServer(store).stop()


@pytest.mark.parametrize("make", [Server, AsyncServer])
@pytest.mark.parametrize("store", ["a path", Path("a path"), None, Store, AsyncEmbeddedStore])
async def test_what_is_no_store_is_refused_at_once(make: Callable[[Any], object], store: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"takes a Store or an AsyncStore.*EmbeddedStore\(") as caught:
        make(store)
    assert caught.value.reason == "BAD_LOCATION"


async def test_the_store_stays_open_when_its_server_stops(tmp_path: Path) -> None:
    async with AsyncEmbeddedStore(tmp_path / "own") as store:
        for _ in range(2):
            async with AsyncServer(store):
                continue
        assert await store.list_units() == []


async def test_two_servers_may_serve_one_store(store: EmbeddedStore) -> None:
    async with AsyncServer(store) as one, AsyncServer(store) as other:
        assert one.address != other.address
        async with (
            grpc.aio.insecure_channel(one.address) as left,
            grpc.aio.insecure_channel(other.address) as right,
        ):
            await say(stub_of(left), whole(b"shared"))
            assert await load(stub_of(right), 1) == b"shared"


class TestAddresses:
    """Where a server listens, and what is said where it cannot."""

    @pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "[::1]:0"])
    async def test_the_address_has_the_real_port(self, listen: str, store: EmbeddedStore) -> None:
        async with AsyncServer(store, listen) as server:
            host, _, port = server.address.rpartition(":")
            assert host == listen.rpartition(":")[0]
            assert int(port) > 0
            async with grpc.aio.insecure_channel(server.address) as channel:
                assert await health_of(channel) == SERVING

    async def test_a_unix_socket_works_and_is_gone_afterwards(self, store: EmbeddedStore, tmp_path: Path) -> None:
        path = tmp_path / "vault.sock"
        async with AsyncServer(store, f"unix:{path}") as server:
            assert server.address == f"unix:{path}"
            async with grpc.aio.insecure_channel(server.address) as channel:
                assert await health_of(channel) == SERVING
        assert not path.exists()

    async def test_the_socket_file_of_a_dead_server_is_replaced(self, store: EmbeddedStore, tmp_path: Path) -> None:
        path = tmp_path / "vault.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        async with AsyncServer(store, f"unix:{path}") as server, grpc.aio.insecure_channel(server.address) as channel:
            assert await health_of(channel) == SERVING

    async def test_the_socket_of_a_living_server_is_left_alone(self, store: EmbeddedStore, tmp_path: Path) -> None:
        listen = f"unix:{tmp_path / 'vault.sock'}"
        async with AsyncServer(store, listen) as server:
            with pytest.raises(UnavailableError, match="another server") as caught:
                await AsyncServer(store, listen).start()
            assert caught.value.reason == "ADDRESS_IN_USE"
            async with grpc.aio.insecure_channel(server.address) as channel:
                assert await health_of(channel) == SERVING

    async def test_a_port_in_use_is_said_to_be(self, server: AsyncServer, store: EmbeddedStore) -> None:
        with pytest.raises(UnavailableError, match="another program") as caught:
            await AsyncServer(store, server.address).start()
        assert caught.value.reason == "ADDRESS_IN_USE"

    @pytest.mark.parametrize(
        "listen",
        [
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:70000",
            "127.0.0.1:-1",
            ":1",
            "a:b:1",
            "[::zz]:1",
            "unix:",
            "unix:" + "x" * 200,
        ],
    )
    def test_what_is_no_address_is_refused_before_anything_starts(self, listen: str, store: EmbeddedStore) -> None:
        for kind in (AsyncServer, Server):
            with pytest.raises(InvalidArgumentError, match="HOST:PORT") as caught:
                kind(store, listen)
            assert caught.value.reason == "BAD_ADDRESS"

    @pytest.mark.parametrize("listen", ["unix:{}/no/folder/sock", "unix:{}", "203.0.113.1:0", "no-such-host.invalid:0"])
    async def test_where_it_cannot_listen_it_says_why(self, listen: str, store: EmbeddedStore, tmp_path: Path) -> None:
        anywhere = AccessSettings(insecure_plaintext=True, insecure_anonymous=True)
        with pytest.raises(InvalidArgumentError, match="cannot listen on") as caught:
            await AsyncServer(store, listen.format(tmp_path), access=anywhere).start()
        assert caught.value.reason == "BAD_ADDRESS"


class TestSyncServer:
    """`Server`, used from threads."""

    def test_it_serves_and_leaves_no_thread(self, tmp_path: Path, no_thread_left: None) -> None:
        with EmbeddedStore(tmp_path / "own") as store, Server(store) as server:
            with grpc.insecure_channel(server.address) as channel:
                reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
            assert reply.status == SERVING
            assert not server.wait(0)

    def test_it_is_stopped_from_any_thread(self, store: EmbeddedStore) -> None:
        server = Server(store)
        server.start()
        server.start()
        threads = [threading.Thread(target=server.stop) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert server.wait(10)
        for thread in threads:
            thread.join()
        server.stop()
        with pytest.raises(ClosedError):
            server.start()

    def test_it_raises_what_keeps_it_from_starting(self, store: EmbeddedStore) -> None:
        with Server(store) as server:
            second = Server(store, server.address)
            with pytest.raises(ClosedError):
                _ = second.address
            with pytest.raises(UnavailableError, match="another program"):
                second.start()
            second.stop()
        assert "vault-server" not in {thread.name for thread in threading.enumerate()}

    def test_a_store_for_event_loops_may_be_served_too(self, tmp_path: Path) -> None:
        store = AsyncEmbeddedStore(tmp_path / "own")
        try:
            with Server(store) as server, grpc.insecure_channel(server.address) as channel:
                reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
                assert reply.status == health_pb2.HealthCheckResponse.SERVING
        finally:
            asyncio.run(store.close())


READER = """
import sys, time
import grpc
from vault.v1 import vault_pb2 as pb
from vault.v1.vault_pb2_grpc import VaultServiceStub
call = VaultServiceStub(grpc.insecure_channel(sys.argv[1])).Load(pb.LoadRequest(unit="u", key=pb.Key(data_id=1)))
next(call)
print("reading", flush=True)
time.sleep(60)
"""


async def test_a_client_killed_in_the_middle_of_a_load_is_no_failure_of_the_server(
    server: AsyncServer, stub: Stub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "vault_server.rpc")
    await say(stub, whole(BLOCK * 40))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READER, server.address, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    process.kill()
    await process.communicate()
    async with asyncio.timeout(10):
        # The line comes when gRPC has noticed, which it tells nobody else.
        while [vars(each).get("code") for each in caplog.records] != ["OK", "CANCELLED"]:  # noqa: ASYNC110  # see above
            await asyncio.sleep(0.01)
    assert {record.levelname for record in caplog.records if record.name == "vault_server.rpc"} == {"DEBUG"}
