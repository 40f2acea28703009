"""Many callers of one client that want one object each: they share requests, and nobody's trouble is another's."""

import asyncio
import random
import signal
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from vault import ConnectionSettings
from vault._async.remote.store import MOST_UNITS, AsyncRemoteStore
from vault._sync.remote.store import RemoteStore
from vault.errors import CorruptionError, InvalidArgumentError, UnavailableError, VaultError
from vault.store.contract import LoadResult
from vault.store.specs import LoadItem, SmallUpload, UploadSpec
from vault.store.values import LoadedObject, checksum
from vault_server import EmbeddedStore, Server

from tests.faults.proxy import Proxy
from tests.remote.transfers import Restarting

OBJECTS = 200
CALLERS = 100


class Counting(grpc.aio.ServerInterceptor):
    """Counts the calls that load; holds them until `go` is set."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = threading.Event()
        self.go.set()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method.rpartition("/")[2]
        if method in ("LoadMany", "LoadColumns"):
            self.calls += 1
            await asyncio.to_thread(self.go.wait)
        return await continuation(handler_call_details)


def content(data_id: int) -> bytes:
    return random.Random(data_id).randbytes(1000)


def fill(store: EmbeddedStore) -> None:
    items = [SmallUpload(UploadSpec(n), content(n), checksum(content(n))) for n in range(1, OBJECTS + 1)]
    for outcome in store.upload_many("u", items):
        assert not isinstance(outcome, VaultError)


def is_whole(result: LoadResult, data_id: int) -> bool:
    return isinstance(result, LoadedObject) and result.info.data_id == data_id and result.data == content(data_id)


def test_threads_share_requests_and_each_gets_its_own(store: EmbeddedStore) -> None:
    fill(store)
    counting = Counting()

    def work(number: int) -> bool:
        for step in range(20):
            data_id = (number * 7 + step) % OBJECTS + 1
            (result,) = remote.load_many("u", [LoadItem(data_id)])
            if not is_whole(result, data_id):
                return False
        return True

    with (
        Server(store, interceptors=[counting]) as server,
        RemoteStore(server.address, ConnectionSettings(timeout=20)) as remote,
        ThreadPoolExecutor(CALLERS) as threads,
    ):
        assert all(threads.map(work, range(CALLERS)))
    assert counting.calls < CALLERS * 20 / 4


async def test_tasks_share_requests_and_each_gets_its_own(store: EmbeddedStore) -> None:
    fill(store)
    counting = Counting()
    with Server(store, interceptors=[counting]) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            wanted = [n % OBJECTS + 1 for n in range(1000)]
            found = await asyncio.gather(*(remote.load_many("u", [LoadItem(data_id)]) for data_id in wanted))
    assert all(is_whole(result, data_id) for (result,), data_id in zip(found, wanted, strict=True))
    assert counting.calls < 100


async def test_tasks_that_go_on_asking_fill_their_requests(store: EmbeddedStore) -> None:
    fill(store)
    counting = Counting()
    with Server(store, interceptors=[counting]) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:

            async def work(number: int) -> None:
                for step in range(20):
                    data_id = (number * 7 + step) % OBJECTS + 1
                    (result,) = await remote.load_many("u", [LoadItem(data_id)])
                    assert is_whole(result, data_id)

            await asyncio.gather(*map(work, range(64)))
    assert counting.calls < 64 * 20 / 20


async def test_one_caller_s_trouble_is_his_own(tmp_path: Path) -> None:
    keys: list[Any] = [*range(1, OBJECTS + 1), 10**6, "missing", -5, 1.5]
    with EmbeddedStore(tmp_path) as damaged_store, Server(damaged_store) as server:
        fill(damaged_store)
        damaged_store.engine.writer.submit(
            lambda connection: connection.execute("UPDATE contents SET data = x'00' WHERE number = 50")
        ).result()
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            found = await asyncio.gather(*(remote.load_many("u", [LoadItem(key)]) for key in keys))
            assert (await remote.load_many("other", [LoadItem(1)])) == [None]
    outcomes = dict(zip(keys, (result for (result,) in found), strict=True))
    damaged = [key for key in range(1, OBJECTS + 1) if not is_whole(outcomes[key], key)]
    assert len(damaged) == 1
    assert isinstance(outcomes[damaged[0]], CorruptionError)
    assert outcomes[10**6] is outcomes["missing"] is None
    assert isinstance(outcomes[-5], InvalidArgumentError)
    assert isinstance(outcomes[1.5], InvalidArgumentError)


async def test_a_question_is_never_in_a_request_that_left_before_it(store: EmbeddedStore) -> None:
    """Each reads what was written just before it asks, while others ask all the time."""
    fill(store)
    with Server(store) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            over = False

            async def ask() -> None:
                while not over:
                    await remote.load_many("u", [LoadItem(1)])

            asking = [asyncio.create_task(ask()) for _ in range(30)]
            for step in range(100):
                data = b"%d" % step
                data_id = OBJECTS + 1 + step
                await asyncio.to_thread(
                    store.upload_many, "u", [SmallUpload(UploadSpec(data_id), data, checksum(data))]
                )
                (found,) = await remote.load_many("u", [LoadItem(data_id)])
                assert isinstance(found, LoadedObject), step
                assert found.data == data
            over = True
            await asyncio.gather(*asking)


async def test_who_gives_up_takes_nobody_along(store: EmbeddedStore) -> None:
    """Tasks are cancelled at every stage: while they ask, while they wait, and as their turn comes."""
    fill(store)
    counting = Counting()
    with Server(store, interceptors=[counting]) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            chance = random.Random(5)
            for _ in range(30):
                counting.go.clear()
                tasks = {
                    data_id: asyncio.create_task(remote.load_many("u", [LoadItem(data_id)])) for data_id in range(1, 51)
                }
                await asyncio.sleep(0.01)
                given_up = set(chance.sample(sorted(tasks), 25))
                for data_id in given_up - set(list(given_up)[:10]):
                    tasks[data_id].cancel()
                counting.go.set()
                await asyncio.sleep(chance.random() * 0.005)
                for data_id in given_up:
                    tasks[data_id].cancel()
                results = await asyncio.wait_for(asyncio.gather(*tasks.values(), return_exceptions=True), 15)
                for data_id, result in zip(tasks, results, strict=True):
                    if data_id not in given_up:
                        assert isinstance(result, list), result
                        assert is_whole(result[0], data_id)
            # No turn was lost: as many requests as before can be on their way.
            found = await asyncio.wait_for(
                asyncio.gather(*(remote.load_many("u", [LoadItem(n)]) for n in range(1, 101))), 15
            )
    assert all(is_whole(result, data_id) for data_id, (result,) in enumerate(found, 1))


def test_nobody_is_forgotten_when_the_server_is_killed_and_comes_back(restarting: Restarting, proxy: Proxy) -> None:
    with RemoteStore(proxy.address, ConnectionSettings(timeout=30)) as remote:
        items = [SmallUpload(UploadSpec(n), content(n), checksum(content(n))) for n in range(1, OBJECTS + 1)]
        remote.upload_many("u", items)
        over = threading.Event()

        def work(number: int) -> int:
            done = 0
            while not over.is_set():
                data_id = (number + done) % OBJECTS + 1
                (result,) = remote.load_many("u", [LoadItem(data_id)])
                assert is_whole(result, data_id)
                done += 1
            return done

        with ThreadPoolExecutor(40) as threads:
            working = [threads.submit(work, number) for number in range(40)]
            try:
                restarting.kill()
                restarting.kill()
            finally:
                over.set()
            assert all(each.result() for each in working)


def test_without_a_server_each_is_told_within_his_own_time(restarting: Restarting, proxy: Proxy) -> None:
    with RemoteStore(proxy.address, ConnectionSettings(timeout=2)) as remote, ThreadPoolExecutor(50) as threads:
        assert remote.load_many("u", [LoadItem(1)]) == [None]
        process = restarting.server.process
        process.send_signal(signal.SIGSTOP)
        try:
            asking = [threads.submit(remote.load_many, "u", [LoadItem(n)]) for n in range(1, 51)]
            errors = [each.exception(timeout=20) for each in asking]
        finally:
            process.send_signal(signal.SIGCONT)
        assert all(isinstance(error, UnavailableError) for error in errors)
        assert len({id(error) for error in errors}) == len(errors), "each has an error of his own"
        assert remote.load_many("u", [LoadItem(1)]) == [None]


async def test_units_without_end_are_not_remembered_without_end(store: EmbeddedStore) -> None:
    """As an edge server's clients may name them."""
    fill(store)
    with Server(store) as server:
        async with AsyncRemoteStore(server.address, ConnectionSettings(timeout=20)) as remote:
            units = [f"u{number}" for number in range(3 * MOST_UNITS // 2)]
            found = await asyncio.gather(*(remote.load_many(unit, [LoadItem(1)]) for unit in ["u", *units, "u"]))
            assert len(remote._loads) <= MOST_UNITS  # nobody else can tell
    assert is_whole(found[0][0], 1)
    assert is_whole(found[-1][0], 1)
    assert found[1:-1] == [[None]] * len(units)
