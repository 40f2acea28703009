"""Blocks of streamed writes that come by other connections, each put where it belongs."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any, Final

from vault.errors import ConflictError, InvalidArgumentError, NotFoundError, UnavailableError
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block

from vault_server.access.grants import Principal
from vault_server.storage.uploads.incoming import taken_over

MOST_WAITING: Final = 64
"""Blocks of a write that may be here before their turn, and how far ahead of it they may be."""

_PATIENCE: Final = 2.0
"""Seconds without any of the blocks that are missing, after which the connections that were to bring them are taken
for lost."""


class JoinedWrite(AsyncIterator[Any]):
    """The messages of a write's stream, with the blocks among them that came by WriteBlock.

    Blocks are in order once a later message of the stream is here: the next block of its own, or the commit.

    Args:
        messages: Of the stream.

    Attributes:
        number: Of the stream: blocks that were sent to go with another one of the same write do not come in.
        is_joined: Whether blocks may come by other connections.
        key: By which they find it, once it has begun.
    """

    def __init__(self, messages: AsyncIterator[Any]) -> None:
        self.number = random.getrandbits(64)
        self.is_joined = False
        self.key = "", "", b""
        self._messages = messages
        self._next = 0  # where the next block begins
        self._held: Any = None  # the message of the stream that blocks are missing before
        self._waiting: dict[int, tuple[Block, asyncio.Future[None]]] = {}
        self._news = asyncio.Event()
        self._taken_over: ConflictError | None = None

    def begin(self, size: int) -> None:
        """The next block begins there."""
        self._next = size

    async def __anext__(self) -> Any:
        message = self._held
        if message is None:
            message = await anext(self._messages)
        if self.is_joined and _place(message) > self._next:
            self._held = message
            return await self._take()
        self._held = None
        if isinstance(message, Block):
            self._next = message.offset + len(message.data)
        return message

    async def add(self, block: Block) -> None:
        """Waits until a block that came by another connection had its turn.

        Raises:
            InvalidArgumentError: BAD_SIZE, it is too large; BAD_OFFSET, none is missing there, or one is there already.
            UnavailableError: The write's stream has ended.
        """
        if len(block.data) > BLOCK_SIZE:
            raise InvalidArgumentError(
                f"a block of {len(block.data)} bytes, of at most {BLOCK_SIZE}", reason="BAD_SIZE"
            )
        place, due = block.offset, self._next
        far = due + MOST_WAITING * BLOCK_SIZE
        if not due <= place < far or place in self._waiting or len(self._waiting) >= MOST_WAITING:
            raise InvalidArgumentError(
                f"a block at {place} of a write whose next one begins at {due}: it comes once, and at most "
                f"{MOST_WAITING} blocks early",
                reason="BAD_OFFSET",
            )
        entry = block, asyncio.get_running_loop().create_future()
        self._waiting[place] = entry
        self._news.set()
        try:
            await entry[1]
        finally:
            if self._waiting.get(place) is entry:
                del self._waiting[place]

    def take_over(self, unit: str) -> None:
        """Another stream goes on with the write: what is missing here goes there."""
        self._taken_over = taken_over(unit)
        self._news.set()

    def end(self) -> None:
        """Nothing is taken any more."""
        for _, turn in self._waiting.values():
            if not turn.done():
                turn.set_exception(UnavailableError("the stream of the write has ended"))
        self._waiting.clear()

    async def _take(self) -> Block:
        while self._next not in self._waiting:
            if self._taken_over is not None:
                raise self._taken_over
            self._news.clear()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._news.wait()
            except TimeoutError as error:
                raise UnavailableError(
                    f"the block at {self._next} was to come by another connection, and none came for {_PATIENCE:g} s: "
                    "go on with the write",
                ) from error
        block, turn = self._waiting.pop(self._next)
        self._next += len(block.data)
        if not turn.done():  # cancelled, a moment ago
            turn.set_result(None)
        return block


class JoinedWrites:
    """The streamed writes of this process that blocks may join. Belongs to one event loop."""

    def __init__(self) -> None:
        self._writes: dict[tuple[str, str, bytes], JoinedWrite] = {}

    def begin(self, unit: str, request_id: bytes, principal: Principal, write: JoinedWrite) -> None:
        """Blocks of its principal may join it. It takes the place of one that is there under its request id."""
        write.key = principal.name, unit, request_id
        if (before := self._writes.get(write.key)) is not None:
            before.take_over(unit)
        self._writes[write.key] = write

    def join(self, unit: str, request_id: bytes, principal: Principal, stream: int | None) -> JoinedWrite:
        """The write, whose stream has this number, if one is known.

        Raises:
            NotFoundError: WRITE_NOT_FOUND, none of this principal runs here.
        """
        write = self._writes.get((principal.name, unit, request_id))
        if write is None or stream not in (None, write.number):
            raise NotFoundError("no such stream of a write is here", reason="WRITE_NOT_FOUND", unit=unit)
        write.is_joined = True
        return write

    def end(self, write: JoinedWrite) -> None:
        """Nothing joins it any more. Harmless when it never began."""
        if self._writes.get(write.key) is write:
            del self._writes[write.key]
        write.end()


def _place(message: Any) -> int:
    """Where a message of the stream belongs: behind so many bytes; -1: anywhere."""
    if isinstance(message, Block):
        return message.offset
    return message.commit.size if message.WhichOneof("part") == "commit" else -1
