"""An embedded store, and the same one through a server: files behave alike on both."""

from collections.abc import Iterator

import pytest
from vault import ConnectionSettings
from vault._sync.remote.store import RemoteStore
from vault.store.contract import Store
from vault_server import EmbeddedStore, Server


@pytest.fixture(params=["embedded", "remote"])
def any_store(request: pytest.FixtureRequest, store: EmbeddedStore) -> Iterator[Store]:
    if request.param == "embedded":
        yield store
        return
    with Server(store) as server, RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
        yield remote
