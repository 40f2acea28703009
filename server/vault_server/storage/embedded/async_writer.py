"""The writer of embedded storage, for tasks: what waits for the disk goes to threads, a commit needs none."""

import asyncio
from collections.abc import Callable

from vault._runtime.sync_async import AsyncAffinity
from vault.errors import ClosedError
from vault.store.contract import AsyncBlockWriter
from vault.store.values import Block, ObjectInfo

from vault_server.storage.embedded.threads import Threads
from vault_server.storage.engine.file_writer import FileWriter


class AsyncFileWriter(AsyncBlockWriter):
    """FileWriter for tasks.

    A cancelled `write` aborts, unless the write is resumable: then whoever has the writer decides. A `commit` that was
    begun finishes, whoever is cancelled.
    """

    def __init__(self, writer: FileWriter, threads: Threads) -> None:
        self._writer = writer
        self._threads = threads
        self._affinity = AsyncAffinity.here("the write")
        self._committing = False

    @property
    def persisted_size(self) -> int:
        return self._writer.persisted_size

    async def write(self, block: Block) -> None:
        self._affinity.require()
        if self._writer.stays_in_memory(block):
            self._writer.write(block)
            return
        try:
            await self._threads.call(self._writer.write, block)
        except asyncio.CancelledError:
            if not self._writer.resumable:
                self._threads.send(self._writer.abort)  # it waits for the block that is being written
            raise

    async def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        self._affinity.require()
        self._committing = True
        return await self._threads.finish(self._commit(size, checksum))

    async def abort(self) -> None:
        if self._committing or self._affinity.is_inherited:
            return
        if self._writer.in_memory:
            self._writer.abort()
        else:
            await self._end(self._writer.abort)

    async def suspend(self) -> None:
        if not self._committing and not self._affinity.is_inherited:
            await self._end(self._writer.suspend)

    async def _end(self, how: Callable[[], None]) -> None:
        # To its end: gRPC cancels a handler a second time while the first cancellation unwinds it.
        await self._threads.finish(self._ended(how))

    async def _ended(self, how: Callable[[], None]) -> None:
        try:
            await self._threads.call(how)
        except ClosedError:  # the store was closed, and its threads are gone
            how()

    async def _commit(self, size: int, checksum: int | None) -> ObjectInfo:
        if self._writer.in_memory:
            future = self._writer.begin_commit(size, checksum)
        else:
            try:
                future = await self._threads.call(self._writer.begin_commit, size, checksum)
            except ClosedError:  # as above; nobody else gives the file back, since `abort` leaves commits alone
                self._writer.abort()
                raise
        return await asyncio.wrap_future(future)
