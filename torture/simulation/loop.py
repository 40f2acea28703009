"""An event loop with a clock of its own, which runs what is ready in an order drawn by a seed."""

import asyncio
import contextvars
import heapq
import itertools
import random
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class StuckError(AssertionError):
    """Nothing can happen any more, and not everything is done."""


class VirtualLoop:
    """Enough of a loop for tasks, futures, locks and timeouts. Time passes when nothing else is to be done."""

    def __init__(self, choice: random.Random) -> None:
        self._choice = choice
        self._loop: Any = self  # as much of one as tasks and futures ask for
        self._now = 0.0
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._over = False
        self.steps = 0
        self.failed: BaseException | None = None

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        """`time.monotonic`, in this world."""
        return self._now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._loop, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self._loop, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._loop)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self._loop, **options)

    def run_in_executor(self, _executor: object, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Here and now: what blocks takes no time in this world."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # noqa: BLE001  # whatever it is belongs to who waits
            future.set_exception(error)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._over

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failed = self.failed or context.get("exception") or RuntimeError(context["message"])

    def run(self, coroutine: Coroutine[Any, Any, T], most: int = 200_000) -> T:
        """Runs it to its end. StuckError: it can come to none, or not in `most` steps."""
        asyncio._set_running_loop(self._loop)
        try:
            task: asyncio.Task[T] = self.create_task(coroutine)
            while not task.done():
                self._step()
                self.steps += 1
                if self.steps > most:
                    raise StuckError(f"no end after {most} steps")
            if self.failed is not None:
                raise self.failed
            return task.result()
        finally:
            self._over = True
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            if not timers:
                raise StuckError("everybody waits for somebody else")
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            handle: asyncio.Handle = heapq.heappop(timers)[2]
            if not handle._cancelled:
                ready.append(handle)
        if ready:
            at = int(self._choice.random() * len(ready))
            ready[at], ready[-1] = ready[-1], ready[at]
            handle = ready.pop()
            if not handle._cancelled:
                handle._run()


@types.coroutine
def turn() -> Generator[None, None, None]:
    """Lets the others go first, or not."""
    yield
