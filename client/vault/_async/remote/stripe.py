"""AsyncStripe: every so-manyth block of a download, by one stream after another."""

from collections.abc import Callable
from typing import Any

from vault._async.remote.channel import AsyncChannel, AsyncReceiver
from vault._grpc.calls import Attempts
from vault._runtime.sync_async import AsyncClock
from vault.errors import ConflictError, NotFoundError, ProtocolError, UnavailableError
from vault.store.blocks import check_same
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, ObjectInfo
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as wire
from vault.wire import request_messages
from vault.wire.reply_checks import check_opened


class AsyncStripe:
    """The blocks of one generation from an offset on, or each `stride`-th of them.

    When the connection is lost, or silent for too long, the same generation is opened anew from the block after
    the last one that came, until nothing has come for the timeout.
    """

    def __init__(
        self,
        channel: AsyncChannel,
        info: ObjectInfo,
        seen: Callable[[int], None],
        span: tuple[int, int],
        *,
        stride: int = 1,
        place: int = 0,
        receiver: AsyncReceiver | None = None,
    ) -> None:
        """Sends its request, and waits for nothing.

        Args:
            seen: Is told each revision that the server says it is at.
            span: Where its first block begins, and where the last one of the range ends.
            stride: Of the blocks from the first on, each of this number is its own.
            place: Of the channel's connections.
            receiver: What is received already.
        """
        self._channel = channel
        self._info = info
        self._seen = seen
        self._next, self._end = span
        self._coming = self._next  # which block the server sends next: it may send more than was asked for
        self._stride = self._sent = stride
        self._place = place
        self._attempts = Attempts(channel.address, channel.timeout)
        self._cancelled = False
        self._receiver = receiver or AsyncReceiver(
            channel, channel.begin("Load", self._request(), place), None, channel.patience
        )

    async def open(self, seconds: float) -> bool:
        """Waits for what the server begins with. Returns whether it sends this stripe's blocks alone.

        Raises:
            UnavailableError: Nothing came within so many seconds, or the connection failed. It is not tried again.
            ConflictError, NotFoundError: The generation is gone.
        """
        self._begin(await self._receiver.receive(seconds))
        return self._sent == self._stride

    async def next(self) -> Block | None:
        """The next block; None at the end, or when the server has no more."""
        self._attempts.begin()
        while not self._cancelled:
            try:
                message = await self._receiver.receive()
            except UnavailableError as error:
                if self._next >= self._end:  # only the end of the stream was lost
                    return None
                await self._go_on(error)
                continue
            if message is None:
                return None
            if not isinstance(message, Block):
                raise ProtocolError("the server sent a Load message that is no block, after the first")
            if self._is_own(message):
                return message
            self._attempts.begin()
        return None

    def cancel(self) -> None:
        """Ends it, also while somebody waits for it. Harmless when repeated, and in a forked child."""
        self._cancelled = True
        self._receiver.cancel()

    def _is_own(self, block: Block) -> bool:
        """Takes the next block, and no other. Returns whether it is one of the stripe."""
        info, coming = self._info, self._coming
        due = min(BLOCK_SIZE, info.size - coming) if coming < self._end else 0
        if block.offset != coming or len(block.data) != due:
            raise ProtocolError(
                f"object {info.data_id} in unit {info.unit!r}: {due} bytes at {coming} were due, and "
                f"{len(block.data)} bytes at {block.offset} came",
                unit=info.unit,
                data_id=info.data_id,
            )
        self._coming += self._sent * BLOCK_SIZE
        own = coming == self._next
        if own:
            self._next += self._stride * BLOCK_SIZE
        return own

    def _request(self) -> pb.LoadRequest:
        """Asks for the rest."""
        info = self._info
        request = pb.LoadRequest(
            unit=info.unit,
            offset=self._next,
            length=self._end - self._next,
            if_generation=info.generation,  # for a server of before `generation`
            generation=info.generation,
            stride=self._stride if self._stride > 1 else 0,
        )
        request_messages.fill_key(request.key, info.data_id)
        return request

    def _begin(self, first: Any) -> None:
        if first is None or isinstance(first, Block) or first.WhichOneof("part") != "info":
            raise ProtocolError("the server went on with a Load without saying with which object")
        self._seen(first.revision)
        check_same(self._info, check_opened(wire.object_info_from_wire(first.info), self._request()))
        if first.stride not in (0, self._stride):
            raise ProtocolError(f"the server sends each block of {first.stride}, and was asked for {self._stride}")
        self._sent = first.stride or 1  # an older one, which took the place of another, sends all
        self._coming = self._next

    async def _go_on(self, error: UnavailableError) -> None:
        """Opens the rest."""
        self._receiver.cancel()
        await AsyncClock.sleep(self._attempts.wait(error))
        if self._cancelled:
            return
        info, attempts = self._info, self._attempts
        try:
            self._receiver = await self._channel.stream(
                "Load", self._request(), idle=attempts.patience, attempts=attempts, place=self._place
            )
        except (ConflictError, NotFoundError) as gone:
            raise ConflictError(
                f"object {info.data_id} in unit {info.unit!r} was replaced or deleted while it was read, and the "
                "connection was lost: what was not read yet of its old bytes is gone",
                **{"unit": info.unit, "data_id": info.data_id, **gone.context},
            ) from gone
        self._begin(self._receiver.first)
