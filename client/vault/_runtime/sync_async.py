"""What has to differ between the async and the sync side: pairs of one shape, side by side.

`scripts/unasync` turns `AsyncLock` into `Lock` and so on, so code written with the first of a pair
becomes right with the second. The async ones belong to the event loop they are first used in, the
sync ones may be shared by threads.
"""

import contextlib
import io
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar

from vault._runtime.blocking import start_thread
from vault._runtime.eventcount import LOOK, EventCount
from vault._runtime.fork import fork_count, is_inherited, refuse_inherited
from vault._runtime.lazy import LazyModule
from vault.errors import InvalidArgumentError

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = LazyModule("asyncio")  # for those who have an event loop

T = TypeVar("T")

AsyncReturned = Awaitable[T]
Returned = Annotated[T, "as it is"]
"""What a function given as an argument returns."""

Lock = threading.Lock

if TYPE_CHECKING:
    AsyncLock = asyncio.Lock
else:

    def __getattr__(name: str) -> object:
        if name == "AsyncLock":
            return asyncio.Lock
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class AsyncAffinity:
    """The process and the event loop that something belongs to: those that it is made and first used in."""

    def __init__(self, what: str) -> None:
        """
        Args:
            what: What belongs to them, for errors.
        """
        self.loop: asyncio.AbstractEventLoop | None = None
        self._what = what
        self._forks = fork_count()

    @classmethod
    def here(cls, what: str) -> Self:
        """That of the running event loop."""
        affinity = cls(what)
        affinity.loop = asyncio.get_running_loop()
        return affinity

    @property
    def is_inherited(self) -> bool:
        """Whether this is a forked child, and it the parent's."""
        return is_inherited(self._forks)

    @property
    def is_foreign(self) -> bool:
        """Whether this is another event loop than that of the first use. Outside of any it is not."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self.loop is None:
            self.loop = loop
        return self.loop is not loop

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is in use by another event loop, which is not closed: then only that one can close it."""
        if self.loop is None or self.loop.is_closed() or self.is_inherited:
            return False
        return self.is_foreign

    def require(self) -> None:
        """Raises ClosedError in a forked child, and InvalidArgumentError, OTHER_LOOP, on another event loop."""
        refuse_inherited(self._forks, self._what)
        if self.is_foreign:
            raise other_loop(self._what)

    def require_closable(self) -> None:
        """Raises InvalidArgumentError, OTHER_LOOP, while only another event loop can close it."""
        if self.is_elsewhere:
            raise other_loop(self._what)

    def renew(self) -> None:
        """In a forked child: belongs to it, and to no event loop yet."""
        self.loop = None
        self._forks = fork_count()


class Affinity:
    """The process that something belongs to: the one that it is made in. Threads share it."""

    is_foreign: ClassVar[bool] = False
    is_elsewhere: ClassVar[bool] = False

    def __init__(self, what: str) -> None:
        self._what = what
        self._forks = fork_count()

    @classmethod
    def here(cls, what: str) -> Self:
        return cls(what)

    @property
    def is_inherited(self) -> bool:
        """Whether this is a forked child, and it the parent's."""
        return is_inherited(self._forks)

    def require(self) -> None:
        """Raises ClosedError in a forked child."""
        refuse_inherited(self._forks, self._what)

    def require_closable(self) -> None:
        """Every thread can close it."""

    def renew(self) -> None:
        """In a forked child: belongs to it."""
        self._forks = fork_count()


def other_loop(what: str) -> InvalidArgumentError:
    """The error for the use of `what` on another event loop than its own."""
    return InvalidArgumentError(
        f"{what} belongs to another event loop: make one vault for each loop; once its own is closed, any may close it",
        reason="OTHER_LOOP",
    )


class AsyncEvent:
    """A flag that can be waited for."""

    LOOK: ClassVar[float | None] = None
    """Seconds to wait at a time, where whoever sets it may have been interrupted in that. A task is where it awaits."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        with contextlib.suppress(RuntimeError):  # those who wait are on an event loop that is closed
            self._event.set()

    def clear(self) -> None:
        self._event.clear()

    def is_set(self) -> bool:
        return self._event.is_set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, at most `timeout` seconds. Returns whether it is set."""
        if timeout is None:
            await self._event.wait()
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._event.wait()
        return self._event.is_set()


class Event:
    """A flag that can be waited for."""

    LOOK: ClassVar[float | None] = LOOK
    """Seconds to wait at a time, where whoever sets it may have been interrupted in that."""

    def __init__(self) -> None:
        self._flag = False
        self._changes = EventCount()

    def set(self) -> None:
        self._flag = True
        self._changes.advance()

    def clear(self) -> None:
        self._flag = False

    def is_set(self) -> bool:
        return self._flag

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, at most `timeout` seconds. Returns whether it is set."""
        return self._changes.wait_for(self.is_set, timeout)


class AsyncFlight:
    """Something that is under way until the block `async with flight.lock` around it ends, however that ends."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()

    def is_over(self) -> bool:
        """Whether that block has ended; also when it never began."""
        return not self.lock.locked()

    async def wait(self) -> None:
        """Waits until it is over. Any number of tasks may."""
        async with self.lock:
            return


class Flight:
    """Something that is under way until the block `with flight.lock` around it ends, however that ends."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def is_over(self) -> bool:
        """Whether that block has ended; also when it never began."""
        return not self.lock.locked()

    def wait(self) -> None:
        """Waits until it is over. Any number of threads may."""
        with self.lock:
            return


class AsyncBackground:
    """A task of its own. The function ends by means of its own; `stop` waits for it."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._function = function
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins it. Harmless when repeated."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._function(), name=self._name)

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.done()

    def leave(self) -> None:
        """Nobody waits for it any more: ends it where it can be ended. Harmless when it has ended."""
        if self._task is not None:
            with contextlib.suppress(RuntimeError):  # its event loop is closed
                self._task.cancel()

    async def stop(self, timeout: float | None = None) -> None:
        """Waits until the function has returned, or was cancelled, at most `timeout` seconds; what it raised is raised
        here."""
        task = self._task
        if task is None or task is asyncio.current_task():
            return
        if task.get_loop() is asyncio.get_running_loop():  # else that is closed, and it goes on no more
            await asyncio.wait([task], timeout=timeout)  # a waiter may be cancelled; that is not to end the task
        self._task = None  # which holds what it was in the middle of
        if task.done() and not task.cancelled():
            task.result()


class Background:
    """A daemon thread. The function ends by means of its own; `stop` waits for it."""

    def __init__(self, function: Callable[[], None], name: str) -> None:
        self._function = function
        self._name = name
        self._starting = threading.Lock()
        self._running = threading.Lock()
        self._runner = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins it. Harmless when repeated.

        Raises:
            UnavailableError: OVERLOADED, the system has no thread left. The next `start` tries again.
        """
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = start_thread(self._run, self._name)

    def is_alive(self) -> bool:
        return self._running.locked() or (self._thread is not None and self._thread.is_alive())

    def is_current(self) -> bool:
        """Whether it is in it that this is asked."""
        return self._runner == threading.get_ident()

    def leave(self) -> None:
        """Nobody waits for it any more. A thread cannot be ended: it ends with what it waits for."""

    def stop(self, timeout: float | None = None) -> None:
        """Waits until the function has returned, at most `timeout` seconds."""
        if self.is_current():
            return
        if self._thread is not None:
            self._thread.join(timeout)
        if timeout is None:
            with self._running:
                return

    def _run(self) -> None:
        # A `start` that is interrupted leaves a thread that nobody knows of; then the next one begins another.
        if self._running.acquire(blocking=False):
            try:
                self._runner = threading.get_ident()
                self._function()
            finally:
                self._runner = 0
                self._running.release()


class AsyncBridge:
    """Lets code that runs in `AsyncBlocking.run` call back into the event loop it came from."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def call(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        async def called() -> T:
            return await function(*args)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result()


class Bridge:
    """The sync face of AsyncBridge: a call."""

    def call(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)


class AsyncClock:
    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)


class Clock:
    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(seconds)


class AsyncFile:
    """What an async file is: its methods, and the blocks in it, as a streamed response takes them."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.blocks()

    def blocks(self) -> AsyncIterator[bytes]:
        raise io.UnsupportedOperation("not readable")


class File(io.BufferedIOBase):
    """What a sync file is: one that the whole standard library, pandas and pyarrow take."""
