"""One server on several addresses: one service, one set of limits, one drain."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from vault._sync.remote.store import RemoteStore
from vault.errors import ClosedError, InvalidArgumentError, UnavailableError
from vault.store.specs import SmallUpload, UploadSpec
from vault.store.values import checksum
from vault.v1 import vault_pb2 as pb
from vault_server import AsyncServer, EmbeddedStore, Server, ServerSettings

from tests.server.process import Serve, Served
from tests.server.raw_calls import start, stub_of


@asynccontextmanager
async def channels(addresses: tuple[str, ...]) -> AsyncIterator[list[grpc.aio.Channel]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(grpc.aio.insecure_channel(each)) for each in addresses]


def listeners(tmp_path: Path) -> list[str]:
    return ["127.0.0.1:0", f"unix:{tmp_path / 'socket'}", "localhost:0"]


def test_what_is_written_at_one_address_is_read_at_each(store: EmbeddedStore, tmp_path: Path) -> None:
    with Server(store, listeners(tmp_path)) as server:
        assert server.address == server.addresses[0]
        assert len(set(server.addresses)) == 3
        for number, address in enumerate(server.addresses, 1):
            with RemoteStore(address) as remote:
                remote.upload_many("notes", [SmallUpload(UploadSpec(number), b"x", checksum(b"x"))])
                assert all(remote.exists_many("notes", range(1, number + 1)))
    assert not (tmp_path / "socket").exists()
    assert store.check(deep=True).ok


async def test_limits_are_those_of_all_listeners_together(store: EmbeddedStore, tmp_path: Path) -> None:
    settings = ServerSettings(max_transfers=1)
    async with (
        AsyncServer(store, listeners(tmp_path), settings=settings) as server,
        channels(server.addresses) as reached,
    ):
        upload = stub_of(reached[0]).Upload()
        await upload.write(start(1))
        await upload.read()
        other = stub_of(reached[1]).Upload()
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # when it is refused already
            await other.write(start(2))
        assert await other.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        upload.cancel()


async def test_a_drain_ends_the_watches_and_health_of_all(store: EmbeddedStore, tmp_path: Path) -> None:
    server = AsyncServer(store, listeners(tmp_path))
    await server.start()
    async with channels(server.addresses) as reached:
        watches = [stub_of(channel).Watch(pb.WatchRequest()) for channel in reached]
        health = [health_pb2_grpc.HealthStub(each).Watch(health_pb2.HealthCheckRequest()) for each in reached]
        upload = stub_of(reached[0]).Upload()  # it is waited for
        await upload.write(start(1))
        for call in [upload, *watches, *health]:
            await call.read()
        stopping = asyncio.create_task(server.stop())
        for call in health:
            assert (await call.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        for call in watches:
            with pytest.raises(grpc.aio.AioRpcError, match="stopping"):
                await call.read()
        upload.cancel()
        await stopping


@pytest.mark.parametrize("wrong", [[], ["127.0.0.1:0", "nowhere"]])
def test_an_address_that_is_none_is_refused(store: EmbeddedStore, wrong: list[str]) -> None:
    for make in (Server, AsyncServer):
        with pytest.raises(InvalidArgumentError) as caught:
            make(store, wrong)
        assert caught.value.reason == "BAD_ADDRESS"


def test_where_one_address_is_taken_none_is_served(store: EmbeddedStore) -> None:
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        free.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in (free, taken)]
        free.close()
        server = Server(store, addresses)
        with pytest.raises(UnavailableError) as caught:
            server.start()
        assert caught.value.reason == "ADDRESS_IN_USE"
        with pytest.raises(ClosedError):
            _ = server.addresses
        with socket.socket() as again:
            again.bind(("127.0.0.1", int(addresses[0].rpartition(":")[2])))


def addresses_of(served: Served, count: int) -> list[str]:
    assert served.process.stdout is not None
    lines = [served.line, *(served.process.stdout.readline() for _ in range(count - 1))]
    return [line.rpartition(" ")[2].strip() for line in lines]


@pytest.mark.parametrize("how", ["flags", "variable", "file"])
def test_the_command_listens_wherever_it_is_told_to(serve: Serve, tmp_path: Path, how: str) -> None:
    wanted = ["127.0.0.1:0", f"unix:{tmp_path / 'socket'}"]
    options: list[str | Path] = []
    environment: dict[str, str] = {}
    if how == "flags":
        options = [each for address in wanted for each in ("--listen", address)]
    elif how == "variable":
        environment["VAULT_GRPC_SERVE_LISTEN"] = " ".join(wanted)
    else:
        (tmp_path / "config").write_text(f"listen = {wanted}")
        options = ["--config", tmp_path / "config"]
    served = serve(tmp_path / "store", *options, env=environment)
    for address in addresses_of(served, 2):
        with RemoteStore(address) as remote:
            assert remote.list_units() == []


def test_workers_share_several_ports(serve: Serve, tmp_path: Path) -> None:
    two = ("--listen", "127.0.0.1:0", "--listen", "localhost:0")
    found = addresses_of(serve(tmp_path / "store", *two, "--workers", "2"), 2)
    assert len(set(found)) == 2
    for address in found:
        with RemoteStore(address) as remote:
            assert remote.list_units() == []
