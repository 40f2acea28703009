"""What is promised of servers, once more over mutual TLS with tokens: conformance, resuming, watching, coherence."""

import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from vault import AsyncRemoteStore, AsyncRemoteVault, AsyncVault, ConnectionSettings, RemoteStore
from vault.store.contract import AsyncStore, Store
from vault.testing import StoreConformance
from vault.testing.store.sync_and_async import AsyncFace
from vault_server import AccessSettings, EmbeddedStore, Server, StoreOptions

from tests.access.identified import IdentityFile
from tests.conformance.raw import RawDirectory
from tests.conformance.test_remote import Behind
from tests.faults.proxy import Proxy
from tests.remote import test_resuming, test_resuming_clients, test_resuming_limits
from tests.remote.conftest import directory, restarting
from tests.remote.transfers import TIMEOUT
from tests.server.conftest import serve
from tests.tls import Authority
from tests.vault import test_coherence, test_follower, test_lease, test_watching
from tests.vault.places import STRUCTURE, Place

__all__ = ["directory", "restarting", "serve"]

pytestmark = pytest.mark.slow


class Secured:
    """The files of a server that asks for certificates and tokens, and of a client that has both."""

    def __init__(self, folder: Path) -> None:
        authority = Authority()
        identities = IdentityFile(folder)
        self.token = identities.add("all", "*:read,write,delete,list,watch,admin")
        self.ca = authority.write(folder)
        self.server = authority.server().write(folder, "server")
        self.client = authority.issue("client.example").write(folder, "client")
        self.access = AccessSettings(
            tls_cert=str(self.server[0]),
            tls_key=str(self.server[1]),
            tls_client_ca=str(self.ca),
            tokens=str(identities.path),
        )
        self.variables = {
            "VAULT_GRPC_CA": self.ca,
            "VAULT_GRPC_CERT": self.client[0],
            "VAULT_GRPC_KEY": self.client[1],
            "VAULT_GRPC_TOKEN": self.token,
            "VAULT_GRPC_SERVE_TLS_CERT": self.server[0],
            "VAULT_GRPC_SERVE_TLS_KEY": self.server[1],
            "VAULT_GRPC_SERVE_TLS_CLIENT_CA": self.ca,
            "VAULT_GRPC_SERVE_TOKENS": identities.path,
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Secured:
    return Secured(tmp_path_factory.mktemp("secured"))


@pytest.fixture(autouse=True)
def environment(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients and commands without settings of their own use these."""
    for name, value in secured.variables.items():
        monkeypatch.setenv(name, str(value))


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawDirectory]:
    raw = RawDirectory(tmp_path_factory.mktemp("store"))
    yield raw
    raw.assert_sound()


@pytest.fixture(scope="module")
def origin(raw: RawDirectory, secured: Secured) -> Iterator[str]:
    with (
        EmbeddedStore(raw.path, StoreOptions(durability="relaxed")) as store,
        Server(store, access=secured.access) as server,
    ):
        assert server.address.startswith("grpcs://")
        yield server.address


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


class TlsProxy(Proxy):
    """A proxy in front of a server with TLS: what it is told, and tells, has the scheme."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value.removeprefix("grpcs://") if name == "target" else value)

    @property
    def address(self) -> str:
        return f"grpcs://{super().address}"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with TlsProxy("127.0.0.1:1") as started:
        yield started


@pytest.fixture
def local(store: EmbeddedStore, proxy: Proxy, secured: Secured) -> Iterator[Server]:
    with Server(store, access=secured.access) as server:
        proxy.target = server.address
        yield server
        server.stop(0)  # connections that were made black holes are open on its side


@pytest.fixture(params=["sync", "async"])
def open_store(request: pytest.FixtureRequest) -> Callable[[str], AsyncStore]:
    def make(address: str, timeout: float = TIMEOUT) -> AsyncStore:
        settings = ConnectionSettings(timeout=timeout)
        return (
            AsyncFace(RemoteStore(address, settings))
            if request.param == "sync"
            else AsyncRemoteStore(address, settings)
        )

    return make


@pytest.fixture
def remote(tmp_path: Path, secured: Secured) -> Iterator[Place]:
    opened = Place("remote", tmp_path, secured.access)
    yield opened
    opened.close()


@pytest.fixture
def place(remote: Place) -> Place:
    return remote


@pytest.fixture
def vault(remote: Place) -> Any:
    return remote.open()


@pytest.fixture
async def async_vault(remote: Place) -> AsyncVault:
    return AsyncRemoteVault(remote.server.address, STRUCTURE)


gated = test_lease.gated
slow = test_coherence.slow


def again(module: ModuleType, fixtures: set[str]) -> dict[str, Any]:
    """The module's tests that use one of these fixtures, and so reach their servers over TLS here; but those that make
    a server or a proxy of their own, which knows nothing of that, or end a write past the server, where it is nobody's.
    """
    prefix = module.__name__.rpartition(".")[2]
    return {
        name.replace("test_", f"{prefix}_", 1): test
        for name, test in vars(module).items()
        if name.startswith("test_")
        and fixtures & set(inspect.signature(test).parameters)
        and re.search(r"\b(Server|Proxy|Cable|store\.abort_write)\(", inspect.getsource(test)) is None
    }


for suite in (test_resuming, test_resuming_clients, test_resuming_limits):
    globals().update(again(suite, {"restarting", "local", "open_store"}))
for suite in (test_coherence, test_follower, test_lease, test_watching):
    globals().update(again(suite, {"remote", "place", "vault", "async_vault", "gated"}))
