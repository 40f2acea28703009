"""The async vault: the same promises, among tasks, and when tasks are cancelled."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from vault import (
    AsyncRemoteVault,
    AsyncTicket,
    AsyncVault,
    BatchError,
    ClosedError,
    ConflictError,
    ConnectionSettings,
    NotFoundError,
    UnavailableError,
    UnknownUnitError,
)
from vault_server import AsyncEmbeddedStore, AsyncServer

from tests.vault.places import STRUCTURE, Count, Note

Opener = Callable[..., Any]

LARGE = "one" * 50_000  # is decoded on a thread: the loop goes on meanwhile, and can cancel


class Counted(Note):
    """Counts how often it is loaded, and waits for a test where that says so."""

    datatype_tag = "Note"
    loads = 0
    go_on = threading.Event()

    @classmethod
    def _load(cls, raw: bytes) -> Self:
        cls.loads += 1
        assert cls.go_on.wait(20)
        return super()._load(raw)


@pytest.fixture
def counted() -> type[Counted]:
    class Fresh(Counted):
        datatype_tag = "Note"
        go_on = threading.Event()

    return Fresh


@pytest.fixture(params=["embedded", "remote"])
async def opener(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens vaults on one place; they are closed after the test."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(AsyncEmbeddedStore(tmp_path / "store"))
        address = ""
        if request.param == "remote":
            address = (await stack.enter_async_context(AsyncServer(store))).address

        def opened(structure: Any = STRUCTURE, **options: Any) -> AsyncVault:
            vault: AsyncVault = (
                AsyncRemoteVault(address, structure, **options) if address else AsyncVault(store, structure, **options)
            )
            stack.push_async_callback(vault.close)
            return vault

        yield opened


async def load(vault: AsyncVault, key: int | str, unit: str = "notes") -> AsyncTicket:
    ticket = await vault.load(unit, key)
    assert ticket is not None
    return ticket


async def text_of(vault: AsyncVault, key: int | str) -> str:
    async with await load(vault, key) as ticket:
        text: str = ticket.get_data().text
        return text


async def assert_soon(condition: Callable[[], Any]) -> None:
    """Waits until it holds; fails when it does not in time."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


async def following(vault: AsyncVault) -> None:
    """Waits until the vault follows the change feed."""
    await assert_soon(vault._coherence.epoch)


async def test_every_call_does_what_its_sync_one_does(opener: Opener, tmp_path: Path) -> None:
    vault: AsyncVault = opener()
    data_id = await vault.upload("notes", Note("one"), name="a", tags={"k": "v"})
    assert await vault.exists("notes", "a")
    assert await vault.find("notes", "a") == data_id
    async with await load(vault, data_id) as ticket:
        ticket.get_ref().text += " two"
    assert await text_of(vault, "a") == "one two"
    info = await vault.update("notes", "a", Note("three"))
    assert await vault.stat("notes", data_id) == info
    with pytest.raises(ConflictError):
        await vault.update("notes", "a", Note("four"), if_generation=ticket.generation)
    assert (await vault.set_metadata("notes", data_id, name="b", tags={})).name == "b"
    other, ticket = await vault.create("notes", Note("other"))
    async with ticket:
        assert ticket.get_data().text == "other"
    assert {found.data_id async for found in vault.list("notes")} == {data_id, other}
    assert await vault.units() == ["notes"]
    assert vault.get_datatype("notes") is Note
    assert await vault.load("notes", 99) is None
    with pytest.raises(NotFoundError):
        await vault.edit("notes", 99, lambda note: None)
    with pytest.raises(UnknownUnitError):
        await vault.load("letters", 1)
    async with await vault.open_writer("notes", name="w") as writer:
        await writer.write(b"written")
    assert await text_of(vault, "w") == "written"
    async with await vault.open("notes", "w") as reader:
        assert await reader.read() == b"written"
    await vault.download_file("notes", "w", tmp_path / "file")
    await vault.upload_file("notes", tmp_path / "file", name="f")
    assert await text_of(vault, "f") == "written"
    assert await vault.delete("notes", "w")
    await vault.upkeep()
    upkeeping = await vault.spawn_upkeeping_thread(0.01)
    await asyncio.sleep(0.05)
    assert upkeeping.is_alive()
    await upkeeping.stop()
    assert vault.cache_stats().open_tickets == 0


async def test_batches_keep_order_and_carry_every_outcome(opener: Opener) -> None:
    vault: AsyncVault = opener()
    ids = await vault.upload_many("notes", [Note(str(n)) for n in range(200)], names=[f"n{n}" for n in range(200)])
    tickets = await vault.load_many("notes", [*ids, 7, "n3"])
    assert [ticket and ticket.get_data().text for ticket in tickets] == [*map(str, range(200)), None, "3"]
    for ticket in tickets:
        if ticket is not None:
            await ticket.close()
    assert await vault.exists_many("notes", [ids[0], 7]) == [True, False]
    with pytest.raises(BatchError) as caught:
        await vault.upload_many("notes", [Note("a"), Note("b")], names=["n0", "new"])
    assert sorted(caught.value.errors) == [0]
    assert await vault.delete_many("notes", ids) == [True] * 200
    assert vault.cache_stats().open_tickets == 0


async def test_tasks_that_edit_the_same_object_lose_nothing(opener: Opener) -> None:
    vaults: list[AsyncVault] = [opener(), opener()]
    data_id = await vaults[0].upload("counts", Count(0))

    def add_one(count: Count) -> None:
        count.number += 1

    async def work(vault: AsyncVault) -> None:
        for _ in range(10):
            await vault.edit("counts", data_id, add_one, attempts=100)

    async with asyncio.TaskGroup() as tasks:
        for number in range(4):
            tasks.create_task(work(vaults[number % 2]))
    for vault in vaults:
        async with await load(vault, data_id, "counts") as ticket:
            assert ticket.get_data().number == 40


async def test_leaving_by_an_exception_discards_and_dropping_warns(opener: Opener) -> None:
    vault: AsyncVault = opener()
    data_id = await vault.upload("notes", Note("one"))

    async def edit_and_fail() -> None:
        async with await load(vault, data_id) as ticket:
            ticket.get_ref().text = "half"
            raise KeyError

    with pytest.raises(KeyError):
        await edit_and_fail()
    assert await text_of(vault, data_id) == "one"
    dropped = [await load(vault, data_id)]
    dropped[0].get_ref().text = "half"
    with pytest.warns(ResourceWarning, match="not written"):
        dropped.clear()
    ticket = await load(vault, data_id)
    await ticket.close()
    with pytest.raises(ClosedError):
        ticket.get_data()
    assert await text_of(vault, data_id) == "one"
    assert vault.cache_stats().open_tickets == 0


async def test_another_vault_s_write_arrives(opener: Opener) -> None:
    one, two = opener(), opener()
    data_id = await one.upload("notes", Note("one"))
    assert await text_of(two, data_id) == "one"
    await following(two)
    assert await text_of(two, data_id) == "one"
    await one.update("notes", data_id, Note("two"))

    async def arrived() -> bool:
        return await text_of(two, data_id) == "two"

    await assert_soon(arrived)


async def test_tasks_share_one_load(opener: Opener, counted: type[Counted]) -> None:
    vault: AsyncVault = opener({"notes": (counted, 0)})
    data_id = await vault.upload("notes", counted(LARGE))
    await following(vault)
    loads = [asyncio.create_task(text_of(vault, data_id)) for _ in range(10)]
    await asyncio.sleep(0.05)
    counted.go_on.set()
    assert await asyncio.gather(*loads) == [LARGE] * 10
    assert counted.loads == 1


async def test_a_waiter_takes_over_from_a_load_that_was_cancelled(opener: Opener, counted: type[Counted]) -> None:
    vault: AsyncVault = opener({"notes": (counted, 0)})
    data_id = await vault.upload("notes", counted(LARGE))
    await following(vault)
    leader, *others = [asyncio.create_task(text_of(vault, data_id)) for _ in range(3)]

    async def begun() -> bool:
        return counted.loads == 1

    await assert_soon(begun)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    counted.go_on.set()
    assert await asyncio.gather(*others) == [LARGE] * 2
    assert counted.loads == 2
    assert vault.cache_stats().open_tickets == 0


async def test_a_waiter_that_is_cancelled_disturbs_nobody(opener: Opener, counted: type[Counted]) -> None:
    vault: AsyncVault = opener({"notes": (counted, 0)})
    data_id = await vault.upload("notes", counted(LARGE))
    await following(vault)
    leader, waiter = [asyncio.create_task(text_of(vault, data_id)) for _ in range(2)]
    await asyncio.sleep(0.05)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    counted.go_on.set()
    assert await leader == LARGE
    assert counted.loads == 1
    assert vault.cache_stats().open_tickets == 0


async def test_an_edit_whose_close_was_cancelled_in_the_queue_is_given_up(opener: Opener) -> None:
    vault = opener()
    data_id = await vault.upload("notes", Note("one"))
    ticket = await vault.load("notes", data_id)
    ticket.get_ref().text = "given up"
    async with ticket._entry.write_lock:  # as while another ticket on it writes
        closing = asyncio.create_task(ticket.close())
        await asyncio.sleep(0.01)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
    async with await vault.load("notes", data_id) as later:
        later.get_ref().text += " and two"
    async with await vault.load("notes", data_id) as later:
        assert later.get_data().text == "one and two"


async def test_a_vault_closes_while_its_server_is_away(tmp_path: Path) -> None:
    async with AsyncEmbeddedStore(tmp_path / "store") as store:
        server = AsyncServer(store)
        await server.start()
        async with AsyncRemoteVault(server.address, STRUCTURE, connection=ConnectionSettings(timeout=1)) as vault:
            data_id = await vault.upload("notes", Note("one"))
            await text_of(vault, data_id)
            await following(vault)
            await server.stop(grace=0)

            async def lost() -> bool:
                return not await vault._coherence.epoch()

            await assert_soon(lost)
            with pytest.raises(UnavailableError):
                await vault.load("notes", data_id)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "vault-watch"]
