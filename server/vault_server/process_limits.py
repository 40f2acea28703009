"""How many connections and transfers the process's file descriptors and the machine's memory are enough for."""

import contextlib
import os
import resource
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Final

_MOST: Final = 1 << 20
_FOR_EACH: Final = 3  # descriptors of a transfer: a staged file, its journal, and the lock on both
_BYTES_OF_EACH: Final = 5 << 18  # of a transfer's memory: a block, and what belongs to it
_MOST_CONNECTIONS: Final = 10_000
_LEAST_TRANSFERS: Final = 16
_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")
_OPEN: Final = Path("/proc/self/fd")


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


def disconnect(peers: Collection[str]) -> None:
    """Ends the TCP connections of these peers, as gRPC names them: it has no way of its own to end one. Blocks.

    Over a unix socket peers have no names, and nothing is done.
    """
    wanted = {_host_and_port(peer) for peer in peers if peer.startswith(("ipv4:", "ipv6:"))}
    for entry in _OPEN.iterdir() if wanted and _OPEN.is_dir() else ():
        with contextlib.suppress(OSError):
            # Nothing else than sockets is touched, and nothing is closed: the register's locks would go with a
            # descriptor of its file.
            if not str(entry.readlink()).startswith("socket:"):
                continue
            connection = socket.socket(fileno=int(entry.name))
            try:
                if connection.family in (socket.AF_INET, socket.AF_INET6):
                    host, port = connection.getpeername()[:2]
                    if (host.removeprefix("::ffff:"), port) in wanted:
                        connection.shutdown(socket.SHUT_RDWR)
            finally:
                connection.detach()


def _host_and_port(peer: str) -> tuple[str, int]:
    host, _, port = peer.partition(":")[2].rpartition(":")
    return host.replace("%5B", "").replace("%5D", "").strip("[]").removeprefix("::ffff:"), int(port)


def _descriptors() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(soft, _MOST)


def _memory() -> int:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max" in it
        return min(installed, int(_CGROUP_LIMIT.read_text()))
    return installed
