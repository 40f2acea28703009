"""On the disk of this machine: diskcache, one fsynced file an object, and a copy that is fsynced.

diskcache as https://grantjenks.com/docs/diskcache/tutorial.html has it. Its own setting (synchronous NORMAL) may lose
the last writes with the machine; where Vault is durable it is told `sqlite_synchronous=2` (FULL), which is.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diskcache

from scripts.benchmarks.data import MIB, new_file, small
from scripts.benchmarks.work import Peer


class Diskcache(Peer):
    def __init__(self, place: str, *, durable: bool = True) -> None:
        self.cache = diskcache.Cache(place, sqlite_synchronous=2 if durable else 1)
        self._mine = os.getpid()
        self._written = 0
        self.get = self.cache.get
        self.delete = self.cache.delete

    def close(self) -> None:
        self.cache.close()

    def keys(self, objects: int) -> list[int]:
        for number in range(objects):
            self.cache.add(number, small(number))
        return list(range(objects))

    def set(self, number: int, data: bytes) -> None:
        self.cache.set((self._mine, number), data)
        self._written = number + 1

    def clear(self) -> None:
        with self.cache.transact():
            for number in range(self._written):
                self.cache.delete((self._mine, number))

    def fill(self, items: list[bytes]) -> list[tuple[int, int]]:
        with self.cache.transact():
            for number, item in enumerate(items):
                self.cache.set((self._mine, number), item)
        return [(self._mine, number) for number in range(len(items))]

    def memoize(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        memoized: Callable[[Any], Any] = self.cache.memoize(name=function.__name__)(function)
        return memoized


class Fsynced(Peer):
    """Written beside its place, fsynced, renamed, the folder fsynced: what appears whole and stays."""

    def __init__(self, place: str) -> None:
        self._folder = Path(place)
        self._folder.mkdir(exist_ok=True)
        self._mine = os.getpid()
        self._written: list[Path] = []

    def set(self, number: int, data: bytes) -> None:
        path = self._folder / f"{self._mine}-{number}"
        with new_file(path, durable=True) as file:
            file.write(data)
        self._written.append(path)

    def clear(self) -> None:
        for path in self._written:
            path.unlink()
        self._written.clear()

    def send(self, path: str) -> Path:
        copy = self._folder / "copy"
        with Path(path).open("rb") as source, new_file(copy, durable=True) as file:
            shutil.copyfileobj(source, file, MIB)
        return copy

    def forget(self, sent: Path) -> None:
        sent.unlink()
