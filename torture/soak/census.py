"""What a process holds: threads, tasks, descriptors, memory. Two of them tell what leaked in between."""

import asyncio
import contextlib
import gc
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil


@dataclass(slots=True)
class Census:
    """What a process holds at a moment, by name where there are names."""

    threads: dict[str, int] = field(default_factory=dict)
    tasks: dict[str, int] = field(default_factory=dict)
    descriptors: dict[str, int] = field(default_factory=dict)
    memory: float = 0.0  # resident, MiB

    @classmethod
    def take(cls, loop_tasks: "set[asyncio.Task[object]] | None" = None) -> Self:
        """Of this process, when what is unreachable has gone; the tasks are those given."""
        gc.collect()
        process = psutil.Process()
        names = (task.get_coro().__qualname__ for task in loop_tasks or ())  # type: ignore[union-attr]
        return cls(
            dict(Counter(thread.name.rstrip("0123456789-_ ()") for thread in threading.enumerate())),
            dict(Counter(names)),
            dict(Counter(_descriptors())),
            process.memory_info().rss / (1 << 20),
        )

    def leaks(self, before: "Census") -> list[str]:
        """What is here now and was not before. Pools of threads may have grown, by not more than they hold."""
        found = [
            f"{count} {what} of {name}, {earlier.get(name, 0)} before"
            for what, now, earlier in (
                ("threads", self.threads, before.threads),
                ("tasks", self.tasks, before.tasks),
                ("descriptors", self.descriptors, before.descriptors),
            )
            for name, count in now.items()
            if count > max(earlier.get(name, 0), POOLS.get(name, 0))
        ]
        allowed = before.memory * GROWTH + SLACK
        if self.memory > allowed:
            found.append(f"{self.memory:.0f} MiB, {before.memory:.0f} before, {allowed:.0f} allowed")
        return found


GROWTH = 1.25
"""How much more memory, as a factor, is no leak: the allocator's arenas never quite empty."""

SLACK = 32.0
"""And how many MiB besides, which matter for short runs only."""

POOLS = {"asyncio": 32, "vault-storage": 8, "vault-store": 16, "register.db": 11, "register.db-wal": 11}
"""Threads, and connections to the register, that are begun as they are needed, and kept: how many at most."""


def _descriptors() -> Iterator[str]:
    """What this process has open: a file's name, or what else it is."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            yield str(entry.readlink()).partition(":[")[0].rpartition("/")[2]
