"""HTTP proxies: never because of the environment, always when one was asked for."""

import base64
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vault import AsyncRemoteVault, AsyncVault, ConnectionSettings, RemoteVault, TextWrapper, Vault
from vault._grpc.address import parse_address
from vault.errors import InvalidArgumentError
from vault.store.location import parse_location
from vault_server import EmbeddedStore, Server

from tests.cli.program import COMMAND

STRUCTURE = {"notes": (TextWrapper, 0)}
VARIABLES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy")
ALL_VARIABLES = [*VARIABLES, *map(str.upper, VARIABLES), "GRPC_PROXY_EXP", "GRPC_ADDRESS_HTTP_PROXY"]


class ConnectProxy:
    """An HTTP proxy on loopback that answers CONNECT, and nothing else; with a target it leads there, whatever is asked
    for."""

    def __init__(self, target: str | None = None) -> None:
        self.requests: list[str] = []
        self._target = target
        self._lock = threading.Lock()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._keep(client)
        head = b""
        try:
            while not head.endswith(b"\r\n\r\n"):
                if not (byte := client.recv(1)):
                    return
                head += byte
            self.requests.append(head.decode())
            host, _, port = (self._target or head.split()[1].decode()).rpartition(":")
            server = socket.create_connection((host, int(port)))
            self._keep(server)
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        except OSError:  # whoever asked has left
            return
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _keep(self, opened: socket.socket) -> None:
        with self._lock:
            self._open.append(opened)
            if self._closed:
                opened.close()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            self._closed = True
            for each in self._open:
                each.close()


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    running = ConnectProxy()
    yield running
    running.close()


@pytest.fixture
def served(store: EmbeddedStore) -> Iterator[str]:
    with Server(store) as server:
        yield server.address


ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio, sys
from vault import AsyncVault, ConnectionSettings, RemoteVault, TextWrapper, Vault
structure = {"notes": (TextWrapper, 0)}
slow = ConnectionSettings(timeout=20)
with RemoteVault(sys.argv[1], structure, connection=slow) as vault, Vault("grpc://" + sys.argv[1], structure) as other:
    assert vault.exists("notes", vault.upload("notes", TextWrapper("hello")))
    assert other.list("notes")
async def main():
    async with AsyncVault("grpc://" + sys.argv[1], structure, connection=ConnectionSettings(timeout=20)) as vault:
        await vault.upload("notes", TextWrapper("hello"))
asyncio.run(main())
"""


def test_the_environment_sends_no_client_to_a_proxy(served: str, proxy: ConnectProxy) -> None:
    environment = {**os.environ, **dict.fromkeys(ALL_VARIABLES, f"http://{proxy.address}"), "no_proxy": ""}
    environment["GRPC_ADDRESS_HTTP_PROXY_ENABLED_ADDRESSES"] = "127.0.0.0/8"
    subprocess.run([sys.executable, "-c", PROGRAM, served], env=environment, timeout=60, check=True)
    arguments = ["--vault", f"grpc://{served}", "--timeout", "20", "units"]
    done = subprocess.run([COMMAND, *arguments], env=environment, timeout=60, check=True, capture_output=True)
    assert done.stdout == b"notes\n"
    assert proxy.requests == []


def test_the_demo_is_not_sent_to_a_proxy(proxy: ConnectProxy) -> None:
    environment = {**os.environ, **dict.fromkeys(ALL_VARIABLES, f"http://{proxy.address}"), "no_proxy": ""}
    demo = [sys.executable, "-m", "examples.demo", "--size", "1KiB"]
    subprocess.run(demo, cwd=ROOT, env=environment, timeout=60, check=True, capture_output=True)
    assert proxy.requests == []


WAYS: dict[str, Callable[[str, str], Vault]] = {
    "Vault": lambda address, proxy: Vault(f"grpc://{address}", STRUCTURE, connection=ConnectionSettings(proxy=proxy)),
    "RemoteVault": lambda address, proxy: RemoteVault(address, STRUCTURE, connection=ConnectionSettings(proxy=proxy)),
    "URL": lambda address, proxy: Vault(f"grpc://{address}?proxy={proxy}", STRUCTURE),
    "URL with a slash": lambda address, proxy: Vault(f"grpc://{address}/?proxy={proxy}", STRUCTURE),
    "RemoteVault's URL": lambda address, proxy: RemoteVault(f"{address}?proxy={proxy}", STRUCTURE),
    "rather than the URL's": lambda address, proxy: Vault(
        f"grpc://{address}?proxy=http://127.0.0.1:1", STRUCTURE, connection=ConnectionSettings(proxy=proxy)
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_asks_for_a_proxy_goes_through_it(
    served: str, proxy: ConnectProxy, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")  # that is for those of the environment
    with WAYS[way](served, f"http://{proxy.address}") as vault:
        data_id = vault.upload("notes", TextWrapper("x" * 3_000_000))
        ticket = vault.load("notes", data_id)
        assert ticket is not None
        with ticket:
            assert ticket.get_data().data == "x" * 3_000_000
    assert proxy.requests
    assert all(request.startswith(f"CONNECT {served} HTTP/1.1\r\n") for request in proxy.requests)


async def test_async_clients_too_and_with_a_password(served: str, proxy: ConnectProxy) -> None:
    url = f"http://me:p%40ss@{proxy.address}"
    async with AsyncVault(f"grpc://{served}", STRUCTURE, connection=ConnectionSettings(proxy=url)) as vault:
        assert await vault.upload("notes", TextWrapper("hello"))
    async with AsyncRemoteVault(served, STRUCTURE, connection=ConnectionSettings(proxy=url)) as vault:
        assert await vault.units() == ["notes"]
    login = base64.b64encode(b"me:p@ss").decode()
    assert len(proxy.requests) >= 2
    assert all(
        f"Proxy-Authorization: Basic {login}" in request.replace(":Basic", ": Basic") for request in proxy.requests
    )


def test_the_command_takes_one_by_flag_environment_and_url(served: str, proxy: ConnectProxy) -> None:
    url = f"http://{proxy.address}"
    for arguments, environment in (
        (["--vault", f"grpc://{served}", "--proxy", url, "units"], {}),
        (["units", "--vault", f"grpc://{served}", "--proxy", url], {}),
        (["--vault", f"grpc://{served}", "units"], {"VAULT_GRPC_PROXY": url}),
        (["--vault", f"grpc://{served}?proxy={url}", "units"], {}),
    ):
        before = len(proxy.requests)
        subprocess.run([COMMAND, *arguments], env={**os.environ, **environment}, timeout=60, check=True)
        assert len(proxy.requests) > before


@pytest.mark.parametrize(
    "bad", ["", "127.0.0.1:3128", "https://h:1", "socks5://h:1", "http://h", "http://h:0", "http://h:1/x", 5, "http://"]
)
def test_what_is_no_proxy_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="bad proxy") as caught:
        RemoteVault("127.0.0.1:1", STRUCTURE, connection=ConnectionSettings(proxy=bad))
    assert caught.value.reason == "BAD_PROXY"


def test_a_password_is_not_told(store: EmbeddedStore) -> None:
    for location in ("grpc://host:1", "unix:/tmp/x", store, "./data"):
        with pytest.raises(InvalidArgumentError, match="bad proxy") as caught:
            Vault(location, STRUCTURE, connection=ConnectionSettings(proxy="http://me:secret@host:1/path"))
        assert "secret" not in str(caught.value)
    for address in (
        "h?proxy=http://me:secret@p:1",
        "grpc://h:1?x=http://me:secret@p:1",
        "h:1?proxy=http://me:secret@p",
    ):
        for kind in (RemoteVault, Vault):
            with pytest.raises(InvalidArgumentError) as refused:
                kind(address, STRUCTURE)
            assert "secret" not in str(refused.value)
    assert "secret" not in parse_address("h:1", "http://me:secret@p:1").shown


WRONG = (
    "{}",
    "http://{}",
    "http:/{}",
    "http:{}",
    "HTTP://{}/",
    "https://{}",
    " http://{}",
    "http%3A//{}",
    "h:0?proxy={}",
)
LOGINS = ("me:secret@p:1", "me:sec/ret@p:1", "me:sec@ret@p:1", "me:secret%40p:1", "me:secret@p", "me%3Asecret@p:80")


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("login", LOGINS)
def test_a_password_is_not_told_however_it_was_written(wrong: str, login: str) -> None:
    text = wrong.format(login)
    refused: list[str] = []
    for read in (lambda: parse_address("h:1", text), lambda: parse_address(text), lambda: parse_location(text)):
        try:
            read()
        except InvalidArgumentError as error:
            refused.append(str(error))
    assert refused
    assert not re.search("secret|sec[/@]|ret@", " ".join(refused))


@pytest.mark.parametrize("query", ["proxy", "proxy=", "other=1", "proxy=http://p:1&other=1", "", "proxy=x&proxy=y"])
def test_a_url_with_anything_else_is_refused(query: str) -> None:
    with pytest.raises(InvalidArgumentError):
        Vault(f"grpc://127.0.0.1:1?{query}", STRUCTURE)
