"""Objects that expire, through vaults: no cache shows one after its moment, whatever time the client's machine has."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from vault import AsyncVault, RemoteStore, RemoteVault, TextWrapper, Vault
from vault._runtime.elapsed import elapsed
from vault.errors import ConflictError, InvalidArgumentError, NotFoundError
from vault.store.contract import Store
from vault.store.specs import MetadataSpec, PutSpec, SmallPut
from vault.store.values import ObjectInfo, checksum
from vault.store.wrapper import WrapperStore
from vault.v1 import vault_pb2 as pb
from vault.wire.store_time import TIMED, StoreTime
from vault_server import EmbeddedStore, MemoryStore, Server, StoreOptions

STRUCTURE = {"texts": (TextWrapper, 100)}
SOON = 0.1


def expiring(store: Store, name: str, seconds: float, text: str = "text") -> ObjectInfo:
    """Puts a text that expires."""
    data = text.encode()
    spec = PutSpec(name, datatype=TextWrapper.datatype_tag, expires_in=seconds)
    (info,) = store.put_many("texts", [SmallPut(spec, data, checksum(data))])
    assert isinstance(info, ObjectInfo), info
    return info


def shown(vault: Vault, key: int | str) -> str | None:
    """The text that a load shows."""
    ticket = vault.load("texts", key)
    if ticket is None:
        return None
    with ticket:
        return str(ticket.get_data().data)


class Counting(WrapperStore):
    """Counts the requests for objects."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.asked = 0

    def load_many(self, *args: Any) -> Any:
        self.asked += 1
        return super().load_many(*args)

    def stat_many(self, *args: Any) -> Any:
        self.asked += 1
        return super().stat_many(*args)


OPENED = Callable[[EmbeddedStore], Vault]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path / "store", StoreOptions(durability="relaxed")) as store:
        yield store
        assert store.check(deep=True).ok


@pytest.fixture(params=["embedded", "watch", "strict", "edge", "uncached", "memory"])
def pair(request: pytest.FixtureRequest, store: EmbeddedStore) -> Iterator[tuple[Store, Vault]]:
    """A store, and a vault on it."""
    with ExitStack() as stack:
        if request.param == "memory":
            memory = stack.enter_context(MemoryStore())
            yield memory, stack.enter_context(Vault(memory, STRUCTURE))
            return
        if request.param in ("embedded", "uncached"):
            yield store, stack.enter_context(Vault(store, STRUCTURE, cache=request.param == "embedded"))
            return
        address = stack.enter_context(Server(store)).address
        if request.param == "edge":
            address = stack.enter_context(Server(stack.enter_context(RemoteStore(address)))).address
        consistency = "strict" if request.param == "strict" else "watch"
        yield store, stack.enter_context(RemoteVault(address, STRUCTURE, consistency=consistency))


def test_a_load_never_shows_what_has_expired(pair: tuple[Store, Vault]) -> None:
    store, vault = pair
    info = expiring(store, "name", SOON)
    assert info.expires_at is not None
    seen = absent = 0
    while absent < 5:
        before = datetime.now(UTC)
        for key in ("name", info.data_id):
            if shown(vault, key) is None:
                assert datetime.now(UTC) >= info.expires_at
                absent += 1
            else:
                assert before < info.expires_at
                assert not absent
                seen += 1
    assert vault.find("texts", "name") is None
    expiring(store, "name", 1000, "other")
    deadline = time.monotonic() + 30
    while shown(vault, "name") != "other":
        assert time.monotonic() < deadline


def test_a_ticket_keeps_what_it_has_and_writes_nothing_back(pair: tuple[Store, Vault]) -> None:
    store, vault = pair
    for attempt in range(8):
        info = expiring(store, f"name{attempt}", SOON * 2**attempt)
        ticket = vault.load("texts", info.data_id)
        if ticket is not None:
            break
    assert ticket is not None
    while shown(vault, info.data_id) is not None:
        time.sleep(0.01)
    assert ticket.get_data().data == "text"
    ticket.get_ref().data = "edited"
    with pytest.raises((NotFoundError, ConflictError)):
        ticket.close()
    assert shown(vault, info.data_id) is None


def test_touch_sets_and_takes_away_the_moment(pair: tuple[Store, Vault]) -> None:
    store, vault = pair
    data_id = vault.upload("texts", TextWrapper("text"), name="name", tags={"a": "b"})
    touched = vault.touch("texts", "name", expires_in=1000)
    assert touched.expires_at is not None
    assert touched.expires_at - touched.updated_at == timedelta(seconds=1000)
    assert (touched.name, touched.tags, touched.data_id) == ("name", {"a": "b"}, data_id)
    assert vault.stat("texts", data_id) == touched
    assert shown(vault, "name") == "text"
    assert vault.touch("texts", "name").expires_at is None
    for bad in (0, -1, float("nan"), float("inf"), "1", True, 1e12):
        with pytest.raises(InvalidArgumentError) as caught:
            vault.touch("texts", "name", expires_in=bad)  # type: ignore[arg-type]  # that is it
        assert caught.value.reason == "BAD_EXPIRY"
    vault.touch("texts", "name", expires_in=0.001)
    while shown(vault, "name") is not None:
        time.sleep(0.001)
    with pytest.raises(NotFoundError):
        vault.touch("texts", "name", expires_in=1000)
    assert store.exists_many("texts", ["name"]) == [0]


def test_a_touch_by_another_client_is_seen(pair: tuple[Store, Vault]) -> None:
    store, vault = pair
    info = expiring(store, "name", 1000)
    assert shown(vault, "name") == "text"
    soon = store.set_metadata("texts", MetadataSpec(info.data_id, expires_in=SOON))
    assert soon.expires_at is not None
    deadline = time.monotonic() + 30
    while shown(vault, "name") is not None:
        assert time.monotonic() < deadline
    assert datetime.now(UTC) >= soon.expires_at


def test_what_expires_later_is_shown_without_asking(store: EmbeddedStore) -> None:
    with Server(store) as server, RemoteStore(server.address) as remote:
        counting = Counting(remote)
        with Vault(counting, STRUCTURE) as vault:
            info = expiring(store, "name", 1000)
            shown(vault, "name")
            deadline = time.monotonic() + 30
            before = 0
            while before != counting.asked:  # until the watch is there
                assert time.monotonic() < deadline
                before = counting.asked
                shown(vault, info.data_id)
            for _ in range(20):
                assert shown(vault, "name") == "text"
            assert counting.asked == before


async def test_a_task_is_shown_nothing_that_has_expired(store: EmbeddedStore) -> None:
    with Server(store) as server:
        async with AsyncVault(f"grpc://{server.address}", STRUCTURE) as vault:
            info = expiring(store, "name", SOON)
            assert info.expires_at is not None
            while (ticket := await vault.load("texts", "name")) is not None:
                await ticket.close()
            assert datetime.now(UTC) >= info.expires_at


# The client's time

# gRPC reads `time.time` for its deadlines, so that stays.
CLIENT = """
import sys, time
from datetime import datetime, timedelta
import datetime as module
hours = float(sys.argv[2])
real_ns = time.time_ns
time.time_ns = lambda: real_ns() + int(hours * 3600) * 10**9
class Wrong(datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + timedelta(hours=hours)
module.datetime = Wrong
from vault import RemoteVault, TextWrapper
with RemoteVault(sys.argv[1], {"texts": (TextWrapper, 10)}) as vault:
    with vault.load("texts", "name"):
        print("loaded", flush=True)
    asked = time.monotonic()
    while (ticket := vault.load("texts", "name")) is not None:
        ticket.close()
        assert time.monotonic() < asked + 60
    print(real_ns() / 1e9, vault.cache_stats().hits, flush=True)
"""


@pytest.mark.parametrize("hours", [-5.0, 5.0])
def test_a_client_whose_clock_is_wrong_shows_it_as_long_as_the_store_does(store: EmbeddedStore, hours: float) -> None:
    with Server(store) as server:
        info = expiring(store, "name", 1000)
        command = [sys.executable, "-c", CLIENT, server.address, str(hours)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "loaded\n"
            expires_at = store.set_metadata("texts", MetadataSpec(info.data_id, expires_in=0.5)).expires_at
            ended, hits = client.stdout.readline().split()
        assert client.returncode == 0
        assert expires_at is not None
        assert float(ended) >= expires_at.timestamp()
        assert int(hits) > 10


def test_time_is_never_behind_that_of_the_server() -> None:
    known = StoreTime()
    assert known.now.year == 9999
    reply = pb.StatResponse()
    known.see(reply, elapsed())
    assert known.now.year == 9999
    begun = elapsed()
    said = datetime(2026, 1, 1, tzinfo=UTC)
    reply.store_time.FromDatetime(said)
    known.see(reply, begun - 5)  # the reply took five seconds
    assert known.now >= said + timedelta(seconds=5)
    later = pb.StatResponse()
    later.store_time.FromDatetime(said + timedelta(hours=1))
    known.see(later, begun)
    known.see(reply, begun - 5)  # which comes late
    assert said + timedelta(hours=1) <= known.now < said + timedelta(hours=1, seconds=60)
    reply.store_time.seconds = 253402300799
    known.see(reply, begun)
    assert known.now.year == 9999


def test_every_reply_with_an_object_may_say_the_time() -> None:
    with_objects = set()
    for method in pb.DESCRIPTOR.services_by_name["VaultService"].methods:
        in_columns = "generations" in method.output_type.fields_by_name and method.name != "Exists"
        if in_columns or _holds(method.output_type, "ObjectInfo"):
            with_objects.add(method.name)
    assert with_objects == TIMED


def _holds(message: Any, name: str) -> bool:
    return message.name == name or any(
        field.message_type is not None
        and not field.message_type.GetOptions().map_entry
        and _holds(field.message_type, name)
        for field in message.fields
    )
