"""An embedded store, and the same one through a server: files behave alike on both."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vault import ConnectionSettings
from vault._async.files.transfer import download_file as async_download_file
from vault._sync.files.transfer import download_file
from vault._sync.remote.store import RemoteStore
from vault.store.contract import Store
from vault_server import AsyncEmbeddedStore, EmbeddedStore, Server

from tests.files.objects import DATA, Watcher, put


@pytest.fixture(params=["embedded", "remote"])
def any_store(request: pytest.FixtureRequest, store: EmbeddedStore) -> Iterator[Store]:
    if request.param == "embedded":
        yield store
        return
    with Server(store) as server, RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
        yield remote


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    return path


@pytest.fixture
def stored(store: EmbeddedStore) -> int:
    return put(store, DATA).data_id


@pytest.fixture(params=["sync", "async"])
def download(request: pytest.FixtureRequest, store: EmbeddedStore, stored: int) -> Callable[..., None]:
    """Downloads the object to a path."""

    def sync(path: str | Path, look: Callable[[], None] | None = None, *, replace: bool = True) -> None:
        download_file(store, "files", stored, path, Watcher(look) if look else None, replace=replace)

    def on_a_loop(path: str | Path, look: Callable[[], None] | None = None, *, replace: bool = True) -> None:
        async def run() -> None:
            watcher = Watcher(look) if look else None
            async with AsyncEmbeddedStore(store.directory) as opened:
                await async_download_file(opened, "files", stored, path, watcher, replace=replace)

        asyncio.run(run())

    return sync if request.param == "sync" else on_a_loop
