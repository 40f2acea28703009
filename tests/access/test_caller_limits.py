"""What one caller can take of a server, and that another one gets through beside it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from vault import ConnectionSettings
from vault._sync.remote.store import RemoteStore
from vault.errors import UnavailableError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import SmallUpload, UploadSpec, new_data_id
from vault.store.values import checksum
from vault.testing.store.objects import blocks_of, payload
from vault.v1 import vault_pb2 as pb
from vault_server import EmbeddedStore, Server, ServerSettings
from vault_server.access.budgets import Account, Budget
from vault_server.rpc.admission import TRANSFERS, WATCH, Calls

from tests.waiting import assert_soon
from torture.hostile_clients.attacks import LARGE, Peers, fill, upload_block, upload_start
from torture.hostile_clients.http2 import RST_STREAM

OTHER = "127.0.0.2"
WATCHED = pb.WatchRequest(since_revision=0).SerializeToString()


@contextmanager
def served(store: EmbeddedStore, **settings: object) -> Iterator[tuple[str, Calls]]:
    fill(store)
    with Server(store, settings=ServerSettings(**settings)) as server:  # type: ignore[arg-type]
        calls = server._server._running._calls  # type: ignore[union-attr]
        yield server.address, calls
        server.stop(0)


def account_of(calls: Calls, network: str = OTHER) -> Account:
    return calls.callers.accounts._addresses[network]


def gets_through(address: str) -> None:
    """Everything works for another address at once, within a short timeout."""
    with RemoteStore(address, ConnectionSettings(timeout=20)) as client:
        assert client.exists_many("u", [LARGE]) != [0]
        client.upload_many("u", [SmallUpload(UploadSpec(new_data_id()), b"x", checksum(b"x"))])
        upload(client, 3)
        with client.watch() as watch:
            next(iter(watch))


def upload(client: RemoteStore, blocks: int) -> None:
    data = payload(blocks * BLOCK_SIZE)
    with client.upload("u", UploadSpec(new_data_id()), resumable=True) as writer:
        for block in blocks_of(data):
            writer.write(block)
        writer.commit(len(data), checksum(data))


def test_transfers_and_watches_over_the_budget_wait_and_are_refused(store: EmbeddedStore) -> None:
    with served(store, budget=Budget(transfers=3, watches=2)) as (address, calls), Peers(address, OTHER) as peers:
        peers.calls(8, "Upload", upload_start(), upload_block(), each=1)
        peers.calls(8, "Watch", WATCHED, end=True)
        assert_soon(lambda: sum(len(each.ended) for each in peers.connections) == 5 + 6)
        assert (len(calls.of(TRANSFERS)), len(calls.of({WATCH}))) == (3, 2)
        gets_through(address)
        with RemoteStore(address, ConnectionSettings(timeout=2)) as client:
            held = [client.upload("u", UploadSpec(new_data_id())) for _ in range(3)]
            with pytest.raises(UnavailableError) as caught:
                client.upload("u", UploadSpec(new_data_id()))
            assert caught.value.reason == "RATE_LIMITED"
            for writer in held:
                writer.abort()
            upload(client, 1)


def test_more_transfers_than_may_run_all_finish(store: EmbeddedStore) -> None:
    with (
        served(store, budget=Budget(transfers=2, calls=2)) as (address, calls),
        RemoteStore(address) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda _: upload(client, 2), range(16)))
        keys = pool.map(lambda n: client.exists_many("u", [n + 1000]), range(64))
        assert all(generation for (generation,) in keys)
    account = account_of(calls, "127.0.0.1")
    assert not any([*account.running, account.held, account.staged])


def test_over_its_staged_bytes_a_caller_goes_on_with_one_upload_after_the_other(store: EmbeddedStore) -> None:
    with (
        served(store, budget=Budget(staged_bytes=2 * BLOCK_SIZE)) as (address, calls),
        RemoteStore(address) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        most = 0
        over = threading.Event()

        def look() -> None:
            nonlocal most
            while not over.wait(0.002):
                account = calls.callers.accounts._addresses.get("127.0.0.1")
                most = max(most, account.staged if account else 0)

        looking = threading.Thread(target=look)
        looking.start()
        list(pool.map(lambda _: upload(client, 6), range(4)))
        over.set()
        looking.join()
        assert 0 < most <= (2 + 6) * BLOCK_SIZE, "one alone may have more"
        assert_soon(lambda: account_of(calls, "127.0.0.1").staged == 0)


def test_where_all_transfers_are_in_use_who_has_most_gives_way(store: EmbeddedStore) -> None:
    with served(store, max_transfers=8) as (address, calls), Peers(address, OTHER) as peers:
        peers.calls(12, "Upload", upload_start(), upload_block(), each=1)
        assert_soon(lambda: len(calls.of(TRANSFERS)) == 8)
        gets_through(address)


def test_where_nearly_all_connections_are_in_use_who_has_most_loses_some(store: EmbeddedStore) -> None:
    with served(store, max_connections=24) as (address, calls), Peers(address, OTHER) as peers:
        peers.calls(24, "Watch", WATCHED, end=True, each=1)
        assert_soon(lambda: len(peers.alive()) == 18)
        gets_through(address)
        assert_soon(lambda: len(calls.of({WATCH})) == 18)


def test_a_flood_of_resets_ends_its_connection_and_a_polite_client_gets_through(store: EmbeddedStore) -> None:
    asked = pb.ExistsRequest(unit="u", keys=[pb.Key(data_id=LARGE)]).SerializeToString()
    with (
        served(store, budget=Budget(calls_per_second=50)) as (address, calls),
        Peers(address, OTHER) as peers,
        RemoteStore(address) as client,
    ):
        client.exists_many("u", [LARGE])  # two callers are there
        peers.calls(1, "Exists", asked, end=True)
        connection = peers.connections[0]
        assert_soon(lambda: connection.ended)

        def flood() -> bool:
            try:
                for _ in range(200):
                    stream = connection.call("Exists", asked, end=True)
                    connection.frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
            except OSError:
                return True
            return connection.closed

        assert_soon(flood)
        gets_through(address)
        assert_soon(lambda: account_of(calls).held == 0)
    assert not any(account_of(calls).running)


def test_who_is_over_the_rate_waits_and_all_is_done(store: EmbeddedStore) -> None:
    with (
        served(store, budget=Budget(calls_per_second=40)) as (address, calls),
        RemoteStore(address) as client,
        Peers(address, OTHER) as peers,
        ThreadPoolExecutor(8) as pool,
    ):
        peers.calls(1, "Watch", WATCHED, end=True)
        found = list(pool.map(lambda n: client.exists_many("u", [1000 + n % 100]), range(100)))
        assert all(generation for (generation,) in found)
    assert account_of(calls, "127.0.0.1").held == 0
