"""What one peer can hold of a server, for how long, and that its end is nobody's to hold."""

import asyncio
import re
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from vault import BytesWrapper, ConnectionSettings, RemoteVault
from vault._sync.remote.store import RemoteStore
from vault.errors import UnavailableError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import SmallUpload, UploadSpec
from vault.store.values import checksum
from vault.testing.store.objects import blocks_of, drain, payload, put, reading, upload_spec
from vault_server import EmbeddedStore, Server, ServerSettings, process_limits
from vault_server.rpc import admission
from vault_server.rpc.admission import TRANSFERS

from tests.remote.conftest import open_store
from tests.server.conftest import serve
from tests.server.process import Serve
from tests.waiting import assert_ended, assert_soon
from torture.hostile_clients.attacks import ATTACKS, LARGE, OBJECT, Peers, fill, load_many, upload_start
from torture.hostile_clients.http2 import silent

pytestmark = pytest.mark.slow

__all__ = ["open_store", "serve"]

QUICK = ServerSettings(idle_timeout=0.6, slow_watcher=0.6, handshake_timeout=0.6)


@contextmanager
def served(store: EmbeddedStore, settings: ServerSettings) -> Iterator[Server]:
    fill(store)
    with Server(store, settings=settings) as server:
        yield server
        server.stop(0)


def calls_of(server: Server) -> admission.Calls:
    running = server._server._running  # type: ignore[union-attr]
    assert running is not None
    return running._calls


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one", "workers"])
def test_no_peer_holds_the_end(serve: Serve, tmp_path: Path, options: tuple[str, ...]) -> None:
    with EmbeddedStore(tmp_path / "store") as store:
        fill(store)
    server = serve(tmp_path / "store", "--listen", "127.0.0.1:0", "--grace", "1", *options)
    with Peers(server.address) as peers:
        for attack in ATTACKS.values():
            attack(peers, 4)
        assert_soon(lambda: sum(len(each.calls) for each in peers.connections) == 4 * (len(ATTACKS) - 1))
        began = time.monotonic()
        code, _, log = server.terminate()
        assert time.monotonic() - began < 15  # the grace, and the machine's other work
    assert code == 0
    assert "Traceback" not in log


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_wait_for_a_peer_has_an_end(store: EmbeddedStore, attack: str) -> None:
    with served(store, QUICK) as server, Peers(server.address) as peers:
        ATTACKS[attack](peers, 3)
        assert_soon(lambda: not peers.connections or calls_of(server)._calls or calls_of(server)._unsent)
        assert_soon(lambda: not calls_of(server)._calls)
        # Whoever does not even take the end of its calls loses its connection.
        assert_soon(lambda: not [each for each in peers.alive() if len(each.ended) < len(each.calls)])
        assert_soon(lambda: not calls_of(server)._unsent)


def test_silent_connections_end(store: EmbeddedStore) -> None:
    with served(store, QUICK) as server, silent(server.address, 3) as sockets:
        for each in sockets:
            assert_ended(each)


def test_connections_without_calls_end(store: EmbeddedStore) -> None:
    with served(store, QUICK) as server, Peers(server.address) as peers:
        connection = peers.connect()
        assert_soon(lambda: connection.closed)


async def test_a_writer_that_thinks_for_long_goes_on_by_itself(
    store: EmbeddedStore, open_store: Callable[[str], AsyncStore]
) -> None:
    with served(store, QUICK) as server:
        async with open_store(server.address) as client:
            spec = upload_spec()
            async with await client.upload("u", spec) as writer:
                for number, block in enumerate(blocks_of(OBJECT[: 6 * BLOCK_SIZE])):
                    await writer.write(block)
                    if number % 3 == 2:
                        await asyncio.to_thread(assert_soon, lambda: not calls_of(server).of(TRANSFERS))
                await asyncio.to_thread(assert_soon, lambda: not calls_of(server).of(TRANSFERS))
                await writer.commit(6 * BLOCK_SIZE)
            assert await drain(await reading(client, "u", spec.data_id)) == OBJECT[: 6 * BLOCK_SIZE]


async def test_a_reader_that_stops_for_long_goes_on_by_itself(
    store: EmbeddedStore, open_store: Callable[[str], AsyncStore]
) -> None:
    with served(store, QUICK) as server:
        async with open_store(server.address) as client, await reading(client, "u", LARGE) as reader:
            data = bytearray()
            async for block in reader:
                data += block.data
                if len(data) in (BLOCK_SIZE, 12 * BLOCK_SIZE):
                    await asyncio.to_thread(assert_soon, lambda: not calls_of(server).of(TRANSFERS))
            assert data == OBJECT


def test_a_watch_may_be_silent_for_longer_than_the_idle_timeout(store: EmbeddedStore) -> None:
    with served(store, QUICK) as server, RemoteStore(server.address) as client, client.watch() as watch:
        events = iter(watch)
        next(events)
        (running,) = calls_of(server).of({admission.WATCH})
        time.sleep(4 * QUICK.idle_timeout)  # the time that is not to end it
        assert calls_of(server).of({admission.WATCH}) == [running]


@pytest.mark.parametrize("attack", ["uploads without a message", "downloads that nobody reads"])
async def test_where_all_run_that_may_the_silent_ones_give_way(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, open_store: Callable[[str], AsyncStore], attack: str
) -> None:
    monkeypatch.setattr(admission, "_PRESSED", 0.5)
    with served(store, ServerSettings(max_transfers=8)) as server, Peers(server.address) as peers:
        ATTACKS[attack](peers, 12)
        await asyncio.to_thread(assert_soon, lambda: len(calls_of(server).of(TRANSFERS)) == 8)
        async with open_store(server.address) as client:
            await put(client, "u", payload(3 * BLOCK_SIZE))
            assert await drain(await reading(client, "u", LARGE)) == OBJECT


def test_uploads_and_downloads_leave_a_share_to_the_other_calls(store: EmbeddedStore) -> None:
    with served(store, ServerSettings(max_concurrent_rpcs=8)) as server, Peers(server.address) as peers:
        peers.calls(12, "Upload", upload_start())
        peers.calls(20, "LoadMany")  # silent, and so not counted
        assert_soon(lambda: len(calls_of(server).of(TRANSFERS)) == 6)
        with RemoteVault(server.address, {"u": (BytesWrapper, 0)}) as vault:
            vault.upload("u", BytesWrapper(b"small"), name="small")
            assert vault.exists("u", "small")
            with (
                RemoteStore(server.address, ConnectionSettings(timeout=0.5)) as client,
                pytest.raises(UnavailableError) as caught,
            ):
                client.upload("u", UploadSpec(1))
            assert caught.value.reason == "OVERLOADED"


def test_what_nobody_takes_is_bounded(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_PRESSED", 0.2)
    monkeypatch.setattr(admission, "_MOST_UNSENT", 5)
    with served(store, ServerSettings(slow_watcher=1)) as server, Peers(server.address) as peers:
        peers.calls(12, "LoadMany", load_many(100), window=0, end=True, each=1)
        assert_soon(lambda: len(peers.alive()) <= 5)
        assert len(calls_of(server)._unsent) <= 5
        assert RemoteStore(server.address).exists_many("u", [LARGE]) != [0]


def test_a_client_gets_through_beside_silent_connections(store: EmbeddedStore) -> None:
    settings = ServerSettings(max_connections=4, handshake_timeout=0.5)
    with served(store, settings) as server, silent(server.address, 4), RemoteStore(server.address) as client:
        assert client.exists_many("u", [LARGE]) != [0]


def test_a_client_gets_through_where_silent_calls_hold_all_connections(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_PRESSED", 0.5)
    settings = ServerSettings(max_connections=16, slow_watcher=2)
    with served(store, settings) as server, Peers(server.address) as peers:
        peers.calls(16, "Upload", upload_start(), each=1)
        assert_soon(lambda: len(calls_of(server).of(TRANSFERS)) >= 12)  # at least: soon those beyond 12 end
        with RemoteStore(server.address) as client:
            assert client.exists_many("u", [LARGE]) != [0]


def test_a_connection_carries_so_many_calls_and_the_others_wait(store: EmbeddedStore) -> None:
    with served(store, ServerSettings(max_streams=5)) as server, Peers(server.address) as peers:
        peers.calls(20, "Upload", upload_start())
        assert_soon(lambda: len(calls_of(server).of(TRANSFERS)) == 5)
        with RemoteStore(server.address) as client:
            watches = [client.watch() for _ in range(3)]
            for watch in watches:
                next(iter(watch))
            assert client.exists_many("u", [LARGE]) != [0]


def test_the_descriptors_are_raised_and_a_share_is_kept(serve: Serve, tmp_path: Path) -> None:
    options = ("--listen", "127.0.0.1:0", "--idle-timeout", "2", "--handshake-timeout", "2")
    server = serve(tmp_path / "store", *options, before="ulimit -Sn 64; ulimit -Hn 400")
    limits = Path(f"/proc/{server.process.pid}/limits").read_text()
    assert re.search(r"Max open files +400 +400", limits)
    with Peers(server.address) as peers:
        ATTACKS["uploads that stop after a block"](peers, 90)
        silent_ones = ATTACKS["silent connections"]
        silent_ones(peers, 60)
        with RemoteStore(server.address, ConnectionSettings(timeout=30)) as client:
            (info,) = client.upload_many("u", [SmallUpload(UploadSpec(1), b"x", checksum(b"x"))])
            assert client.exists_many("u", [1]) == [info.generation]  # type: ignore[union-attr]
            with client.upload("u", UploadSpec(2)) as writer:
                for block in blocks_of(payload(2 * BLOCK_SIZE)):
                    writer.write(block)
                writer.commit(2 * BLOCK_SIZE)
    code, _, log = server.terminate()
    assert code == 0
    assert "Too many open files" not in log


def test_shares_are_within_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft in (64, 256, 1024, 20_000, 1 << 20, resource.RLIM_INFINITY):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        there = process_limits._descriptors()
        assert process_limits.most_connections() + 3 * process_limits.most_transfers() <= max(there * 7 // 8, 64)
