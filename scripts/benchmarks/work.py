"""What a client process measures, and what most lines do with a peer: `operation(peer, **arguments)` gives a `Work`.

What only Vault does is in `own.py`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from scripts.benchmarks.data import Source, new_file, same, small


def _nothing(*_: object) -> None:
    """Nothing to do."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One run of something, over and over.

    Attributes:
        run: What is measured.
        count: How many operations that is.
        before: What has to be there first; not measured.
        after: Looks at what `run` returned, and cleans up; not measured. May return figures of its own.
        timed: `run` returns the seconds of each operation: percentiles are made of them.
        alone: Their median is what counts, not what the run took with its pauses.
        end: What is to be done when it has run for the last time.
    """

    run: Callable[[], Any]
    count: int = 1
    before: Callable[[], object] = _nothing
    after: Callable[[Any], object] = _nothing
    timed: bool = False
    alone: bool = False
    end: Callable[[], object] = _nothing


class Peer:
    """Somebody's client: a context manager, made with its server's address or its directory, and settings of its own.

    `verifies`: it looks at checksums by itself, so that nobody else has to. Beside what is here a peer has what its
    lines need: `pieces(name)`, or `fetch(name, file)`; `whole(name)`; `send(path)` and `forget`; `get(key)`; and so on,
    see the operations below.
    """

    verifies = False

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing, by itself."""

    def hold(self, source: Source) -> str:
        """Sees to it that the large object is there, and returns its name. Servers of ours serve the file itself."""
        return source.name

    def keys(self, objects: int) -> list[Any]:
        """Sees to it that the small objects are there. Their keys, in the order of their numbers."""
        return list(range(objects))

    def forget(self, sent: Any) -> None:
        """Takes what `send` sent away again."""


def one_after_another(operation: Callable[[int], object], count: int, **others: Any) -> Work:
    """`operation(0)`, `operation(1)`, ...; what the last one returns goes to `after`."""

    def run() -> object:
        found = None
        for number in range(count):
            found = operation(number)
        return found

    return Work(run=run, count=count, **others)


def download_file(peer: Any, *, source: Source, target: str, durable: bool = False) -> Work:
    """Into an open file; durable: into a path, where it appears whole."""
    name, path = peer.hold(source), Path(target)

    def run() -> None:
        if durable and hasattr(peer, "fetch_path"):
            peer.fetch_path(name, target)
            return
        with new_file(path, durable=durable) as file:
            if peer.verifies:
                peer.fetch(name, file)
                return
            found = xxhash.xxh3_64()
            for piece in peer.pieces(name):
                found.update(piece)
                file.write(piece)
            same(found.intdigest(), source.digest)

    return Work(run=run)


def download_memory(peer: Any, *, source: Source, joined: bool = True) -> Work:
    """Into memory: in one piece, or in as many as came."""
    name = peer.hold(source)

    def run() -> list[Any]:
        if not joined:
            found = peer.kept(name)
        elif hasattr(peer, "whole"):
            found = [peer.whole(name)]
        else:
            found = [data := bytearray(source.size)]
            place = 0
            for piece in peer.pieces(name):
                size = memoryview(piece).nbytes
                data[place : place + size] = piece
                place += size
        if not peer.verifies:
            same(digest_of(found), source.digest)
        return found

    return Work(run=run, after=lambda found: same(digest_of(found), source.digest))


def digest_of(pieces: Iterable[Any]) -> int:
    found = xxhash.xxh3_64()
    for piece in pieces:
        found.update(piece)
    return found.intdigest()


def upload_file(peer: Any, *, source: Source) -> Work:
    return Work(run=lambda: peer.send(source.path), after=peer.forget)


def load(peer: Any, *, objects: int, count: int) -> Work:
    keys = peer.keys(objects)
    return one_after_another(
        lambda number: peer.get(keys[number % objects]),
        count,
        after=lambda data: same(data, small((count - 1) % objects)),
    )


def load_threads(peer: Any, *, objects: int, count: int, threads: int) -> Work:
    """The same from several threads at once, each operation timed."""
    keys = peer.keys(objects)

    def some(first: int) -> list[float]:
        times = []
        for number in range(first, count, threads):
            began = time.perf_counter()
            peer.get(keys[number % objects])
            times.append(time.perf_counter() - began)
        return times

    def run() -> list[float]:
        with ThreadPoolExecutor(threads) as pool:
            return [seconds for part in pool.map(some, range(threads)) for seconds in part]

    return Work(run=run, count=count, timed=True)


def load_tasks(peer: Any, *, objects: int, count: int, tasks: int) -> Work:
    """The same from several tasks of an asynchronous client, whose loop is `peer.runner`; one task: one after
    another."""
    keys = peer.keys(objects)

    async def some(first: int) -> bytes:
        data = b""
        for number in range(first, count, tasks):
            data = await peer.get(keys[number % objects])
        return data

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(some(first) for first in range(tasks)))

    return Work(
        run=lambda: peer.runner.run(all_of_them()),
        count=count,
        after=lambda found: same(found[(count - 1) % tasks], small((count - 1) % objects)),
    )


def load_many(peer: Any, *, objects: int, batches: int) -> Work:
    keys = peer.keys(objects)

    def run() -> Any:
        for _ in range(batches):
            found = peer.get_many(keys)
        return found

    expected = [small(number) for number in range(objects)]
    return Work(run=run, count=objects * batches, after=lambda found: same(found, expected))


def upload_many(peer: Any, *, objects: int, batches: int) -> Work:
    items = [small(number) for number in range(objects)]

    def clear(sent: list[Any]) -> None:
        for each in sent:
            peer.delete_many(each)

    return Work(run=lambda: [peer.set_many(items) for _ in range(batches)], count=objects * batches, after=clear)


def upload(peer: Any, *, count: int) -> Work:
    return one_after_another(lambda number: peer.set(number, small(number)), count, after=lambda _: peer.clear())


def delete(peer: Any, *, count: int) -> Work:
    keys: list[Any] = []

    def before() -> None:
        keys[:] = peer.fill([small(number) for number in range(count)])

    return one_after_another(
        lambda number: peer.delete(keys[number]), count, before=before, after=lambda done: same(done, True)
    )


def read_column(peer: Any, *, source: Source) -> Work:
    """The end of the file, where the table says what is where, and one column of one of its row groups: two ranges."""
    import pyarrow.parquet as pq

    column = pq.read_metadata(source.path).row_group(0).column(2)
    start = column.dictionary_page_offset or column.data_page_offset
    ranges = [(source.size - 65536, 65536), (start, column.total_compressed_size)]
    name, data = peer.hold(source), memoryview(Path(source.path).read_bytes())
    expected = [data[offset : offset + length] for offset, length in ranges]

    def run() -> list[Any]:
        found: list[Any] = peer.ranges(name, ranges)
        return found

    return Work(run=run, after=lambda found: same([memoryview(part) for part in found], expected))
