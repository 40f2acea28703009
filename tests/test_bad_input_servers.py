"""Servers that are not there, are something else, or get more than they take: clear errors, and in time."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from vault import ConnectionSettings, RemoteVault, TextWrapper, Vault
from vault.errors import InvalidArgumentError, ProtocolError, UnavailableError, UnknownUnitError
from vault.store.limits import BLOCK_SIZE, MAX_TAG_KEY, MAX_TAG_VALUE, MAX_TAGS
from vault.store.specs import UploadSpec
from vault.testing.store.objects import assert_failed_with, blocks_of, payload, small_upload
from vault.v1 import vault_pb2 as pb
from vault.v1.vault_pb2_grpc import VaultServiceStub
from vault_server import EmbeddedStore, Server, StoreOptions

from tests.faults.ports import held_port

STRUCTURE = {"texts": (TextWrapper, 0)}
TIMEOUT = 1.5

CALLS: dict[str, Callable[[RemoteVault], Any]] = {
    "exists": lambda vault: vault.exists("texts", 5),
    "load": lambda vault: vault.load("texts", 5),
    "upload": lambda vault: vault.upload("texts", TextWrapper("text")),
    "update": lambda vault: vault.update("texts", 5, TextWrapper("text")),
    "delete": lambda vault: vault.delete("texts", 5),
    "list": lambda vault: list(vault.list("texts")),
    "open": lambda vault: vault.open("texts", 5),
    "open_writer": lambda vault: vault.open_writer("texts"),
}

each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


class _Teapot(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(418)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Says nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    """The address of a web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Teapot) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def stranger() -> Iterator[str]:
    """The address of a gRPC server without our service."""
    server = grpc.server(ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


@each_call
def test_an_address_that_nobody_listens_on(call: Callable[[RemoteVault], Any]) -> None:
    with held_port() as port:
        assert_unavailable(f"127.0.0.1:{port}", call, "UNAVAILABLE")


def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    assert_unavailable(f"unix:{tmp_path}/no.sock", CALLS["exists"], "UNAVAILABLE")


@pytest.mark.parametrize("name", ["exists", "upload", "open_writer"])
def test_a_server_that_never_answers(silent: str, name: str) -> None:
    assert_unavailable(silent, CALLS[name], "TIMEOUT")


@pytest.mark.parametrize("name", ["exists", "upload", "open_writer"])
def test_a_web_server(web: str, name: str) -> None:
    assert "does not speak gRPC" in assert_unavailable(web, CALLS[name], "UNAVAILABLE")


@each_call
def test_a_grpc_server_of_another_kind(stranger: str, call: Callable[[RemoteVault], Any]) -> None:
    with RemoteVault(stranger, STRUCTURE, connection=ConnectionSettings(timeout=TIMEOUT)) as vault:
        with pytest.raises(ProtocolError) as caught:
            call(vault)
        assert_failed_with(caught.value, ProtocolError, "PROTOCOL", stranger, "vault.v1")


@pytest.mark.parametrize(
    "address", ["", "host", "host:", ":5", "host:x", "host:0", "host:65536", "http://host:5", "unix:", 5, None]
)
def test_what_is_no_address(address: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        RemoteVault(address, STRUCTURE)
    assert_failed_with(caught.value, InvalidArgumentError, "BAD_ADDRESS", repr(address), "host:port")


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", None, True])
def test_what_is_no_timeout(timeout: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        RemoteVault("127.0.0.1:5", STRUCTURE, connection=ConnectionSettings(timeout=timeout))
    assert_failed_with(caught.value, InvalidArgumentError, "BAD_TIMEOUT", repr(timeout))


def test_a_unit_that_the_store_does_not_allow_is_unknown_embedded_and_remote(tmp_path: Path) -> None:
    with (
        EmbeddedStore(tmp_path, StoreOptions(allowed_units=("notes",))) as store,
        Server(store, listen="127.0.0.1:0") as server,
        Vault(store, STRUCTURE) as embedded,
        RemoteVault(server.address, STRUCTURE) as remote,
    ):
        said = []
        for vault in (embedded, remote):
            with pytest.raises(UnknownUnitError) as caught:
                vault.upload("texts", TextWrapper("text"))
            assert_failed_with(caught.value, UnknownUnitError, "UNKNOWN_UNIT", "'texts'")
            said.append((str(caught.value), caught.value.context))
        assert said[0] == said[1]
        assert store.list_units() == []


def test_a_message_over_the_limit_is_refused_and_changes_nothing(store: EmbeddedStore, server: Server) -> None:
    """By hand: our own client never sends one."""
    data = payload(5 * BLOCK_SIZE)
    block = blocks_of(payload(BLOCK_SIZE))[0]
    start = pb.UploadRequest.Start(unit="texts", spec=pb.UploadSpec(data_id=5, request_id=b"r" * 16))
    item = pb.UploadManyRequest.Item(spec=start.spec, data=data, checksum=1)
    with grpc.insecure_channel(server.address, [("grpc.max_send_message_length", -1)]) as channel:
        stub = VaultServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.UploadMany(pb.UploadManyRequest(unit="texts", items=[item]), timeout=30)
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        too_large = pb.Block(offset=0, data=data, checksum=block.checksum)
        requests = [pb.UploadRequest(start=start), pb.UploadRequest(block=too_large)]
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Upload(iter(requests), timeout=30))
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert store.list_units() == []
    assert store.revision == 0


def test_replies_that_would_be_over_the_limit_come_in_parts(store: EmbeddedStore, server: Server) -> None:
    tags = {f"{number:02}".ljust(MAX_TAG_KEY, "k"): "v" * MAX_TAG_VALUE for number in range(MAX_TAGS)}
    specs = [UploadSpec(number, name=f"{number:03}".ljust(1000, "n"), tags=tags) for number in range(1, 101)]
    store.upload_many("texts", [small_upload(b"", spec) for spec in specs])  # 74 KiB of metadata each
    with RemoteVault(server.address, STRUCTURE) as vault:
        assert [info.data_id for info in vault.list("texts")] == list(range(1, 101))
        assert [dict(info.tags) == tags for info in vault.list("texts", prefix="", tags=tags)] == [True] * 100
        tickets = vault.load_many("texts", range(1, 101))
        assert all(ticket is not None and ticket.get_data().data == "" for ticket in tickets)
        for ticket in tickets:
            if ticket is not None:
                ticket.close()
        assert vault.delete_many("texts", range(1, 102)) == [True] * 100 + [False]


def assert_unavailable(address: str, call: Callable[[RemoteVault], Any], reason: str) -> str:
    """Asserts that the call fails in time because the server is away. Returns what it says."""
    begun = time.monotonic()
    with RemoteVault(address, STRUCTURE, connection=ConnectionSettings(timeout=TIMEOUT)) as vault:
        with pytest.raises(UnavailableError) as caught:
            call(vault)
        took = time.monotonic() - begun
        assert_failed_with(caught.value, UnavailableError, reason, address)
    assert took < TIMEOUT + 10, "an answer within the timeout, on a machine that has other things to do"
    return str(caught.value)
