"""Reading one generation: blocks in order, with the checksums that were stored with them."""

import io
import mmap
import os
import threading
from array import array
from collections.abc import Iterator

from vault._runtime.fork import fork_count, is_inherited, refuse_inherited
from vault.errors import ClosedError, CorruptionError
from vault.store.contract import BlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, ObjectInfo

from vault_server.storage.os_errors import storing


class StoredReader(BlockReader):
    """Holds the open file, or the bytes of a small object, so that no later write disturbs it.

    `close` is safe from another thread: it waits for a read that is under way.
    """

    def __init__(
        self,
        info: ObjectInfo,
        source: io.FileIO | bytes,
        checksums: "array[int]",
        *,
        first: int = 0,
        end: int | None = None,
    ) -> None:
        self.info = info
        self._source: io.FileIO | bytes | None = source
        self._checksums = checksums
        self._next = first
        self._end = info.block_count if end is None else end
        self._mutex = threading.Lock()
        self._fleeting = False
        self._forks = fork_count()

    @property
    def in_memory(self) -> bool:
        """Whether reading does no I/O."""
        return not isinstance(self._source, io.FileIO)

    def __iter__(self) -> Iterator[Block]:
        while (block := self.next_block()) is not None:
            yield block

    def next_block(self) -> Block | None:
        """The next block; None after the last, and the file is closed then."""
        self._refuse_inherited()
        with self._mutex:
            if self._next >= self._end:
                self._let_go()
                return None
            index = self._next
            block = Block(index * BLOCK_SIZE, self._read(index), self._checksums[index])
            self._next = index + 1
            return block

    def next_cached(self) -> Block | None:
        """The next block, where the system has all of it in memory; None where reading it might wait for the disk, or
        where the system does not say, and after the last."""
        self._refuse_inherited()
        with self._mutex:
            known = self._next < min(self._end, len(self._checksums))
            if not known or not isinstance(self._source, io.FileIO):
                return None
            offset = self._next * BLOCK_SIZE
            data = bytearray(min(BLOCK_SIZE, self.info.size - offset))
            if not _read_cached(self._source.fileno(), data, offset):
                return None
            block = Block(offset, memoryview(data).toreadonly(), self._checksums[self._next])
            self._next += 1
            return block

    def leave_no_trace(self) -> None:
        """From here on, what is read of the file leaves the system's page cache again, unless it was there before.

        For reading everything once: it must not drive out what programs read again and again.
        """
        with self._mutex:
            if isinstance(self._source, io.FileIO) and hasattr(os, "posix_fadvise"):
                self._fleeting = True
                os.posix_fadvise(self._source.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # no reading ahead

    def skip_to(self, index: int) -> None:
        """Goes on with another block."""
        with self._mutex:
            self._next = index

    def map(self) -> memoryview | None:
        """The whole object, mapped from its file and verified.

        The mapping outlives the reader and the object, as long as the view is held. None for an
        object without a file of its own (small or empty).

        Raises:
            CorruptionError: The file is cut short, or a block does not match its checksum.
        """
        self._refuse_inherited()
        with self._mutex:
            if self._source is None:
                raise ClosedError("the reader is closed")
            if not isinstance(self._source, io.FileIO) or self.info.size == 0:
                return None
            with storing(f"map object {self.info.data_id} of unit {self.info.unit!r}"):
                length = os.fstat(self._source.fileno()).st_size
                if length < self.info.size:
                    raise cut_short(self.info, length // BLOCK_SIZE)
                view = memoryview(mmap.mmap(self._source.fileno(), self.info.size, access=mmap.ACCESS_READ))
        for index, stored in enumerate(self._checksums):
            offset = index * BLOCK_SIZE
            Block(offset, view[offset : offset + BLOCK_SIZE], stored).verify(self.info)
        return view

    def close(self) -> None:
        if is_inherited(self._forks):
            self._let_go()  # the child's own copy of the descriptor
            return
        with self._mutex:
            self._let_go()
            self._next = self._end

    def _refuse_inherited(self) -> None:
        # Before the mutex, which a thread may have held that is not in the child.
        refuse_inherited(self._forks, f"the reader of object {self.info.data_id}")

    def _let_go(self) -> None:
        if isinstance(self._source, io.FileIO):
            self._source.close()
        self._source = None

    def _read(self, index: int) -> bytes:
        offset = index * BLOCK_SIZE
        wanted = min(BLOCK_SIZE, self.info.size - offset)
        if isinstance(self._source, bytes):
            data = self._source[offset : offset + wanted]
        else:
            assert self._source is not None  # noqa: S101  # `_let_go` leaves nothing to read
            with storing(f"read object {self.info.data_id} of unit {self.info.unit!r}"):
                descriptor = self._source.fileno()
                passing = self._fleeting and not _is_cached(descriptor, offset)
                data = read_at(descriptor, wanted, offset)
                if passing:
                    os.posix_fadvise(descriptor, offset, wanted, os.POSIX_FADV_DONTNEED)
        if len(data) < wanted or index >= len(self._checksums):
            raise cut_short(self.info, index)
        return data


def require_whole(info: ObjectInfo, data: bytes) -> bytes:
    """The bytes of an object of at most a block, as the index holds them; CorruptionError when some are missing."""
    if len(data) < info.size:
        raise cut_short(info, 0)
    return data[: info.size]


def cut_short(info: ObjectInfo, index: int) -> CorruptionError:
    """The error for an object whose block is not all there."""
    return CorruptionError(
        f"object {info.data_id} in unit {info.unit!r} is cut short or gone: block {index} of "
        f"{info.block_count} is not all there",
        unit=info.unit,
        data_id=info.data_id,
        generation=info.generation,
        block=index,
    )


def _is_cached(descriptor: int, offset: int) -> bool:
    """Whether the system has the byte at `offset` in memory; False where it does not say."""
    return _read_cached(descriptor, bytearray(1), offset)


def _read_cached(descriptor: int, buffer: bytearray, offset: int) -> bool:
    """Fills the buffer, if the system has all of it in memory; otherwise what it holds is undefined."""
    try:
        return os.preadv(descriptor, [buffer], offset, os.RWF_NOWAIT) == len(buffer)
    except (OSError, AttributeError):  # it would have to be read; or the file system, or the system, cannot tell
        return False


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """`length` bytes at `offset`; fewer only at the file's end."""
    data = os.pread(descriptor, length, offset)
    while data and len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def blocks_covering(size: int, offset: int, length: int | None) -> tuple[int, int]:
    """The first block of a range, and the one after its last; the same number for an empty range."""
    end = size if length is None else min(size, offset + length)
    if offset >= end:
        return 0, 0
    return offset // BLOCK_SIZE, -(-end // BLOCK_SIZE)
