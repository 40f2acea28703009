# Generated from _async/reader.py by scripts/unasync: DO NOT CHANGE.
"""Reading one generation: blocks in order, with the checksums that were kept with them."""

from collections.abc import Iterator

from vault._runtime.sync_async import Affinity
from vault.errors import ClosedError, VaultError
from vault.store.contract import BlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block

from vault_server.storage.decision.refusals import cut_short
from vault_server.storage.decision.rows import unpack_checksums
from vault_server.storage.decision.stored import Stored
from vault_server.storage.generic._sync.protocols import Blob


class ContentReader(BlockReader):
    """Reads bytes of the index, or an open blob; one that is gone is told of when it is read.

    Attributes:
        blob: None: its bytes are the index's, or gone, or it is closed.
    """

    def __init__(self, found: Stored, blob: Blob | None) -> None:
        self.info = found.info
        self.blob = blob
        self._data = b"" if found.content.file is not None else found.content.data or b""
        self._checksums = unpack_checksums(found.content.blocks)
        self._next = 0
        self._end = self.info.block_count
        self._stride = 1
        self._affinity = Affinity.here(f"the reader of object {self.info.data_id}")

    def select(self, offset: int, length: int | None) -> None:
        """Only the blocks that cover this range are read."""
        end = self.info.size if length is None else min(self.info.size, offset + length)
        self._next = offset // BLOCK_SIZE
        self._end = -(-end // BLOCK_SIZE) if offset < end else self._next

    def every(self, stride: int) -> bool:
        self._stride = stride
        return True

    def __iter__(self) -> Iterator[Block]:
        while self._next < self._end:
            index = self._next
            try:
                block = self.block(index, ahead=self._stride == 1 and index + 1 < self._end)
            except VaultError:
                if self._end < 0:  # it was closed meanwhile
                    return
                raise
            self._next = index + self._stride
            yield block
        self.close()

    def block(self, index: int, *, ahead: bool = False) -> Block:
        """One block, unverified. Raises CorruptionError when it is not all there."""
        self._affinity.require()
        offset = index * BLOCK_SIZE
        size = min(BLOCK_SIZE, self.info.size - offset)
        blob = self.blob
        data = self._data[offset : offset + size] if blob is None else blob.block(index, size, ahead=ahead)
        if len(data) < size or index >= len(self._checksums):
            raise cut_short(self.info, index)
        return Block(offset, data, self._checksums[index])

    def map(self) -> memoryview | None:
        """As the contract has it. Raises CorruptionError when it is cut short, or a block is not as it was stored."""
        self._affinity.require()
        if self._end < 0:
            raise ClosedError("the reader is closed")
        if self.blob is None or self.info.size == 0:
            return None
        view = self.blob.map(self._verify)
        return None if view is None else view[: self.info.size]

    def close(self) -> None:
        self._next = self._end = -1
        blob, self.blob = self.blob, None
        if blob is not None:
            blob.close()

    def _verify(self, view: memoryview) -> None:
        if len(view) < self.info.size:
            raise cut_short(self.info, len(view) // BLOCK_SIZE)
        for index, stored in enumerate(self._checksums):
            offset = index * BLOCK_SIZE
            Block(offset, view[offset : offset + BLOCK_SIZE], stored).verify(self.info)
