"""The memory of this process: how much it holds, and giving it back to the system."""

import gc
import os

from vault._runtime.libc import c_function


def resident() -> int:
    """Bytes of this process in memory."""
    import psutil  # noqa: PLC0415  # most programs never ask

    return psutil.Process(os.getpid()).memory_info().rss


def give_back() -> None:
    """Frees what nobody refers to, and returns free memory to the system.

    Freeing alone leaves it with the allocator: glibc keeps what lies below the top of its heap.
    """
    gc.collect()
    return_free_memory()


def return_free_memory() -> None:
    """Returns memory that the allocator has free to the system, wherever in its heaps it lies. From any thread."""
    if _malloc_trim is not None:
        _malloc_trim(0)


_malloc_trim = c_function("malloc_trim")  # of glibc
