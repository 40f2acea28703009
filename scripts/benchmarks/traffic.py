"""Calls and bytes that everyday uses take over the wire.

Counted between a client and its server, message by message: what gRPC and TCP add is not in it.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from vault import BytesWrapper, Vault
from vault_server import EmbeddedStore, Server, StoreOptions

from scripts.benchmarks.data import MIB, make_source, same
from scripts.benchmarks.work import Work
from torture.hostile_server.server import HostileServer

LARGE = bytes(range(250)) * 40_000
"""10 MB."""

STRUCTURE = {"files": (BytesWrapper, 0), "folders": (BytesWrapper, 0), "small": (BytesWrapper, 0)}


class Counting(HostileServer):
    """An honest server between a client and its server, which counts calls by method, and bytes of messages."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.reset()
        self.bend = self._count

    def reset(self) -> None:
        self.calls: Counter[str] = Counter()
        self.moved = 0

    def _handler(self, path: str, name: str, forward: Any) -> Any:
        def counted(request: Any) -> Any:
            self.calls[name] += 1
            streamed = self._each([request] if isinstance(request, bytes) else request)
            return forward(next(streamed) if isinstance(request, bytes) else streamed)

        return super()._handler(path, name, counted)

    def _each(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        for raw in messages:
            self.moved += len(raw)
            yield raw

    def _count(self, _method: str, replies: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        return self._each(replies)


@dataclass(frozen=True)
class Use:
    """Something done.

    Attributes:
        run: Does it. What it returns is looked at.
        expected: What that is, None where it is how many bytes are wanted.
        prepare: Puts in what it needs, uncounted.
        calls: It takes so many, at most.
        most: It moves so many bytes at most, or so many times what is wanted.
    """

    run: Callable[[Vault], Any]
    expected: Any = None
    prepare: Callable[[Vault], object] = lambda _: None
    calls: int = 1
    most: float = 1024


def large(vault: Vault) -> None:
    vault.upload("files", BytesWrapper(LARGE), name="large")


def table(vault: Vault) -> None:
    with tempfile.TemporaryDirectory() as folder:
        vault.upload_file("files", make_source(Path(folder) / "table.parquet", 0).path, name="table.parquet")


def column(vault: Vault) -> int:
    import pyarrow.parquet as pq

    with vault.open("files", "table.parquet") as reader:
        file = pq.ParquetFile(reader)
        same(file.read_row_group(0, columns=["c2"]).num_rows, file.metadata.row_group(0).num_rows)
        size: int = file.metadata.row_group(0).column(2).total_compressed_size
    return size


def folders(vault: Vault) -> None:
    for first in range(0, 50_000, 10_000):
        names = [f"folder-{number % 50:02}/{number}" for number in range(first, first + 10_000)]
        vault.upload_many("folders", [BytesWrapper(b"x")] * len(names), names=names)


def huge(vault: Vault) -> None:
    with vault.open_writer("files", name="huge") as writer:
        for _ in range(256):
            writer.write(LARGE[:MIB])


def hundreds(folder: str) -> dict[str, BytesWrapper]:
    return {f"{folder}/{number:03}": BytesWrapper(b"x" * 100) for number in range(500)}


def named(vault: Vault) -> None:
    vault.put_many("small", hundreds("old"))


MOVES = {f"old/{number:03}": f"moved/{number:03}" for number in range(500)}
TWENTY = [(number * 400_000 + 17, 100) for number in range(20)]

USES = {
    "a small overwrite by name": Use(
        lambda vault: vault.put("small", "old/007", BytesWrapper(b"y" * 100), tags={"k": "v"}).size, 100, named
    ),
    "500 objects of 100 bytes put": Use(
        lambda vault: sum(info.size for info in vault.put_many("small", hundreds("new"))), most=4
    ),
    'a "directory" of 500 renamed': Use(
        lambda vault: len(vault.rename_many("small", MOVES)), 500, named, most=150_000
    ),
    "100 bytes of 10 MB": Use(
        lambda vault: vault.read("files", "large", offset=5_000_000, length=100), LARGE[5_000_000:5_000_100], large
    ),
    "the last 8 bytes of 10 MB": Use(lambda vault: vault.read("files", "large", offset=-8), LARGE[-8:], large),
    "20 ranges of 100 bytes of 10 MB": Use(
        lambda vault: vault.read_ranges("files", "large", TWENTY),
        [LARGE[at : at + size] for at, size in TWENTY], large, most=4096,
    ),
    "a level of 50 prefixes over 50,000 names": Use(
        lambda vault: len(vault.list_level("folders").prefixes), 50, folders, most=4096
    ),
    "one column of one row group of an 80 MB Parquet file": Use(column, None, table, calls=4, most=1.2),
    "a copy of 256 MiB": Use(lambda vault: vault.copy("files", "huge", "copy").size, 256 * MIB, huge),
}  # fmt: skip


def measured(*, what: str) -> Work:
    """With a store, a server and what counts in this process."""
    use, stack = USES[what], ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vault-traffic-"))
    store = stack.enter_context(EmbeddedStore(Path(folder) / "store", StoreOptions(durability="relaxed")))
    counting = stack.enter_context(Counting(stack.enter_context(Server(store)).address))
    vault = stack.enter_context(Vault(f"grpc://{counting.address}", STRUCTURE, cache=False))

    def before() -> None:
        use.prepare(vault)
        counting.reset()

    def after(found: Any) -> dict[str, float]:
        figures: dict[str, float] = {"calls": counting.calls.total(), "bytes": counting.moved}
        if use.expected is None:
            return {**figures, "times": counting.moved / found}
        same(found, use.expected)
        return figures

    return Work(run=lambda: use.run(vault), before=before, after=after, end=stack.close)
