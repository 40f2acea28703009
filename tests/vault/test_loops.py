"""Async vaults, stores and servers on another event loop than their own: refused in so many words, and closed by any
once their own is closed."""

import asyncio
import contextlib
import gc
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from vault import AsyncVault, Change, ConnectionSettings
from vault.errors import VaultError
from vault.store.contract import AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import (
    CopySpec,
    DeleteSpec,
    LoadItem,
    MetadataSpec,
    PutSpec,
    SmallPut,
    SmallUpdate,
    SmallUpload,
    UpdateSpec,
    UploadSpec,
)
from vault.store.usage import PrincipalLimits, UnitLimits
from vault.store.values import checksum
from vault_server import AsyncMemoryStore, AsyncServer, EmbeddedStore

from tests.vault.places import STRUCTURE, Note, Place
from tests.waiting import assert_soon

CHECKSUM = checksum(b"x")
DATA = bytes(5 * BLOCK_SIZE)

VAULT_CALLS: dict[str, Callable[[Any], Any]] = {
    "units": lambda v: v.units(),
    "upkeep": lambda v: v.upkeep(),
    "spawn_upkeeping_thread": lambda v: v.spawn_upkeeping_thread(1),
    "exists": lambda v: v.exists("notes", 1),
    "load": lambda v: v.load("notes", "small"),
    "get": lambda v: v.get("notes", "small"),
    "open_ticket": lambda v: v.open_ticket("notes", "small"),
    "upload": lambda v: v.upload("notes", Note("x")),
    "create": lambda v: v.create("notes", Note("x")),
    "update": lambda v: v.update("notes", "small", Note("x")),
    "delete": lambda v: v.delete("notes", 1),
    "stat": lambda v: v.stat("notes", "small"),
    "find": lambda v: v.find("notes", "small"),
    "set_metadata": lambda v: v.set_metadata("notes", "small", tags={}),
    "touch": lambda v: v.touch("notes", "small"),
    "edit": lambda v: v.edit("notes", "small", lambda note: None),
    "list": lambda v: anext(v.list("notes")),
    "exists_many": lambda v: v.exists_many("notes", [1]),
    "load_many": lambda v: v.load_many("notes", ["small"]),
    "upload_many": lambda v: v.upload_many("notes", [Note("x")]),
    "delete_many": lambda v: v.delete_many("notes", [1]),
    "open": lambda v: v.open("notes", "small"),
    "open_writer": lambda v: v.open_writer("notes"),
    "upload_file": lambda v: v.upload_file("notes", __file__),
    "download_file": lambda v: v.download_file("notes", "small", os.devnull),
    "put": lambda v: v.put("notes", "small", Note("x")),
    "put_many": lambda v: v.put_many("notes", {"small": Note("x")}),
    "put_file": lambda v: v.put_file("notes", "small", __file__),
    "read": lambda v: v.read("notes", "small"),
    "read_ranges": lambda v: v.read_ranges("notes", "small", [(0, 1)]),
    "list_level": lambda v: v.list_level("notes"),
    "copy": lambda v: v.copy("notes", "small", "copy"),
    "copy_many": lambda v: v.copy_many("notes", {"small": "copy"}),
    "rename": lambda v: v.rename("notes", "small", "smaller"),
    "rename_many": lambda v: v.rename_many("notes", {"small": "smaller"}),
    "set_metadata_many": lambda v: v.set_metadata_many("notes", [MetadataSpec("small", tags={})]),
    "get_or_compute": lambda v: v.get_or_compute("notes", "small", lambda: Note("x")),
    "watch": lambda v: v.watch("notes"),
    "unit_info": lambda v: v.unit_info("notes"),
    "set_unit_limits": lambda v: v.set_unit_limits("notes"),
    "revision": lambda v: coroutine(lambda: v.revision),
}

STORE_CALLS: dict[str, Callable[[Any], Any]] = {
    "capabilities": lambda s: s.capabilities(),
    "exists_many": lambda s: s.exists_many("notes", [1]),
    "stat_many": lambda s: s.stat_many("notes", [1]),
    "list_page": lambda s: s.list_page("notes"),
    "list_units": lambda s: s.list_units(),
    "load": lambda s: s.load("notes", "small"),
    "load_many": lambda s: s.load_many("notes", [LoadItem("small")]),
    "upload": lambda s: s.upload("notes", UploadSpec(77)),
    "update": lambda s: s.update("notes", UpdateSpec("small")),
    "write_status": lambda s: s.write_status("notes", bytes(16)),
    "abort_write": lambda s: s.abort_write("notes", bytes(16)),
    "upload_many": lambda s: s.upload_many("notes", [SmallUpload(UploadSpec(78), b"x", CHECKSUM)]),
    "update_many": lambda s: s.update_many("notes", [SmallUpdate(UpdateSpec(79), b"x", CHECKSUM)]),
    "delete_many": lambda s: s.delete_many("notes", [DeleteSpec(1)]),
    "set_metadata": lambda s: s.set_metadata("notes", MetadataSpec("small", tags={})),
    "put": lambda s: s.put("notes", PutSpec("big")),
    "put_many": lambda s: s.put_many("notes", [SmallPut(PutSpec("small"), b"x", CHECKSUM)]),
    "read": lambda s: s.read("notes", "small", [(0, 1)]),
    "copy_many": lambda s: s.copy_many("notes", [CopySpec("small", "copy")]),
    "set_metadata_many": lambda s: s.set_metadata_many("notes", [MetadataSpec("small", tags={})]),
    "unit_info": lambda s: s.unit_info("notes"),
    "unit_page": lambda s: s.unit_page(),
    "set_unit_limits": lambda s: s.set_unit_limits("notes", UnitLimits()),
    "principal_info": lambda s: s.principal_info("ann"),
    "principal_page": lambda s: s.principal_page(),
    "set_principal_limits": lambda s: s.set_principal_limits("ann", PrincipalLimits()),
    "acquire_lease": lambda s: s.acquire_lease("notes", "small", bytes(16), 1),
    "release_lease": lambda s: s.release_lease("notes", "small", bytes(16)),
    "watch": lambda s: s.watch(["notes"]),
    "changes": lambda s: s.changes(0),
}


async def coroutine(function: Callable[[], Any]) -> Any:
    return function()


class Handles:
    """What a vault gives out, in the middle of its use; and how each is used."""

    async def open(self, vault: Any) -> "Handles":
        store = vault._store
        self.edited = await vault.load("notes", "small")
        self.edited.get_ref().text = "edited"
        self.reader = await vault.open("notes", "big")
        await self.reader.read(10)
        self.writer = await vault.open_writer("notes")
        await self.writer.write(DATA)
        self.subscription = await vault.watch("notes")
        self.upkeeping = await vault.spawn_upkeeping_thread(0.05)
        self.write = await store.upload("notes", UploadSpec(76), resumable=True)
        self.blocks = await store.load("notes", "big")
        self.stream = aiter(self.blocks)
        await anext(self.stream)
        self.watch = await store.watch(["notes"])
        self.events = aiter(self.watch)
        await anext(self.events)
        return self

    def uses(self) -> Iterator[Callable[[], Any]]:
        yield self.edited.close
        yield lambda: self.reader.read(10)
        yield self.reader.readline
        yield self.reader.map
        yield lambda: self.writer.write(b"more")
        yield self.writer.close
        yield lambda: anext(self.subscription)

    def uses_of_the_store(self) -> Iterator[Callable[[], Any]]:
        """May also work: what is embedded waits for threads."""
        yield lambda: self.write.commit(5)
        yield lambda: anext(self.stream, None)
        yield lambda: anext(self.events, None)

    def closes(self) -> Iterator[Callable[[], Any]]:
        yield self.reader.close
        yield self.writer.abort
        yield self.subscription.close
        yield self.upkeeping.stop

    def closes_of_the_store(self) -> Iterator[Callable[[], Any]]:
        """May also work, as above."""
        yield self.write.abort
        yield self.blocks.close
        yield self.watch.close


class Loop:
    """An event loop: another thread's while it runs, nobody's while it stands, and at last closed."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.runner = asyncio.Runner()
        self.runner.get_loop()

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def __enter__(self) -> None:
        loop = self.runner.get_loop()
        if self.state == "runs":
            self.thread = threading.Thread(target=loop.run_forever)
            self.thread.start()
        if self.state == "closed":
            self.runner.close()

    def __exit__(self, *exc_info: object) -> None:
        if self.state == "runs":
            loop = self.runner.get_loop()
            loop.call_soon_threadsafe(loop.stop)
            self.thread.join()


async def prepared(vault: AsyncVault) -> None:
    await vault.upload("notes", Note("small"), name="small")
    async with await vault.open_writer("notes", name="big") as big:
        await big.write(DATA)


async def assert_refused(call: Callable[..., Any], *args: Any) -> None:
    """Calls it and awaits: OTHER_LOOP, and soon; or the Store has no such call."""
    async with asyncio.timeout(20):
        with pytest.raises(VaultError, match=r"event loop|does not support") as caught:
            await call(*args)
    assert caught.value.reason in {"OTHER_LOOP", "UNSUPPORTED"}


async def refused_or_works(call: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        with contextlib.suppress(VaultError):
            await call()


def coroutines(kind: type) -> set[str]:
    return {
        name
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") and (inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member))
    }


def test_the_walk_below_goes_over_every_call() -> None:
    assert coroutines(AsyncVault) - {"close"} <= set(VAULT_CALLS)
    assert coroutines(AsyncStore) - {"close"} <= set(STORE_CALLS)


@pytest.mark.parametrize("state", ["stands", "runs", "closed"])
def test_another_event_loop_is_told_so_by_every_call_and_disturbs_nothing(place: Place, state: str) -> None:
    own = Loop(state)
    vault = AsyncVault(place.location, STRUCTURE, connection=ConnectionSettings(timeout=10))
    own.run(prepared(vault))
    handles = own.run(Handles().open(vault))

    async def elsewhere() -> None:
        for call in VAULT_CALLS.values():
            await assert_refused(call, vault)
        for name, call in STORE_CALLS.items():
            if name != "changes" or vault._store.local_feed:
                await assert_refused(call, vault._store)
        for use in handles.uses():
            await assert_refused(use)
        for use in handles.uses_of_the_store():
            await refused_or_works(use)
        if state != "closed":
            await assert_refused(vault.close)
            await assert_refused(vault._store.close)
            for close in handles.closes():
                await assert_refused(close)
            for close in handles.closes_of_the_store():
                await refused_or_works(close)

    async def close_all() -> None:
        await handles.edited.discard()
        for close in (*handles.closes(), *handles.closes_of_the_store()):
            await close()
        await vault.close()

    with asyncio.Runner() as other:
        with own:
            other.run(elsewhere())
        if state == "closed":
            other.run(close_all())
            return
    own.run(handles.writer.close())
    assert isinstance(own.run(anext(handles.subscription)), Change)
    own.run(handles.edited.close())
    own.run(close_all())
    own.runner.close()


@pytest.mark.parametrize("state", ["stands", "runs", "closed"])
def test_a_store_in_memory_tells_another_event_loop_so_by_every_call(state: str) -> None:
    own, store = Loop(state), AsyncMemoryStore()
    own.run(store.upload_many("notes", [SmallUpload(UploadSpec(1, "small"), b"x", CHECKSUM)]))

    async def elsewhere() -> None:
        for call in STORE_CALLS.values():
            await assert_refused(call, store)
        if state != "closed":
            await assert_refused(store.close)

    with asyncio.Runner() as other:
        with own:
            other.run(elsewhere())
        if state == "closed":
            other.run(store.close())
            return
    own.run(store.close())
    own.runner.close()


def own_threads(place: Place) -> set[threading.Thread]:
    """Without the pool of a server that is in this process, which grows as it needs to."""
    pool = "vault-storage" if place.kind == "remote" else "-"
    return {thread for thread in threading.enumerate() if not thread.name.startswith(pool)}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_is_closed_on_another_event_loop_gives_everything_back(place: Place) -> None:
    kept: list[Any] = []

    def cycle() -> None:
        vault = AsyncVault(place.location, STRUCTURE, connection=ConnectionSettings(timeout=10))
        kept.append(vault)  # closing has to do it, not the collector
        first, second = asyncio.Runner(), asyncio.Runner()

        async def use() -> Any:
            if not await vault.find("notes", "small"):
                await prepared(vault)
            return await Handles().open(vault)

        with first:
            handles = first.run(use())
        with second:
            second.run(vault.close())
            second.run(handles.edited.discard())
            for close in (*handles.closes(), *handles.closes_of_the_store(), vault.close):
                second.run(close())

    cycle()  # what gRPC keeps for a process is there from now on
    before, threads = descriptors(), own_threads(place)
    # gRPC tells of a call's end to the event loop that it was begun on. Where that was closed before it heard of it,
    # the connection (both ends of it are in this process) stays open until the process ends.
    times = 3
    most = before + (2 * times if place.kind == "remote" else 0)
    for _ in range(times):
        cycle()

    def given_back() -> bool:
        gc.collect()  # the handles, which hold each other
        return descriptors() <= most and not own_threads(place) - threads

    assert_soon(given_back)


def test_a_server_is_stopped_on_its_own_event_loop(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "store") as store, asyncio.Runner() as own, asyncio.Runner() as other:
        server = AsyncServer(store)
        own.run(server.start())
        for call in (server.start, server.stop, server.wait):
            other.run(assert_refused(call))
        own.run(server.stop())
        other.run(server.stop())
