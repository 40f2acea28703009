"""On the disk of this machine: diskcache, and one fsynced file an object.

diskcache as https://grantjenks.com/docs/diskcache/tutorial.html has it. Its own setting (synchronous NORMAL) may lose
the last writes with the machine; where Vault is durable it is told `sqlite_synchronous=2` (FULL), which is.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import diskcache

from scripts.benchmarks.data import new_file, same, small
from scripts.benchmarks.work import Work, one_after_another


@contextmanager
def _cache(directory: str, *, durable: bool) -> Iterator[diskcache.Cache]:
    with diskcache.Cache(directory, sqlite_synchronous=2 if durable else 1) as cache:
        yield cache


@contextmanager
def load(directory: str, *, objects: int, count: int) -> Iterator[Work]:
    with _cache(directory, durable=True) as cache:
        for number in range(objects):
            cache.add(number, small(number))
        yield one_after_another(
            lambda number: cache.get(number % objects),
            count,
            after=lambda data: same(data, small((count - 1) % objects)),
        )


@contextmanager
def upload(directory: str, *, count: int, durable: bool) -> Iterator[Work]:
    with _cache(directory, durable=durable) as cache:
        mine = os.getpid()

        def after(_: object) -> None:
            with cache.transact():
                for number in range(count):
                    cache.delete((mine, number))

        yield one_after_another(lambda number: cache.set((mine, number), small(number)), count, after=after)


@contextmanager
def delete(directory: str, *, count: int, durable: bool) -> Iterator[Work]:
    with _cache(directory, durable=durable) as cache:
        mine = os.getpid()

        def before() -> None:
            with cache.transact():
                for number in range(count):
                    cache.set((mine, number), small(number))

        yield one_after_another(
            lambda number: cache.delete((mine, number)), count, before=before, after=lambda done: same(done, True)
        )


@contextmanager
def upload_fsynced(directory: str, *, count: int) -> Iterator[Work]:
    """Written beside its place, fsynced, renamed, the folder fsynced: what appears whole and stays."""
    folder = Path(directory)
    folder.mkdir(exist_ok=True)
    mine = os.getpid()

    def operation(number: int) -> None:
        with new_file(folder / f"{mine}-{number}", durable=True) as file:
            file.write(small(number))

    def after(_: object) -> None:
        for number in range(count):
            (folder / f"{mine}-{number}").unlink()

    yield one_after_another(operation, count, after=after)
