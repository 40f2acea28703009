"""A server that says what it holds when asked: `python -m torture.soak.server DIRECTORY`."""

import asyncio
import dataclasses
import json
import sys
from pathlib import Path

from vault_server import AsyncServer
from vault_server.storage import AsyncEmbeddedStore

from torture.soak.census import Census


async def serve(directory: Path) -> None:
    """Prints the address; answers each line of the standard input with a census; ends with the input."""
    async with AsyncEmbeddedStore(directory) as store, AsyncServer(store) as server:
        print(server.address, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(dataclasses.asdict(Census.take(asyncio.all_tasks()))), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
