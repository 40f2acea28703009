"""The dialogue of a streamed write: start, blocks, commit."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from vault.errors import ProtocolError
from vault.model import ObjectInfo
from vault.rules import BLOCK_SIZE
from vault.store import AsyncBlockWriter
from vault.v1 import vault_pb2 as pb
from vault.wire import messages

Request = TypeVar("Request", pb.UploadRequest, pb.UpdateRequest)

REPORT_EVERY: Final = 16
"""Blocks between two reports of what is staged."""


async def take_write(
    requests: AsyncIterator[Request], begin: Callable[[Request], Awaitable[AsyncBlockWriter]]
) -> AsyncGenerator[int | ObjectInfo, None]:
    """Runs one write, and yields what the client is told: sizes staged so far, at the end the object.

    Nothing is stored unless exactly one start, the blocks, one commit and the end of the stream arrive in
    this order. Whatever else happens (an error, a cancellation, the stream's end) aborts the write.

    Raises:
        ProtocolError: NOT_STARTED, ALREADY_STARTED, ALREADY_COMMITTED, NOT_COMMITTED;
            EMPTY_MESSAGE, one with none of the three.
    """
    async with await begin(await _start(requests)) as writer:
        # Before any bytes: the client learns here whether it is worth sending them.
        yield writer.persisted_size
        blocks = 0
        async for request in requests:
            match request.WhichOneof("part"):
                case "block":
                    await writer.write(messages.block_from_wire(request.block))
                    blocks += 1
                    if blocks % REPORT_EVERY == 0:
                        yield writer.persisted_size
                case "commit":
                    await _end(requests)
                    commit = request.commit
                    yield await writer.commit(commit.size, commit.checksum if commit.HasField("checksum") else None)
                    return
                case "start":
                    raise ProtocolError("a second start: a stream carries one write", reason="ALREADY_STARTED")
                case _:
                    raise _empty()
    raise ProtocolError(
        f"the stream ended after {blocks} blocks (of at most {BLOCK_SIZE} bytes) without a commit: nothing is stored",
        reason="NOT_COMMITTED",
    )


async def _start(requests: AsyncIterator[Request]) -> Request:
    async for request in requests:
        part = request.WhichOneof("part")
        if part == "start":
            return request
        if part is None:
            raise _empty()
        raise ProtocolError(f"a {part} before the start: the first message is start", reason="NOT_STARTED")
    raise ProtocolError("the stream ended without a start", reason="NOT_STARTED")


async def _end(requests: AsyncIterator[Request]) -> None:
    async for request in requests:
        part = request.WhichOneof("part") or "message"
        raise ProtocolError(
            f"a {part} after the commit: nothing may follow it but the end of the stream", reason="ALREADY_COMMITTED"
        )


def _empty() -> ProtocolError:
    return ProtocolError("a message without start, block or commit", reason="EMPTY_MESSAGE")
