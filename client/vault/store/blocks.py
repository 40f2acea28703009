"""Cutting bytes into blocks, checking them on the way back, choosing which to ask for. No I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import xxhash

from vault.errors import ChecksumError, ConflictError, CorruptionError, ProtocolError, VaultError
from vault.store.limits import BLOCK_SIZE, EXACT_BELOW
from vault.store.values import Block, ObjectInfo, checksum


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
        """Takes bytes-like data; yields the blocks that it completes. Exhaust it.

        A block that is in `data` whole is not copied: it is the caller's memory, and to be stored or sent
        before that changes.
        """
        view = memoryview(data).cast("B")
        start = 0
        while start < len(view):
            if not self._buffer and len(view) - start >= BLOCK_SIZE:
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


def worth_repeating(error: VaultError, sent: int) -> bool:
    """Whether a write that failed after so many bytes is to be done once more, under its request id.

    When a block changed on its way, or the server lost what it had reported as persisted, and had to be sent
    from the start. (If it was committed all the same, the request id tells.) Not when a server that is away was
    waited for already: a store goes on with a write by itself.
    """
    return sent > 0 and (isinstance(error, ChecksumError) or error.reason == "WRITE_LOST")


def verified(block: Block, info: ObjectInfo, index: int) -> bytes | memoryview:
    """The bytes of the object's block of that index, which `block` has to be; a view only of what never changes.

    Raises:
        CorruptionError: They do not match their stored checksum.
        ProtocolError: It is another block, or of another size.
    """
    expected = min(BLOCK_SIZE, info.size - index * BLOCK_SIZE)
    if (block.offset, len(block.data)) != (index * BLOCK_SIZE, expected):
        raise ProtocolError(
            f"object {info.data_id} in unit {info.unit!r}: {expected} bytes at {index * BLOCK_SIZE} were due, and "
            f"{len(block.data)} bytes at {block.offset} came",
            unit=info.unit,
            data_id=info.data_id,
            block=index,
        )
    block.verify(info)
    data = block.data
    return data if isinstance(data, bytes) or (isinstance(data, memoryview) and data.readonly) else bytes(data)


def cut_short(info: ObjectInfo, index: int) -> CorruptionError:
    """The error for an object whose blocks ended before the one of that index."""
    return CorruptionError(
        f"object {info.data_id} in unit {info.unit!r} ends before block {index} of {info.block_count}",
        unit=info.unit,
        data_id=info.data_id,
        generation=info.generation,
        block=index,
    )


def check_whole(info: ObjectInfo, whole: int) -> None:
    """Raises CorruptionError unless `whole` is the checksum of all the object's bytes."""
    if whole != info.checksum:
        raise CorruptionError(
            f"object {info.data_id} in unit {info.unit!r} does not match its stored checksum, though its blocks do",
            unit=info.unit,
            data_id=info.data_id,
            generation=info.generation,
        )


def check_empty(info: ObjectInfo) -> None:
    """`check_whole` of an object without a block; of any other nothing."""
    if not info.size:
        check_whole(info, checksum(b""))


def check_parts(info: ObjectInfo, parts: Iterable[bytes]) -> None:
    """`check_whole` of each part that is all of the object."""
    for part in parts:
        if len(part) == info.size:
            check_whole(info, checksum(part))


def check_head(info: ObjectInfo, head: bytes, block: bytes | memoryview) -> None:
    """Raises CorruptionError unless the first block begins with what was read of it before, alone."""
    if block[: len(head)] != head:
        raise CorruptionError(
            f"the first {len(head)} bytes of object {info.data_id} in unit {info.unit!r} were others when they were "
            "read alone than they are in their block",
            unit=info.unit,
            data_id=info.data_id,
            generation=info.generation,
            block=0,
        )


class WholeChecksum:
    """`check_whole` for blocks that are read in order, each verified: at the last one, before anybody gets it.

    A block that is left out ends it, since all the bytes are not seen then; one that is read again does not count.
    """

    def __init__(self, info: ObjectInfo) -> None:
        self._info = info
        self._hash: Any = None
        self._due = 0  # the block that is to come next

    def took(self, index: int, block: Block) -> None:
        """A block was read. Raises CorruptionError when it is the last one, and the whole is not what is stored."""
        count = self._info.block_count
        if index != self._due:
            self._due = self._due if index < self._due else count
            return
        whole = block.checksum
        if count > 1:
            self._hash = self._hash or xxhash.xxh3_64()
            self._hash.update(block.data)
            whole = self._hash.intdigest() if index == count - 1 else 0
        if index == count - 1:
            check_whole(self._info, whole)
        self._due = index + 1


def check_same(info: ObjectInfo, found: ObjectInfo) -> None:
    """Raises ConflictError unless these are the bytes that `info` shows, which a reader that opens anew goes on with.

    Generations are numbers of one store: one that was put back to an older copy, or took another's address, may have
    given out the same for other bytes.
    """
    if (found.generation, found.size, found.checksum) != (info.generation, info.size, info.checksum):
        raise ConflictError(
            f"object {info.data_id} in unit {info.unit!r} has other bytes than when its reading began, under the same "
            "generation: another store answers, or an older copy was put back",
            unit=info.unit,
            data_id=info.data_id,
            generation=info.generation,
        )


def spans(position: int, count: int) -> Iterator[tuple[int, int, int]]:
    """Where `count` bytes from `position` on are: index of a block, and start and end in it, one by one."""
    end = position + count
    while position < end:
        index, start = divmod(position, BLOCK_SIZE)
        stop = min(BLOCK_SIZE, start + end - position)
        yield index, start, stop
        position += stop - start


class RangePlan:
    """Chooses how far a stream of blocks goes, and what is read without one.

    One that begins where reading left off goes to the end: reading is likely to go on, and the store sends ahead. One
    elsewhere, also the first one, covers what was asked for and no more, since whoever seeks is likely to seek again,
    and whoever reads a head may want no more. A few bytes are read alone, unless it is the second time in a block.
    """

    def __init__(self, block_count: int) -> None:
        self._count = block_count
        self._follows = -1  # the block after the one that was read last
        self._read_apart: dict[int, None] = {}  # blocks, the last ones
        self._end = 0  # of the open stream

    def streamed(self) -> None:
        """A stream is open that goes from the object's start to its end."""
        self._follows, self._end = 0, self._count

    def goes_on(self, index: int) -> bool:
        """Whether the block is the next one of the open stream."""
        return index == self._follows < self._end

    def apart(self, first: int, last: int, wanted: int) -> bool:
        """Whether so few bytes, of these blocks, are to be read alone; if so, they will have been."""
        if wanted >= EXACT_BELOW or first <= self._follows <= last:
            return False
        blocks = range(first, last + 1)
        if any(index in self._read_apart for index in blocks):
            return False
        self._read_apart.update(dict.fromkeys(blocks))
        while len(self._read_apart) > MOST_APART:
            del self._read_apart[next(iter(self._read_apart))]
        return True

    def begin(self, index: int, through: int) -> int:
        """A stream begins at `index`, for blocks up to and with `through`. Returns the one it ends before."""
        self._end = self._count if index == self._follows else min(through + 1, self._count)
        return self._end

    def took(self, index: int) -> None:
        """The block has come out of the stream."""
        self._follows = index + 1

    def lost(self) -> None:
        """No stream is open any more."""
        self._end = 0


MOST_APART: Final = 1000
"""Blocks that a reader remembers to have read a few bytes of."""

KEPT: Final = 4
"""Blocks that a reader keeps: zipfile and pyarrow go back and forth between a directory and what it lists."""


class RecentBlocks:
    """The last blocks a reader has used, by index."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._blocks: dict[int, bytes] = {}

    def get(self, index: int) -> bytes | None:
        data = self._blocks.pop(index, None)
        if data is not None:
            self._blocks[index] = data
        return data

    def holds(self, index: int) -> bool:
        return index in self._blocks

    def put(self, index: int, data: bytes) -> None:
        self._blocks[index] = data
        while len(self._blocks) > self._kept:
            del self._blocks[next(iter(self._blocks))]

    def clear(self) -> None:
        self._blocks.clear()
