"""The bytes that everybody moves, and the files that they come from and go to."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import xxhash

MIB = 1 << 20
SMALL = 1024
"""Bytes in a small object."""


def make_file(path: Path, size: int) -> None:
    """Pseudo-random bytes: a piece of 64 MiB, each time with another first byte of every block."""
    piece = bytearray(random.Random(1).randbytes(min(size, 64 * MIB)))
    with path.open("wb") as file:
        left, number = size, 0
        while left:
            for start in range(0, len(piece), MIB):
                piece[start] = number % 256
            left -= file.write(memoryview(piece)[: min(left, len(piece))])
            number += 1


def file_digest(path: Path) -> int:
    digest = xxhash.xxh3_64()
    with path.open("rb") as file:
        while piece := file.read(MIB):
            digest.update(piece)
    return digest.intdigest()


@cache
def small(index: int) -> bytes:
    """The small object of this number: everybody's is the same."""
    return random.Random(index).randbytes(SMALL)


def same(found: object, expected: object) -> None:
    """What a measured call brought is looked at: a fast wrong answer does not count."""
    if found != expected:
        raise ValueError(f"other bytes than were sent: {str(found)[:80]} instead of {str(expected)[:80]}")


@contextmanager
def new_file(path: Path, *, durable: bool) -> Iterator[BinaryIO]:
    """A file to download into. `durable`: it appears whole and stays, which is what Vault does given a path."""
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
