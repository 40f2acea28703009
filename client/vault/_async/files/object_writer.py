"""A writer of one object as a binary file: the object exists when it closes."""

import sys
import warnings
from collections.abc import Callable
from typing import Any, Self

from vault._runtime.sync_async import AsyncAffinity, AsyncFile, AsyncReturned
from vault.errors import ClosedError, NotFoundError
from vault.store.blocks import BlockCutter
from vault.store.contract import AsyncBlockWriter
from vault.store.values import ObjectInfo


class AsyncObjectWriter(AsyncFile):
    """An object, new or in the place of another, written as a binary file.

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

    def __init__(
        self,
        data_id: int,
        begin: Callable[[], AsyncReturned[AsyncBlockWriter]],
        stored: Callable[[ObjectInfo], object] | None = None,
    ) -> None:
        self._data_id = data_id
        self._begin = begin
        self._stored = stored  # told of the object
        self._cutter = BlockCutter()
        self._writer: AsyncBlockWriter | None = None
        self._info: ObjectInfo | None = None
        self._entered = False
        self._before: BaseException | None = None  # what was being handled when the `with` block was entered
        self._open = False
        self._affinity = AsyncAffinity.here(f"the writer of object {data_id}")

    @property
    def data_id(self) -> int:
        """The object's id, also before it exists; of a writer that replaces, that of a new one until it is closed."""
        return self._data_id if self._info is None else self._info.data_id

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
            ConflictError, NotFoundError: It replaces another object, which is not at its `if_generation`.
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
            if self._stored is not None:
                self._stored(self._info)

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
