"""Work that blocks, kept off the event loop: disk calls, hooks of Datatypes.

Pairs of one shape, as in `vault._runtime.sync_async`; the sync ones call.
"""

import contextvars
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from vault._runtime.lazy import LazyModule
from vault.errors import ClosedError, InvalidArgumentError, UnavailableError

if TYPE_CHECKING:
    import asyncio
    import inspect
    from concurrent import futures
else:
    asyncio = LazyModule("asyncio")  # for those who have an event loop
    futures = LazyModule("concurrent.futures")
    inspect = LazyModule("inspect")

T = TypeVar("T")


def start_thread(function: Callable[[], None], name: str) -> threading.Thread:
    """A daemon thread that runs the function.

    Raises:
        UnavailableError: OVERLOADED, the system has no thread left (RLIMIT_NPROC, a container's limit, memory).
    """
    thread = threading.Thread(target=function, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        if "release" in str(error) and error.__context__ is not None:
            # It runs. An interrupt came while its first sign was waited for, and threading's Condition made this of it.
            raise error.__context__ from None
        raise no_thread(error) from error
    return thread


def no_thread(error: RuntimeError) -> UnavailableError:
    """The error for a thread that could not be started."""
    return UnavailableError(f"the system has no thread left for this: {error}", reason="OVERLOADED")


def on_thread(executor: "futures.Executor | None", function: Callable[..., T], *args: Any) -> "asyncio.Future[T]":
    """Runs the function in a thread of the executor; None: of the event loop's own.

    Raises:
        UnavailableError: OVERLOADED, the system has no thread left. The function will not run: an executor that cannot
            start a thread has queued it all the same, for when one is free.
        ClosedError: The executor was shut down.
    """
    refused: list[UnavailableError] = []

    def called() -> T:
        if refused:
            raise refused[0]
        return function(*args)

    loop = asyncio.get_running_loop()
    try:
        return loop.run_in_executor(executor, called)
    except RuntimeError as error:
        if "shutdown" in str(error):
            raise ClosedError(f"no thread takes on anything any more: {error}") from error
        refused.append(no_thread(error))
        raise refused[0] from error


async def on_thread_or_here(function: Callable[[], object]) -> None:
    """Runs the function in a thread; on the event loop where the system has none left: for what has to be done."""
    try:
        await on_thread(None, function)
    except UnavailableError:
        function()


class AsyncHook:
    """Runs a hook that may call back through an AsyncBridge."""

    @staticmethod
    async def run(function: Callable[..., T], *args: Any) -> T:
        # In a thread of its own: hooks that wait for the loop could take every thread of a pool, and what
        # they wait for may need one of them.
        executor = futures.ThreadPoolExecutor(1, thread_name_prefix="vault-hook")
        try:
            call = partial(contextvars.copy_context().run, function, *args)
            return await on_thread(executor, call)
        finally:
            executor.shutdown(wait=False)


class AsyncBlocking:
    """Runs code that blocks, without blocking the event loop."""

    @staticmethod
    async def run(function: Callable[..., T], *args: Any) -> T:
        return await on_thread(None, contextvars.copy_context().run, function, *args)


class Blocking:
    """Runs code that blocks; here that is no matter."""

    @staticmethod
    def run(function: Callable[..., T], *args: Any) -> T:
        return function(*args)


Hook = Blocking


class AsyncDisk:
    """Blocking calls on one file, one at a time, and one ahead of their caller.

    What was begun ends before the next call, and before the `with` block does, also when the task that
    waits is cancelled: a file must not be closed while a thread reads from it.
    """

    def __init__(self) -> None:
        self._begun: asyncio.Future[Any] | None = None

    def begin(self, function: Callable[..., Any], *args: Any) -> None:
        """Begins a call, to be waited for with `ended`."""
        self._begun = on_thread(None, contextvars.copy_context().run, function, *args)

    async def ended(self) -> Any:
        """The result of what was begun; None when nothing was."""
        if self._begun is None:
            return None
        result = await asyncio.shield(self._begun)
        self._begun = None
        return result

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Waits until what was begun has ended, whatever became of it; then calls, and waits."""
        await self._settle()
        self.begin(function, *args)
        try:
            result: T = await self.ended()
        finally:
            await self._settle()
        return result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._settle()

    async def _settle(self) -> None:
        begun, self._begun = self._begun, None
        if begun is None:
            return
        cancelled: asyncio.CancelledError | None = None
        while not begun.done():
            try:
                await asyncio.wait([begun])
            except asyncio.CancelledError as error:
                cancelled = error
        if not begun.cancelled():
            begun.exception()  # seen: who waited for it was told, or has an error of its own
        if cancelled is not None:
            raise cancelled


class Disk:
    """AsyncDisk where blocking is no matter: `begin` calls, `ended` tells."""

    def __init__(self) -> None:
        self._result: Any = None

    def begin(self, function: Callable[..., Any], *args: Any) -> None:
        self._result = function(*args)

    def ended(self) -> Any:
        result, self._result = self._result, None
        return result

    def run(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._result = None


class AsyncCall:
    """Calls a function that a caller gave: a coroutine function is awaited, any other runs in a thread of its own."""

    @staticmethod
    async def run(function: Callable[[], Any]) -> Any:
        returned = function() if inspect.iscoroutinefunction(function) else await AsyncHook.run(function)
        return await returned if inspect.isawaitable(returned) else returned


class Call:
    """The sync face of AsyncCall."""

    @staticmethod
    def run(function: Callable[[], Any]) -> Any:
        returned = function()
        if inspect.iscoroutine(returned):
            returned.close()
            raise InvalidArgumentError(
                f"{function!r} is a coroutine function: an AsyncVault takes it", reason="BAD_FUNCTION"
            )
        return returned
