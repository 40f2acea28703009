"""Objects in the register against objects in files: what each size costs to write and to read.

    python scripts/benchmarks/inline_threshold.py [DIRECTORY]

The directory must be on the disk in question; a temporary one is made in it. Figures are
milliseconds an object: written by one thread (a commit each), by 16 threads (group commit), and as
one batch; read one by one, from the page cache.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vault.store.values import LoadItem, SmallUpload, UploadSpec, checksum, new_data_id
from vault_server.storage import EmbeddedStore

SIZES = [4, 16, 32, 64, 128, 256]
OBJECTS = 320
THREADS = 16


def items(size: int, count: int) -> list[SmallUpload]:
    made = []
    for _ in range(count):
        data = os.urandom(size)
        made.append(SmallUpload(UploadSpec(new_data_id()), data, checksum(data)))
    return made


def timed(work: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000 / count


def measure(store: EmbeddedStore, size: int) -> list[float]:
    alone, grouped, batch = (items(size, count) for count in (OBJECTS // 4, OBJECTS, OBJECTS))
    keys = [item.spec.data_id for item in alone]
    local = threading.local()

    def put(item: SmallUpload) -> None:
        local.outcome = store.upload_many("bench", [item])

    def each(work: Sequence[SmallUpload]) -> None:
        for item in work:
            put(item)

    def together() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(put, grouped))

    def read() -> None:
        for key in keys:
            store.load_many("bench", [LoadItem(key)])

    return [
        timed(lambda: each(alone), len(alone)),
        timed(together, len(grouped)),
        timed(lambda: store.upload_many("bench", batch), len(batch)),
        timed(read, len(keys)),
    ]


def main() -> None:
    parent = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    print(f"{'KiB':>5} {'where':>9} {'1 thread':>9} {f'{THREADS} threads':>10} {'batch':>7} {'read':>7}")
    for kib in SIZES:
        for where, limit in (("register", 1 << 20), ("file", 0)):
            with tempfile.TemporaryDirectory(dir=parent) as folder, EmbeddedStore(folder, inline_limit=limit) as store:
                figures = measure(store, kib << 10)
            print(f"{kib:>5} {where:>9} {figures[0]:>9.2f} {figures[1]:>10.2f} {figures[2]:>7.2f} {figures[3]:>7.3f}")


if __name__ == "__main__":
    main()
