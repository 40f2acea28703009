"""Web servers send a reader block by block, and close it: at the end, and when whoever asked goes away."""

import contextlib
import http.client
import socket
import threading
import wsgiref.simple_server
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest
from vault import Vault
from vault._async.files.object_reader import AsyncObjectReader
from vault._async.vault.facade import AsyncVault
from vault._sync.files.object_reader import ObjectReader
from vault.store.limits import BLOCK_SIZE
from vault.wrappers import BytesWrapper
from vault_server import AsyncEmbeddedStore, EmbeddedStore

from tests.files.objects import some_bytes
from tests.waiting import assert_soon

DATA = some_bytes(12 * BLOCK_SIZE + 5)


def get(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.status == 200
        return response.read()


def go_away_while_it_is_sent(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.recv(1000)


@contextlib.contextmanager
def asgi_server(app: Any) -> Iterator[int]:
    """A uvicorn on a thread; its port."""
    uvicorn = pytest.importorskip("uvicorn")
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def test_starlette_streams_an_async_reader(store: EmbeddedStore) -> None:
    applications = pytest.importorskip("starlette.applications")
    responses = pytest.importorskip("starlette.responses")
    routing = pytest.importorskip("starlette.routing")
    readers: list[AsyncObjectReader] = []
    vaults: list[AsyncVault] = []

    @contextlib.asynccontextmanager
    async def life(_app: Any) -> AsyncIterator[None]:
        async with (
            AsyncEmbeddedStore(store) as opened,
            AsyncVault(opened, {"files": (BytesWrapper, 0)}) as vault,
        ):
            vaults.append(vault)
            await vault.upload("files", BytesWrapper(DATA), name="data")
            yield

    async def answer(_request: Any) -> Any:
        readers.append(await vaults[0].open("files", "data"))
        return responses.StreamingResponse(readers[-1], headers={"Content-Length": str(readers[-1].size)})

    app = applications.Starlette(routes=[routing.Route("/", answer)], lifespan=life)
    with asgi_server(app) as port:
        assert get(port) == DATA
        assert_soon(lambda: readers[0].closed)
        go_away_while_it_is_sent(port)
        assert_soon(lambda: len(readers) == 2 and readers[1].closed)


class QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Says nothing."""


@contextlib.contextmanager
def wsgi_server(app: Any) -> Iterator[int]:
    with wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("how", ["as blocks", "as the file that it is", "by wsgi.file_wrapper"])
def test_a_wsgi_server_sends_a_reader(store: EmbeddedStore, how: str, capfd: pytest.CaptureFixture[str]) -> None:
    readers: list[ObjectReader] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        readers.append(vault.open("files", "data"))
        start_response("200 OK", [("Content-Length", str(readers[-1].size))])
        if how == "as blocks":
            return readers[-1].blocks()
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](readers[-1], 64 << 10)
        return readers[-1] if how == "as the file that it is" else wrapped

    with Vault(store, {"files": (BytesWrapper, 0)}) as vault:
        vault.upload("files", BytesWrapper(DATA), name="data")
        with wsgi_server(app) as port:
            assert get(port) == DATA
            assert_soon(lambda: readers[0].closed)
            go_away_while_it_is_sent(port)
            assert_soon(lambda: len(readers) == 2 and readers[1].closed)
