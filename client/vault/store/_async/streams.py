"""What a Store gives to read, to write and to watch by; `vault.store.contract` says what holds for all of it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Self

from vault.store.values import Block, Change, ObjectInfo, Progress


class AsyncBlockReader(ABC):
    """The blocks of one generation of an object, in order; iterate over it once.

    Blocks are whole: those that cover the range asked for. They are *not* verified yet.

    Attributes:
        info: The object, as of the generation that is read.
    """

    info: ObjectInfo

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[Block]: ...

    @abstractmethod
    async def close(self) -> None:
        """Lets go of the file or stream. Harmless when repeated."""

    def every(self, stride: int) -> bool:  # noqa: ARG002  # for those that can
        """From the first block on gives only each `stride`-th, as one of several readers that share an object. To be
        called before the first. Returns whether it does; False: all come."""
        return False

    async def map(self) -> memoryview | None:
        """The object's bytes, mapped read-only from a local file and verified; None where that can't be."""
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


class AsyncBlockWriter(ABC):
    """A write in progress. It takes effect at `commit`, and not at all without it.

    Leaving its `with` block without a commit aborts. One that is dropped is given up by its own finalizer, which starts
    nothing and waits for nothing. In a forked child it is dead: see `vault._runtime.fork`.
    """

    @property
    @abstractmethod
    def persisted_size(self) -> int:
        """Bytes that the store has taken so far, as far as is known here. Does not block.

        Of a resumable write: bytes that are found again when it is resumed. Above 0 at its beginning
        when it is one, and the first block to write is the one there.
        """

    @abstractmethod
    async def write(self, block: Block) -> None:
        """Takes the next block. Its memory is the caller's again when this returns.

        Raises:
            InvalidArgumentError: BAD_OFFSET, it is not the next one; BAD_SIZE, it is empty, over
                BLOCK_SIZE, or the one before was short.
            ChecksumError: Its bytes do not match its checksum.
            StorageFullError: The disk is full.
        Any of these aborts the write. A remote writer may raise it at a later call.
        """

    @abstractmethod
    async def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        """Makes the object exist, durably.

        Args:
            size: Bytes written in all; a lost block is noticed by it.
            checksum: XXH3-64 of them all, compared when given.

        Raises:
            InvalidArgumentError: BAD_SIZE, other bytes were written than `size` says.
            ChecksumError: `checksum` is not that of the bytes written.
            AlreadyExistsError, ConflictError, NotFoundError: As for the call that began the write;
                preconditions are decided here.
        """

    @abstractmethod
    async def abort(self) -> None:
        """Gives the write up; nothing of it stays. Harmless when repeated or after a commit."""

    async def suspend(self) -> None:
        """Lets go of a resumable write (files, memory, connection) and leaves what is persisted in the store.

        It is resumed by beginning it again under its request id. One that is not resumable is aborted.
        Harmless when repeated, or after a commit or an abort.
        """
        await self.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.abort()


class AsyncWatch(ABC):
    """The change feed from a revision on: iterate over it; iteration blocks until there is something.

    The first event is `Progress` with the revision it starts from.
    """

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[Change | Progress]: ...

    async def groups(self) -> AsyncIterator[Sequence[Change | Progress]]:
        """The same, those events together that are there together. Iterate over one of the two."""
        async for event in self:
            yield [event]

    @abstractmethod
    async def close(self) -> None:
        """Ends the iteration, also from another thread. Harmless when repeated."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
