"""The bytes that everybody moves, and the files that they come from and go to."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import xxhash

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SMALL = 1024
"""Bytes in a small object."""


class Source(NamedTuple):
    """A file that large objects are made of, and what it holds."""

    path: str
    digest: int
    size: int

    @property
    def name(self) -> str:
        return Path(self.path).name


def make_source(path: Path, size: int) -> Source:
    """Pseudo-random bytes: a piece of 64 MiB, each time with another first byte of every block. Of no bytes: a table of
    Parquet, five columns of two million floats, as pyarrow writes it: in row groups of 1,048,576."""
    if size:
        piece = bytearray(random.Random(1).randbytes(min(size, 64 * MIB)))
        with path.open("wb") as file:
            left, number = size, 0
            while left:
                for start in range(0, len(piece), MIB):
                    piece[start] = number % 256
                left -= file.write(memoryview(piece)[: min(left, len(piece))])
                number += 1
    else:
        import numpy as np
        import pyarrow as pa
        import pyarrow.parquet as pq

        rng = np.random.default_rng(1)
        columns = {f"c{number}": rng.random(2_000_000) for number in range(5)}
        pq.write_table(pa.table(columns), path, compression="none")
    return Source(str(path), file_digest(path), path.stat().st_size)


def file_digest(path: str | Path) -> int:
    digest = xxhash.xxh3_64()
    with Path(path).open("rb") as file:
        while piece := file.read(MIB):
            digest.update(piece)
    return digest.intdigest()


def pieces_of(path: str | Path) -> Iterator[bytes]:
    with Path(path).open("rb", buffering=0) as file:
        while piece := file.read(MIB):
            yield piece


@cache
def small(index: int) -> bytes:
    """The small object of this number: everybody's is the same."""
    return random.Random(index).randbytes(SMALL)


def same(found: Any, expected: Any) -> None:
    """What a measured call brought is looked at: a fast wrong answer does not count."""
    if found != expected:
        raise ValueError(f"other bytes than were sent: {str(found)[:80]} instead of {str(expected)[:80]}")


@contextmanager
def new_file(path: Path, *, durable: bool) -> Iterator[BinaryIO]:
    """A file to write. `durable`: it appears whole and stays, which is what Vault does given a path."""
    if not durable:
        with path.open("wb") as file:
            yield file
        return
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
