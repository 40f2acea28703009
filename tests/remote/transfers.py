"""Large objects sent and fetched step by step, and a server that is killed meanwhile."""

import asyncio
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.values import ObjectInfo, checksum
from vault.testing.store.objects import blocks_of
from vault_server import EmbeddedStore, Server

from tests.faults.proxy import Proxy
from tests.server.process import Serve, Served

DATA = random.Random(3).randbytes(64 * BLOCK_SIZE + 4321)
"""64 MiB, and a short block."""

PART = DATA[: 24 * BLOCK_SIZE + 4321]
TIMEOUT = 20.0


async def send(writer: AsyncBlockWriter, at: Callable[[int], Any] = lambda _: None, data: bytes = DATA) -> ObjectInfo:
    """Writes and commits; calls `at` with the index of each block before it is written."""
    async with writer:
        for index, block in enumerate(blocks_of(data)):
            await asyncio.to_thread(at, index)
            await writer.write(block)
        await asyncio.to_thread(at, -1)
        return await writer.commit(len(data), checksum(data))


async def fetch(store: AsyncStore, data_id: int, at: Callable[[int], Any] = lambda _: None) -> bytes:
    reader = await store.load("u", data_id)
    assert isinstance(reader, AsyncBlockReader)
    data = bytearray()
    async with reader:
        async for block in reader:
            block.verify(reader.info)
            assert block.offset == len(data)
            data += block.data
            await asyncio.to_thread(at, len(data) // BLOCK_SIZE)
    return bytes(data)


class Restarting:
    """A server process on one port, behind a proxy that counts; killed and started again."""

    def __init__(self, serve: Serve, proxy: Proxy, directory: Path) -> None:
        self._serve = serve
        self._proxy = proxy
        self._directory = directory
        self.kills = 0
        self.server = self._start()

    def _start(self) -> Served:
        served = self._serve(self._directory, "--listen", "127.0.0.1:0", "--durability", "relaxed")
        self._proxy.target = served.address
        return served

    def kill(self) -> None:
        """SIGKILL, a moment without any server, and a new one at the same address."""
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait()
        self.kills += 1
        self._proxy.refuse()
        time.sleep(0.2)
        self.server = self._start()
        self._proxy.accept()

    def kill_at(self, *indexes: int) -> Callable[[int], None]:
        def at(index: int) -> None:
            if index in indexes:
                self.kill()

        return at


def nothing_is_kept(store: EmbeddedStore) -> bool:
    return not list((store.directory / ".staging").glob("writes/*"))


def stored(store: EmbeddedStore, data_id: int) -> bytes:
    reader: Any = store.load("u", data_id)
    with reader:
        return b"".join(bytes(block.data) for block in reader)


def calls_of(server: Server) -> int:
    """How many run."""
    return len(server._server._running._calls.running())  # type: ignore[union-attr]


def connections_of(writer: AsyncBlockWriter) -> int:
    """Over how many its blocks go."""
    inner: Any = getattr(writer, "_writer", writer)
    return 1 if inner._sides is None else inner._sides.connections
