"""Arrow Flight (pyarrow, C++ on both sides): bytes as a column of uint8, in batches of 1 MiB, without a copy.

https://arrow.apache.org/docs/python/flight.html. The server streams out of a mapped file with RecordBatchStream,
which runs in C++ without the GIL; DoPut reads and discards; DoAction answers a small object out of memory.
Flight verifies nothing, so its client adds up XXH3-64 over what it gets.

    python -m scripts.benchmarks.peers.flight FOLDER
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.flight as fl
import xxhash

from scripts.benchmarks.data import MIB, new_file, same, small
from scripts.benchmarks.work import Work, one_after_another

SCHEMA = pa.schema([("bytes", pa.uint8())])


def batches(path: str | Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as file:
        whole = file.read_buffer()
    for start in range(0, whole.size, MIB):
        piece = whole.slice(start, min(MIB, whole.size - start))
        column = pa.Array.from_buffers(pa.uint8(), piece.size, [None, piece])
        yield pa.RecordBatch.from_arrays([column], schema=SCHEMA)


class Server(fl.FlightServerBase):
    def __init__(self, folder: Path) -> None:
        super().__init__("grpc://127.0.0.1:0")
        self._folder = folder

    def do_get(self, _context: Any, ticket: fl.Ticket) -> fl.FlightDataStream:
        path = self._folder / ticket.ticket.decode()
        return fl.RecordBatchStream(pa.RecordBatchReader.from_batches(SCHEMA, batches(path)))

    def do_put(self, _context: Any, _descriptor: Any, reader: Any, _writer: Any) -> None:
        for _ in reader:
            pass

    def do_action(self, _context: Any, action: fl.Action) -> list[pa.Buffer]:
        return [pa.py_buffer(small(int(action.body.to_pybytes())))]


def _pieces(client: fl.FlightClient, source: str) -> Iterator[pa.Buffer]:
    for chunk in client.do_get(fl.Ticket(Path(source).name.encode())):
        yield chunk.data.column(0).buffers()[1]


@contextmanager
def download_file(address: str, *, source: str, target: str, digest: int, durable: bool) -> Iterator[Work]:
    with fl.connect(f"grpc://{address}") as client:

        def run() -> None:
            found = xxhash.xxh3_64()
            with new_file(Path(target), durable=durable) as file:
                for piece in _pieces(client, source):
                    found.update(piece)
                    file.write(piece)
            same(found.intdigest(), digest)

        yield Work(run=run)


@contextmanager
def download_memory(address: str, *, source: str, digest: int) -> Iterator[Work]:
    """`read_all` leaves the bytes in as many pieces as there were batches; nobody joins them."""
    with fl.connect(f"grpc://{address}") as client:

        def run() -> pa.Table:
            table = client.do_get(fl.Ticket(Path(source).name.encode())).read_all()
            found = xxhash.xxh3_64()
            for chunk in table.column(0).chunks:
                found.update(chunk.buffers()[1])
            same(found.intdigest(), digest)
            return table

        yield Work(run=run)


@contextmanager
def upload_file(address: str, *, source: str) -> Iterator[Work]:
    with fl.connect(f"grpc://{address}") as client:

        def run() -> None:
            writer, _ = client.do_put(fl.FlightDescriptor.for_path("upload"), SCHEMA)
            with writer:
                for batch in batches(source):
                    writer.write_batch(batch)

        yield Work(run=run)


@contextmanager
def load(address: str, *, objects: int, count: int) -> Iterator[Work]:
    with fl.connect(f"grpc://{address}") as client:

        def operation(number: int) -> bytes:
            (result,) = client.do_action(fl.Action("load", str(number % objects).encode()))
            data: bytes = result.body.to_pybytes()
            return data

        yield one_after_another(operation, count, after=lambda data: same(data, small((count - 1) % objects)))


if __name__ == "__main__":
    server = Server(Path(sys.argv[1]))
    print(f"127.0.0.1:{server.port}", flush=True)
    server.serve()
