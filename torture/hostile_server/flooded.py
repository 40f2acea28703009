"""A client that is sent more than it asked for, as a process: prints by how much its resident memory grew at most.

python -m torture.hostile_server.flooded ADDRESS sync|async METHOD SECONDS
"""

import asyncio
import sys
import threading
import time
from contextlib import suppress

import psutil
from vault.errors import VaultError
from vault.store.limits import BLOCK_SIZE
from vault.store.specs import UploadSpec
from vault.testing.store.objects import blocks_of

from torture.hostile_server.walk import client


async def flooded(face: str, address: str, method: str, seconds: float) -> int:
    """Calls the method, and looks at little of what it answers. Returns bytes."""
    async with client(face, address) as (vault, remote):
        await vault.exists("notes", 1)  # connects
        memory = psutil.Process()
        before = most = memory.memory_info().rss
        over = threading.Event()

        def look() -> None:
            nonlocal most
            while not over.wait(0.02):
                most = max(most, memory.memory_info().rss)

        watcher = threading.Thread(target=look)
        watcher.start()
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            with suppress(VaultError):
                await _call(remote, method)
        over.set()
        watcher.join()
        return most - before


async def _call(remote, method: str) -> None:  # type: ignore[no-untyped-def]
    match method:
        case "Upload":
            async with await remote.upload("files", UploadSpec(77)) as writer:
                for block in blocks_of(bytes(BLOCK_SIZE)):
                    await writer.write(block)
                await asyncio.sleep(1)
        case "Watch":
            async with await remote.watch():
                await asyncio.sleep(1)
        case "Load":
            async with await remote.load("files", 1):
                await asyncio.sleep(1)
        case _:
            await remote.stat_many("notes", [1])


if __name__ == "__main__":
    print(asyncio.run(flooded(sys.argv[2], sys.argv[1], sys.argv[3], float(sys.argv[4]))))
