"""A download from a server that survives its connection: opened again after the last block that came."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from vault._async.remote.channel import AsyncChannel, AsyncReceiver
from vault._grpc.calls import Attempts
from vault._runtime.sync_async import AsyncAffinity, AsyncClock
from vault.errors import ConflictError, NotFoundError, ProtocolError, UnavailableError
from vault.store.blocks import check_same, cut_short
from vault.store.contract import AsyncBlockReader
from vault.store.limits import BLOCK_SIZE
from vault.store.values import Block, ObjectInfo
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as wire
from vault.wire import request_messages
from vault.wire.reply_checks import check_opened


class AsyncRemoteReader(AsyncBlockReader):
    """Blocks as a server streams them.

    When the connection is lost, or silent for too long, the same generation is opened anew from the block after
    the last one that came, until nothing has come for the timeout.
    """

    def __init__(
        self,
        channel: AsyncChannel,
        info: ObjectInfo,
        receiver: AsyncReceiver,
        request: pb.LoadRequest,
        seen: Callable[[int], None],
    ) -> None:
        self.info = info
        self._channel = channel
        self._receiver = receiver
        self._seen = seen
        self._attempts = Attempts(channel.address, channel.timeout)
        self._closed = False
        self._affinity = AsyncAffinity.here(f"the reader of object {info.data_id}")
        self._next = request.offset // BLOCK_SIZE * BLOCK_SIZE
        end = min(request.offset + request.length, info.size) if request.HasField("length") else info.size
        self._end = min(-(-end // BLOCK_SIZE) * BLOCK_SIZE, info.size) if end > request.offset else self._next

    async def __aiter__(self) -> AsyncIterator[Block]:
        messages = aiter(self._receiver)
        self._attempts.begin()
        while not self._closed:
            self._affinity.require()
            try:
                message = await anext(messages, None)
            except UnavailableError as error:
                if self._next >= self._end:  # only the end of the stream was lost
                    return
                await self._go_on(error)
                messages = aiter(self._receiver)
                continue
            if message is None:
                if self._next < self._end:
                    raise cut_short(self.info, self._next // BLOCK_SIZE)
                return
            if isinstance(message, Block):
                self._take(message)
                yield message
                self._attempts.begin()
            elif message is not self._receiver.first:
                raise ProtocolError("the server sent a Load message that is no block, after the first")

    async def close(self) -> None:
        self._affinity.require_closable()
        self._closed = True
        self._receiver.cancel()

    def _take(self, block: Block) -> None:
        """The next block, and no other."""
        due = min(BLOCK_SIZE, self.info.size - self._next) if self._next < self._end else 0
        if block.offset != self._next or len(block.data) != due:
            raise ProtocolError(
                f"object {self.info.data_id} in unit {self.info.unit!r}: {due} bytes at {self._next} were due, and "
                f"{len(block.data)} bytes at {block.offset} came",
                unit=self.info.unit,
                data_id=self.info.data_id,
            )
        self._next += due

    async def _go_on(self, error: UnavailableError) -> None:
        """Opens the rest."""
        self._receiver.cancel()
        await AsyncClock.sleep(self._attempts.wait(error))
        if self._closed:
            return
        info = self.info
        request = pb.LoadRequest(
            unit=info.unit,
            offset=self._next,
            length=self._end - self._next,
            if_generation=info.generation,  # for a server of before `generation`
            generation=info.generation,
        )
        request_messages.fill_key(request.key, info.data_id)
        try:
            self._receiver = await self._channel.stream(
                "Load", request, idle=self._attempts.patience, attempts=self._attempts
            )
        except (ConflictError, NotFoundError) as gone:
            raise ConflictError(
                f"object {info.data_id} in unit {info.unit!r} was replaced or deleted while it was read, and the "
                "connection was lost: what was not read yet of its old bytes is gone",
                **{"unit": info.unit, "data_id": info.data_id, **gone.context},
            ) from gone
        first: Any = self._receiver.first
        if isinstance(first, Block) or first.WhichOneof("part") != "info":
            raise ProtocolError("the server went on with a Load without saying with which object")
        self._seen(first.revision)
        check_same(info, check_opened(wire.object_info_from_wire(first.info), request))
