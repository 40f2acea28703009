"""One object's bytes by block, verified, wherever in it they are wanted."""

import io
from collections.abc import AsyncIterator, Callable
from typing import Any

from vault.blocks import BlockShelf
from vault.concurrency import AsyncBridge, AsyncReturned
from vault.errors import CorruptionError, VaultError
from vault.model import BLOCK_SIZE, Block, ObjectInfo
from vault.store import AsyncBlockReader

Reopen = Callable[[int], AsyncReturned[AsyncBlockReader]]
"""Opens the same generation of an object from an offset on."""


class AsyncBlockSource:
    """The blocks of one generation of an object.

    Blocks that follow each other come out of one stream, which the store sends ahead; a block elsewhere
    opens a stream there. The last few are kept.
    """

    def __init__(self, info: ObjectInfo, reopen: Reopen, reader: AsyncBlockReader | None = None) -> None:
        """Begins with `reader`, where one is open already; it starts at the object's first block."""
        self.info = info
        self._reopen = reopen
        self._reader = reader
        self._blocks: AsyncIterator[Block] | None = None
        self._next = 0
        self._shelf = BlockShelf()

    async def block(self, index: int) -> memoryview:
        """The bytes of a block.

        Raises:
            CorruptionError: They do not match their stored checksum, or are not there.
            ConflictError: The object was replaced meanwhile, and its old bytes cannot be had any more.
        """
        held = self._shelf.get(index)
        if held is not None:
            return held
        if self._reader is None or self._next != index:
            await self._seek(index)
        if self._blocks is None:
            self._blocks = aiter(self._reader)  # type: ignore[arg-type]  # just opened
        try:
            block = await anext(self._blocks)
        except StopAsyncIteration:
            raise CorruptionError(
                f"object {self.info.data_id} in unit {self.info.unit!r} ends before block {index}",
                unit=self.info.unit,
                data_id=self.info.data_id,
                generation=self.info.generation,
                block=index,
            ) from None
        block.verify(self.info)
        self._next = index + 1
        data = memoryview(block.data)
        self._shelf.put(index, data)
        return data

    async def close(self) -> None:
        """Ends the stream that is open. Harmless when repeated."""
        reader, self._reader, self._blocks = self._reader, None, None
        self._shelf.clear()
        if reader is not None:
            await reader.close()

    async def _seek(self, index: int) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None
        self._blocks = None
        self._reader = await self._reopen(index * BLOCK_SIZE)
        self._next = index


class ObjectSource(io.RawIOBase):
    """A block source as the binary stream that `Datatype._load_from` reads; see `ObjectStream`.

    Attributes:
        size: Bytes in the object.
        failure: What the store raised, whatever the hook made of it.
    """

    def __init__(self, source: AsyncBlockSource, bridge: AsyncBridge, mapped: memoryview | None) -> None:
        super().__init__()
        self.size = source.info.size
        self.failure: VaultError | None = None
        self._source = source
        self._bridge = bridge
        self._mapped = mapped
        self._position = 0

    def map(self) -> memoryview | None:
        return self._mapped

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._position = sought(self._position, self.size, offset, whence)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fills the buffer, but for what is past the object's end."""
        target = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(target) and self._position < self.size:
            index, start = divmod(self._position, BLOCK_SIZE)
            try:
                piece = self._bridge.call(self._source.block, index)[start : start + len(target) - filled]
            except VaultError as error:
                self.failure = error
                raise
            target[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._position += len(piece)
        return filled


def sought(position: int, size: int, offset: int, whence: int) -> int:
    """Where a seek leads to, as `io` has it: past the end is allowed, before the start is not."""
    base = {io.SEEK_SET: 0, io.SEEK_CUR: position, io.SEEK_END: size}.get(whence)
    if base is None:
        raise ValueError(f"bad whence {whence!r}: 0 (start), 1 (here) or 2 (end)")
    if base + offset < 0:
        raise ValueError(f"cannot seek to {base + offset}, before the start of the object")
    return base + offset
