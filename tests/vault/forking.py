"""A program that forks with everything open: python -m tests.vault.forking LOCATION sync|async

For each way in which a child may end, it opens one of everything, forks, and finishes what it has opened, as if there
had been no child. Prints what each child did; exits 1 where a handle that was used in a child raised anything but
ClosedError, or where the parent's was disturbed.
"""

import asyncio
import gc
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from vault import AsyncVault, ConnectionSettings, Vault
from vault.errors import ClosedError
from vault.store.blocks import BlockCutter
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec, new_data_id
from vault.store.values import Change

from tests.vault.places import STRUCTURE, Note

DATA = os.urandom(12 * BLOCK_SIZE + 3)  # more than is ever on its way, so that a stream is open in the middle
HALF = 6 * BLOCK_SIZE
BLOCKS = [*(cutter := BlockCutter()).feed(memoryview(DATA)), *cutter.rest()]
WHOLE = cutter.checksum

WAYS = ("used", "dropped", "closed", "exit", "raise", "multiprocessing")
ASYNC_WAYS = ("used", "dropped", "closed", "multiprocessing")
"""Without those that unwind the child's copy of the running loop: asyncio itself then takes the parent's descriptors
out of the epoll set that both share."""


class Handles:
    """One of everything that a vault and its store give out, in the middle of its use."""

    def __init__(self, vault: Any, run: Callable[[Any], Any]) -> None:
        self.vault = vault
        self.run = run
        store = vault._store
        self.id = new_data_id()
        self.ticket = run(vault.load("notes", "small"))
        self.edited = run(vault.load("notes", "small"))
        self.edited.get_ref().text = f"edited {self.id}"
        self.reader = run(vault.open("notes", "big"))
        assert run(self.reader.read(10)) == DATA[:10]
        self.writer = run(vault.open_writer("notes", data_id=self.id))
        run(self.writer.write(DATA[:HALF]))
        self.subscription = run(vault.watch("notes"))
        self.listing = iterator(vault.list("notes"))
        run(self.next(self.listing))
        self.blocks = run(store.load("notes", "big"))
        self.stream = iterator(self.blocks)
        assert bytes(run(self.next(self.stream)).data) == DATA[:BLOCK_SIZE]
        self.writes = [
            run(store.upload("notes", UploadSpec(new_data_id()), resumable=resumable)) for resumable in (False, True)
        ]
        for write in self.writes:
            for block in BLOCKS[:6]:
                run(write.write(block))
        self.watch = run(store.watch(["notes"]))
        self.events = iterator(self.watch)
        run(self.next(self.events))
        self.upkeeping = run(vault.spawn_upkeeping_thread(0.05))

    @staticmethod
    def next(items: Any) -> Any:
        return anext(items) if hasattr(items, "__anext__") else next(items)

    def uses(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Everything that uses what is open."""
        yield "ticket.get_data", self.ticket.get_data
        yield "ticket.get_clone", self.ticket.get_clone
        yield "ticket.get_ref", self.ticket.get_ref
        yield "edited.close", self.edited.close
        yield "reader.read", lambda: self.reader.read(10)
        yield "reader.readline", self.reader.readline
        yield "reader.seek", lambda: self.reader.seek(0)
        yield "reader.map", self.reader.map
        yield "writer.write", lambda: self.writer.write(b"child's")
        yield "writer.close", self.writer.close
        yield "next(subscription)", lambda: self.next(self.subscription)
        yield "next(listing)", lambda: self.next(self.listing)
        yield "next(blocks)", lambda: self.next(self.stream)
        for write in self.writes:
            yield "write.write", partial(write.write, BLOCKS[6])
            yield "write.commit", partial(write.commit, HALF)
        yield "next(events)", lambda: self.next(self.events)

    def lets_go(self) -> Iterator[Callable[[], Any]]:
        """Everything that ends what is open: harmless in a child."""
        yield self.ticket.close
        yield self.edited.discard
        yield self.reader.close
        yield self.writer.abort
        yield self.subscription.close
        yield self.blocks.close
        yield self.watch.close
        yield self.upkeeping.stop
        for write in self.writes:
            yield write.suspend
            yield write.abort

    def finish(self) -> None:
        """In the parent: everything goes on where it was."""
        run = self.run
        run(self.writer.write(DATA[HALF:]))
        run(self.writer.close())
        assert self.writer.info.size == len(DATA)
        for write in self.writes:
            for block in BLOCKS[6:]:
                run(write.write(block))
            assert run(write.commit(len(DATA), WHOLE)).size == len(DATA)
        assert run(self.reader.read()) == DATA[10:]
        run(self.reader.close())
        left = b""
        while (block := run(ended(self.next, self.stream))) is not None:
            left += bytes(block.data)
        assert left == DATA[BLOCK_SIZE:]
        assert run(self.next(self.subscription)).data_id == self.id
        run(self.subscription.close())
        while not isinstance(run(self.next(self.events)), Change):
            pass
        run(self.watch.close())
        while run(ended(self.next, self.listing)) is not None:
            pass
        assert self.ticket.get_data()
        run(self.ticket.close())
        run(self.edited.close())
        after = run(self.vault.load("notes", "small"))
        assert after.get_data().text == f"edited {self.id}"
        run(after.close())
        run(self.upkeeping.stop())
        assert run(self.vault.delete("notes", self.id))


def iterator(items: Any) -> Any:
    return aiter(items) if hasattr(items, "__aiter__") else iter(items)


def ended(step: Callable[[Any], Any], items: Any) -> Any:
    """The next item; None at the end."""
    if hasattr(items, "__anext__"):
        return anext(items, None)
    return next(items, None)


def at_once(result: Any) -> Any:
    """In a child, whose event loop is its parent's: what a coroutine comes to without waiting."""
    if not hasattr(result, "__await__"):
        return result
    steps = result.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits, in a child where nobody will wake it")


def act(handles: Handles, way: str) -> None:
    """The child's part."""
    signal.alarm(30)
    if way == "used":
        for name, use in handles.uses():
            try:
                at_once(use())
            except ClosedError as error:
                if "before the fork" not in str(error):
                    raise
            else:
                raise AssertionError(f"{name} worked in the child")
    if way in ("used", "closed"):
        for let_go in handles.lets_go():
            at_once(let_go())
    if way == "dropped":
        handles.__dict__.clear()
        gc.collect()


def child(handles: Handles, way: str) -> int:
    """Forks; the child's exit code."""
    if way == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(target=act, args=(handles, "used"))
        process.start()
        process.join()
        return process.exitcode or 0
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if way == "exit":
        act(handles, way)
        sys.exit(0)
    if way == "raise":
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        raise ZeroDivisionError
    try:
        act(handles, way)
    except BaseException:  # noqa: BLE001  # printed, and the parent told
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def work(vault: Any, run: Callable[[Any], Any], ways: tuple[str, ...]) -> None:
    run(vault.upload("notes", Note("small"), name="small"))
    big = run(vault.open_writer("notes", name="big"))
    run(big.write(DATA))
    run(big.close())
    for number in range(2):
        run(vault.upload("notes", Note(str(number))))
    for way in ways:
        handles = Handles(vault, run)
        code = child(handles, way)
        print(way, code, flush=True)
        assert code == (1 if way == "raise" else 0), (way, code)
        handles.finish()


def main() -> None:
    signal.alarm(100)
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # of forking with threads, which is the point here
    location, colour = sys.argv[1:]
    if colour == "sync":
        vault = Vault(location, STRUCTURE, connection=ConnectionSettings(timeout=20))
        work(vault, lambda result: result, WAYS)
        vault.close()
        return
    with asyncio.Runner() as runner:

        async def waited(result: Awaitable[Any]) -> Any:
            return await result

        def run(result: Any) -> Any:
            return runner.run(waited(result)) if hasattr(result, "__await__") else result

        opened = AsyncVault(location, STRUCTURE, connection=ConnectionSettings(timeout=20))
        work(opened, run, ASYNC_WAYS)
        run(opened.close())


if __name__ == "__main__":
    main()
