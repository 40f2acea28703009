"""One connection of grpc.aio's, and its calls, in the shape of `vault._grpc.connection`."""

import asyncio
import weakref
from collections.abc import Sequence
from typing import Any, ClassVar

import grpc
import grpc.aio

from vault._grpc.calls import OverdueError, closed, make_stub
from vault._grpc.certificates import Certificates
from vault._grpc.credentials import Metadata
from vault._runtime.fork import fork_count, is_inherited, never_free
from vault.errors import ClosedError

_claims: list[int] = []


class AsyncConnection:
    """A channel of grpc.aio's, on the event loop that it is made on.

    Attributes:
        calls: What runs on it.
        certificates: What its TLS is made with; None: it is not encrypted.
    """

    is_doubtful: ClassVar[bool] = False

    def __init__(
        self, address: str, target: str, options: Sequence[tuple[str, Any]], certificates: Certificates | None
    ) -> None:
        claim_grpc_aio()
        self.calls: weakref.WeakSet[Any] = weakref.WeakSet()
        self._address = address
        self._loop = asyncio.get_running_loop()
        self.certificates = certificates
        if certificates is None:
            self._channel = grpc.aio.insecure_channel(target, options=options)
        else:
            self._channel = grpc.aio.secure_channel(target, certificates.channel_credentials(), options=options)
        self._stub = make_stub(self._channel)
        self._ended = False

    async def unary(self, method: str, request: Any, timeout: float, metadata: Metadata | None) -> Any:
        """One request, one reply."""
        call = getattr(self._stub, method)(request, timeout=timeout, metadata=metadata)
        self.calls.add(call)
        try:
            return await call
        except asyncio.CancelledError as error:
            if self._ended and not is_cancelled():
                raise closed(self._address) from error
            raise

    def begin(self, method: str, *request: Any, metadata: Metadata | None) -> "AsyncCall":
        """Begins a stream; without a request one that is sent to."""
        call = AsyncCall(self, getattr(self._stub, method)(*request, metadata=metadata), self._address, metadata)
        self.calls.add(call)
        return call

    def is_idle(self) -> bool:
        """Whether all of its calls are over."""
        return all(call.done() for call in list(self.calls))

    def never_free(self) -> None:
        """Leaves what there is of gRPC's, and of tasks in the middle of it, for as long as the process lasts."""
        never_free((self._channel, list(self.calls), asyncio.all_tasks(self._loop)))

    @staticmethod
    async def end_all(connections: "Sequence[AsyncConnection]") -> None:
        """Cancels the calls of these, and closes them."""
        for connection in connections:
            connection._ended = True  # noqa: SLF001  # its own
            for call in list(connection.calls):
                call.cancel()
            await connection._channel.close()  # noqa: SLF001  # its own


class AsyncCall:
    """A stream of a connection."""

    def __init__(self, connection: AsyncConnection, stream: Any, address: str, metadata: Metadata | None) -> None:
        self.connection = connection
        self.metadata = metadata
        self.stream = stream
        self._address = address
        self._forks = fork_count()

    async def next(self, seconds: float) -> Any:
        """The next message; None at the end.

        Raises:
            OverdueError: None came within so many seconds, and the call was cancelled.
            CallCancelledError: The call was cancelled, and not the task that waits here.
        """
        try:
            async with asyncio.timeout(seconds):
                message = await self.stream.read()
        except TimeoutError as error:
            self.cancel()
            raise OverdueError from error
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            raise CallCancelledError from error
        return None if message is grpc.aio.EOF else message

    def done(self) -> bool:
        return bool(self.stream.done())

    def cancel(self) -> None:
        """Ends it, without waiting. Harmless when repeated, and in a forked child."""
        if not is_inherited(self._forks):
            self.stream.cancel()


class CallCancelledError(grpc.RpcError):  # it is told apart from grpc's own by nobody
    """In the place of the CancelledError that grpc.aio raises for a call as asyncio does for a task."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.CANCELLED

    def details(self) -> str:
        return "closed"

    def trailing_metadata(self) -> tuple[Any, ...]:
        return ()


def is_cancelled() -> bool:
    """Whether it is this task that was cancelled, and not only the call it waits for: gRPC raises the same."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def claim_grpc_aio() -> None:
    """Notes that this process uses grpc.aio; ClosedError when one that it was forked from did.

    What polls for all of grpc.aio is a thread that a child does not have: calls would wait for ever there.
    """
    _claims[:] = _claims or [fork_count()]
    if is_inherited(_claims[0]):
        raise ClosedError(
            "gRPC was used on an event loop before the fork, and cannot be again in the child: use a sync vault here, "
            "or start this process by spawn or forkserver"
        )
