"""Messages both ways on an event loop, over grpc.aio."""

import asyncio
import collections
import contextlib
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Final

import grpc
import grpc.aio

from vault._grpc.async_connection import AsyncConnection, is_cancelled
from vault._grpc.calls import MOST_REPLIES, Owner, closed, readable, stalled
from vault._grpc.credentials import Metadata
from vault._runtime.sync_async import AsyncAffinity
from vault.errors import ProtocolError, UnavailableError, VaultError

_MADE_UP: Final = "Internal error from Core"
_STATUS_WAIT: Final = 1.0  # seconds
_tasks: set[asyncio.Task[None]] = set()  # a loop holds its tasks weakly


class AsyncDuplex:
    """Messages both ways. Replies are received all the time, so that a refusal stops the sender at once; a few
    of them, until they are looked at."""

    def __init__(
        self, owner: Owner, connection: AsyncConnection, method: str, idle: float, metadata: Metadata | None
    ) -> None:
        self._begun = connection.begin(method, metadata=metadata)
        self._call = self._begun.stream
        self._address = owner.address
        self._owner = owner
        self._idle = idle
        self._replies: collections.deque[Any] = collections.deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()  # for replies
        self._room.set()
        self._ending = False
        self._ended = False
        self._error: VaultError | None = None
        self._affinity = AsyncAffinity.here(f"the stream to {owner.address}")
        self._loop = asyncio.get_running_loop()
        self._status: asyncio.Future[grpc.aio.AioRpcError] = self._loop.create_future()
        self._call.add_done_callback(functools.partial(_note_status, self._status))
        self._call.add_done_callback(lambda _, room=self._room: room.set())
        self._reader = self._loop.create_task(self._read(), name="vault-replies")

    async def send(self, message: Any) -> None:
        """Sends one message; waits while the server does not take it."""
        if not self._ended:
            try:
                async with asyncio.timeout(self._idle):
                    await self._call.write(message)
                return
            except TimeoutError as error:
                self._owner.stall(self._begun)
                self.cancel()
                raise stalled(self._address, self._idle) from error
            except asyncio.CancelledError:
                if is_cancelled():
                    self.cancel()
                    raise
                await self._end()  # the call was cancelled, not this task
            except (grpc.RpcError, asyncio.InvalidStateError):
                await self._end()
        self._raise()

    async def half_close(self) -> None:
        """Says that no message follows."""
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):  # `receive` tells why
            await self._call.done_writing()

    def received(self) -> list[Any]:
        """The replies that are here, without waiting."""
        replies = list(self._replies)
        self._replies.clear()
        self._room.set()
        return replies

    async def receive(self, patience: float | None = None) -> Any:
        """The next reply; None at the end of the stream.

        Args:
            patience: Seconds to wait for it, if not those of every message.
        """
        idle = self._idle if patience is None else patience
        while not self._replies and not self._ended:
            self._news.clear()
            try:
                async with asyncio.timeout(idle):
                    await self._news.wait()
            except TimeoutError as error:
                self._owner.stall(self._begun)
                self.cancel()
                raise stalled(self._address, idle) from error
        if self._replies:
            self._room.set()
            return self._replies.popleft()
        if self._error is not None:
            raise self._error
        return None

    def cancel(self) -> None:
        """Ends the call; what was not committed is gone. Harmless when repeated, and in a forked child."""
        if not self._affinity.is_inherited:
            self._call.cancel()
            self._ending = True
            self._room.set()

    async def give_up(self) -> None:
        """`cancel`, and `finish`."""
        self.cancel()
        await self.finish()

    def leave(self, afterwards: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """`cancel` from a finalizer, in any thread: starts nothing, waits for nothing.

        Args:
            afterwards: Is run by the event loop, if that runs on; by nobody in a forked child.
        """
        if not self._affinity.is_inherited:
            with contextlib.suppress(RuntimeError):  # the event loop is closed, and the call over with it
                self._loop.call_soon_threadsafe(self._leave, afterwards)

    def _leave(self, afterwards: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.cancel()
        task = self._loop.create_task(afterwards(), name="vault-giving-up")
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    async def finish(self) -> None:
        """Waits until the call has ended; call it last."""
        if self._loop is asyncio.get_running_loop():  # else that is closed, and the call over with it
            await self._reader

    async def _end(self) -> None:
        """The call has ended: learns why, past the replies that wait."""
        self._replies = collections.deque(self._replies, MOST_REPLIES)
        self._ending = True
        self._room.set()
        await asyncio.wait([self._reader], timeout=self._idle)

    async def _read(self) -> None:
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                self._replies.append(readable(message, self._address))
                self._news.set()
                while len(self._replies) >= MOST_REPLIES and not (self._ending or self._call.done()):
                    self._room.clear()
                    await self._room.wait()
        except ProtocolError as error:
            self._error = error
            self._call.cancel()
        except (grpc.RpcError, asyncio.CancelledError) as error:
            cause = await self._servers(error) if isinstance(error, grpc.RpcError) else error
            self._error = self._why(cause)
            self._error.__cause__ = cause
        finally:
            self._ended = True
            self._news.set()

    async def _servers(self, error: grpc.RpcError) -> grpc.RpcError:
        """The status that the server sent, for one that grpc.aio made up.

        When the server ends the call while a message is being sent, that send fails too, and grpc.aio puts this
        failure in the place of the server's status (`Call._write`, `set_internal_error`), before or after it is in.
        """
        if isinstance(error, grpc.aio.AioRpcError) and error.details() == _MADE_UP:
            await asyncio.wait([self._status], timeout=_STATUS_WAIT)
            return self._status.result() if self._status.done() else error
        return error

    def _why(self, error: BaseException) -> VaultError:
        if self._owner.is_closed:
            return closed(self._address)
        if isinstance(error, grpc.RpcError):
            return self._owner.error_of(error, self._begun.metadata)
        return UnavailableError(f"the call to {self._address} was cancelled", reason="CANCELLED", address=self._address)

    def _raise(self) -> None:
        if not self._ended:  # why, is not known in time
            raise stalled(self._address, self._idle)
        raise self._error or ProtocolError(f"{self._address} ended the call before its time", address=self._address)


def _note_status(status: "asyncio.Future[grpc.aio.AioRpcError]", call: Any) -> None:
    """Keeps the status that came from the server: called as each is set, while it can still be read."""
    details = _at_once(call.details())
    if details != _MADE_UP and not status.done():
        metadata = _at_once(call.trailing_metadata())
        status.set_result(grpc.aio.AioRpcError(_at_once(call.code()), grpc.aio.Metadata(), metadata, details))


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()
    return None
