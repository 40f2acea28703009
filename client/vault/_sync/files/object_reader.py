# Generated from _async/files/object_reader.py by scripts/unasync: DO NOT CHANGE.
"""A seekable reader of one object as a binary file, and how its generation is opened again."""

import io
from typing import Any, Self

from vault._sync.files.block_stream import Blocks, BlockSource, Reopen, sought, to_read
from vault._runtime.sync_async import Affinity, File
from vault.errors import ClosedError, ConflictError, ProtocolError, object_not_found
from vault.store.blocks import check_same, spans
from vault.store.contract import BlockReader, Store
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key, NotModified, ObjectInfo


def reopener(store: Store, info: ObjectInfo) -> Reopen:
    """Opens the generation that `info` shows, from an offset on; also when it was replaced or deleted since.

    As long as the store retains it; ConflictError then.
    """

    def reopen(offset: int, length: int | None = None) -> BlockReader:
        try:
            # A server of before `generation` knows its precondition.
            reader = store.load(
                info.unit,
                info.data_id,
                offset=offset,
                length=length,
                if_generation=info.generation,
                generation=info.generation,
            )
        except ConflictError as error:
            raise ConflictError(
                f"object {info.data_id} in unit {info.unit!r} was replaced while it was read: "
                "what was not read yet of its old bytes is gone",
                **error.context,
            ) from error
        if reader is None:
            raise ConflictError(
                f"object {info.data_id} in unit {info.unit!r} was deleted while it was read",
                unit=info.unit,
                data_id=info.data_id,
                generation=info.generation,
            )
        if isinstance(reader, NotModified):
            raise not_asked_for(info.unit, info.data_id)
        try:
            check_same(info, reader.info)
        except ConflictError:
            reader.close()
            raise
        return reader

    return reopen


class ObjectReader(File):
    """One object, read as a seekable binary file.

        >>> with vault.open("files", "lines") as reader:
        ...     position = reader.seek(1)
        ...     print(reader.read(3))
        b'ell'

    Only the blocks that are asked for are fetched, each is verified before any of it is returned, and all
    are of the generation that the reader was opened on, also when the object is replaced or deleted meanwhile:
    the store retains its bytes for a while (five minutes, unless it was opened with another `retention`).
    After that a seek raises ConflictError, and what is open is read to its end.

    For one thread (or task) at a time.

    Attributes:
        info: The object, as of the generation that is read.
    """

    def __init__(self, info: ObjectInfo, source: Blocks) -> None:
        self.info = info
        self._source = source
        self._position = 0
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
        through = (self._position + wanted - 1) // BLOCK_SIZE
        gathered = io.BytesIO()  # gives its bytes away without a copy
        for index, start, stop in spans(self._position, wanted):
            block = self._source.block(index, through)
            self._position += stop - start
            if stop - start == wanted:
                return block[start:stop]
            gathered.write(memoryview(block)[start:stop])
        return gathered.getvalue()

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
            block = self._source.block(index, through)
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
            block = self._source.block(index)
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

    def _check_open(self) -> None:
        if not self._open:
            raise ClosedError(f"the reader of object {self.info.data_id} is closed")
        self._affinity.require()


def open_reader(store: Store, unit: str, key: Key) -> ObjectReader:
    """A reader on the object's present generation.

    Raises:
        NotFoundError: There is no such object.
    """
    (info,) = store.stat_many(unit, [key])
    if info is None:
        raise object_not_found(unit, key)
    return ObjectReader(info, BlockSource(info, reopener(store, info)))


def not_asked_for(unit: str, key: Key) -> ProtocolError:
    """The error for a NotModified where bytes were asked for."""
    return ProtocolError(f"the store answered a load of {key!r} in unit {unit!r} with 'not modified'", unit=unit)
