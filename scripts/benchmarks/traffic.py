"""Calls and bytes that everyday uses take over the wire: `python -m scripts.benchmarks.traffic`.

Counted between a client and its server, message by message: what gRPC and TCP add is not in it.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from vault import Vault
from vault.wrappers import BytesWrapper
from vault_server import EmbeddedStore, Server, StoreOptions

from torture.hostile_server.server import HostileServer

LARGE = bytes(range(250)) * 40_000
"""10 MB."""

STRUCTURE = {"files": (BytesWrapper, 0), "folders": (BytesWrapper, 0), "small": (BytesWrapper, 0)}


class Counting(HostileServer):
    """An honest server between a client and its server, which counts.

    Attributes:
        calls: By method.
        sent, received: Bytes of messages, as the client sees them.
    """

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.reset()
        self.bend = self._count

    def reset(self) -> None:
        self.calls: Counter[str] = Counter()
        self.sent = self.received = 0

    def _handler(self, path: str, name: str, forward: Any) -> Any:
        return super()._handler(path, name, lambda request: forward(self._counted(name, request)))

    def _counted(self, name: str, request: Any) -> Any:
        self.calls[name] += 1
        if not isinstance(request, bytes):
            return self._each(request)
        self.sent += len(request)
        return request

    def _each(self, requests: Iterable[bytes]) -> Iterator[bytes]:
        for raw in requests:
            self.sent += len(raw)
            yield raw

    def _count(self, _method: str, replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for raw in replies:
            self.received += len(raw)
            yield raw


@dataclass(frozen=True)
class Line:
    """One use.

    Attributes:
        what: As the table says it.
        run: Does it, once what it needs is there. Returns how many bytes it wants, None where that is not the point.
        calls: It takes so many, at most.
        most: It moves so many times what it wants, or so many bytes where it does not say, at most; None: no target.
        prepare: Puts in what it needs, uncounted.
    """

    what: str
    run: Callable[[Vault], int | None]
    calls: int
    most: float | None = None
    prepare: Callable[[Vault], object] = lambda _: None


def _large(vault: Vault) -> None:
    if not vault.exists("files", "large"):
        vault.upload("files", BytesWrapper(LARGE), name="large")


def _part(vault: Vault) -> None:
    assert vault.read("files", "large", offset=5_000_000, length=100) == LARGE[5_000_000:5_000_100]


def _end(vault: Vault) -> None:
    assert vault.read("files", "large", offset=-8) == LARGE[-8:]


def _twenty(vault: Vault) -> None:
    ranges = [(number * 400_000 + 17, 100) for number in range(20)]
    assert vault.read_ranges("files", "large", ranges) == [LARGE[at : at + size] for at, size in ranges]


def _table(vault: Vault) -> None:
    """Five columns of two million floats, as pyarrow writes it: in row groups of 1,048,576."""
    rng = np.random.default_rng(1)
    table = pa.table({f"c{number}": rng.random(2_000_000) for number in range(5)})
    with vault.open_writer("files", name="table.parquet") as writer:
        pq.write_table(table, writer, compression="none")


def _column(vault: Vault) -> int:
    with vault.open("files", "table.parquet") as reader:
        file = pq.ParquetFile(reader)
        column = file.read_row_group(0, columns=["c2"])
        size: int = file.metadata.row_group(0).column(2).total_compressed_size
    assert column.num_rows == file.metadata.row_group(0).num_rows
    return size


def _folders(vault: Vault) -> None:
    names = [f"folder-{number % 50:02}/{number}" for number in range(50_000)]
    for first in range(0, len(names), 10_000):
        some = names[first : first + 10_000]
        vault.upload_many("folders", [BytesWrapper(b"x")] * len(some), names=some)


def _level(vault: Vault) -> None:
    assert len(vault.list_level("folders").prefixes) == 50


def _huge(vault: Vault) -> None:
    """1 GiB."""
    with vault.open_writer("files", name="huge") as writer:
        for _ in range(1024):
            writer.write(LARGE[: 1 << 20])


def _copy(vault: Vault) -> None:
    assert vault.copy("files", "huge", "copy").size == 1 << 30


def _named(vault: Vault) -> None:
    vault.put_many("small", {f"old/{number:03}": BytesWrapper(b"x" * 100) for number in range(500)})


def _overwrite(vault: Vault) -> None:
    assert vault.put("small", "old/007", BytesWrapper(b"y" * 100), tags={"k": "v"}).size == 100


def _put_many(vault: Vault) -> int:
    objects = {f"new/{number:03}": BytesWrapper(b"x" * 100) for number in range(500)}
    return sum(info.size for info in vault.put_many("small", objects))


def _rename(vault: Vault) -> None:
    names = {f"old/{number:03}": f"moved/{number:03}" for number in range(500)}
    assert len(vault.rename_many("small", names)) == 500


LINES = [
    Line("a small overwrite by name", _overwrite, calls=1, most=1024, prepare=_named),
    Line("500 small objects put", _put_many, calls=1, most=4),
    Line('a "directory" of 500 renamed', _rename, calls=1, most=150_000, prepare=_named),
    Line("100 bytes of 10 MB", _part, calls=1, most=1024, prepare=_large),
    Line("the last 8 bytes of 10 MB", _end, calls=1, most=1024, prepare=_large),
    Line("20 ranges of 100 bytes of 10 MB", _twenty, calls=1, most=4096, prepare=_large),
    Line("a level of 50 prefixes over 50,000 names", _level, calls=1, most=4096, prepare=_folders),
    Line("one column of one row group of an 80 MB Parquet file", _column, calls=4, most=1.2, prepare=_table),
    Line("a copy of 1 GiB", _copy, calls=1, most=1024, prepare=_huge),
]


def measure(line: Line, vault: Vault, counting: Counting) -> tuple[str, bool]:
    """A line of the table, and whether it is within its targets."""
    line.prepare(vault)
    counting.reset()
    wanted = line.run(vault)
    calls, moved = counting.calls.total(), counting.sent + counting.received
    size = moved if wanted is None else moved / wanted
    met = calls <= line.calls and (line.most is None or size <= line.most)
    named = ", ".join(f"{count} {name}" for name, count in counting.calls.items())
    told = f"{moved:,}" if wanted is None else f"{moved:,}, {size:.3f} x {wanted:,}"
    return f"| {line.what} | {calls} ({named}) | {told} | {'' if met else '**missed**'} |", met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="TEXT", default="", help="the lines that have this in them")
    only: str = parser.parse_args().only
    print("| | calls | bytes | |\n| --- | --- | ---: | --- |")
    met = True
    with (
        tempfile.TemporaryDirectory(prefix="vault-traffic-") as folder,
        EmbeddedStore(Path(folder), StoreOptions(durability="relaxed")) as store,
        Server(store) as server,
        Counting(server.address) as counting,
        Vault(f"grpc://{counting.address}", STRUCTURE, cache=False) as vault,
    ):
        for line in LINES:
            if only in line.what:
                text, within = measure(line, vault, counting)
                print(text, flush=True)
                met &= within
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
