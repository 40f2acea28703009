"""A copy over loopback TCP: sendfile on one side, one buffer of 1 MiB on the other. The limit.

python -m scripts.benchmarks.peers.tcp FOLDER
"""

import socket
import socketserver
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

from scripts.benchmarks.data import MIB, new_file, same
from scripts.benchmarks.work import Work


class Handler(socketserver.StreamRequestHandler):
    """`get NAME`: that file's bytes. `put`: reads to the end, discards, answers the size."""

    rbufsize = 0

    def handle(self) -> None:
        what, name = self.rfile.readline().decode().strip().split(" ")
        if what == "get":
            with Path(sys.argv[1], name).open("rb") as file:
                self.connection.sendfile(file)
            return
        buffer, size = bytearray(MIB), 0
        while taken := self.connection.recv_into(buffer):
            size += taken
        self.wfile.write(b"%d\n" % size)


def _pieces(connection: socket.socket) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(MIB))
    while taken := connection.recv_into(buffer):
        yield buffer[:taken]


@contextmanager
def _ask(address: str, what: str) -> Iterator[socket.socket]:
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"{what}\n".encode())
        yield connection


@contextmanager
def download_file(address: str, *, source: str, target: str, digest: int, durable: bool) -> Iterator[Work]:
    def run() -> None:
        found = xxhash.xxh3_64()
        with (
            _ask(address, f"get {Path(source).name}") as connection,
            new_file(Path(target), durable=durable) as file,
        ):
            for piece in _pieces(connection):
                found.update(piece)
                file.write(piece)
        same(found.intdigest(), digest)

    yield Work(run=run)


@contextmanager
def download_memory(address: str, *, source: str, digest: int) -> Iterator[Work]:
    size = Path(source).stat().st_size

    def run() -> bytearray:
        data, place = bytearray(size), 0
        with _ask(address, f"get {Path(source).name}") as connection, memoryview(data) as view:
            while taken := connection.recv_into(view[place:]):
                place += taken
        same(xxhash.xxh3_64_intdigest(data), digest)
        return data

    yield Work(run=run)


@contextmanager
def upload_file(address: str, *, source: str) -> Iterator[Work]:
    def run() -> int:
        with _ask(address, "put -") as connection, Path(source).open("rb") as file:
            connection.sendfile(file)
            connection.shutdown(socket.SHUT_WR)
            return int(connection.makefile().readline())

    yield Work(run=run, after=lambda size: same(size, Path(source).stat().st_size))


if __name__ == "__main__":
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        print(f"127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
