"""The messages of a streamed write: start, blocks, commit; suspended when its stream is lost, if it is resumable."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from vault.errors import ProtocolError, UnavailableError, VaultError
from vault.store.contract import AsyncBlockWriter
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, ObjectInfo
from vault.v1 import vault_pb2 as pb

Request = TypeVar("Request", pb.UploadRequest, pb.UpdateRequest, pb.PutRequest)
"""What is no block; see `vault.wire.block_codec`."""

REPORT_EVERY: Final = 4
"""Blocks between two reports of what is staged; the contract says at most 4 MiB.

It is what a client has to keep, at least, to go on after a lost connection.
"""

_REPORT_AFTER: Final = 0.25
"""Seconds after which every block is reported: whoever waits over a slow line sees that it moves."""

_HEARTBEAT: Final = 0.25
"""Seconds between two while a write is begun: to resume a large one, all that is staged of it is read again."""

_FIRST_CHECK: Final = 0.01
_LAST_CHECK: Final = 1.0


async def run_write(
    requests: AsyncIterator[Request | Block], begin: Callable[[Request], Awaitable[AsyncBlockWriter]]
) -> AsyncGenerator[int | ObjectInfo | None, None]:
    """Runs one write, and yields what the client is sent: sizes staged so far, at the end the object.

    None is a heartbeat, while the write is begun.

    Nothing is stored unless exactly one start, the blocks, one commit and the end of the stream arrive in
    this order. Whatever else happens (an error, a cancellation, the stream's end) aborts the write; but a
    resumable one is suspended where its stream was lost, and where a store behind this one was.

    Raises:
        ProtocolError: NOT_STARTED, ALREADY_STARTED, ALREADY_COMMITTED, NOT_COMMITTED;
            EMPTY_MESSAGE, one with none of the three.
    """
    start = await anext(requests, None)
    if start is None:
        raise ProtocolError("the stream ended without a start", reason="NOT_STARTED")
    if isinstance(start, Block) or not _begins(start):
        raise ProtocolError("a block or a commit before the start: start comes first", reason="NOT_STARTED")
    beginning = asyncio.ensure_future(begin(start))
    try:
        while not (await asyncio.wait([beginning], timeout=_HEARTBEAT))[0]:
            yield None
    except BaseException:
        await _give_up(beginning, resumable=start.start.resumable)
        raise
    writer = beginning.result()
    try:
        async with contextlib.aclosing(_receive(requests, writer)) as sizes:
            async for each in sizes:
                yield each
    except BaseException as error:
        # Without its client's doing, as far as can be told.
        lost = (
            not isinstance(error, VaultError) or isinstance(error, UnavailableError) or error.reason == "NOT_COMMITTED"
        )
        await (writer.suspend() if start.start.resumable and lost else writer.abort())
        raise


async def _receive(
    requests: AsyncIterator[Request | Block], writer: AsyncBlockWriter
) -> AsyncGenerator[int | ObjectInfo, None]:
    # Before any bytes: from it the client knows whether it is worth sending them, and from where.
    reported = received = writer.persisted_size
    yield reported
    reported_at = time.monotonic()
    blocks = 0
    async with contextlib.aclosing(_with_checks(requests, lambda: writer.persisted_size < received)) as messages_in:
        async for request in messages_in:
            checked = request is None
            if isinstance(request, Block):
                await writer.write(request)
                received += len(request.data)
                blocks += 1
            elif request is not None:
                if _begins(request):
                    raise ProtocolError("a second start: a stream carries one write", reason="ALREADY_STARTED")
                if await anext(requests, None) is not None:
                    raise ProtocolError(
                        "a message after the commit: nothing may follow it but the end of the stream",
                        reason="ALREADY_COMMITTED",
                    )
                commit = request.commit
                yield await writer.commit(commit.size, commit.checksum if commit.HasField("checksum") else None)
                return
            del request  # a block's memory is free for the next one, which is waited for
            size = writer.persisted_size
            due = size - reported >= REPORT_EVERY * BLOCK_SIZE or time.monotonic() - reported_at >= _REPORT_AFTER
            if size > reported and (due or checked):
                yield size
                reported, reported_at = size, time.monotonic()
    raise ProtocolError(
        f"the stream ended after {blocks} blocks (of at most {BLOCK_SIZE} bytes) without a commit: nothing is stored",
        reason="NOT_COMMITTED",
    )


async def _give_up(beginning: "asyncio.Future[AsyncBlockWriter]", *, resumable: bool) -> None:
    """Gives a beginning up whose client has gone, and what came of it all the same."""
    beginning.cancel()
    await asyncio.wait([beginning])
    if not beginning.cancelled() and beginning.exception() is None:
        writer = beginning.result()
        await (writer.suspend() if resumable else writer.abort())


async def _with_checks(
    requests: AsyncIterator[Request | Block], behind: Callable[[], bool]
) -> AsyncGenerator[Request | Block | None, None]:
    """The requests; and None from time to time while the next one is waited for and the store is behind.

    A store behind another server learns what is persisted there some time after it wrote it, and the client
    may wait for exactly that before it sends more.
    """
    while True:
        if not behind():
            request = await anext(requests, None)
        else:
            coming = asyncio.ensure_future(anext(requests, None))
            try:
                pause = _FIRST_CHECK
                while behind() and not (await asyncio.wait([coming], timeout=pause))[0]:
                    yield None
                    pause = min(2 * pause, _LAST_CHECK)
                request = await coming
            finally:
                coming.cancel()
        if request is None:
            return
        yield request
        del request  # as in `_receive`


def _begins(request: pb.UploadRequest | pb.UpdateRequest | pb.PutRequest) -> bool:
    """Whether the message is a start, and no commit."""
    part = request.WhichOneof("part")
    if part not in ("start", "commit"):
        raise ProtocolError("a message without start, block or commit", reason="EMPTY_MESSAGE")
    return part == "start"
