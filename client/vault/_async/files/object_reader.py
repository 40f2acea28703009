"""A seekable reader of one object as a binary file, and how its generation is opened again."""

import io
from typing import Any, Self

from vault._async.files.block_stream import AsyncBlocks, AsyncBlockSource, AsyncReopen, sought, to_read
from vault._runtime.sync_async import AsyncAffinity, AsyncFile
from vault.errors import ClosedError, ConflictError, ProtocolError, object_not_found
from vault.store.blocks import check_same, spans
from vault.store.contract import AsyncBlockReader, AsyncStore
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Key, NotModified, ObjectInfo


def reopener(store: AsyncStore, info: ObjectInfo) -> AsyncReopen:
    """Opens the generation that `info` shows, from an offset on; also when it was replaced or deleted since.

    As long as the store retains it; ConflictError then.
    """

    async def reopen(offset: int, length: int | None = None) -> AsyncBlockReader:
        try:
            # A server of before `generation` knows its precondition.
            reader = await store.load(
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
            await reader.close()
            raise
        return reader

    return reopen


class AsyncObjectReader(AsyncFile):
    """One object, read as a seekable binary file.

        >>> async with await vault.open("files", "lines") as reader:
        ...     position = reader.seek(1)
        ...     print(await reader.read(3))
        b'ell'

    Only the blocks that are asked for are fetched, each is verified before any of it is returned, and all
    are of the generation that the reader was opened on, also when the object is replaced or deleted meanwhile:
    the store retains its bytes for a while (five minutes, unless it was opened with another `retention`).
    After that a seek raises ConflictError, and what is open is read to its end.

    For one thread (or task) at a time.

    Attributes:
        info: The object, as of the generation that is read.
    """

    def __init__(self, info: ObjectInfo, source: AsyncBlocks) -> None:
        self.info = info
        self._source = source
        self._position = 0
        self._open = True
        self._affinity = AsyncAffinity.here(f"the reader of object {info.data_id}")

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
            >>> async with await vault.open("files", "lines") as reader:
            ...     line = await reader.readline()
            ...     print(reader.tell())
            6
        """
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Moves; fetches nothing. Returns the new position.

        Example:
            >>> async with await vault.open("files", "lines") as reader:
            ...     position = reader.seek(-6, io.SEEK_END)
            ...     print(await reader.read())
            b'world\\n'
        """
        self._check_open()
        self._position = sought(self._position, self.size, offset, whence)
        return self._position

    async def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, fewer only at the end; without a size, all that is left.

        Example:
            >>> async with await vault.open("files", "lines") as reader:
            ...     print(await reader.read(5))
            b'hello'
        """
        self._check_open()
        wanted = to_read(self._position, self.size, size)
        through = (self._position + wanted - 1) // BLOCK_SIZE
        gathered = io.BytesIO()  # gives its bytes away without a copy
        for index, start, stop in spans(self._position, wanted):
            block = await self._source.block(index, through)
            self._position += stop - start
            if stop - start == wanted:
                return block[start:stop]
            gathered.write(memoryview(block)[start:stop])
        return gathered.getvalue()

    async def read1(self, size: int = -1, /) -> bytes:
        """What is left of the present block, at most `size` bytes.

        Example:
            >>> async with await vault.open("files", "lines") as reader:
            ...     print(len(await reader.read1()))
            12
        """
        self._check_open()
        left = BLOCK_SIZE - self._position % BLOCK_SIZE
        return await self.read(left if size < 0 else min(size, left))

    async def readinto(self, buffer: Any, /) -> int:
        """Fills the buffer, but for what is past the object's end. Returns how many bytes it took.

        Example:
            >>> async with await vault.open("files", "lines") as reader:
            ...     buffer = bytearray(5)
            ...     print(await reader.readinto(buffer), buffer)
            5 bytearray(b'hello')
        """
        self._check_open()
        target = memoryview(buffer).cast("B")
        wanted = to_read(self._position, self.size, len(target))
        through = (self._position + wanted - 1) // BLOCK_SIZE
        filled = 0
        for index, start, stop in spans(self._position, wanted):
            block = await self._source.block(index, through)
            self._position += stop - start
            target[filled : filled + stop - start] = memoryview(block)[start:stop]
            filled += stop - start
        return filled

    async def readinto1(self, buffer: Any, /) -> int:
        """As `readinto`, to the end of the present block at most.

        Example:
            >>> async with await vault.open("files", "lines") as reader:
            ...     print(await reader.readinto1(bytearray(5)))
            5
        """
        left = BLOCK_SIZE - self._position % BLOCK_SIZE
        return await self.readinto(memoryview(buffer).cast("B")[:left])

    async def readline(self, size: int | None = -1, /) -> bytes:
        """Bytes up to and with the next newline, at most `size`.

        Example:
            >>> async with await vault.open("files", "lines") as reader:
            ...     print(await reader.readline())
            b'hello\\n'
        """
        self._check_open()
        line = bytearray()
        for index, start, stop in spans(self._position, to_read(self._position, self.size, size)):
            block = await self._source.block(index)
            newline = block.find(b"\n", start, stop)
            end = stop if newline < 0 else newline + 1
            self._position += end - start
            if not line and newline >= 0:
                return block[start:end]
            line += memoryview(block)[start:end]
            if newline >= 0:
                break
        return bytes(line)

    async def map(self) -> memoryview | None:
        """The whole object, mapped read-only from a local file and verified; None where it is not in one.

        The view outlives the reader.

        Example:
            >>> async with await vault.open("files", "lines") as reader:
            ...     print(await reader.map())  # so small an object is in no file of its own
            None
        """
        self._check_open()
        return await self._source.map()

    async def close(self) -> None:
        """Lets go of the stream. Harmless when repeated.

        Example:
            >>> reader = await vault.open("files", "lines")
            >>> await reader.close()
            >>> reader.closed
            True
        """
        if self._open:
            self._affinity.require_closable()
            self._open = False
            if not self._affinity.is_inherited:
                await self._source.close()

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _check_open(self) -> None:
        if not self._open:
            raise ClosedError(f"the reader of object {self.info.data_id} is closed")
        self._affinity.require()


async def open_reader(store: AsyncStore, unit: str, key: Key) -> AsyncObjectReader:
    """A reader on the object's present generation.

    Raises:
        NotFoundError: There is no such object.
    """
    (info,) = await store.stat_many(unit, [key])
    if info is None:
        raise object_not_found(unit, key)
    return AsyncObjectReader(info, AsyncBlockSource(info, reopener(store, info)))


def not_asked_for(unit: str, key: Key) -> ProtocolError:
    """The error for a NotModified where bytes were asked for."""
    return ProtocolError(f"the store answered a load of {key!r} in unit {unit!r} with 'not modified'", unit=unit)
