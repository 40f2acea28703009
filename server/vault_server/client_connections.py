"""A server's TCP connections with its clients, which gRPC neither tells of nor ends. Everything here blocks."""

import contextlib
import os
import socket
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

_OPEN: Final = Path("/proc/self/fd")


class ClientConnections:
    """Those that came to the ports of one server. Where there is no /proc nothing is known of them; of unix sockets
    neither, whose peers have no names."""

    def __init__(self) -> None:
        self._ports: set[int] = set()

    def add_port(self, port: int) -> None:
        """The server listens on this one."""
        self._ports.add(port)

    def end(self, peers: Collection[str]) -> None:
        """Ends those with these peers, as gRPC names them."""
        wanted = {_host_and_port(peer) for peer in peers if peer.startswith(("ipv4:", "ipv6:"))}
        if wanted:
            self._end_where(lambda host, port: (host, port) in wanted)

    def end_from(self, refused: Callable[[str], bool]) -> None:
        """Ends those from these hosts."""
        self._end_where(lambda host, _: refused(host))

    def end_excess(self, most: int, caller: Callable[[str], str], busy: Collection[str]) -> None:
        """Where there are nearly as many as may be, ends those of a caller that has more than three quarters of that,
        down to those, the ones first that are not busy.

        Args:
            most: As many as may be.
            caller: Whose a host is.
            busy: Peers of running calls, those that are to stay last.
        """
        share = most * 3 // 4
        with contextlib.suppress(OSError):
            if len(os.listdir(_OPEN)) <= share:  # noqa: PTH208  # once a second
                return
        places = {
            _host_and_port(peer): place for place, peer in enumerate(busy, 1) if peer.startswith(("ipv4:", "ipv6:"))
        }
        found: dict[str, list[tuple[str, int]]] = {}
        count = 0
        for _, host, port in self._each():
            count += 1
            found.setdefault(caller(host), []).append((host, port))
        if count <= most * 7 // 8:
            return
        for each in found.values():
            each.sort(key=lambda peer: places.get(peer, 0))
            excess = set(each[: max(0, len(each) - share)])
            if excess:
                self._end_where(lambda host, port, excess=excess: (host, port) in excess)  # type: ignore[misc]

    def _end_where(self, unwanted: Callable[[str, int], bool]) -> None:
        for connection, host, port in self._each():
            if unwanted(host, port):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _each(self) -> Iterator[tuple[socket.socket, str, int]]:
        """Each with its peer's host and port. Nothing else than sockets is touched, and nothing is closed: the
        register's locks would go with a descriptor of its file."""
        for entry in _OPEN.iterdir() if _OPEN.is_dir() else ():
            with contextlib.suppress(OSError):
                if not str(entry.readlink()).startswith("socket:"):
                    continue
                connection = socket.socket(fileno=int(entry.name))
                try:
                    if connection.family in (socket.AF_INET, socket.AF_INET6):
                        host, port = connection.getpeername()[:2]
                        if connection.getsockname()[1] in self._ports:
                            yield connection, _plain(host), port
                finally:
                    connection.detach()


def _host_and_port(peer: str) -> tuple[str, int]:
    host, _, port = peer.partition(":")[2].rpartition(":")
    return _plain(host.replace("%5B", "").replace("%5D", "").strip("[]").replace("%25", "%")), int(port)


def _plain(host: str) -> str:
    return host.partition("%")[0].removeprefix("::ffff:")
