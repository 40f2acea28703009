"""How many connections and transfers the process's file descriptors and the machine's memory are enough for."""

import contextlib
import os
import resource
from pathlib import Path
from typing import Final

_MOST: Final = 1 << 20
_FOR_EACH: Final = 3  # descriptors of a transfer: a staged file, its journal, and the lock on both
_BYTES_OF_EACH: Final = 5 << 18  # of a transfer's memory: a block, and what belongs to it
_MOST_CONNECTIONS: Final = 10_000
_LEAST_TRANSFERS: Final = 16
_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


def raise_limit() -> None:
    """Lets this process and those that it starts open as many files as the system allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    with contextlib.suppress(ValueError, OSError):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def most_connections() -> int:
    """Connections that a quarter of the descriptors is enough for."""
    return min(_descriptors() // 4, _MOST_CONNECTIONS)


def most_transfers() -> int:
    """Uploads and downloads that five eighths of the descriptors, and an eighth of the memory, are enough for.

    An eighth of the descriptors stays for the register, commits and whatever else is opened for a moment.
    """
    return max(_LEAST_TRANSFERS, min(_descriptors() * 5 // 8 // _FOR_EACH, _memory() // 8 // _BYTES_OF_EACH))


def _descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(soft, _MOST)


def _memory() -> int:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max" in it
        return min(installed, int(_CGROUP_LIMIT.read_text()))
    return installed
