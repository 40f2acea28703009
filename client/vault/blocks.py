"""Cutting bytes into blocks and checking them on the way back. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import xxhash

from vault.model import BLOCK_SIZE, Block, checksum


@dataclass(frozen=True, slots=True)
class Encoded:
    """A dumped object, whole.

    Attributes:
        tag: What is stored as its datatype.
        data: Its bytes.
    """

    tag: str
    data: bytes

    @property
    def fits_block(self) -> bool:
        """Whether one block takes it, so that it can go in a batch."""
        return len(self.data) <= BLOCK_SIZE

    @property
    def checksum(self) -> int:
        return checksum(self.data)


class BlockCutter:
    """Collects bytes of any sizes and hands them out as blocks; counts and hashes them all.

    A block's buffer is made anew for each block, so that one may be on its way while the next fills.
    """

    def __init__(self) -> None:
        self._hash = xxhash.xxh3_64()
        self._buffer = bytearray()
        self._cut = 0

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._cut + len(self._buffer)

    @property
    def checksum(self) -> int:
        """XXH3-64 of the blocks handed out so far; of everything once `rest` was."""
        return self._hash.intdigest()

    def feed(self, data: Any) -> Iterator[Block]:
        """Takes bytes-like data; yields the blocks that it completes. Exhaust it."""
        view = memoryview(data).cast("B")
        start = 0
        while start < len(view):
            if not self._buffer and len(view) - start >= BLOCK_SIZE:
                # A whole block that is there already is not copied.
                yield self._block(view[start : start + BLOCK_SIZE])
                start += BLOCK_SIZE
                continue
            end = min(len(view), start + BLOCK_SIZE - len(self._buffer))
            self._buffer += view[start:end]
            start = end
            if len(self._buffer) == BLOCK_SIZE:
                buffer, self._buffer = self._buffer, bytearray()
                yield self._block(memoryview(buffer))

    def rest(self) -> Iterator[Block]:
        """Yields the last, shorter block, if there is one."""
        if self._buffer:
            buffer, self._buffer = self._buffer, bytearray()
            yield self._block(memoryview(buffer))

    def _block(self, data: memoryview) -> Block:
        self._hash.update(data)
        block = Block(self._cut, data, checksum(data))
        self._cut += len(data)
        return block


READ_AHEAD: Final = 2
"""Blocks that a reader keeps: enough for seeking back over a boundary, as zipfile and pyarrow do."""


class BlockShelf:
    """The last blocks a reader has seen, by index."""

    def __init__(self) -> None:
        self._blocks: dict[int, memoryview] = {}

    def get(self, index: int) -> memoryview | None:
        return self._blocks.get(index)

    def put(self, index: int, data: memoryview) -> None:
        self._blocks.pop(index, None)
        self._blocks[index] = data
        while len(self._blocks) > READ_AHEAD:
            del self._blocks[next(iter(self._blocks))]

    def clear(self) -> None:
        self._blocks.clear()
