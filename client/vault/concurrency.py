"""What has to differ between the async and the sync side: pairs of one shape, side by side.

`scripts/unasync` turns `AsyncLock` into `Lock` and so on, so code written with the first of a pair
becomes right with the second. The async ones belong to the event loop they are first used in, the
sync ones may be shared by threads.
"""

import asyncio
import contextlib
import io
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Annotated, Any, Generic, TypeVar

T = TypeVar("T")

AsyncReturned = Awaitable[T]
Returned = Annotated[T, "as it is"]
"""What a function given as an argument returns."""

AsyncLock = asyncio.Lock
Lock = threading.Lock


class AsyncEvent:
    """A flag that can be waited for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    def is_set(self) -> bool:
        return self._event.is_set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, at most `timeout` seconds. Returns whether it is set."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._event.wait()
        return self._event.is_set()


class Event:
    """A flag that can be waited for."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set, at most `timeout` seconds. Returns whether it is set."""
        return self._event.wait(timeout)


class _Outcome(Generic[T]):
    """A result or an exception that comes later, once; a second one is ignored."""

    def __init__(self) -> None:
        self._done = False
        self._result: T | None = None
        self._exception: BaseException | None = None

    def done(self) -> bool:
        return self._done

    def set_result(self, result: T) -> None:
        self._settle(result, None)

    def set_exception(self, exception: BaseException) -> None:
        self._settle(None, exception)

    def _settle(self, result: T | None, exception: BaseException | None) -> None:
        if not self._done:
            self._result, self._exception, self._done = result, exception, True
            self._wake()

    def _wake(self) -> None:
        raise NotImplementedError

    def _take(self) -> T:
        if self._exception is not None:
            raise self._exception
        return self._result  # type: ignore[return-value]  # set together with _done


class AsyncFlight(_Outcome[T]):
    """A one-shot result that any number of tasks wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._event = asyncio.Event()

    def _wake(self) -> None:
        self._event.set()

    async def wait(self) -> T:
        await self._event.wait()
        return self._take()


class Flight(_Outcome[T]):
    """A one-shot result that any number of threads wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._event = threading.Event()

    def _wake(self) -> None:
        self._event.set()

    def wait(self) -> T:
        self._event.wait()
        return self._take()


class AsyncBackground:
    """A task of its own. The function is told to end by means of its own; `stop` waits for it."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._function = function
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._function(), name=self._name)

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.done()

    def leave(self) -> None:
        """Nobody waits for it any more: ends it where it can be ended. Harmless when it has ended."""
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Waits until the function has returned; what it raised is raised here."""
        if self._task is not None and self._task is not asyncio.current_task():
            await self._task


class Background:
    """A daemon thread. The function is told to end by means of its own; `stop` waits for it."""

    def __init__(self, function: Callable[[], None], name: str) -> None:
        self._thread = threading.Thread(target=function, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def leave(self) -> None:
        """Nobody waits for it any more. A thread cannot be ended: it ends with what it waits for."""

    def stop(self) -> None:
        """Waits until the function has returned."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()


class AsyncBlocking:
    """Runs code that blocks, without blocking the event loop."""

    @staticmethod
    async def run(function: Callable[..., T], *args: Any) -> T:
        return await asyncio.to_thread(function, *args)


class Blocking:
    """Runs code that blocks; here that is no matter."""

    @staticmethod
    def run(function: Callable[..., T], *args: Any) -> T:
        return function(*args)


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
    """What an async file is: its methods, and the lines in it."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while line := await self.readline():
            yield line

    async def readline(self, _size: int | None = -1, /) -> bytes:
        raise io.UnsupportedOperation("not readable")


class File(io.BufferedIOBase):
    """What a sync file is: one that the whole standard library, pandas and pyarrow take."""
