"""One object's bytes by block, verified, wherever in it they are wanted."""

import io
from collections.abc import AsyncIterator
from typing import Any, Protocol

from vault._runtime.sync_async import AsyncBridge
from vault.errors import VaultError
from vault.store.blocks import KEPT, RangePlan, RecentBlocks, cut_short, spans, verified
from vault.store.contract import AsyncBlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, ObjectInfo


class AsyncReopen(Protocol):
    """Opens the same generation of an object from an offset on, for so many bytes; None: to its end."""

    async def __call__(self, offset: int, length: int | None = None) -> AsyncBlockReader: ...


class AsyncBlockSource:
    """The blocks of one generation of an object.

    Blocks that follow each other come out of one stream, which the store sends ahead of its reader as far
    as its flow control goes; a block elsewhere opens a stream there. The last few are kept. (That a stream
    survives its connection is its store's business.)
    """

    def __init__(
        self, info: ObjectInfo, reopen: AsyncReopen, reader: AsyncBlockReader | None = None, *, kept: int = KEPT
    ) -> None:
        """Begins with `reader`, where one is open already; it goes from the object's start to its end.

        Args:
            kept: Blocks to keep, for a caller that goes back; 0 for one that does not.
        """
        self.info = info
        self._reopen = reopen
        self._reader = reader
        self._blocks: AsyncIterator[Block] | None = None
        self._plan = RangePlan(info.block_count)
        self._recent = RecentBlocks(kept)
        if reader is not None:
            self._plan.streamed()

    async def block(self, index: int, through: int | None = None) -> bytes:
        """The bytes of a block.

        Args:
            index: Of the block; below the object's block count.
            through: The last block that will be asked for after it, as far as is known.

        Raises:
            CorruptionError: They do not match their stored checksum, or are not there.
            ConflictError: The object was replaced or deleted, and its old bytes are not retained any more.
        """
        held = self._recent.get(index)
        if held is not None:
            return held
        data = bytes(await self.passing_block(index, through))  # what is bytes already is not copied by this
        self._recent.put(index, data)
        return data

    async def passing_block(self, index: int, through: int | None = None) -> bytes | memoryview:
        """As `block`, for a caller that does not come back to it; perhaps a view of what was received."""
        try:
            return await self._take(index, index if through is None else through)
        except BaseException:
            await self._drop()  # what failed, or was cancelled, cannot be read on
            raise

    async def map(self) -> memoryview | None:
        """The whole object, mapped from a local file and verified; None where it is none."""
        if self._reader is not None and self._blocks is None:
            return await self._reader.map()
        async with await self._reopen(0, 0) as reader:
            return await reader.map()

    async def close(self) -> None:
        """Ends the stream that is open. Harmless when repeated."""
        self._recent.clear()
        await self._drop()

    async def _take(self, index: int, through: int) -> bytes | memoryview:
        if self._reader is None or not self._plan.goes_on(index):
            await self._drop()
            end = self._plan.begin(index, through)
            length = None if end == self.info.block_count else (end - index) * BLOCK_SIZE
            self._reader = await self._reopen(index * BLOCK_SIZE, length)
        if self._blocks is None:
            self._blocks = aiter(self._reader)
        try:
            block = await anext(self._blocks)
        except StopAsyncIteration:
            raise cut_short(self.info, index) from None
        data = verified(block, self.info, index)
        self._plan.took(index)
        return data

    async def _drop(self) -> None:
        reader, self._reader, self._blocks = self._reader, None, None
        self._plan.lost()
        if reader is not None:
            await reader.close()


class ObjectSource(io.BufferedIOBase):
    """A block source as the binary stream that `Datatype._load_from` reads; see `ObjectStream`.

    The hook may run in another thread than the source: each block is fetched across once, however small the pieces
    are that the hook reads.

    Attributes:
        size: Bytes in the object.
        failure: What the store raised, whatever the hook made of it.
    """

    def __init__(self, source: AsyncBlockSource, bridge: AsyncBridge) -> None:
        super().__init__()
        self.size = source.info.size
        self.failure: VaultError | None = None
        self._source = source
        self._bridge = bridge
        self._position = 0
        self._index = -1
        self._block = b""

    def map(self) -> memoryview | None:
        try:
            return self._bridge.call(self._source.map)
        except VaultError as error:
            self.failure = error
            raise

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._position = sought(self._position, self.size, offset, whence)
        return self._position

    def peek(self, _size: int = 0, /) -> bytes:
        """Some of what comes next, without moving; what makes `readline` fast."""
        if self._position >= self.size:
            return b""
        index, start = divmod(self._position, BLOCK_SIZE)
        return self._fetch(index, index)[start : start + io.DEFAULT_BUFFER_SIZE]

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = to_read(self._position, self.size, size)
        gathered = io.BytesIO()  # gives its bytes away without a copy
        for piece in self._pieces(wanted):
            if len(piece) == wanted:
                return bytes(piece)
            gathered.write(piece)
        return gathered.getvalue()

    def read1(self, size: int = -1, /) -> bytes:
        left = BLOCK_SIZE - self._position % BLOCK_SIZE
        return self.read(left if size < 0 else min(size, left))

    def readinto(self, buffer: Any, /) -> int:
        target = memoryview(buffer).cast("B")
        filled = 0
        for piece in self._pieces(to_read(self._position, self.size, len(target))):
            target[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def _pieces(self, wanted: int) -> Any:
        through = (self._position + wanted - 1) // BLOCK_SIZE
        for index, start, stop in spans(self._position, wanted):
            block = self._fetch(index, through)
            self._position += stop - start
            yield block if stop - start == len(block) else memoryview(block)[start:stop]

    def _fetch(self, index: int, through: int) -> bytes:
        if self.closed:
            raise ValueError("the stream of a loaded object is closed: read it while `_load_from` runs")
        if index != self._index:
            try:
                self._block = self._bridge.call(self._source.block, index, through)
            except VaultError as error:
                self.failure = error
                raise
            self._index = index
        return self._block


def to_read(position: int, size: int, asked: int | None) -> int:
    """How many bytes a read gets: what was asked for, as far as there is as much; None or less than 0 is all."""
    left = max(size - position, 0)
    return left if asked is None or asked < 0 else min(asked, left)


def sought(position: int, size: int, offset: int, whence: int) -> int:
    """Where a seek leads to, as `io` has it: past the end is allowed, before the start is not."""
    base = {io.SEEK_SET: 0, io.SEEK_CUR: position, io.SEEK_END: size}.get(whence)
    if base is None:
        raise ValueError(f"bad whence {whence!r}: 0 (start), 1 (here) or 2 (end)")
    if base + offset < 0:
        raise ValueError(f"cannot seek to {base + offset}, before the start of the object")
    return base + offset
