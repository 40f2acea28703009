"""Reading one generation: blocks in order, with the checksums that were kept with them."""

from collections.abc import AsyncIterator

from vault._runtime.fork import fork_count, refuse_inherited
from vault.store.contract import AsyncBlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, ObjectInfo

from vault_server.storage.decision.rows import unpack_checksums
from vault_server.storage.decision.writes import Content
from vault_server.storage.files.reader import cut_short
from vault_server.storage.generic._async.protocols import AsyncBlob


class AsyncContentReader(AsyncBlockReader):
    """Reads bytes of the index, or an open blob; one that is gone is told of when it is read."""

    def __init__(self, info: ObjectInfo, content: Content, blob: AsyncBlob | None) -> None:
        self.info = info
        self._data = content.data
        self._checksums = unpack_checksums(content.blocks)
        self._blob = blob
        self._blocks = iter(range(info.block_count))
        self._closed = False
        self._forks = fork_count()

    def select(self, first: int, end: int) -> None:
        """Only these blocks are read: from `first` to before `end`."""
        self._blocks = iter(range(first, end))

    async def __aiter__(self) -> AsyncIterator[Block]:
        for index in self._blocks:
            refuse_inherited(self._forks, f"the reader of object {self.info.data_id}")
            if self._closed:
                return
            offset = index * BLOCK_SIZE
            data = b""
            if self._data is not None:
                data = self._data[offset : offset + BLOCK_SIZE]
            elif self._blob is not None:
                data = await self._blob.block(index)
            if len(data) < min(BLOCK_SIZE, self.info.size - offset) or index >= len(self._checksums):
                raise cut_short(self.info, index)
            yield Block(offset, data, self._checksums[index])

    async def close(self) -> None:
        self._closed = True
        blob, self._blob = self._blob, None
        if blob is not None:
            await blob.close()
