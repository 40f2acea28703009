"""A program that ends with everything open: python -m tests.vault.leaving LOCATION sync|async HOW"""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

from vault import AsyncVault, ConnectionSettings, Vault
from vault.store.blocks import BlockCutter
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec, new_data_id

from tests.vault.places import STRUCTURE, Note

DATA = bytes(5 * BLOCK_SIZE)
WAYS = {"raise": 1, "exit": 3, "interrupt": -2, "vault closed": 1, "in a thread": 0, "kept": 0}
"""How it may end, and the exit code that this makes."""

kept: list[Any] = []


async def open_all(vault: Any, call: Callable[..., Any]) -> list[Any]:
    """One of everything, in the middle of its use."""
    store = vault._store
    data_id = await call(vault.upload, "notes", Note("small"))
    big = await call(vault.open_writer, "notes")
    await call(big.write, DATA)
    await call(big.close)
    ticket = await call(vault.load, "notes", data_id)
    ticket.get_ref().text = "edited"
    reader = await call(vault.open, "notes", big.data_id)
    await call(reader.read, 10)
    writers = [await call(vault.open_writer, "notes") for _ in range(2)]
    await call(writers[0].write, DATA)
    writes = [await call(store.upload, "notes", UploadSpec(new_data_id()), resumable=each) for each in (False, True)]
    for write in writes:
        for block in BlockCutter().feed(DATA):
            await call(write.write, block)
    listing = vault.list("notes")
    listing = aiter(listing) if hasattr(listing, "__aiter__") else iter(listing)
    await call(lambda: anext(listing) if hasattr(listing, "__anext__") else next(listing))
    blocks = await call(store.load, "notes", big.data_id)
    opened = [ticket, reader, listing, blocks, *writers, *writes]
    opened.append(await call(vault.watch, "notes"))
    opened.append(await call(store.watch, ["notes"]))
    opened.append(await call(vault.spawn_upkeeping_thread, 0.01))
    return opened


async def leave(vault: Any, call: Callable[..., Any], how: str) -> None:
    opened = await open_all(vault, call)
    opened.append(opened)  # a cycle: left to the collector, and to the end of the interpreter
    if how == "exit":
        sys.exit(3)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "vault closed":
        await call(vault.close)
    if how in ("raise", "vault closed"):
        raise ZeroDivisionError
    kept.extend(opened)
    if how == "in a thread":
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()


def main() -> None:
    location, colour, how = sys.argv[1:]

    async def awaiting(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        return await result if hasattr(result, "__await__") else result

    async def calling(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return function(*args, **options)

    if colour == "sync":
        steps = leave(Vault(location, STRUCTURE, connection=ConnectionSettings(timeout=20)), calling, how)
        try:
            steps.send(None)
        except StopIteration:
            return
        raise AssertionError("a sync vault waits for nothing")

    async def use() -> None:
        await leave(AsyncVault(location, STRUCTURE, connection=ConnectionSettings(timeout=20)), awaiting, how)

    asyncio.run(use())


if __name__ == "__main__":
    main()
