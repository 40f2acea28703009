"""The C allocator, set for buffers of a block's size that come and go: they stay with the process.

glibc gives a buffer of a megabyte back to the kernel as soon as it is freed, or as soon as it is the last on the
heap, and the kernel hands out zeroed pages for the next one, one page fault for every 4 KiB. Streaming frees and takes
several such buffers for each block. With the settings below `vault-grpc serve` takes 254 to 308 ms of processor time
for 256 MiB out rather than 483 to 536, and 366 to 371 rather than 663 to 700 for 256 MiB in; larger values gained
nothing more, and keep more memory. Two heaps rather than one for each thread: an upload of 2 GiB then grows a server by
21 MiB rather than 32 to 41, for the same processor time (`scripts/bench --only memory`).
"""

import os
from typing import Final

from vault._runtime.libc import c_function

_MIB: Final = 1 << 20

# malloc.h: parameter, value. Setting any of them also ends glibc's own guessing at the others.
_SETTINGS: Final = (
    (-3, 4 * _MIB),  # M_MMAP_THRESHOLD: larger than any message, so that none is a mapping of its own
    (-1, 16 * _MIB),  # M_TRIM_THRESHOLD: what may be free at the end of a heap; a transfer has some 10 MiB in hand
    (-2, 4 * _MIB),  # M_TOP_PAD: by how much more than needed a heap grows
    (-8, 2),  # M_ARENA_MAX: heaps, each of which keeps what is free in it; the interpreter runs one thread at a time
)


def tune_allocator() -> bool:
    """Has this process keep what it frees for its next buffers: up to 16 MiB at the end of each heap.

    What lies below something that is still in use stays with the process, too, as it does without this, until
    `give_back` (`upkeep` calls it above the watermark) or, in `vault-grpc serve`, the next minute.

    Streaming large objects over gRPC then costs less processor time, most where they are served. `vault-grpc` does this
    in its own processes, servers included; a program that streams much, or has a `Server` in it, may: it holds for the
    whole process, and child processes of a fork, and cannot be undone. The memory watermark (`max_memory_used`) works
    as before. Call it once, early; harmless when repeated, and from any thread.

    Returns:
        Whether it was done. Not without glibc (musl, macOS), nor where MALLOC_…_ or GLIBC_TUNABLES in the
        environment says how memory is to be kept.
    """
    mallopt = c_function("mallopt") if _is_glibc() else None
    if mallopt is None or _is_set_already():
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in _SETTINGS)


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (OSError, ValueError):
        return False


def _is_set_already() -> bool:
    chosen = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_ARENA_MAX")
    return any(name in os.environ for name in chosen) or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
