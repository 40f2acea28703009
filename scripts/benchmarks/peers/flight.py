"""Arrow Flight (pyarrow, C++ on both sides): bytes as a column of uint8, in batches of 1 MiB, without a copy.

https://arrow.apache.org/docs/python/flight.html. The server streams out of a mapped file with RecordBatchStream, which
runs in C++ without the GIL; DoAction answers a small object out of memory. DoPut reads and discards, or, asked for it,
writes, fsyncs and renames, as Vault does. Flight verifies nothing, so its client adds up XXH3-64 over what it gets.

    python -m scripts.benchmarks.peers.flight FOLDER
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as fl

from scripts.benchmarks.data import MIB, new_file, small
from scripts.benchmarks.work import Peer

SCHEMA = pa.schema([("bytes", pa.uint8())])
UPLOADED = "flight-upload"


def batches(path: str | Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as file:
        whole = file.read_buffer()
    for start in range(0, whole.size, MIB):
        piece = whole.slice(start, min(MIB, whole.size - start))
        column = pa.Array.from_buffers(pa.uint8(), piece.size, [None, piece])
        yield pa.RecordBatch.from_arrays([column], schema=SCHEMA)


def buffers(chunks: Iterator[Any]) -> Iterator[pa.Buffer]:
    for chunk in chunks:
        yield chunk.data.column(0).buffers()[1]


class Server(fl.FlightServerBase):
    def __init__(self, folder: Path) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self._folder = folder

    def do_get(self, _context: Any, ticket: fl.Ticket) -> fl.FlightDataStream:
        path = self._folder / ticket.ticket.decode()
        return fl.RecordBatchStream(pa.RecordBatchReader.from_batches(SCHEMA, batches(path)))

    def do_put(self, _context: Any, descriptor: Any, reader: Any, _writer: Any) -> None:
        name = descriptor.path[0].decode()
        if name == "nowhere":
            for _ in reader:
                pass
            return
        with new_file(self._folder / name, durable=True) as file:
            for piece in buffers(reader):
                file.write(piece)

    def do_action(self, _context: Any, action: fl.Action) -> list[pa.Buffer]:
        if action.type == "forget":
            (self._folder / UPLOADED).unlink()
            return []
        return [pa.py_buffer(small(int(action.body.to_pybytes())))]


class Flight(Peer):
    """`keeps`: what it uploads is on the server's disk when `send` returns."""

    def __init__(self, place: str, *, keeps: bool = False) -> None:
        self._client = fl.connect(f"grpc://{place}")
        self._keeps = keeps

    def close(self) -> None:
        self._client.close()

    def pieces(self, name: str) -> Iterator[pa.Buffer]:
        return buffers(self._client.do_get(fl.Ticket(name.encode())))

    def kept(self, name: str) -> list[pa.Buffer]:
        """`read_all` leaves the bytes in as many pieces as there were batches; nobody joins them."""
        table = self._client.do_get(fl.Ticket(name.encode())).read_all()
        return [chunk.buffers()[1] for chunk in table.column(0).chunks]

    def send(self, path: str) -> None:
        name = UPLOADED if self._keeps else "nowhere"
        writer, _ = self._client.do_put(fl.FlightDescriptor.for_path(name), SCHEMA)
        with writer:
            for batch in batches(path):
                writer.write_batch(batch)

    def forget(self, _sent: None) -> None:
        if self._keeps:
            list(self._client.do_action(fl.Action("forget", b"")))

    def get(self, key: int) -> bytes:
        (result,) = self._client.do_action(fl.Action("load", str(key).encode()))
        data: bytes = result.body.to_pybytes()
        return data


if __name__ == "__main__":
    server = Server(Path(sys.argv[1]))
    print(f"127.0.0.1:{server.port}", flush=True)
    server.serve()
