"""What a file's bytes come to: its size, its checksums, and when it was last written."""

import os
from array import array
from pathlib import Path
from typing import NamedTuple

import xxhash
from vault.store.limits import BLOCK_SIZE
from vault.store.progress import Meter
from vault.store.values import checksum

from vault_server.storage.files.reader import read_at


class Measured(NamedTuple):
    """`modified` in microseconds since 1970."""

    size: int
    checksum: int
    blocks: "array[int]"
    modified: int


def measure(path: Path, meter: Meter | None = None) -> Measured:
    """Reads a file once."""
    whole = xxhash.xxh3_64()
    blocks = array("Q")
    size = 0
    with path.open("rb", buffering=0) as file:
        while data := read_at(file.fileno(), BLOCK_SIZE, size):
            whole.update(data)
            blocks.append(checksum(data))
            size += len(data)
            if meter is not None:
                meter.add(len(data))
        modified = os.fstat(file.fileno()).st_mtime_ns // 1000
    return Measured(size, whole.intdigest(), blocks, modified)
