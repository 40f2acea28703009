"""Messages both ways on threads, over grpc."""

import collections
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc

from vault._grpc.calls import MOST_REPLIES, Owner, closed, readable, stalled, untie
from vault._grpc.connection import CLOSING, Call, Connection, is_left
from vault._grpc.credentials import Metadata
from vault._runtime.eventcount import EventCount
from vault._runtime.sync_async import Background
from vault.errors import ProtocolError, VaultError

SEND_AHEAD: Final = 2
"""Messages that wait for gRPC: one on its way, one ready."""


class Duplex:
    """Messages both ways. Replies are received all the time, so that a refusal stops the sender at once; a few
    of them, until they are looked at."""

    def __init__(
        self, owner: Owner, connection: Connection, method: str, idle: float, metadata: Metadata | None
    ) -> None:
        self._address = owner.address
        self._owner = owner
        self._idle = idle
        self._news = EventCount()
        self._requests: collections.deque[Any] = collections.deque()
        self._half_closed = False
        self._replies: collections.deque[Any] = collections.deque()
        self._ended = False
        self._error: VaultError | None = None
        self._afterwards: Callable[[], None] | None = None
        self._reader = Background(self._read, "vault-replies")
        call: Call | None = None
        try:
            call = self._call = connection.begin(method, self._outgoing(), metadata=metadata)
            self._reader.start()
        except BaseException:
            self._ended = True
            self._news.advance()
            if call is not None:
                call.cancel()
            raise

    def send(self, message: Any) -> None:
        """Sends one message; waits while the server does not take it."""
        self._wait(lambda: len(self._requests) < SEND_AHEAD, self._idle)
        if self._ended:
            raise self._error or ProtocolError(f"{self._address} ended the call before its time", address=self._address)
        self._requests.append(message)
        self._news.advance()

    def half_close(self) -> None:
        """Says that no message follows."""
        self._half_closed = True
        self._news.advance()

    def received(self) -> list[Any]:
        """The replies that are here, without waiting."""
        replies = [self._replies.popleft() for _ in range(len(self._replies))]
        if len(replies) >= MOST_REPLIES:
            self._news.advance()  # there is room
        return replies

    def receive(self, patience: float | None = None) -> Any:
        """The next reply; None at the end of the stream.

        Args:
            patience: Seconds to wait for it, if not those of every message.
        """
        self._wait(lambda: self._replies, self._idle if patience is None else patience)
        if self._replies:
            reply = self._replies.popleft()
            if len(self._replies) == MOST_REPLIES - 1:
                self._news.advance()  # there is room
            return reply
        if self._error is not None:
            raise self._error
        return None

    def cancel(self) -> None:
        """Ends the call; what was not committed is gone. Harmless when repeated, and in a forked child."""
        self._call.cancel()
        self._news.advance()

    def give_up(self) -> None:
        """`cancel`: who was interrupted waits for nothing."""
        self.cancel()

    def leave(self, afterwards: Callable[[], None]) -> None:
        """`cancel` from a finalizer: starts nothing, waits for nothing.

        Args:
            afterwards: Is called by the thread that receives replies, at its end; by nobody when that has ended
                already, where the connection is doubtful, when the interpreter ends, and in a forked child.
        """
        # The streams of a doubtful connection end with it: to cancel one there takes a thread.
        if not is_left() and not self._call.connection.is_doubtful:
            self._afterwards = afterwards
            self.cancel()

    def finish(self) -> None:
        """Waits until the call has ended, at most the timeout; call it last."""
        doubtful = self._call.connection.is_doubtful or is_left()
        self._reader.stop(CLOSING if doubtful else self._idle)

    def _wait(self, ready: Callable[[], object], seconds: float) -> None:
        if not self._news.wait_for(lambda: self._ended or ready(), seconds):
            self._owner.stall(self._call)
            self.cancel()
            raise stalled(self._address, seconds)

    def _outgoing(self) -> Iterator[Any]:
        while True:
            self._news.wait_for(lambda: self._requests or self._half_closed or self._ended)
            if self._ended or not self._requests:
                return
            message = self._requests.popleft()
            self._news.advance()
            yield message

    def _read(self) -> None:
        error: VaultError | None = None
        try:
            while (message := self._call.read()) is not None:
                self._replies.append(readable(message, self._address))
                self._news.advance()
                if len(self._replies) >= MOST_REPLIES:
                    self._news.wait_for(lambda: len(self._replies) < MOST_REPLIES or not self._call.is_active())
        except ProtocolError as failure:
            error = failure
            self._call.cancel()
        except grpc.RpcError as failure:
            untie(failure)
            ended = self._owner.is_closed
            error = closed(self._address) if ended else self._owner.error_of(failure, self._call.metadata)
            error.__cause__ = failure
        finally:
            self._error = error
            self._ended = True
            self._news.advance()
        if self._afterwards is not None:
            self._afterwards()
