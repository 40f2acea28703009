"""A write on a server that survives its connection: resumed from what the server has persisted."""

import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from vault._async.remote.channel import AsyncChannel
from vault._async.remote.side_blocks import KEPT, AsyncSideBlocks
from vault._grpc import AsyncDuplex
from vault._grpc.calls import Attempts
from vault._runtime.elapsed import elapsed
from vault._runtime.sync_async import AsyncAffinity, AsyncClock
from vault.errors import ClosedError, ConflictError, ProtocolError, UnavailableError, VaultError
from vault.store.contract import AsyncBlockWriter
from vault.store.limits import MAX_DATA_ID, check_commit, check_spec
from vault.store.specs import WriteSpec
from vault.store.values import Block, ObjectInfo
from vault.v1 import vault_pb2 as pb
from vault.wire import messages as wire
from vault.wire.block_codec import WRITE_BLOCK, encode_block
from vault.wire.reply_checks import check_written
from vault.wire.store_time import StoreTime

WINDOW: Final = 8
"""Blocks that are kept until the server says that they are persisted, which it does every 4 MiB at most.

Twice that: one half is on its way, and acknowledged, while the other is filled.
"""

LEAD: Final = WINDOW + 4
"""Blocks that are sent before anything is done about the distance: of so many, a report's worth is persisted, and says
how fast it goes."""

_MOST_KEPT: Final = 16
"""Blocks that are kept at most, of all connections together. Each takes several MiB of the client's memory, with gRPC's
copies and what the allocator does not give back; 24 were an eighth faster over 50 ms."""

JOIN: Final = LEAD + WINDOW
"""Blocks after which others go by further connections too: the time it takes to make those."""

_LOOK: Final = 256
"""Blocks after which it is looked at again whether they are worth it."""

_GIVING_UP: Final = 2.0
"""Seconds for telling a server that a write is given up, at most: it would find out by itself, later."""

_REREAD: Final = 16 << 20
"""Bytes a second, at least, that a server reads again."""

WriteMessage = type[pb.UploadRequest] | type[pb.UpdateRequest] | type[pb.PutRequest]


class _Kept(NamedTuple):
    """A block that may have to be sent again, encoded in so many bytes of the message, and where it is."""

    message: bytes
    size: int
    begin: int
    end: int


class AsyncRemoteWriter(AsyncBlockWriter):
    """A write in progress on a server.

    When its connection is lost, or silent for too long, it connects anew and goes on from what the server has
    persisted, until nothing has moved for the timeout; also when the reply to the commit was lost.

    Much that goes far away goes by further connections, too: a stream has no more than its window under way. When one
    of those fails the server ends the stream, and the write goes on by it alone.
    """

    def __init__(
        self,
        channel: AsyncChannel,
        method: str,
        message: WriteMessage,
        start: Any,
        spec: WriteSpec,
        seen: Callable[[int], None],
        time: StoreTime,
    ) -> None:
        self._time = time
        self._channel = channel
        self._method = method
        self._message = message
        self._unit = start.unit
        self._request_id = spec.request_id
        # To the server it always is: whoever does not ask for it is spared a lost connection by it all the same.
        self._asked = start.resumable
        start.resumable = True
        self._start = message(start=start)
        self._spec = spec
        self._seen = seen
        self._attempts = Attempts(channel.address, channel.timeout)
        self._window: deque[_Kept] = deque()  # blocks that are not known to be persisted
        self._blocks = 0  # how many were sent
        self._looked = 0.0, 0  # when the first of them was sent, and what was persisted
        self._persisted = 0
        self._furthest = 0  # of what was ever persisted
        self._reported = -1  # of the present stream: the last persisted_size
        self._written = 0
        self._sides: AsyncSideBlocks | None = None
        self._began_in = 0.0  # seconds
        self._over = False
        self._affinity = AsyncAffinity.here("the write")

    async def open(self) -> None:
        """Begins the write on the server, or goes on with it. Call it first."""
        began = elapsed()
        self._duplex = await self._connect(self._start)
        self._began_in = elapsed() - began
        if self._persisted and not self._asked:
            await self._begin_anew()
        self._written = self._furthest = self._persisted

    @property
    def persisted_size(self) -> int:
        if not self._over and not self._affinity.is_inherited:
            for reply in self._duplex.received():
                self._note(reply)
        return self._persisted

    async def write(self, block: Block) -> None:
        self._require_own_loop()
        try:
            check_spec(block, Block)
            self._require_open()
            self._attempts.begin()
            await self._spread()
            try:
                await self._send(block)
            except UnavailableError as error:
                await self._resume(error)
            for reply in self._duplex.received():
                self._note(reply)
            if self._sides is not None:
                await self._sides.forget(self._persisted)
            while len(self._window) >= self._room():
                await self._await_report()
        except BaseException as error:
            await self._fail(error)
            raise

    async def commit(self, size: int, checksum: int | None = None) -> ObjectInfo:
        self._require_own_loop()
        try:
            check_commit(size, checksum)
            self._require_open()
            commit = self._message(commit=pb.Commit(size=size, checksum=checksum))
            self._attempts.begin()
            while (info := await self._try_to_commit(commit)) is None:
                continue
            check_written(info, self._unit, self._spec, size, checksum)
        except BaseException as error:
            await self._fail(error)
            raise
        self._end()
        self._stay_alone()
        await self._duplex.finish()
        return info

    async def abort(self) -> None:
        self._affinity.require_closable()
        if not self._over and not self._affinity.is_inherited:
            self._end()
            await self._hang_up()
            await _give_up(self._channel, self._unit, self._request_id)

    async def suspend(self) -> None:
        self._affinity.require_closable()
        if not self._asked:
            await self.abort()
        elif not self._over and not self._affinity.is_inherited:
            self._end()
            # The server keeps what reaches it before the end of the stream.
            with contextlib.suppress(VaultError):  # that the stream ended without a commit
                self._require_own_loop()
                self._attempts.begin()
                await self._duplex.half_close()
                while await self._duplex.receive() is not None:
                    self._attempts.check()
            await self._hang_up()

    def __del__(self) -> None:
        if not self._over and hasattr(self, "_duplex"):  # dropped: the write is given up, so that nothing stays there
            self._duplex.leave(partial(_give_up, self._channel, self._unit, self._request_id))

    async def _try_to_commit(self, commit: Any) -> ObjectInfo | None:
        """The object; None when the connection was lost before the server said what became of it."""
        info: ObjectInfo | None = None
        sent = elapsed()
        try:
            await self._duplex.send(commit)
            await self._duplex.half_close()
            while (reply := await self._duplex.receive()) is not None:
                if info is not None:
                    raise ProtocolError("the server went on with a write after it had said what became of it")
                if reply.WhichOneof("part") == "info":
                    self._seen(reply.revision)
                    self._time.see(reply, sent)
                    info = wire.object_info_from_wire(reply.info)
                else:
                    self._note(reply)
                    self._attempts.check()
        except UnavailableError as error:
            if info is None:  # otherwise it is stored, and only the end of the stream was lost
                await self._resume(error)
            return info
        if info is None:
            raise ProtocolError("the server ended a write without saying what became of it")
        return info

    async def _spread(self) -> None:
        """Sees to it that blocks go by further connections, where the distance bounds the stream."""
        count = self._blocks % _LOOK
        self._blocks += 1
        try:
            if count == 0:
                self._looked = elapsed(), self._persisted
            elif count == LEAD and self._sides is None:
                since, persisted = self._looked
                rate = (self._persisted - persisted) / max(elapsed() - since, 1e-6)
                connections = await self._channel.connections_for_transfer(self._began_in)
                if connections > 1 and self._channel.is_bounded_by_distance(rate):
                    self._sides = AsyncSideBlocks(
                        self._channel, self._unit, self._request_id, self._seen, connections - 1
                    )
            elif count == JOIN and self._sides is not None and not self._sides.is_open and not await self._sides.open():
                self._stay_alone()
        except VaultError:
            self._stay_alone()

    def _room(self) -> int:
        """For so many blocks that are not known to be persisted."""
        connections = 1 if self._sides is None else self._sides.connections
        return max(WINDOW, min(KEPT * connections, _MOST_KEPT))

    def _stay_alone(self) -> None:
        self._blocks = LEAD + 1
        sides, self._sides = self._sides, None
        if sides is not None:
            sides.cancel()

    async def _send(self, block: Block) -> None:
        """Keeps it, and sends it by the stream, or by another connection whose turn it is."""
        about = b"" if self._sides is None else self._sides.next_turn()
        message = encode_block(WRITE_BLOCK, block, about)
        end = block.offset + len(block.data)
        self._window.append(_Kept(message, len(message) - len(about), block.offset, end))
        self._written = max(self._written, end)
        if about and self._sides is not None:
            self._sides.send(message, end)
        else:
            await self._duplex.send(message)

    async def _await_report(self) -> None:
        try:
            reply = await self._duplex.receive()
        except UnavailableError as error:
            await self._resume(error)
        else:
            if reply is None:
                raise ProtocolError("the server ended a write before its commit")
            self._note(reply)
            self._attempts.check()

    async def _connect(self, start: Any) -> AsyncDuplex:
        duplex, first = await self._channel.duplex(self._method, start, self._attempts)
        self._reported = -1  # it may be less than it was: a power loss takes the last of it
        try:
            self._note(first)
        except VaultError:
            duplex.cancel()
            await duplex.finish()
            raise
        return duplex

    async def _begin_anew(self) -> None:
        """Nobody asked to go on with what the server has under this request id: writes it all."""
        await self._hang_up()
        await self._channel.unary("AbortWrite", pb.AbortWriteRequest(unit=self._unit, request_id=self._request_id))
        self._duplex = await self._connect(self._start)
        if self._persisted:
            # It was committed: the server takes the bytes once more, and answers as it did then.
            await self._hang_up()
            start = self._message.FromString(self._start.SerializeToString())
            start.start.resumable = False
            self._duplex = await self._connect(start)
        if self._persisted:
            await self._hang_up()
            raise ProtocolError(f"the server has {self._persisted} bytes of a write that is begun anew")

    async def _resume(self, error: UnavailableError) -> None:
        """Connects anew and sends what the server does not have."""
        lost: UnavailableError | None = error
        if self._sides is not None:
            self._channel.distance.refused()
        while lost is not None:
            await self._hang_up()
            await AsyncClock.sleep(self._attempts.wait(lost))
            begins = self._window[0].begin if self._window else self._written
            self._attempts.rereading = self._furthest / _REREAD
            self._duplex = await self._connect(self._start)
            if self._persisted < begins:
                raise UnavailableError(
                    f"{self._channel.address} has {self._persisted} bytes of a write whose first {begins} were "
                    "reported as persisted, and are gone here: it must be written again",
                    reason="WRITE_LOST",
                    address=self._channel.address,
                )
            lost = await self._send_window()

    async def _send_window(self) -> UnavailableError | None:
        """Sends what is kept; returns how that failed."""
        try:
            for kept in list(self._window):
                await self._duplex.send(kept.message[: kept.size])
        except UnavailableError as error:
            return error
        return None

    async def _fail(self, error: BaseException) -> None:
        """Ends a write that failed."""
        lost = isinstance(error, UnavailableError) and error.reason != "WRITE_LOST"
        if (lost or getattr(error, "reason", "") == "WRITE_TAKEN_OVER") and not self._over:
            # Nobody is there, or it is somebody else's now, and stays.
            self._end()
            await self._hang_up()
        else:
            await self.abort()

    def _require_open(self) -> None:
        if self._over:
            raise ClosedError("the write is over: it was committed or aborted")
        self._affinity.require()

    def _require_own_loop(self) -> None:
        if not self._affinity.is_inherited:  # else `_require_open` says so
            self._affinity.require()

    def _end(self) -> None:
        self._over = True
        self._window.clear()

    async def _hang_up(self) -> None:
        self._stay_alone()
        self._duplex.cancel()
        await self._duplex.finish()

    def _note(self, reply: Any) -> None:
        """A reply before the last one."""
        self._seen(reply.revision)
        match reply.WhichOneof("part"):
            case "persisted_size":
                self._note_persisted(reply.persisted_size)
            case "info":
                raise ProtocolError("the server said what became of a write before its commit")

    def _note_persisted(self, size: int) -> None:
        if self._reported < 0 and 0 < self._written < size:
            raise ConflictError(
                f"the server has {size} bytes of a write of which {self._written} were sent: "
                "somebody else goes on with it under its request id",
                reason="WRITE_TAKEN_OVER",
                unit=self._unit,
            )
        begun = self._reported >= 0 or self._written > 0  # before, there may be any amount of it
        if size < self._reported or size > (self._written if begun else MAX_DATA_ID):
            raise ProtocolError(
                f"the server says that {size} bytes of a write are persisted, after {max(self._reported, 0)}, "
                f"of {self._written} that were sent"
            )
        self._reported = self._persisted = size
        while self._window and self._window[0].end <= size:
            self._furthest = max(self._furthest, self._window.popleft().end)
            self._attempts.begin()  # it moves, by a block


async def _give_up(channel: AsyncChannel, unit: str, request_id: bytes) -> None:
    """Aborts the write, if the server can be reached, so that it does not keep what it has."""
    request = pb.AbortWriteRequest(unit=unit, request_id=request_id)
    with contextlib.suppress(VaultError):
        await channel.unary("AbortWrite", request, timeout=min(_GIVING_UP, channel.timeout))
