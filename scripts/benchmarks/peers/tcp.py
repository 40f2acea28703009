"""A copy over TCP: sendfile on one side, one buffer of 1 MiB on the other. The limit.

python -m scripts.benchmarks.peers.tcp FOLDER [HOST]
"""

import socket
import socketserver
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from scripts.benchmarks.data import MIB, Source, same
from scripts.benchmarks.work import Peer


class Handler(socketserver.StreamRequestHandler):
    """`get NAME OFFSET LENGTH`: that part of the file. `put - 0 LENGTH`: reads so many bytes, and discards them."""

    rbufsize = 0

    def handle(self) -> None:
        what, name, offset, length = self.rfile.readline().decode().split()
        if what == "get":
            with Path(sys.argv[1], name).open("rb") as file:
                self.connection.sendfile(file, int(offset), int(length))
            return
        for _ in pieces(self.connection, int(length)):
            pass
        self.wfile.write(b"done\n")


def pieces(connection: socket.socket, length: int) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(MIB))
    while length and (taken := connection.recv_into(buffer[:length])):
        length -= taken
        yield buffer[:taken]


class Tcp(Peer):
    """`connections`: as many parts at once; what arrives in parts is discarded."""

    def __init__(self, place: str, *, connections: int = 1) -> None:
        host, port = place.split(":")
        self._address = host, int(port)
        self._connections = connections

    @contextmanager
    def _ask(self, what: str) -> Iterator[socket.socket]:
        with socket.create_connection(self._address) as connection:
            connection.sendall(f"{what}\n".encode())
            yield connection

    def hold(self, source: Source) -> str:
        self._size = source.size
        return source.name

    def pieces(self, name: str) -> Iterator[memoryview]:
        with self._ask(f"get {name} 0 {self._size}") as connection:
            yield from pieces(connection, self._size)

    def fetch_path(self, name: str, _nowhere: str) -> None:
        """All parts at once, discarded."""

        def part(number: int) -> None:
            size = self._size // self._connections
            with self._ask(f"get {name} {number * size} {size}") as connection:
                same(sum(len(piece) for piece in pieces(connection, size)), size)

        self._at_once(part)

    def send(self, path: str) -> None:
        size = Path(path).stat().st_size // self._connections

        def part(number: int) -> None:
            with self._ask(f"put - 0 {size}") as connection, Path(path).open("rb") as file:
                connection.sendfile(file, number * size, size)
                same(connection.makefile().readline(), "done\n")

        self._at_once(part)

    def _at_once(self, part: Callable[[int], None]) -> None:
        with ThreadPoolExecutor(self._connections) as pool:
            list(pool.map(part, range(self._connections)))


if __name__ == "__main__":
    host = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
    with socketserver.ThreadingTCPServer((host, 0), Handler) as server:
        print(f"{host}:{server.server_address[1]}", flush=True)
        server.serve_forever()
