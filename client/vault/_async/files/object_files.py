"""Objects as binary files: a seekable reader, and a writer whose object exists when it closes."""

import io
import sys
import warnings
from collections.abc import Callable
from typing import Any, Self

from vault._async.files.block_stream import AsyncBlockSource, AsyncReopen, sought, to_read
from vault._runtime.sync_async import AsyncAffinity, AsyncFile, AsyncReturned
from vault.errors import ClosedError, ConflictError, NotFoundError, ProtocolError
from vault.store.blocks import BlockCutter, check_same, spans
from vault.store.contract import AsyncBlockReader, AsyncBlockWriter, AsyncStore
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

        >>> data_id = await vault.upload_file("files", io.BytesIO(b"hello"))
        >>> async with await vault.open("files", data_id) as reader:
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

    def __init__(self, info: ObjectInfo, reopen: AsyncReopen) -> None:
        self.info = info
        self._source = AsyncBlockSource(info, reopen)
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
            >>> data_id = await vault.upload_file("files", io.BytesIO(b"hello\\nworld\\n"))
            >>> async with await vault.open("files", data_id) as reader:
            ...     line = await reader.readline()
            ...     print(reader.tell())
            6
        """
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Moves; fetches nothing. Returns the new position.

        Example:
            >>> data_id = await vault.upload_file("files", io.BytesIO(b"hello\\nworld\\n"))
            >>> async with await vault.open("files", data_id) as reader:
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
            >>> data_id = await vault.upload_file("files", io.BytesIO(b"hello\\nworld\\n"))
            >>> async with await vault.open("files", data_id) as reader:
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
            >>> data_id = await vault.upload_file("files", io.BytesIO(b"hello\\nworld\\n"))
            >>> async with await vault.open("files", data_id) as reader:
            ...     print(len(await reader.read1()))
            12
        """
        self._check_open()
        left = BLOCK_SIZE - self._position % BLOCK_SIZE
        return await self.read(left if size < 0 else min(size, left))

    async def readinto(self, buffer: Any, /) -> int:
        """Fills the buffer, but for what is past the object's end. Returns how many bytes it took.

        Example:
            >>> data_id = await vault.upload_file("files", io.BytesIO(b"hello\\nworld\\n"))
            >>> async with await vault.open("files", data_id) as reader:
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
            >>> data_id = await vault.upload_file("files", io.BytesIO(b"hello\\nworld\\n"))
            >>> async with await vault.open("files", data_id) as reader:
            ...     print(await reader.readinto1(bytearray(5)))
            5
        """
        left = BLOCK_SIZE - self._position % BLOCK_SIZE
        return await self.readinto(memoryview(buffer).cast("B")[:left])

    async def readline(self, size: int | None = -1, /) -> bytes:
        """Bytes up to and with the next newline, at most `size`.

        Example:
            >>> data_id = await vault.upload_file("files", io.BytesIO(b"hello\\nworld\\n"))
            >>> async with await vault.open("files", data_id) as reader:
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
            >>> data_id = await vault.upload_file("files", io.BytesIO(b"hello\\nworld\\n"))
            >>> async with await vault.open("files", data_id) as reader:
            ...     print(await reader.map())  # so small an object is in no file of its own
            None
        """
        self._check_open()
        return await self._source.map()

    async def close(self) -> None:
        """Lets go of the stream. Harmless when repeated.

        Example:
            >>> data_id = await vault.upload_file("files", io.BytesIO(b"hello\\nworld\\n"))
            >>> reader = await vault.open("files", data_id)
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


class AsyncObjectWriter(AsyncFile):
    """A new object, written as a binary file.

        >>> async with await vault.open_writer("files", name="log") as writer:
        ...     for number in range(3):
        ...         written = await writer.write(b"line %d\\n" % number)
        >>> writer.info.size
        21

    It exists when `close` returns, durably, and not at all when the `with` block raises, when `abort` is
    called, or when the writer is dropped without closing (which warns). Use its own `with` block, also under
    something that closes it, such as an io.TextIOWrapper: that closes when its block raises, too, and only
    the writer's own block can tell that from an end. For one thread (or task) at a time.
    """

    def __init__(self, data_id: int, begin: Callable[[], AsyncReturned[AsyncBlockWriter]]) -> None:
        self._data_id = data_id
        self._begin = begin
        self._cutter = BlockCutter()
        self._writer: AsyncBlockWriter | None = None
        self._info: ObjectInfo | None = None
        self._entered = False
        self._before: BaseException | None = None  # what was being handled when the `with` block was entered
        self._open = False
        self._affinity = AsyncAffinity.here(f"the writer of object {data_id}")

    @property
    def data_id(self) -> int:
        """The object's id, also before it exists."""
        return self._data_id

    @property
    def info(self) -> ObjectInfo:
        """The object, once the writer is closed.

        Raises:
            NotFoundError: It does not exist: the writer is still open, or was aborted.
        """
        if self._info is None:
            raise NotFoundError(
                f"object {self._data_id} does not exist: its writer was not closed", data_id=self._data_id
            )
        return self._info

    @property
    def mode(self) -> str:
        return "wb"

    @property
    def closed(self) -> bool:
        return not self._open

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        """Bytes written so far.

        Example:
            >>> async with await vault.open_writer("files") as writer:
            ...     written = await writer.write(b"hello")
            ...     print(writer.tell())
            5
        """
        return self._cutter.size

    async def start(self) -> None:
        """Begins the write, so that a taken name is known before the first byte."""
        self._writer = await self._begin()
        self._open = True

    async def write(self, data: Any, /) -> int:
        """Takes bytes-like data of any size. Returns how many bytes that were.

        Raises:
            ClosedError: The writer is closed, or an earlier write failed.
            StorageFullError, UnavailableError: The write is over; nothing of it stays.

        Example:
            >>> async with await vault.open_writer("files") as writer:
            ...     written = await writer.write(b"hello ")
            ...     written = await writer.write(b"world")
            >>> writer.info.size
            11
        """
        writer = self._check_open()
        view = memoryview(data)
        try:
            for block in self._cutter.feed(view):
                await writer.write(block)
        except BaseException:
            # Cancelled, too: nobody could say where to go on.
            await self.abort()
            raise
        return view.nbytes

    async def flush(self) -> None:
        """Nothing: blocks leave when they are full.

        Example:
            >>> async with await vault.open_writer("files") as writer:
            ...     await writer.flush()
        """

    async def close(self) -> None:
        """Makes the object exist. Harmless when repeated, or after `abort`.

        Within the writer's `with` block, and while an exception is on its way, it leaves that to the block's
        end.

        Raises:
            AlreadyExistsError: The name, or the id, was taken meanwhile.
            StorageFullError, UnavailableError: Nothing of the object stays, or it is not known whether it does.

        Example:
            >>> writer = await vault.open_writer("files", name="empty")
            >>> await writer.close()
            >>> await vault.exists("files", "empty")
            True
        """
        if not self._open or (self._entered and sys.exception() is not self._before):
            return
        writer = self._check_open()
        self._open = False
        async with writer:
            for block in self._cutter.rest():
                await writer.write(block)
            self._info = await writer.commit(self._cutter.size, self._cutter.checksum)

    async def abort(self) -> None:
        """Gives the object up. Harmless when repeated, or after `close`.

        Example:
            >>> writer = await vault.open_writer("files", name="empty")
            >>> await writer.abort()
            >>> await vault.exists("files", "empty")
            False
        """
        if self._open:
            self._affinity.require_closable()
            self._open = False
            if self._writer is not None and not self._affinity.is_inherited:
                await self._writer.abort()

    async def __aenter__(self) -> Self:
        self._check_open()
        self._entered = True
        self._before = sys.exception()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        self._entered = False
        self._before = None
        if kind is None:
            await self.close()
        else:
            await self.abort()

    def __del__(self) -> None:
        # io's own finalizer would close, and so commit, what may be half an object. The store's writer, which is
        # dropped with this one, gives it up.
        if self._open and not self._affinity.is_inherited:
            self._open = False
            warnings.warn(
                f"the writer of object {self._data_id} was dropped without closing it: the object does not exist",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def _check_open(self) -> AsyncBlockWriter:
        if not self._open or self._writer is None:
            raise ClosedError(f"the writer of object {self._data_id} is closed")
        self._affinity.require()
        return self._writer


async def open_reader(store: AsyncStore, unit: str, key: Key) -> AsyncObjectReader:
    """A reader on the object's present generation.

    Raises:
        NotFoundError: There is no such object.
    """
    (info,) = await store.stat_many(unit, [key])
    if info is None:
        raise missing(unit, key)
    return AsyncObjectReader(info, reopener(store, info))


def missing(unit: str, key: Key) -> NotFoundError:
    """The error for an object that is not there."""
    if isinstance(key, str):
        return NotFoundError(f"unit {unit!r} has no object named {key!r}", unit=unit, name=key)
    return NotFoundError(f"unit {unit!r} has no object with id {key}", unit=unit, data_id=key)


def not_asked_for(unit: str, key: Key) -> ProtocolError:
    """The error for a NotModified where bytes were asked for."""
    return ProtocolError(f"the store answered a load of {key!r} in unit {unit!r} with 'not modified'", unit=unit)
