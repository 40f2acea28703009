"""Servers of one's own: interceptors, services, Stores; what failures look like from outside and in the log."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from vault import AsyncRemoteStore, ConnectionSettings, RemoteStore
from vault.errors import InvalidArgumentError, NotFoundError, StorageFullError, UnavailableError
from vault.store.contract import AsyncBlockWriter
from vault.store.specs import UploadSpec
from vault.store.threaded import ThreadedStore
from vault.store.values import Key, ObjectInfo, checksum
from vault.testing.store.objects import blocks_of
from vault.v1 import vault_pb2 as pb
from vault_server import AsyncEmbeddedStore, AsyncServer, EmbeddedStore, ServerSettings, Service

from tests.server.raw_calls import Stub, block, load, say, start, stub_of, told, whole
from tests.server.staging import nothing_staged

UPPER = "tests.Upper"


def add_upper(server: grpc.aio.Server) -> None:
    """A service without generated code: bytes in, the same in capitals out."""

    async def shout(request: bytes, context: object) -> bytes:
        if not request:
            raise NotFoundError("nothing to shout", unit="tests")
        return request.upper()

    async def repeat(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        for _ in range(3):
            await context.write(request)

    async def fail(request: bytes, context: object) -> AsyncIterator[bytes]:
        yield request
        raise RuntimeError("a secret of the server")

    def blocking(request: bytes, context: object) -> bytes:
        return request.lower()

    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                UPPER,
                {
                    "Shout": grpc.unary_unary_rpc_method_handler(shout),
                    "Repeat": grpc.unary_stream_rpc_method_handler(repeat),
                    "Fail": grpc.unary_stream_rpc_method_handler(fail),
                    "Blocking": grpc.unary_unary_rpc_method_handler(blocking),
                },
            ),
        )
    )


def unary(channel: grpc.aio.Channel, method: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    return channel.unary_unary(f"/{UPPER}/{method}")


def stream(channel: grpc.aio.Channel, method: str) -> "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]":
    return channel.unary_stream(f"/{UPPER}/{method}")


async def test_an_own_service_is_served_with_health_and_errors_like_ours(
    store: EmbeddedStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        AsyncServer(store, services=[Service(UPPER, add_upper)]) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        assert await unary(channel, "Shout")(b"hey") == b"HEY"
        assert await unary(channel, "Blocking")(b"HEY") == b"hey"
        assert [each async for each in stream(channel, "Repeat")(b"x")] == [b"x"] * 3
        reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=UPPER))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unary(channel, "Shout")(b"")
        error = told(caught.value)
        assert (type(error), error.context["unit"]) == (NotFoundError, "tests")

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            [each async for each in stream(channel, "Fail")(b"x")]
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert told(caught.value).reason == "INTERNAL"
        assert "secret" not in str(caught.value)
    failed = [record for record in caplog.records if record.message == "rpc failed"]
    assert len(failed) == 1
    assert failed[0].levelno == logging.ERROR
    assert failed[0].exc_info
    assert "a secret of the server" in str(failed[0].exc_info[1])


async def test_every_call_is_one_log_line(store: EmbeddedStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "vault_server.rpc")
    async with AsyncServer(store) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub = stub_of(channel)
        await say(stub, whole(b"x"))
        with pytest.raises(grpc.aio.AioRpcError):
            await load(stub, 9)
    lines = [vars(record) for record in caplog.records if record.name == "vault_server.rpc"]
    assert [(line["rpc"], line["code"], line["levelname"]) for line in lines] == [
        ("/vault.v1.VaultService/Upload", "OK", "DEBUG"),
        ("/vault.v1.VaultService/Load", "NOT_FOUND", "INFO"),
    ]
    assert lines[1]["reason"] == "OBJECT_NOT_FOUND"
    assert all(line["milliseconds"] > 0 and line["peer"] for line in lines)


class Guard(grpc.aio.ServerInterceptor):
    """Lets nobody in without the word."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        metadata = dict(handler_call_details.invocation_metadata)
        match metadata.get("word"):
            case "please":
                return await continuation(handler_call_details)
            case "crash":
                raise RuntimeError("a secret of the guard")
            case _:
                raise InvalidArgumentError("say please", reason="INVALID_ARGUMENT", word="please")


async def test_an_own_interceptor_decides_and_its_errors_are_told(store: EmbeddedStore) -> None:
    async with (
        AsyncServer(store, interceptors=[Guard()]) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = stub_of(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListUnits(pb.ListUnitsRequest())
        assert told(caught.value).context == {"word": "please"}
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            [reply async for reply in stub.Load(pb.LoadRequest(), metadata=[("word", "crash")])]
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in str(caught.value)
        assert (await stub.ListUnits(pb.ListUnitsRequest(), metadata=[("word", "please")])).revision == 0


async def test_calls_over_the_limit_are_told_to_wait(store: EmbeddedStore) -> None:
    async with (
        AsyncServer(store, settings=ServerSettings(max_concurrent_rpcs=1)) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = stub_of(channel)
        watch = stub.Watch(pb.WatchRequest())
        await watch.read()  # not counted
        upload = stub.Upload()
        await upload.write(start())
        await upload.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListUnits(pb.ListUnitsRequest())
        error = told(caught.value)
        assert (type(error), error.reason, error.context["limit"]) == (UnavailableError, "OVERLOADED", 1)
        assert error.context["retry_after"] > 0
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        upload.cancel()
        watch.cancel()


async def test_a_closed_store_is_an_unavailable_server(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "own")
    async with AsyncServer(store) as server, grpc.aio.insecure_channel(server.address) as channel:
        store.close()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub_of(channel).ListUnits(pb.ListUnitsRequest())
        assert type(told(caught.value)) is UnavailableError


async def test_a_method_that_nobody_has_is_unimplemented(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(channel, "Nonsense")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


class Delegate(ThreadedStore):
    """Somebody's own Store, which breaks in its own ways."""

    async def exists_many(self, unit: str, keys: Sequence[Key]) -> list[int]:
        if unit == "broken":
            raise ZeroDivisionError("a secret of the store")
        raise StorageFullError("the disk is full", unit=unit)


async def test_what_an_own_store_raises_is_told_if_it_is_ours_and_kept_if_not(store: EmbeddedStore) -> None:
    own = Delegate(store)
    async with AsyncServer(own) as server, grpc.aio.insecure_channel(server.address) as channel:
        stub = stub_of(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Exists(pb.ExistsRequest(unit="u"))
        error = told(caught.value)
        assert (type(error), error.context, caught.value.code()) == (
            StorageFullError,
            {"unit": "u"},
            grpc.StatusCode.RESOURCE_EXHAUSTED,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Exists(pb.ExistsRequest(unit="broken"))
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in str(caught.value)
    await own.close()


class TestThreadedStore:
    """Any Store, in threads: held here against the same dialogues as the embedded store's own async face."""

    @pytest.fixture
    async def threaded(self, store: EmbeddedStore) -> AsyncIterator[ThreadedStore]:
        opened = ThreadedStore(store)
        yield opened
        await opened.close()

    @pytest.fixture
    async def served(self, threaded: ThreadedStore) -> AsyncIterator[Stub]:
        async with AsyncServer(threaded) as server, grpc.aio.insecure_channel(server.address) as channel:
            yield stub_of(channel)

    async def test_objects_go_in_and_out(self, served: Stub) -> None:
        data = bytes(range(256)) * 10_000
        info = (await say(served, whole(data, name="n")))[-1].info
        assert await load(served, 1) == data
        stated = await served.Stat(pb.StatRequest(unit="u", keys=[pb.Key(name="n")]))
        assert stated.items[0].info == info
        assert list((await served.ListUnits(pb.ListUnitsRequest())).units) == ["u"]
        assert [each.data_id for each in (await served.List(pb.ListRequest(unit="u"))).objects] == [1]

    async def test_a_cancelled_upload_leaves_nothing(self, served: Stub, store: EmbeddedStore, tmp_path: Path) -> None:
        upload = served.Upload()
        for each in (start(), block(0, bytes(1 << 20))):
            await upload.write(each)
        await upload.read()
        upload.cancel()
        await nothing_staged(tmp_path)
        assert store.list_units() == []

    async def test_a_watch_ends_with_its_server_and_leaves_no_thread(self, store: EmbeddedStore) -> None:
        before = set(threading.enumerate())
        threaded = ThreadedStore(store)
        async with AsyncServer(threaded) as server, grpc.aio.insecure_channel(server.address) as channel:
            watch = stub_of(channel).Watch(pb.WatchRequest())
            events = aiter(watch)
            await anext(events)
            await say(stub_of(channel), whole(b"x"))
            while (await anext(events)).WhichOneof("event") == "progress":
                continue
            begun = time.monotonic()
            await server.stop(20)
            assert time.monotonic() - begun < 10
        await threaded.close()
        left = [each.name for each in set(threading.enumerate()) - before]
        assert not [name for name in left if name.startswith(("vault-watch", "vault-store"))]


class SlowToBegin(AsyncEmbeddedStore):
    """As one that reads again what it has of a large write before it goes on with it."""

    async def upload(self, unit: str, spec: UploadSpec, *, resumable: bool = False) -> AsyncBlockWriter:
        await asyncio.sleep(2.5)
        return await super().upload(unit, spec, resumable=resumable)


class TestAWriteThatTakesLongToBegin:
    @pytest.mark.parametrize("face", ["sync", "async"])
    async def test_is_waited_for_beyond_the_timeout(self, tmp_path: Path, face: str) -> None:
        data = bytes(range(256)) * 10_000

        def write(address: str) -> ObjectInfo:
            with (
                RemoteStore(address, ConnectionSettings(timeout=1)) as remote,
                remote.upload("u", UploadSpec(7)) as writer,
            ):
                for each in blocks_of(data):
                    writer.write(each)
                return writer.commit(len(data))

        async def write_async(address: str) -> ObjectInfo:
            async with (
                AsyncRemoteStore(address, ConnectionSettings(timeout=1)) as remote,
                await remote.upload("u", UploadSpec(7)) as writer,
            ):
                for each in blocks_of(data):
                    await writer.write(each)
                return await writer.commit(len(data))

        async with SlowToBegin(tmp_path / "store") as store, AsyncServer(store) as server:
            info = await (write_async(server.address) if face == "async" else asyncio.to_thread(write, server.address))
            assert (info.size, info.checksum) == (len(data), checksum(data))
            assert (await store.changes(0))[0] == 1

    async def test_tells_that_it_is_at_work_and_leaves_nothing_when_its_client_goes(self, tmp_path: Path) -> None:
        async with (
            SlowToBegin(tmp_path / "store") as store,
            AsyncServer(store) as server,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            upload = stub_of(channel).Upload()
            await upload.write(start())
            reply = await upload.read()
            assert isinstance(reply, pb.UploadResponse)
            assert reply.WhichOneof("part") is None
            upload.cancel()
            await nothing_staged(tmp_path)
            assert await store.exists_many("u", [1]) == [0]
