"""What becomes of a write: a Future that its caller may be interrupted in waiting for, at any moment."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Outcome(Future[T]):
    """A running Future, which nobody can call back, settled once.

    A Future's own condition, left locked by an exception that came as somebody began to wait, would keep the writer's
    thread from ever settling it (see `vault._runtime.eventcount`). So callers touch it only when it is settled.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self._pending = threading.Lock()
        self._pending.acquire()
        self._guard = threading.Lock()
        self._told: list[Callable[[Future[T]], object]] | None = []

    def set_result(self, result: T) -> None:
        super().set_result(result)
        self._settle()

    def set_exception(self, exception: BaseException | None) -> None:
        super().set_exception(exception)
        self._settle()

    def result(self, timeout: float | None = None) -> T:
        self._wait(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._wait(timeout)
        return super().exception(0)

    def done(self) -> bool:
        return not self._pending.locked()

    def cancel(self) -> bool:
        return False

    def add_done_callback(self, fn: Callable[[Future[T]], Any]) -> None:
        with self._guard:
            if self._told is not None:
                self._told.append(fn)
                return
        super().add_done_callback(fn)

    def _wait(self, timeout: float | None) -> None:
        if timeout is None:
            with self._pending:
                return
        if not self._pending.acquire(timeout=timeout):
            raise TimeoutError
        self._pending.release()

    def _settle(self) -> None:
        with self._guard:
            told, self._told = self._told, None
        self._pending.release()
        for each in told or ():
            super().add_done_callback(each)
