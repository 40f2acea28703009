"""get_or_compute of asynchronous vaults: tasks, coroutine functions, cancellation."""

import asyncio
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from vault import AsyncVault, InvalidArgumentError
from vault_server import EmbeddedStore, Server
from vault_server.storage.memory import AsyncMemoryStore

from tests.vault.computing import Counting
from tests.vault.places import STRUCTURE, Note


@pytest.fixture(params=["memory", "embedded", "remote"])
async def open_async(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """As `open_vault`."""
    with ExitStack() as stack:
        location: Any = tmp_path / "store"
        if request.param == "memory":
            location = AsyncMemoryStore()
        elif request.param == "remote":
            store = stack.enter_context(EmbeddedStore(location))
            location = f"grpc://{stack.enter_context(Server(store)).address}"
        vaults: list[AsyncVault] = []

        def opened() -> AsyncVault:
            vaults.append(AsyncVault(location, STRUCTURE))
            return vaults[-1]

        yield opened
        for vault in vaults:
            await vault.close()


async def test_tasks_of_several_vaults_that_want_one_value_compute_it_once(open_async: Any) -> None:
    vaults = [open_async(), open_async()]
    for function in (Counting("a", 0.2).awaited, Counting("b", 0.2)):
        counting: Any = getattr(function, "__self__", function)
        asked = [vault.get_or_compute("notes", counting.text, function) for vault in vaults * 4]
        assert [note.text for note in await asyncio.gather(*asked)] == [counting.text] * 8
        assert (counting.calls, counting.most) == (1, 1)


async def test_a_plain_function_does_not_stop_the_event_loop(open_async: Any) -> None:
    done = threading.Event()
    vault = open_async()
    asked = asyncio.create_task(vault.get_or_compute("notes", "a", Counting(then=lambda: done.wait(30))))
    await asyncio.sleep(0.05)
    done.set()
    assert (await asked).text == "value"
    given = await vault.get_or_compute("notes", "b", lambda: Counting("awaited").awaited())
    assert given.text == "awaited"


async def test_a_coroutine_function_that_asks_for_its_own_name_is_refused(open_async: Any) -> None:
    vault = open_async()

    async def own() -> Note:
        with pytest.raises(InvalidArgumentError, match="asks for it itself"):
            await vault.get_or_compute("notes", "a", own)
        with pytest.raises(InvalidArgumentError, match="asks for it itself"):
            await asyncio.create_task(vault.get_or_compute("notes", "a", own))
        return Note("value")

    assert (await vault.get_or_compute("notes", "a", own)).text == "value"


async def test_what_was_cancelled_is_computed_by_who_waits(open_async: Any) -> None:
    vault, other = open_async(), open_async()
    begun = asyncio.Event()

    async def endless() -> Note:
        begun.set()
        await asyncio.sleep(3600)
        raise AssertionError

    first = asyncio.create_task(vault.get_or_compute("notes", "a", endless))
    await begun.wait()
    waiting = [asyncio.create_task(each.get_or_compute("notes", "a", Counting().awaited)) for each in (vault, other)]
    await asyncio.sleep(0.05)
    first.cancel()
    async with asyncio.timeout(8):  # sooner than a lease ends by itself
        assert [note.text for note in await asyncio.gather(*waiting)] == ["value", "value"]
    with pytest.raises(asyncio.CancelledError):
        await first
