"""A server that asks its clients to connect anew all the time: they do, and nobody notices."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest
from vault import AsyncRemoteVault, BytesWrapper, ConnectionSettings, RemoteVault, TextWrapper, Vault
from vault._sync.feed.coherence import WatchCoherence
from vault.store.limits import BLOCK_SIZE
from vault.unit import UnitLike
from vault_server import EmbeddedStore, Server, ServerSettings

from tests.faults.proxy import Proxy

STRUCTURE: dict[str, UnitLike] = {
    "notes": (TextWrapper, 0),
    "files": (BytesWrapper, 0),
}
AGE = 0.5
SECONDS = 2.5
"""Several ages."""


@pytest.fixture
def proxy(store: EmbeddedStore) -> Iterator[Proxy]:
    """To count the connections, on the way to a server with a low age."""
    with (
        Server(store, settings=ServerSettings(max_connection_age=AGE)) as server,
        Proxy(server.address) as between,
    ):
        yield between


def test_calls_move_to_new_connections_without_an_error(proxy: Proxy) -> None:
    with (
        RemoteVault(proxy.address, STRUCTURE, connection=ConnectionSettings(timeout=10)) as vault,
        ThreadPoolExecutor(4) as threads,
    ):
        end = time.monotonic() + SECONDS

        def work(number: int) -> int:
            done = 0
            while time.monotonic() < end:
                data_id = vault.upload("notes", TextWrapper(f"{number} {done}"))
                vault.update("notes", data_id, TextWrapper("again"))
                assert vault.delete("notes", data_id)
                done += 1
            return done

        assert min(threads.map(work, range(4))) > 0
    assert proxy.connections > 2


async def test_calls_of_tasks_too(proxy: Proxy) -> None:
    async with AsyncRemoteVault(proxy.address, STRUCTURE, connection=ConnectionSettings(timeout=10)) as vault:
        end = time.monotonic() + SECONDS

        async def work(number: int) -> None:
            while time.monotonic() < end:
                data_id = await vault.upload("notes", TextWrapper(str(number)))
                assert await vault.delete("notes", data_id)

        await asyncio.gather(*(work(number) for number in range(4)))
    assert proxy.connections > 2


def test_transfers_that_run_are_not_cut(proxy: Proxy, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * (BLOCK_SIZE // 256) * 8)
    with RemoteVault(proxy.address, STRUCTURE, connection=ConnectionSettings(timeout=10)) as vault:
        proxy.throttle(file.stat().st_size / SECONDS)
        data_id = vault.upload_file("files", file)
        assert vault.exists("files", data_id)
        vault.download_file("files", data_id, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()
    assert proxy.connections > 1


def test_a_watch_and_a_cache_stay_where_they_are(proxy: Proxy, store: EmbeddedStore) -> None:
    """No epoch of the cache is lost: what it holds is served without asking, from first to last."""
    with RemoteVault(proxy.address, STRUCTURE) as vault, Vault(store, STRUCTURE) as beside:
        changes = vault.watch("notes")
        kept = beside.upload("notes", TextWrapper("kept"))
        coherence = vault._coherence
        assert isinstance(coherence, WatchCoherence)
        while not coherence.epoch():
            time.sleep(0.01)
        vault.load("notes", kept).close()  # type: ignore[union-attr]
        end = time.monotonic() + SECONDS
        written = [kept]
        epochs = set()
        while time.monotonic() < end:
            written.append(beside.upload("notes", TextWrapper("more")))
            with vault.load("notes", kept) as ticket:  # type: ignore[union-attr]
                assert ticket.get_data().data == "kept"
            epochs.add(coherence.epoch())
            assert vault.stat("notes", written[-1]) is not None  # by a connection that is young
            time.sleep(0.02)
        assert [change.data_id for change in islice(changes, len(written))] == written
        assert len(epochs) == 1
        assert vault.cache_stats().misses == 1
    assert proxy.connections > 2
    assert not [thread for thread in threading.enumerate() if thread.name == "vault-subscription"]
