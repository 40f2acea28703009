"""One connection of gRPC's, and every call into gRPC on it: whatever ends one, nobody waits for ever after.

gRPC's threads share locks that are Python's: an interrupt within them leaves one locked, or a call half begun. The
connection is doubtful then. It gets no new calls, what is left of it is never freed, and it is closed by a thread that
nobody has to wait for.
"""

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc

from vault._grpc.calls import LostError, OverdueError, closed, make_stub, untie
from vault._grpc.certificates import Certificates
from vault._grpc.credentials import Metadata
from vault._grpc.stream_deadlines import Watchdog
from vault._runtime.blocking import no_thread, start_thread
from vault._runtime.fork import fork_count, is_inherited, never_free
from vault._runtime.sync_async import Background
from vault.errors import UnavailableError

CLOSING: Final = 1.0
"""Seconds to wait for what may never end."""

_SOUND: Final = 2.0  # seconds for a connection of which nothing is doubtful
_TICK: Final = 0.001  # seconds between two looks at whether threads have ended
_RLOCK: Final = type(threading.RLock())

_connections: "weakref.WeakSet[Connection]" = weakref.WeakSet()
_kept: "dict[Connection, list[Any]]" = {}  # the doubtful ones with their streams, until they have ended
_left: list[bool] = []
_inside: set[int] = set()  # threads in a call into gRPC
_forking: list[bool] = []  # while the process forks, and no thread may be


class Connection:
    """A channel of gRPC's. May be shared by threads.

    Attributes:
        calls: Its streams.
        watchdog: Ends their waits.
        is_doubtful: A call into gRPC was interrupted, or gRPC had no thread: there may be waits in it that never end.
        certificates: What its TLS is made with; None: it is not encrypted.
    """

    def __init__(
        self, address: str, target: str, options: Sequence[tuple[str, Any]], certificates: Certificates | None
    ) -> None:
        self._address = address
        self.certificates = certificates
        if certificates is None:
            self._channel = grpc.insecure_channel(target, options=options)
        else:
            self._channel = grpc.secure_channel(target, certificates.channel_credentials(), options=options)
        self._stub = make_stub(self._channel)
        self.calls: weakref.WeakSet[Call] = weakref.WeakSet()
        self.watchdog = Watchdog()
        self.is_doubtful = False
        self._ended = False
        self._forks = fork_count()
        _connections.add(self)

    def enter(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        """Calls a function of gRPC's. What is no ordinary end of it makes the connection doubtful.

        Raises:
            ClosedError: The connection was closed meanwhile.
            UnavailableError: OVERLOADED, the system has no thread left.
        """
        thread = threading.get_ident()
        try:
            _inside.add(thread)
            while _forking:
                _inside.discard(thread)
                time.sleep(_TICK)
                _inside.add(thread)
            return function(*args, **options)
        except grpc.RpcError:
            raise
        except BaseException as error:
            if self._ended and isinstance(error, ValueError):
                raise closed(self._address) from error
            self._doubt(error)
            if isinstance(error, RuntimeError):
                if "release" in str(error) and error.__context__ is not None:
                    raise error.__context__ from None  # what an interrupted wait in threading's Condition comes to
                if "thread" in str(error):
                    raise no_thread(error) from error
            raise
        finally:
            _inside.discard(thread)

    def unary(self, method: str, request: Any, timeout: float, metadata: Metadata | None) -> Any:
        """One request, one reply."""
        return self.enter(getattr(self._stub, method), request, timeout=timeout, metadata=metadata)

    def begin(self, method: str, request: Any, *, metadata: Metadata | None) -> "Call":
        """Begins a stream."""
        call = Call(self, self.enter(getattr(self._stub, method), request, metadata=metadata), metadata)
        self.calls.add(call)
        return call

    def is_idle(self) -> bool:
        """Whether all of its streams are over."""
        return all(call.done() for call in list(self.calls))

    def has_streams(self) -> bool:
        """Whether some run, of this process."""
        return not (self.is_doubtful or is_inherited(self._forks) or self.is_idle())

    def lose_streams(self) -> None:
        """Ends them as if the connection was lost."""
        for call in list(self.calls):
            call.lose()

    @staticmethod
    def end_all(connections: "Sequence[Connection]") -> None:
        """Ends these; waits for it, but not for ever."""
        _end_all(connections)

    def end(self) -> None:
        """Cancels the streams and closes the channel. Where it is doubtful, that may never end."""
        if not is_left() and not is_inherited(self._forks):
            self._ended = True
            for call in list(self.calls):
                call.stream.cancel()
            self._channel.close()
            _kept.pop(self, None)

    def never_free(self) -> None:
        """Leaves what there is of gRPC's as it is, for as long as the process lasts."""
        never_free((self._channel, [call.stream for call in list(self.calls)]))

    def _doubt(self, error: BaseException) -> None:
        self.is_doubtful = True
        _kept[self] = [call.stream for call in list(self.calls)]  # whose finalizers may wait for a lock
        # Other threads wait for what this one left locked. It is out of gRPC now, so whatever it still owns is that.
        traceback = error.__traceback__
        while traceback is not None:
            held = traceback.tb_frame.f_locals.get("self")
            # Until what tells that this thread does not own it, or that it was interrupted while it was made.
            with contextlib.suppress(RuntimeError, AttributeError):
                if isinstance(held, contextlib._GeneratorContextManager):  # noqa: SLF001
                    held.gen.close()  # it is in the middle of a `with` of its own
                while isinstance(lock := getattr(held, "_lock", None), _RLOCK):  # of threading's Condition
                    lock.release()
            traceback = traceback.tb_next


class Call:
    """A stream of a connection."""

    def __init__(self, connection: Connection, stream: Any, metadata: Metadata | None) -> None:
        self.connection = connection
        self.metadata = metadata
        self.stream = stream
        self._over = False
        self._lost = False
        self._forks = fork_count()
        if is_left():
            never_free(stream)

    def next(self, seconds: float) -> Any:
        """The next message; None at the end.

        Raises:
            OverdueError: None came within so many seconds, and the call was cancelled.
        """
        watchdog = self.connection.watchdog
        try:
            with watchdog.watching(self, seconds):
                return self.read()
        except grpc.RpcError as error:
            if watchdog.overdue(self):
                untie(error)
                raise OverdueError from error
            raise

    def read(self) -> Any:
        """The next message, however long it takes; None at the end."""
        message = None
        try:
            message = self.connection.enter(next, self.stream, None)
        except grpc.RpcError as error:
            if self._lost:
                untie(error)
                raise LostError from None
            raise
        finally:
            self._over = message is None
        return message

    def is_active(self) -> bool:
        return not self._over and bool(self.connection.enter(self.stream.is_active))

    def done(self) -> bool:
        """Whether it was received to its end, or cancelled."""
        return self._over

    def cancel(self) -> None:
        """Ends it, without waiting. Harmless when repeated, and in a forked child; at the end of the interpreter
        nothing happens: a thread that was stopped there may hold a lock of it."""
        if is_left() or is_inherited(self._forks):
            return
        self._over = True
        if self.connection.is_doubtful:
            self.cancel_aside()
        else:
            self.connection.enter(self.stream.cancel)

    def lose(self) -> None:
        """Ends it as if its connection was lost. Harmless when repeated."""
        if not self._lost:
            self._lost = True
            self.stream.cancel()

    def cancel_aside(self) -> None:
        """`cancel` in a thread of its own, for who must not be held up: a lock of gRPC's may be held for ever."""
        with contextlib.suppress(UnavailableError):
            start_thread(self.stream.cancel, "vault-closing")


def _end_all(connections: Sequence[Connection]) -> None:
    if not connections:
        return

    def work() -> None:
        for connection in sorted(connections, key=lambda each: each.is_doubtful):
            connection.end()

    ending = Background(work, "vault-closing")
    doubtful = any(connection.is_doubtful for connection in connections)
    try:
        ending.start()
    except UnavailableError:  # no thread left for it: here, as far as that ends
        for connection in connections:
            if not connection.is_doubtful:
                connection.enter(connection.end)
        return
    ending.stop(CLOSING if doubtful else _SOUND)
    if ending.is_alive():
        for connection in connections:
            connection.never_free()


def is_left() -> bool:
    """Whether the interpreter ends: then nothing of gRPC's is touched any more."""
    return bool(_left) or sys.is_finalizing()


def _leave_grpc() -> None:
    """Before a fork, waits for the calls that run, and ends the streams, unless there is one alone. No call begins
    until the fork is over; each stream goes on after it as after a connection that was lost.

    A child that was forked while several threads were in gRPC aborts at once or at its next call: what they left of
    the polling engine epoll1, and of locks, waits for threads that the child does not have."""
    if is_left() or _is_quiet():
        return
    _forking.append(True)
    until = time.monotonic() + CLOSING
    while (_others() or any(map(_is_grpcs, threading.enumerate()))) and time.monotonic() < until:
        for connection in list(_connections):
            if connection.has_streams():
                connection.lose_streams()
        time.sleep(_TICK)


def _is_quiet() -> bool:
    """Whether nothing is in gRPC but one stream, which does no harm, and whoever waits for it."""
    having = sum(each.has_streams() for each in list(_connections))
    return having < 2 and len(_others()) <= having


def _others() -> set[int]:
    """The threads in gRPC, without this one, which may have been interrupted there by a signal."""
    return _inside - {threading.get_ident()}


def _is_grpcs(thread: threading.Thread) -> bool:
    """Whether it is one that gRPC has for the streams of a channel."""
    return "_run_with_context" in getattr(getattr(thread, "_target", None), "__qualname__", "")


def _forget_threads() -> None:
    _forking.clear()
    _inside.clear()


os.register_at_fork(before=_leave_grpc, after_in_parent=_forking.clear, after_in_child=_forget_threads)


@atexit.register
def _leave_open() -> None:
    _left.append(True)
    for connection in list(_connections):
        connection.never_free()
