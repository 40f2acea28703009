"""Cancellation of a task wherever it waits in one of Vault's calls: afterwards everything goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from vault import AlreadyExistsError, AsyncRemoteVault, AsyncVault, BatchError, ConflictError, NotFoundError
from vault_server import EmbeddedStore, Server

from tests.vault.places import Count, Note
from torture.interrupts.calls import LARGE, STRUCTURE

BOUND = 20.0

Call = Callable[[AsyncVault, Path], Coroutine[Any, Any, object]]


class Suspensions:
    """Drives a coroutine, and cancels its task at one of its suspensions.

    Attributes:
        count: The suspensions so far.
        reached: Whether it came to that one.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], target: int) -> None:
        self.count = 0
        self.reached = False
        self._coroutine = coroutine
        self._target = target

    def __await__(self) -> Generator[Any, Any, Any]:
        value: Any = None
        error: BaseException | None = None
        while True:
            try:
                waited = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
            except StopIteration as end:
                return end.value
            value, error = None, None
            self.count += 1
            if self.count == self._target:
                self.reached = True
                task = asyncio.current_task()
                assert task is not None
                task.cancel()  # as anybody may: it comes while this is waited for
            try:
                value = yield waited
            except BaseException as raised:  # noqa: BLE001  # passed on
                error = raised


async def load(vault: AsyncVault, _: Path) -> None:
    ticket = await vault.load("notes", "kept")
    assert ticket is not None
    await ticket.close()


async def load_many(vault: AsyncVault, _: Path) -> None:
    for ticket in await vault.load_many("notes", ["kept", "touched", "nothing"]):
        if ticket is not None:
            await ticket.close()


async def load_large(vault: AsyncVault, _: Path) -> None:
    ticket = await vault.load("files", "large")
    assert ticket is not None
    await ticket.close()


async def upload(vault: AsyncVault, _: Path) -> None:
    await vault.upload("notes", Note("new"), name="new")


async def upload_large(vault: AsyncVault, _: Path) -> None:
    await vault.upload("files", Note(LARGE), name="new")


async def upload_many(vault: AsyncVault, _: Path) -> None:
    await vault.upload_many("notes", [Note("new"), Note("new")], names=["new", None])


async def update(vault: AsyncVault, _: Path) -> None:
    await vault.update("notes", "touched", Note("touched!"))


async def close_ticket(vault: AsyncVault, _: Path) -> None:
    async with await vault.load("notes", "touched") as ticket:  # type: ignore[union-attr]
        ticket.get_ref().text = "touched!"


async def edit(vault: AsyncVault, _: Path) -> None:
    await vault.edit("counts", "count", lambda count: Count(count.number + 1))


async def compute(vault: AsyncVault, _: Path) -> None:
    async def function() -> Note:
        await asyncio.sleep(0)
        return Note("computed")

    assert (await vault.get_or_compute("notes", "computed", function)).text == "computed"


async def delete(vault: AsyncVault, _: Path) -> None:
    await vault.delete("notes", "doomed")


async def set_metadata(vault: AsyncVault, _: Path) -> None:
    await vault.set_metadata("notes", "touched", tags={"a": "b"})


async def list_objects(vault: AsyncVault, _: Path) -> None:
    assert [info async for info in vault.list("notes")]


async def read(vault: AsyncVault, _: Path) -> None:
    async with await vault.open("files", "large") as reader:
        reader.seek(1 << 20)
        await reader.read(100)
        reader.seek(5)
        await reader.read(10)


async def write(vault: AsyncVault, _: Path) -> None:
    async with await vault.open_writer("files", name="new") as writer:
        await writer.write(LARGE.encode())


async def upload_file(vault: AsyncVault, folder: Path) -> None:
    (folder / "up").write_text(LARGE)
    await vault.upload_file("files", folder / "up", name="new")


async def download_file(vault: AsyncVault, folder: Path) -> None:
    (folder / "down").write_text("before")
    await vault.download_file("files", "large", folder / "down")


async def watch(vault: AsyncVault, _: Path) -> None:
    async with await vault.watch("notes", since=0) as changes:
        await anext(changes)


async def close(vault: AsyncVault, _: Path) -> None:
    await load(vault, _)
    await vault.close()


CALLS: Final[list[Call]] = [
    load, load_many, load_large, upload, upload_large, upload_many, update, close_ticket, edit, compute, delete,
    set_metadata, list_objects, read, write, upload_file, download_file, watch, close,
]  # fmt: skip


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[AsyncVault]:
    if kind == "embedded":
        yield AsyncVault(folder / "store", STRUCTURE)
    else:
        with EmbeddedStore(folder / "store") as store, Server(store) as server:
            yield AsyncRemoteVault(server.address, STRUCTURE)


async def bounded(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(BOUND):
        return await awaitable


async def prepared(vault: AsyncVault) -> None:
    for name in ("kept", "touched", "doomed"):
        await vault.upload("notes", Note(name), name=name)
    await vault.upload("counts", Count(1), name="count")
    await vault.upload("files", Note(LARGE), name="large")


async def cancelled(kind: str, call: Call, point: int, folder: Path) -> bool:
    """Makes the call, cancelled at its `point`th suspension; whether there was one."""
    async with opened(kind, folder) as vault:
        await prepared(vault)
        suspensions = Suspensions(call(vault, folder), point)

        async def driven() -> None:
            await suspensions

        task = asyncio.ensure_future(driven())
        with contextlib.suppress(asyncio.CancelledError):  # one that came too late is none
            await bounded(asyncio.shield(task))
        if not vault._closed:
            await bounded(afterwards(vault, folder, call))
        await bounded(vault.close())
        assert not [each for each in asyncio.all_tasks() if each.get_name().startswith("vault-")]
    with EmbeddedStore(folder / "store") as store:
        report = store.check(deep=True)
        assert report.ok, report.problems
    return suspensions.reached


async def afterwards(vault: AsyncVault, folder: Path, call: Call) -> None:
    assert not vault.cache_stats().open_tickets
    for name, allowed in (("kept", {"kept"}), ("touched", {"touched", "touched!"})):
        async with await vault.load("notes", name) as ticket:  # type: ignore[union-attr]
            assert ticket.get_data().text in allowed
    async with await vault.load("counts", "count") as count:  # type: ignore[union-attr]
        assert count.get_data().number >= 1
    async for info in vault.list("files"):
        assert info.size == len(LARGE), "half an object is shown"
    if (folder / "down").exists():
        assert (folder / "down").read_text() in ("before", LARGE)
    for each in (call, load, upload, edit, close_ticket, write):
        if each is not close:
            with contextlib.suppress(AlreadyExistsError, NotFoundError, ConflictError, BatchError):
                await each(vault, folder)
                assert not vault.cache_stats().open_tickets, f"a ticket of {each.__name__} is left"


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["embedded", "remote"])
async def test_a_call_that_is_cancelled_wherever_it_waits_leaves_nothing_behind(
    kind: str, call: Call, tmp_path: Path
) -> None:
    point = 0
    reached = True
    while reached:
        point += 1
        folder = tmp_path / str(point)
        folder.mkdir()
        reached = await cancelled(kind, call, point, folder)
    assert point > 1 or kind == "embedded"  # which may have nothing to wait for
