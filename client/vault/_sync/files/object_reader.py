# Generated from _async/files/object_reader.py by scripts/unasync: DO NOT CHANGE.
"""A seekable reader of one object as a binary file."""

import io
from collections.abc import Iterator
from typing import Any, Self

from vault._sync.files.block_stream import Blocks, BlockSource, Ranges, sought, to_read
from vault._sync.files.range_reader import RangeReader
from vault._runtime.gathered_bytes import gathered_bytes
from vault._runtime.sync_async import Affinity, File
from vault.errors import ClosedError, object_not_found
from vault.store._sync.reopening import reopener
from vault.store.blocks import check_empty, check_head, spans
from vault.store.contract import Store
from vault.store.limits import BLOCK_SIZE, EXACT_BELOW, check_ranges
from vault.store.ranges import located_in
from vault.store.values import Key, ObjectInfo


class ObjectReader(File):
    """One object, read as a seekable binary file, or anywhere at once by `read_at`.

        >>> with vault.open("files", "lines") as reader:
        ...     position = reader.seek(1)
        ...     print(reader.read(3))
        b'ell'

    Only the blocks that are asked for are fetched, each is verified before any of it is returned, and all
    are of the generation that the reader was opened on, also when the object is replaced or deleted meanwhile:
    the store retains its bytes for a while (five minutes, unless it was opened with another `retention`).
    After that a seek raises ConflictError, and what is open is read to its end.

    Read from front to back, in whatever pieces, it is held against the checksum of the whole as well: CorruptionError
    comes in the place of the last block. A seek past a block that was not read yet leaves it at the blocks' checksums.

    For one thread (or task) at a time, but for `read_at`.

    Attributes:
        info: The object, as of the generation that is read.
    """

    def __init__(
        self, info: ObjectInfo, source: Blocks, ranges: Ranges, apart_below: int = EXACT_BELOW
    ) -> None:
        self.info = info
        self._apart_below = apart_below
        self._source = source
        self._ranges = ranges
        self._position = 0
        self._head = b""  # of the object, read alone
        self._open = True
        self._affinity = Affinity.here(f"the reader of object {info.data_id}")

    @property
    def size(self) -> int:
        """Bytes in the object."""
        return self.info.size

    @property
    def name(self) -> str:
        """The object's name, or its id as text: what libraries show of a file."""
        return self.info.name or str(self.info.data_id)

    @property
    def mode(self) -> str:
        return "rb"

    @property
    def closed(self) -> bool:
        return not self._open

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        """Where the next read begins, in bytes.

        Example:
            >>> with vault.open("files", "lines") as reader:
            ...     line = reader.readline()
            ...     print(reader.tell())
            6
        """
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Moves; fetches nothing. Returns the new position.

        Example:
            >>> with vault.open("files", "lines") as reader:
            ...     position = reader.seek(-6, io.SEEK_END)
            ...     print(reader.read())
            b'world\\n'
        """
        self._check_open()
        self._position = sought(self._position, self.size, offset, whence)
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, fewer only at the end; without a size, all that is left.

        Example:
            >>> with vault.open("files", "lines") as reader:
            ...     print(reader.read(5))
            b'hello'
        """
        self._check_open()
        wanted = to_read(self._position, self.size, size)
        if 0 < wanted < self._apart_below and self._source.apart(self._position, wanted):
            data = self._ranges.read(self._position, wanted)
            if not self._position:
                self._head = data
            self._position += wanted
            return data
        through = (self._position + wanted - 1) // BLOCK_SIZE
        gathered = gathered_bytes(wanted)
        for index, start, stop in spans(self._position, wanted):
            block = self._block(index, through)
            self._position += stop - start
            if stop - start == wanted:
                return block[start:stop]
            gathered.write(memoryview(block)[start:stop])
        return gathered.getvalue()

    def read_at(self, offset: int, length: int | None = None) -> bytes:
        """Bytes from anywhere, fewer than `length` only at the end; where the next `read` begins stays as it is.

        Any number of threads (or tasks) may read so at the same time. A few bytes are moved alone; see `Vault.read`.

        Args:
            offset: Negative: from the end, as far as the object reaches.
            length: Bytes; None: to the end.

        Raises:
            InvalidArgumentError: BAD_RANGE, it begins past the end.

        Example:
            >>> with vault.open("files", "lines") as reader:
            ...     print(reader.read_at(-6), reader.read_at(0, 5))
            b'world\\n' b'hello'
        """
        self._check_open()
        check_ranges([(offset, length)])
        return self._ranges.read(*located_in(self.size, offset, length))

    def blocks(self) -> Iterator[bytes]:
        """What is left, block by block (at most 1 MiB each). At the end, or when it is given up, the reader closes.

        So it is what a web framework's streamed response takes.

        Example:
            >>> reader = vault.open("files", "lines")
            >>> [len(block) for block in reader.blocks()], reader.closed
            ([12], True)
        """
        self._check_open()
        try:
            while self._position < self.size:
                index, start = divmod(self._position, BLOCK_SIZE)
                data = self._source.passing_block(index, self.info.block_count - 1)
                self._hold_to_head(index, data)
                self._position += len(data) - start
                yield bytes(data[start:])
                self._check_open()
        finally:
            self.close()

    def read1(self, size: int = -1, /) -> bytes:
        """What is left of the present block, at most `size` bytes.

        Example:
            >>> with vault.open("files", "lines") as reader:
            ...     print(len(reader.read1()))
            12
        """
        self._check_open()
        left = BLOCK_SIZE - self._position % BLOCK_SIZE
        return self.read(left if size < 0 else min(size, left))

    def readinto(self, buffer: Any, /) -> int:
        """Fills the buffer, but for what is past the object's end. Returns how many bytes it took.

        Example:
            >>> with vault.open("files", "lines") as reader:
            ...     buffer = bytearray(5)
            ...     print(reader.readinto(buffer), buffer)
            5 bytearray(b'hello')
        """
        self._check_open()
        target = memoryview(buffer).cast("B")
        wanted = to_read(self._position, self.size, len(target))
        through = (self._position + wanted - 1) // BLOCK_SIZE
        filled = 0
        for index, start, stop in spans(self._position, wanted):
            block = self._block(index, through)
            self._position += stop - start
            target[filled : filled + stop - start] = memoryview(block)[start:stop]
            filled += stop - start
        return filled

    def readinto1(self, buffer: Any, /) -> int:
        """As `readinto`, to the end of the present block at most.

        Example:
            >>> with vault.open("files", "lines") as reader:
            ...     print(reader.readinto1(bytearray(5)))
            5
        """
        left = BLOCK_SIZE - self._position % BLOCK_SIZE
        return self.readinto(memoryview(buffer).cast("B")[:left])

    def readline(self, size: int | None = -1, /) -> bytes:
        """Bytes up to and with the next newline, at most `size`.

        Example:
            >>> with vault.open("files", "lines") as reader:
            ...     print(reader.readline())
            b'hello\\n'
        """
        self._check_open()
        line = bytearray()
        for index, start, stop in spans(self._position, to_read(self._position, self.size, size)):
            block = self._block(index)
            newline = block.find(b"\n", start, stop)
            end = stop if newline < 0 else newline + 1
            self._position += end - start
            if not line and newline >= 0:
                return block[start:end]
            line += memoryview(block)[start:end]
            if newline >= 0:
                break
        return bytes(line)

    def map(self) -> memoryview | None:
        """The whole object, mapped read-only from a local file and verified; None where it is not in one.

        The view outlives the reader.

        Example:
            >>> with vault.open("files", "lines") as reader:
            ...     print(reader.map())  # so small an object is in no file of its own
            None
        """
        self._check_open()
        return self._source.map()

    def close(self) -> None:
        """Lets go of the stream. Harmless when repeated.

        Example:
            >>> reader = vault.open("files", "lines")
            >>> reader.close()
            >>> reader.closed
            True
        """
        if self._open:
            self._affinity.require_closable()
            self._open = False
            if not self._affinity.is_inherited:
                self._source.close()

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _block(self, index: int, through: int | None = None) -> bytes:
        data = self._source.block(index, through)
        self._hold_to_head(index, data)
        return data

    def _hold_to_head(self, index: int, data: bytes | memoryview) -> None:
        """What was read alone passed by the checksum of the whole, which this block's bytes do not."""
        if self._head and index == 0:
            check_head(self.info, self._head, data)
            self._head = b""

    def _check_open(self) -> None:
        if not self._open:
            raise ClosedError(f"the reader of object {self.info.data_id} is closed")
        self._affinity.require()


def open_reader(store: Store, unit: str, key: Key, exact_below: int = EXACT_BELOW) -> ObjectReader:
    """A reader on the object's present generation.

    Args:
        exact_below: As for `Store.read`.

    Raises:
        NotFoundError: There is no such object.
        CorruptionError: It is empty, and what is stored is the checksum of something else.
    """
    (info,) = store.stat_many(unit, [key])
    if info is None:
        raise object_not_found(unit, key)
    check_empty(info)
    source, ranges = BlockSource(info, reopener(store, info)), RangeReader(store, info, exact_below)
    return ObjectReader(info, source, ranges, 0 if store.local_bytes else EXACT_BELOW)
