"""Servers that never come to an end hold nobody, and fill no memory; whatever they end in is a VaultError."""

import asyncio
import random
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from vault import ConnectionSettings, RemoteVault
from vault.errors import ProtocolError, UnavailableError, VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec
from vault.testing.store.objects import blocks_of
from vault_server import EmbeddedStore

from tests.vault.places import STRUCTURE, following, text_of
from torture.hostile_server import endless
from torture.hostile_server.endless import LISTENERS, Flood, Listener, error_info, of, status
from torture.hostile_server.operations import LARGE, OPERATIONS, Operation, outcome, restore
from torture.hostile_server.server import SERVICE, Bend, HostileServer
from torture.hostile_server.walk import MOST, TIMEOUT, Report, client, hostile, walk_statuses

pytestmark = pytest.mark.slow

BY_NAME = {operation.name: operation for operation in OPERATIONS}
ALL = {method.name for method in SERVICE.methods}


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedStore, HostileServer]]:
    with hostile(tmp_path_factory.mktemp("hostile") / "store") as found:
        yield found


async def tried(face: str, address: str, operation: Operation) -> tuple[Any, float]:
    """What a call comes to, and the seconds that it took."""
    async with client(face, address) as (vault, remote):
        begun = time.monotonic()
        async with asyncio.timeout(30):
            got = await outcome(operation, vault, remote)
        return got, time.monotonic() - begun


@pytest.mark.parametrize(
    ("name", "bend", "error"),
    [
        ("download_file", of("Load", endless.repeated), ProtocolError),
        ("load('files', 1)", of("Load", endless.doubled), ProtocolError),
        ("download_file", of("Load", endless.cut_short), VaultError),
        ("download_file", of("Load", endless.falls_silent), UnavailableError),
        ("upload_file", of("Upload", endless.by_one), VaultError),
        ("upload_file", of("Upload", endless.persisted(0, 1 << 40)), ProtocolError),
        ("upload_file", of("Upload", endless.persisted(0, BLOCK_SIZE, 0)), ProtocolError),
        ("upload_file", of("Upload", endless.persisted(5)), VaultError),
        ("upload_file", of("Upload", endless.alive), UnavailableError),
        ("upload_file", of("Upload", endless.doubled), ProtocolError),
        ("upload_file", of("Upload", endless.cut_short), ProtocolError),
        ("upload_file", of("Upload", endless.falls_silent), UnavailableError),
        ("list by id", of("List", endless.empty_pages), UnavailableError),
        ("list by name", of("List", endless.SamePage()), ProtocolError),
        ("watch", of("Watch", endless.ended), ProtocolError),
        ("watch", of("Watch", endless.doubled), ProtocolError),
    ],
)
async def test_no_call_waits_for_what_never_comes(
    name: str, bend: Bend, error: type[VaultError], face: str, served: tuple[EmbeddedStore, HostileServer]
) -> None:
    store, liar = served
    liar.bend = bend
    got, took = await tried(face, liar.address, BY_NAME[name])
    restore(store)
    assert isinstance(got, error), got
    assert took < MOST, got


@pytest.mark.parametrize("what", [endless.silent, endless.ended, endless.repeated])
async def test_a_server_that_says_nothing_or_goes_on_holds_no_call(
    what: endless.Make, face: str, served: tuple[EmbeddedStore, HostileServer]
) -> None:
    store, liar = served
    liar.bend = of(ALL, what)
    for name in ("stat('notes', 1)", "load a range", "upload", "delete"):
        got, took = await tried(face, liar.address, BY_NAME[name])
        restore(store)
        assert isinstance(got, VaultError) or what is endless.repeated, (name, got)
        assert took < MOST, (name, got)


async def test_a_write_of_many_blocks_is_held_by_no_small_steps(
    face: str, served: tuple[EmbeddedStore, HostileServer]
) -> None:
    _, liar = served
    liar.bend = of("Upload", endless.by_one)
    begun = time.monotonic()
    async with client(face, liar.address) as (_, remote):
        with pytest.raises(VaultError):
            async with asyncio.timeout(30), await remote.upload("files", UploadSpec(77)) as writer:
                for block in blocks_of(LARGE * 5):
                    await writer.write(block)
                await writer.commit(len(LARGE) * 5)
    assert time.monotonic() - begun < MOST


async def test_whatever_a_call_ends_in_is_an_error_of_the_contract(
    face: str, served: tuple[EmbeddedStore, HostileServer]
) -> None:
    report = Report()
    seed = random.randrange(1 << 32)
    await walk_statuses(face, *served, report, 40, seed)
    assert not report.broken, (seed, report.broken)
    assert report.raised


@pytest.mark.parametrize("what", LISTENERS)
@pytest.mark.parametrize(("face", "name"), [("sync", "load a range"), ("async", "exists('notes', 1)")])
async def test_what_listens_and_is_no_server_is_an_error_in_time(what: str, face: str, name: str) -> None:
    with Listener(LISTENERS[what]) as listener:
        got, took = await tried(face, listener.address, BY_NAME[name])
    assert isinstance(got, VaultError), got
    assert took < MOST, got


async def test_replies_to_a_write_that_nobody_looks_at_are_few(
    face: str, served: tuple[EmbeddedStore, HostileServer]
) -> None:
    _, liar = served
    flood = Flood()
    liar.bend = of("Upload", flood)
    async with client(face, liar.address) as (_, remote):
        writer = await remote.upload("files", UploadSpec(78))
        until_still(flood)
        await writer.abort()
    assert flood.sent < 40


async def test_events_and_blocks_that_nobody_looks_at_are_few(
    face: str, served: tuple[EmbeddedStore, HostileServer]
) -> None:
    _, liar = served
    async with client(face, liar.address) as (_, remote):
        for method in ("Watch", "Load"):
            flood = Flood()
            liar.bend = of(method, flood)
            opened = await (remote.watch() if method == "Watch" else remote.load("files", 1))
            until_still(flood)
            await opened.close()  # type: ignore[union-attr]
            assert flood.sent < 40, method


def until_still(flood: Flood) -> None:
    """Waits until no more of it is taken."""
    before = -1
    deadline = time.monotonic() + 20
    while flood.sent != before and flood.sent < 1000 and time.monotonic() < deadline:
        before = flood.sent
        time.sleep(0.3)


@pytest.mark.parametrize("details", [error_info("OBJECT_NOT_FOUND", {"data_id": "9" * 4400}), error_info("CLOSED", {})])
def test_a_watch_that_ends_in_nonsense_ends_no_coherence(
    details: bytes, served: tuple[EmbeddedStore, HostileServer]
) -> None:
    _, liar = served
    nonsense = iter([True])

    def once(method: str, replies: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        if method == "Watch" and next(nonsense, False):
            return status(grpc.StatusCode.NOT_FOUND, details)(replies, context)
        return replies

    liar.bend = once
    with RemoteVault(liar.address, STRUCTURE, connection=ConnectionSettings(timeout=TIMEOUT)) as vault:
        assert text_of(vault, 1) == "1"
        following(vault)
        assert next(nonsense, False) is False
