"""The suite over a server on loopback: sync and async clients, and a server in front of a server."""

from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import pytest
from vault import AsyncRemoteStore, RemoteStore
from vault.store.contract import AsyncStore, Store
from vault.testing import StoreConformance, StoreHarness
from vault.testing.store.closing import ClosingConformance
from vault.testing.store.feed import FeedConformance
from vault.testing.store.load import LoadConformance
from vault.testing.store.upload import UploadConformance
from vault_server import AsyncEmbeddedStore, AsyncServer, EmbeddedStore, Server, StoreOptions

from tests.conformance.raw import RawDirectory


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawDirectory]:
    """The directory behind the servers of this module, sound when they are done with it."""
    raw = RawDirectory(tmp_path_factory.mktemp("store"))
    yield raw
    raw.assert_sound()


@pytest.fixture(scope="module")
def origin(raw: RawDirectory) -> Iterator[str]:
    """The address of a server over an embedded store."""
    with (
        EmbeddedStore(raw.path, StoreOptions(durability="relaxed")) as store,
        Server(store, listen="127.0.0.1:0") as server,
    ):
        yield server.address


@pytest.fixture(scope="module")
def edge(origin: str) -> Iterator[str]:
    """The address of a server over a remote store."""
    with RemoteStore(origin) as store, Server(store, listen="127.0.0.1:0") as server:
        yield server.address


@pytest.fixture(scope="module")
def unix_origin(raw: RawDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server on a unix socket, over the async store of the same directory."""
    listen = f"unix:{tmp_path_factory.mktemp('socket')}/vault.sock"
    with (
        EmbeddedStore(raw.path, StoreOptions(durability="relaxed")) as store,
        Server(AsyncEmbeddedStore(store), listen=listen) as server,
    ):
        yield server.address


class Behind(StoreHarness):
    """What all of them have: the directory behind the server can be looked at."""

    raw_access: ClassVar[bool] = True
    corruptible: ClassVar[bool] = True
    retains: ClassVar[bool] = True

    raw: RawDirectory

    @pytest.fixture(autouse=True)
    def _behind(self, raw: RawDirectory) -> Iterator[None]:
        self.raw = raw
        yield
        raw.restore()

    def read_raw(self, unit: str, data_id: int) -> bytes | None:
        return self.raw.read(unit, data_id)

    def corrupt(self, unit: str, data_id: int, offset: int) -> None:
        self.raw.flip(unit, data_id, offset)


class TestRemoteStore(Behind, StoreConformance):
    @pytest.fixture
    def store(self, origin: str) -> Iterator[Store]:
        with RemoteStore(origin) as store:
            yield store


class TestAsyncRemoteStore(Behind, StoreConformance):
    @pytest.fixture
    async def store(self, origin: str) -> AsyncIterator[AsyncStore]:
        async with AsyncRemoteStore(origin) as store:
            yield store


@pytest.mark.slow
class TestRemoteStoreOverAUnixSocket(Behind, UploadConformance, LoadConformance, FeedConformance, ClosingConformance):
    """What depends on the transport."""

    @pytest.fixture
    def store(self, unix_origin: str) -> Iterator[Store]:
        with RemoteStore(unix_origin) as store:
            yield store


@pytest.mark.slow
class TestRemoteStoreOfAnEdgeServer(Behind, StoreConformance):
    @pytest.fixture
    def store(self, edge: str) -> Iterator[Store]:
        with RemoteStore(edge) as store:
            yield store


@pytest.mark.slow
class TestAsyncRemoteStoreOfAnEdgeServer(Behind, StoreConformance):
    """Everything on one event loop: a client, a server, and the client that the server has for a store."""

    @pytest.fixture
    async def store(self, origin: str) -> AsyncIterator[AsyncStore]:
        async with (
            AsyncRemoteStore(origin) as behind,
            AsyncServer(behind, listen="127.0.0.1:0") as edge,
            AsyncRemoteStore(edge.address) as store,
        ):
            yield store
