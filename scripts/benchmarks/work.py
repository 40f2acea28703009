"""What a client process measures: the one thing that every peer's module hands to the harness."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any


def _nothing(*_: object) -> None:
    """Nothing to do."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One run of something, over and over.

    Attributes:
        run: What is measured.
        count: How many operations that is.
        before: What has to be there first; not measured.
        after: Looks at what `run` returned, and cleans up; not measured.
        timed: `run` returns the seconds of each operation, for percentiles.
    """

    run: Callable[[], Any]
    count: int = 1
    before: Callable[[], object] = _nothing
    after: Callable[[Any], object] = _nothing
    timed: bool = False


def one_after_another(operation: Callable[[int], object], count: int, **others: Any) -> Work:
    """`operation(0)`, `operation(1)`, ...; what the last one returns goes to `after`."""

    def run() -> object:
        found = None
        for number in range(count):
            found = operation(number)
        return found

    return Work(run=run, count=count, **others)


def from_threads(operation: Callable[[int], object], count: int, threads: int) -> Work:
    """The same from several threads at once, each operation timed."""

    def some(first: int) -> list[float]:
        times = []
        for number in range(first, count, threads):
            began = time.perf_counter()
            operation(number)
            times.append(time.perf_counter() - began)
        return times

    def run() -> list[float]:
        with ThreadPoolExecutor(threads) as pool:
            return [seconds for part in pool.map(some, range(threads)) for seconds in part]

    return Work(run=run, count=count, timed=True)
