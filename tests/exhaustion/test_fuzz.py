"""Every RPC under messages that are almost right: each is answered for what it is, and nothing comes of it."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from vault import BytesWrapper, RemoteVault
from vault.errors import InvalidArgumentError, ProtocolError
from vault_server import AsyncServer, EmbeddedStore, ServerSettings, Service

from tests.server.process import COMMAND
from tests.server.raw_calls import told
from torture.hostile_clients.fuzz import METHODS, fuzz, large
from torture.hostile_clients.http2 import SERVICE, Connection

pytestmark = pytest.mark.slow


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, Path]]:
    """A server as a process: its address, and its log."""
    log = folder / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [COMMAND, "serve", folder / "store", "--listen", "127.0.0.1:0", "--durability", "relaxed", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            yield process.stdout.readline().rpartition(" ")[2].strip(), log
        finally:
            process.terminate()
            process.wait(30)
    assert process.returncode == 0


def assert_sound(folder: Path) -> None:
    """The log holds no trace, and the store nothing that is wrong."""
    text = (folder / "log").read_text()
    assert "Traceback" not in text, text[:5000]
    with EmbeddedStore(folder / "store") as store:
        report = store.check(deep=True)
    assert report.ok, report.problems


def test_mutated_requests_are_answered_and_do_nothing_else(tmp_path: Path) -> None:
    seed = int.from_bytes(tmp_path.name.encode()[-2:], "big")
    with serving(tmp_path) as (address, log):
        outcome = asyncio.run(fuzz(address, seed, 1200))
        assert outcome.violations == []
        assert {"OK", "INVALID_ARGUMENT", "UNIMPLEMENTED"} <= set(outcome.codes)
        with RemoteVault(address, {"u": (BytesWrapper, 0)}) as vault:
            vault.set_unit_limits("u")  # which one of them may have set
            data_id = vault.upload("u", BytesWrapper(b"still here"))
            assert vault.exists("u", data_id)
    assert log.stat().st_size < 200_000
    assert_sound(tmp_path)


@pytest.mark.parametrize("method", [each.name for each in METHODS])
async def test_bytes_that_are_no_message_are_told_so(method: str, store: EmbeddedStore) -> None:
    async with AsyncServer(store) as server, grpc.aio.insecure_channel(server.address) as channel:
        for raw in (b"\xff", b"\x0a\xff", b"\x0a\x02\xff\xfe", b"\x08" + b"\xff" * 11):
            if method in ("GetCapabilities", "ListUnits", "WhoAmI") and raw == b"\x0a\x02\xff\xfe":
                continue  # they have no fields: it is one that they do not know
            call: Any = channel.stream_stream(SERVICE + method)()
            await call.write(raw)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                while await call.read() is not grpc.aio.EOF:
                    pass
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert isinstance(told(caught.value), InvalidArgumentError)


async def test_a_call_without_its_message_is_told_so(store: EmbeddedStore) -> None:
    async with AsyncServer(store) as server, grpc.aio.insecure_channel(server.address) as channel:
        for method in METHODS:
            call: Any = channel.stream_stream(SERVICE + method.name)()
            await call.done_writing()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert isinstance(told(caught.value), ProtocolError)


async def test_messages_over_the_limit_and_unknown_methods_are_told_so(store: EmbeddedStore) -> None:
    async with AsyncServer(store) as server, grpc.aio.insecure_channel(server.address) as channel:
        for method, code in (("Stat", "RESOURCE_EXHAUSTED"), ("Upload", "RESOURCE_EXHAUSTED"), ("No", "UNIMPLEMENTED")):
            call: Any = channel.stream_stream(SERVICE + method)()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.write(bytes(5 << 20))
                while await call.read() is not grpc.aio.EOF:
                    pass
            if caught.value.details() != "Internal error from Core":
                assert caught.value.code().name == code


def test_a_refused_request_of_megabytes_is_one_short_line(tmp_path: Path) -> None:
    with serving(tmp_path) as (address, log):
        with grpc.insecure_channel(address) as channel:
            for _ in range(3):
                for method, make in large(address, 1_900_000):
                    with pytest.raises(grpc.RpcError) as caught:
                        ask: Any = channel.stream_stream(SERVICE + method)
                        list(ask(iter([make()])))
                    assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
        began = log.stat().st_size
        assert began < 20_000
    lines = log.read_text().splitlines()
    assert max(map(len, lines)) < 1000
    assert "\x01" not in log.read_text()
    assert any("more were refused so" in line and "count=2" in line for line in lines)
    assert_sound(tmp_path)


def test_what_speaks_another_protocol_does_no_harm(tmp_path: Path) -> None:
    with serving(tmp_path) as (address, _):
        with Connection(address) as connection:
            connection.call("ListUnits", b"", end=True, content_type="text/html")
            connection.call("../../etc/passwd", b"", end=True)
            for _ in range(20):
                connection.read(0.05)
            connection.socket.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
        with RemoteVault(address, {"u": (BytesWrapper, 0)}) as vault:
            assert vault.units() == []
    assert_sound(tmp_path)


async def test_a_message_of_a_service_of_ones_own_that_does_not_decode_is_told_so(store: EmbeddedStore) -> None:
    def decode(raw: bytes) -> str:
        return raw.decode()

    async def shout(request: str, context: object) -> bytes:
        return request.upper().encode()

    def add(server: grpc.aio.Server) -> None:
        handler: Any = grpc.unary_unary_rpc_method_handler(shout, request_deserializer=decode)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("own.S", {"Shout": handler}),))

    async with (
        AsyncServer(store, services=[Service("own.S", add)], settings=ServerSettings()) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        call: Any = channel.unary_unary("/own.S/Shout")
        assert await call(b"a") == b"A"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xff")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
