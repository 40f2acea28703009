# Generated from _async/files/block_stream.py by scripts/unasync: DO NOT CHANGE.
"""One object's bytes by block, verified, wherever in it they are wanted."""

import io
from collections.abc import Iterator
from typing import Protocol

from vault.store._sync.reopening import Reopen
from vault.store.blocks import KEPT, RangePlan, RecentBlocks, WholeChecksum, cut_short, verified
from vault.store.contract import BlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, ObjectInfo


class Blocks(Protocol):
    """The blocks of an object, wherever in it they are wanted."""

    def block(self, index: int, through: int | None = None) -> bytes: ...

    def apart(self, position: int, wanted: int) -> bool: ...

    def passing_block(self, index: int, through: int | None = None) -> bytes | memoryview: ...

    def map(self) -> memoryview | None: ...

    def close(self) -> None: ...


class Ranges(Protocol):
    """Bytes of an object, wherever in it they are wanted, whatever blocks they are in."""

    def read(self, offset: int, length: int) -> bytes: ...


class BlockSource:
    """The blocks of one generation of an object.

    Blocks that follow each other come out of one stream, which the store sends ahead of its reader as far
    as its flow control goes; a block elsewhere opens a stream there. The last few are kept. (That a stream
    survives its connection is its store's business.)
    """

    def __init__(
        self, info: ObjectInfo, reopen: Reopen, reader: BlockReader | None = None, *, kept: int = KEPT
    ) -> None:
        """Begins with `reader`, where one is open already; it goes from the object's start to its end.

        Args:
            kept: Blocks to keep, for a caller that goes back; 0 for one that does not.
        """
        self.info = info
        self._reopen = reopen
        self._reader = reader
        self._blocks: Iterator[Block] | None = None
        self._plan = RangePlan(info.block_count)
        self._recent = RecentBlocks(kept)
        self._whole = WholeChecksum(info)
        if reader is not None:
            self._plan.streamed()

    def block(self, index: int, through: int | None = None) -> bytes:
        """The bytes of a block.

        Args:
            index: Of the block; below the object's block count.
            through: The last block that will be asked for after it, as far as is known.

        Raises:
            CorruptionError: They do not match their stored checksum, or are not there; or it is the last one, all
                were read in order, and they are not what the whole's checksum is of.
            ConflictError: The object was replaced or deleted, and its old bytes are not retained any more.
        """
        held = self._recent.get(index)
        if held is not None:
            return held
        data = bytes(self.passing_block(index, through))  # what is bytes already is not copied by this
        self._recent.put(index, data)
        return data

    def apart(self, position: int, wanted: int) -> bool:
        """Whether so many bytes are to be read alone, since it is the first time that any of their blocks is wanted."""
        first, last = position // BLOCK_SIZE, (position + wanted - 1) // BLOCK_SIZE
        if self._recent.holds(first) or self._recent.holds(last):
            return False
        return self._plan.apart(first, last, wanted)

    def passing_block(self, index: int, through: int | None = None) -> bytes | memoryview:
        """As `block`, for a caller that does not come back to it; perhaps a view of what was received."""
        try:
            return self._take(index, index if through is None else through)
        except BaseException:
            self._drop()  # what failed, or was cancelled, cannot be read on
            raise

    def map(self) -> memoryview | None:
        """The whole object, mapped from a local file and verified; None where it is none."""
        if self._reader is not None and self._blocks is None:
            return self._reader.map()
        with self._reopen(0, 0) as reader:
            return reader.map()

    def close(self) -> None:
        """Ends the stream that is open. Harmless when repeated."""
        self._recent.clear()
        self._drop()

    def _take(self, index: int, through: int) -> bytes | memoryview:
        if self._reader is None or not self._plan.goes_on(index):
            self._drop()
            end = self._plan.begin(index, through)
            length = None if end == self.info.block_count else (end - index) * BLOCK_SIZE
            self._reader = self._reopen(index * BLOCK_SIZE, length)
        if self._blocks is None:
            self._blocks = iter(self._reader)
        try:
            block = next(self._blocks)
        except StopIteration:
            raise cut_short(self.info, index) from None
        data = verified(block, self.info, index)
        self._whole.took(index, block)
        self._plan.took(index)
        return data

    def _drop(self) -> None:
        reader, self._reader, self._blocks = self._reader, None, None
        self._plan.lost()
        if reader is not None:
            reader.close()


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
