"""Clients of both kinds, a proxy that cuts, and servers behind it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vault import ConnectionSettings
from vault._async.remote import reader as async_reader
from vault._async.remote import writer as async_writer
from vault._async.remote.store import AsyncRemoteStore
from vault._sync.remote import reader as sync_reader
from vault._sync.remote import writer as sync_writer
from vault._sync.remote.store import RemoteStore
from vault.store.contract import AsyncStore
from vault.testing.store.sync_and_async import AsyncFace
from vault_server import EmbeddedStore, Server

from tests.faults.proxy import Proxy
from tests.remote.transfers import TIMEOUT, Restarting
from tests.server.conftest import serve
from tests.server.process import Serve

__all__ = ["serve"]


@pytest.fixture(params=["sync", "async"])
def open_store(request: pytest.FixtureRequest) -> Callable[..., AsyncStore]:
    """Makes a client, sync behind the async contract or async."""

    def make(address: str, timeout: float = TIMEOUT, connections: int | None = None) -> AsyncStore:
        connection = ConnectionSettings(timeout=timeout, connections=connections)
        if request.param == "sync":
            return AsyncFace(RemoteStore(address, connection))
        return AsyncRemoteStore(address, connection)

    return make


@pytest.fixture
def open_far(open_store: Callable[..., AsyncStore]) -> Callable[..., AsyncStore]:
    """The same, with so many connections for a large transfer."""
    return lambda address, connections=4: open_store(address, connections=connections)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few blocks are enough for more connections."""
    for reader, writer in ((async_reader, async_writer), (sync_reader, sync_writer)):
        monkeypatch.setattr(reader, "LEAST_SPREAD", 2)
        monkeypatch.setattr(writer, "LEAD", 1)
        monkeypatch.setattr(writer, "JOIN", 3)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy("127.0.0.1:1") as started:
        yield started


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "served"
    yield path
    with EmbeddedStore(path) as store:
        assert store.check(deep=True).ok


@pytest.fixture
def restarting(serve: Serve, proxy: Proxy, directory: Path) -> Restarting:
    return Restarting(serve, proxy, directory)


@pytest.fixture
def local(store: EmbeddedStore, proxy: Proxy) -> Iterator[Server]:
    """A server in this process, behind the proxy."""
    with Server(store) as server:
        proxy.target = server.address
        yield server
        server.stop(0)  # connections that were made black holes are open on its side
