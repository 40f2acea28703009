"""What becomes of a write: a Future that its caller may be interrupted in waiting for, at any moment."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Outcome(Future[T]):
    """A running Future, which nobody can call back, settled once.

    It has nothing of a Future's own: that one's condition, left locked by an exception that came as somebody began to
    wait, would keep the writer's thread from ever settling it (see `vault._runtime.eventcount`).
    """

    def __init__(self) -> None:
        self._pending = threading.Lock()
        self._pending.acquire()
        self._guard = threading.Lock()
        self._told: list[Callable[[Future[T]], object]] | None = []
        self._value: Any = None
        self._error: BaseException | None = None

    __repr__ = object.__repr__

    def set_result(self, result: T) -> None:
        self._value = result
        self._settle()

    def set_exception(self, exception: BaseException | None) -> None:
        self._error = exception
        self._settle()

    def result(self, timeout: float | None = None) -> T:
        error = self.exception(timeout)
        if error is None:
            value: T = self._value
            return value
        try:
            raise error
        finally:
            del self, error  # which has this frame in its traceback

    def exception(self, timeout: float | None = None) -> BaseException | None:
        if timeout is None:
            with self._pending:
                return self._error
        if not self._pending.acquire(timeout=timeout):
            raise TimeoutError
        self._pending.release()
        return self._error

    def done(self) -> bool:
        return self._told is None

    def running(self) -> bool:
        return self._told is not None

    def cancel(self) -> bool:
        return False

    cancelled = cancel

    def add_done_callback(self, fn: Callable[[Future[T]], Any]) -> None:
        with self._guard:
            if self._told is not None:
                self._told.append(fn)
                return
        self._tell(fn)

    def _settle(self) -> None:
        with self._guard:
            told, self._told = self._told, None
        self._pending.release()
        for fn in told or ():
            self._tell(fn)

    def _tell(self, fn: Callable[[Future[T]], object]) -> None:
        try:
            fn(self)
        except Exception:  # noqa: BLE001  # of whoever waits, and nothing to the writer
            _log.exception("a callback of a write failed")
