"""A download from a server that survives its connections, by as many of them as the distance is worth."""

from collections.abc import AsyncIterator, Callable
from typing import Final

from vault._async.remote.channel import AsyncChannel, AsyncReceiver
from vault._async.remote.stripe import AsyncStripe
from vault._runtime.sync_async import AsyncAffinity
from vault.errors import ClosedError, ConflictError, NotFoundError, VaultError
from vault.store.blocks import cut_short
from vault.store.contract import AsyncBlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, ObjectInfo
from vault.v1 import vault_pb2 as pb

LEAD: Final = 4
"""Blocks that the first stream brings meanwhile: its window, while connections are made and requests are on their way.
Whoever opens a stream to an object's end reads on: to wait for two blocks first is a round trip or two that nobody
needs."""

LEAST_SPREAD: Final = 32
"""Blocks left, from which on more connections are worth the 4 MiB that the first stream has sent in vain."""

_PATIENCE: Final = 2.0  # seconds to wait for connections that are not needed


class AsyncRemoteReader(AsyncBlockReader):
    """Blocks as a server streams them.

    Much that comes from far away comes in stripes, each by a stream on a connection of its own: a stream has no more
    than its window under way. The stripes take turns, and each stream sends ahead as far as its window goes, so nothing
    is kept here. The first stream stays until all the others have begun, and goes on where they cannot.
    """

    def __init__(
        self,
        channel: AsyncChannel,
        info: ObjectInfo,
        receiver: AsyncReceiver,
        request: pb.LoadRequest,
        seen: Callable[[int], None],
        began_in: float,
    ) -> None:
        self.info = info
        self._channel = channel
        self._seen = seen
        self._began_in = began_in  # seconds
        self._closed = False
        self._affinity = AsyncAffinity.here(f"the reader of object {info.data_id}")
        self._next = request.offset // BLOCK_SIZE * BLOCK_SIZE
        end = min(request.offset + request.length, info.size) if request.HasField("length") else info.size
        self._end = min(-(-end // BLOCK_SIZE) * BLOCK_SIZE, info.size) if end > request.offset else self._next
        self._stripes = [AsyncStripe(channel, info, seen, (self._next, self._end), receiver=receiver)]
        self._begun: list[AsyncStripe] = []  # those to come
        self._first = self._next  # where the first stripe begins
        self._join: int | None = None  # where they do; None: nobody has looked yet

    async def __aiter__(self) -> AsyncIterator[Block]:
        try:
            while (block := await self._following()) is not None:
                self._next += len(block.data)
                yield block
        except BaseException:
            self._cancel()
            raise

    async def close(self) -> None:
        self._affinity.require_closable()
        self._closed = True
        self._cancel()

    def _cancel(self) -> None:
        self._channel.spread.discard(self)
        for stripe in self._stripes + self._begun:
            stripe.cancel()

    async def _following(self) -> Block | None:
        """The next block; None at the end, or when it is closed."""
        if self._closed:
            return None
        self._affinity.require()
        if self._next >= self._end:
            for stripe in self._stripes:  # which says, perhaps, how it failed
                await stripe.next()
            self._cancel()
            return None
        if self._join is None:
            await self._spread()
        if self._next == self._join and self._begun:
            await self._take_turns()
        turn = (self._next - self._first) // BLOCK_SIZE % len(self._stripes)
        block = await self._stripes[turn].next()
        if block is None and not self._closed:
            raise cut_short(self.info, self._next // BLOCK_SIZE)
        return block

    async def _spread(self) -> None:
        """Asks for what is left in stripes, where it is much and the distance is long."""
        self._join = self._next + LEAD * BLOCK_SIZE
        left = -(-(self._end - self._next) // BLOCK_SIZE)
        if left < LEAST_SPREAD:
            return
        try:
            count = min(await self._channel.connections_for_transfer(self._began_in), left - LEAD)
            if count <= 1:
                return
            self._channel.spread.add(self)
            for number in range(count):
                span = self._join + number * BLOCK_SIZE, self._end
                stripe = AsyncStripe(self._channel, self.info, self._seen, span, stride=count, place=1 + number)
                self._begun.append(stripe)
        except VaultError:
            self._stay_alone()

    async def _take_turns(self) -> None:
        """Goes on with the stripes, when all of them have begun."""
        try:
            for stripe in self._begun:
                if not await stripe.open(_PATIENCE):
                    self._channel.distance.refused()
                    self._stay_alone()
                    return
        except (ConflictError, NotFoundError):  # what is open is read to its end
            self._stay_alone()
            return
        except ClosedError:
            raise
        except VaultError:
            self._channel.distance.refused()
            self._stay_alone()
            return
        before, self._stripes, self._begun = self._stripes, self._begun, []
        self._first = self._next
        for stripe in before:
            stripe.cancel()

    def _stay_alone(self) -> None:
        self._channel.spread.discard(self)
        begun, self._begun = self._begun, []
        for stripe in begun:
            stripe.cancel()
