"""The lines: who does what, and what is held against which target."""

from collections.abc import Iterator
from typing import Any, Final

from scripts.benchmarks.data import GIB, KIB, MIB
from scripts.benchmarks.table import Contender, Large, Line, Quick, Target
from scripts.benchmarks.traffic import USES

GIGABYTE: Final = {"source": Large(Quick(GIB, 32 * MIB))}
QUARTER: Final = {"source": Large(Quick(GIB // 4, 8 * MIB))}
HALF: Final = {"source": Large(Quick(512 * MIB, 64 * MIB))}
MUCH: Final = {"source": Large(Quick(4 * GIB, 256 * MIB))}
SOME: Final = {"source": Large(16 * MIB), "count": Quick(1000, 200)}
OUT: Final = {"target": "{folder}/out-{client}"}
BATCH: Final = {"objects": 1000, "batches": Quick(10, 5)}
SINGLE: Final = {"objects": 1000, "count": Quick(2000, 400)}
SHARED: Final = {"objects": 1000, "count": Quick(8000, 1600)}

NO_SUMS: Final = "it has no checksums: its client adds up XXH3-64"
NO_STORE: Final = "no storage, no protobuf: bytes as messages"
NO_GENERATIONS: Final = "no checksums, generations, request ids or feed"
NOT_DURABLE: Final = "may lose the last writes with the machine"
CORES: Final = "8 clients and the server share the machine's cores"
WAYS: Final = (("down", "download_file", {**HALF, **OUT}), ("up", "upload_file", HALF))


def those(peers: str, **more: Any) -> tuple[Contender, ...]:
    return tuple(Contender(peer, **more) for peer in peers.split())


def shown(*others: str, of: str = "Vault") -> tuple[Target, ...]:
    return tuple(Target(other, of=of) for other in others)


# Each is Line(name, title, operation, its arguments, contenders, targets); a target is
# Target(beside whom, times as fast at least, what that one leaves out).
# fmt: off
def large() -> Iterator[Line]:
    yield Line(
        "download-file", "download of 1 GiB into an open file, checksums verified", "download_file", GIGABYTE | OUT,
        those("vault flight raw boto3 obstore web tcp vault-tuned"),
        (Target("Arrow Flight", 1.3, NO_SUMS), Target("raw grpcio", 0.9, NO_STORE),
         *shown("boto3, SeaweedFS", "obstore, SeaweedFS", "FastAPI + httpx", "loopback TCP")),
        unit="s/GB", settle=True, paired=True)
    yield Line(
        "download-file-durable", "the same into a path: it appears whole, fsynced, by a rename",
        "download_file", {**GIGABYTE, **OUT, "durable": True}, those("vault flight obstore"),
        (Target("Arrow Flight", 1.0, NO_SUMS), *shown("obstore, SeaweedFS")), unit="s/GB", settle=True)
    yield Line(
        "download-memory", "download of 1 GiB into memory, in one piece, checksums verified",
        "download_memory", GIGABYTE, those("vault flight raw obstore web tcp vault-tuned"),
        (Target("Arrow Flight", 1.0, f"{NO_SUMS}, and puts its pieces into one"), Target("raw grpcio", 0.9, NO_STORE),
         *shown("obstore, SeaweedFS", "FastAPI + httpx", "loopback TCP")), unit="s/GB")
    yield Line(
        "download-pieces", "the same, left in the pieces in which it comes",
        "download_memory", {**GIGABYTE, "joined": False}, those("vault flight vault-tuned"),
        (Target("Arrow Flight", 1.0, NO_SUMS),), unit="s/GB")
    yield Line(
        "upload-file", "upload of 1 GiB from a file, on disk when it returns", "upload_file", GIGABYTE,
        those("vault flight-durable copy boto3 obstore web vault-tuned"),
        (Target("Arrow Flight, durable", 1.3, "its server writes, fsyncs, renames; no checksums, no index"),
         Target("copy + fsync", 0.75, "one process, no network, no checksums"), Target("boto3, SeaweedFS", 3.0),
         *shown("obstore, SeaweedFS", "FastAPI + httpx")), unit="s/GB", settle=True)
    for what, operation, more in (("download", "download_file", OUT), ("upload", "upload_file", {})):
        yield Line(
            f"{what}-4", f"{what} by four clients at once, a quarter each, beside one with all of it", operation, {},
            (Contender("vault", "1 client", {**GIGABYTE, **more}),
             Contender("vault", "4 clients", {**QUARTER, **more}, clients=4)),
            (Target("1 client", 1.0, of="4 clients"),), unit="s/GB", settle=True)


def far() -> Iterator[Line]:
    yield Line(
        "distance", "one transfer through a proxy that makes a round trip take 20 and 50 ms", "", {},
        tuple(Contender("vault", f"{way}, {took} ms", more, operation, f"far-{took}")
              for took in (20, 50) for way, operation, more in WAYS),
        tuple(Target(of=f"{way}, {took} ms", figure=figure, least=least, most=most)
              for took in (20, 50) for way in ("down", "up")
              for figure, least, most in (
                  ("rate", 400, None), ("client_memory", None, 64), ("server_memory", None, 64))),
        unit="s/GB", settle=True, memory=True)
    yield Line(
        "distance-tcp", "the same over real TCP, 20 ms, on four connections, beside TCP on four", "", {},
        tuple(Contender(peer, f"{name}, {way}", {**more, **also}, operation)
              for way, operation, more in WAYS
              for peer, name, also in (
                  ("vault-4", "Vault", {}), ("tcp-4", "TCP", {"durable": True} if way == "down" else {}))),
        tuple(Target(f"TCP, {way}", least, "discards what arrives, verifies nothing", of=f"Vault, {way}")
              for way, least in (("down", 0.8), ("up", 0.6))), unit="s/GB", settle=True)


def parts() -> Iterator[Line]:
    ranges = {"range of 100 bytes": {**SOME, "length": 100}, "range of 64 KiB": {**SOME, "length": 64 * KIB}}
    yield Line(
        "range", "a range of an object of 16 MiB over the wire, one after another, beside a load of 1 KiB",
        "own.read", {},
        (Contender("vault", "load of 1 KiB", SINGLE, "load"),
         *(Contender("vault", name, arguments) for name, arguments in ranges.items())),
        tuple(target for name in ranges for target in (
            Target("load of 1 KiB", of=name, most=1.5),
            Target(of=name, most=1200, note="0.4 x the 3.0 ms that it took before"))), paired=True)
    yield Line(
        "read-column", "one column of one row group of an 80 MB Parquet file, and the file's end: two ranges",
        "read_column", {"source": Large(0)}, those("vault obstore"),
        (Target("obstore, SeaweedFS", 2.0, "get_ranges; no checksums"),), unit="ms")


def small() -> Iterator[Line]:
    yield Line(
        "load-small", "load of a 1 KiB object over the wire, one after another, no cache", "load", SINGLE,
        those("vault raw flight redis"),
        (Target("raw grpcio", 0.75, NO_STORE), Target("Arrow Flight", note="do_action"), Target("Redis", note="GET")),
        paired=True)
    yield Line(
        "load-async", "the same, an asynchronous client on an asynchronous server", "load_tasks",
        {**SINGLE, "tasks": 1}, those("vault-async raw-async"),
        (Target("raw grpc.aio", 0.8, NO_STORE, of="Vault, async"),), paired=True)
    yield Line(
        "load-tasks", "64 tasks of one asynchronous client load 1 KiB objects, no cache", "load_tasks",
        {**SHARED, "tasks": 64}, those("vault-async raw-async"),
        (Target("raw grpc.aio", 5.0, f"{NO_STORE}; its calls do not share requests", of="Vault, async"),), paired=True)
    yield Line(
        "load-threads", "64 threads of one client load 1 KiB objects, no cache", "load_threads",
        {**SHARED, "threads": 64}, those("vault raw"),
        (Target("raw grpcio", 0.9, NO_STORE), Target(figure="tail", most=5), Target(of="raw grpcio", figure="tail")))
    yield Line(
        "load-cached", "load of a cached object, coherent with the server, or with other processes",
        "own.load_cached", {"count": Quick(200_000, 40_000)},
        (*those("vault-cached embedded-cached"),
         Contender("redis", "Redis GET", {"objects": 1, "count": Quick(2000, 400)}, "load")),
        (Target(of="Vault, remote", most=1.5), Target(of="Vault, embedded", most=2.0),
         *shown("Redis GET", of="Vault, remote")), paired=True)
    yield Line(
        "workers", "`serve --workers 2` against one worker, 8 clients that load 1 KiB objects, no cache",
        "load", {"objects": 100, "count": Quick(500, 100)},
        tuple(Contender("vault", name, place=name, clients=8) for name in ("1-worker", "2-workers")),
        (Target("1-worker", 1.6, CORES, of="2-workers"),))


def batches() -> Iterator[Line]:
    yield Line(
        "load-many", "load_many of 1,000 objects of 1 KiB over the wire, no cache (an object)", "load_many", BATCH,
        those("vault redis"),
        (Target(most=10), Target(figure="cpu", most=12), Target("Redis", 0.18, "MGET: a hash table in memory, in C")),
        paired=True)
    yield Line(
        "embedded-load-many", "embedded: load_many of 1,000 objects of 1 KiB, no cache (an object)", "load_many", BATCH,
        those("embedded"), (Target(most=6),), paired=True)
    yield Line(
        "upload-many", "upload_many of 1,000 objects of 1 KiB, on disk when it returns (an object)",
        "upload_many", BATCH, those("vault redis-durable"),
        (Target(most=20), Target("Redis, always", 1.2, f"pipelined SET, appendfsync always; {NO_GENERATIONS}")),
        settle=True, paired=True)
    yield Line(
        "put-folder", "vault-grpc put --recursive of 1,000 files of 4 KiB, beside upload_many of them (a file)",
        "own.put_folder", {"files": 1000},
        (Contender("vault", arguments={"command": True}), Contender("vault", "upload_many", {"command": False})),
        (Target("upload_many", 0.5),), settle=True)


def embedded() -> Iterator[Line]:
    fair = (Target(figure="spread", most=3), Target(of="diskcache, FULL", figure="spread"))
    for what, arguments, least, alone, more in (
        ("load", {"objects": 1000, "count": Quick(5000, 1000)}, 0.55, (Target(most=12),), ""),
        ("upload", {"count": Quick(1000, 200)}, 0.75, shown("one fsynced file"), "diskcache fsynced"),
        ("delete", {"count": Quick(1000, 200)}, 1.0, (), "diskcache"),
    ):
        writes = what != "load"
        beside = Target("diskcache, FULL", least, f"synchronous=FULL; {NO_GENERATIONS}")
        loose = (Target("diskcache, NORMAL", note=NOT_DURABLE),) if writes else ()
        yield Line(
            f"embedded-{what}", f"embedded: {'durable ' * writes}{what} of 1 KiB, one after another, no cache"
            f"{', once the log has grown' * writes}",
            what, arguments, those(f"embedded diskcache-full {more}"), (*alone, beside, *loose),
            settle=writes, paired=what != "delete")
        yield Line(
            f"embedded-{what}-8", f"embedded: {what}, by eight processes on one directory", what,
            {**arguments, "count": Quick(250, 50) if writes else Quick(2000, 400)},
            those("embedded diskcache-full", clients=8),
            (Target("diskcache, FULL", 1.0 if writes else least, f"synchronous=FULL; {NO_GENERATIONS}"), *fair),
            settle=writes)
    for what, said in (("update", "durable update"), ("stream", "durable upload by a writer")):
        yield Line(f"embedded-{what}", f"embedded: {said}, one after another", f"own.{what}",
                   {"count": Quick(500, 100)}, those("embedded"), settle=True)
    yield Line(
        "embedded-level", "embedded: a level of 50 prefixes over 50,000 names", "own.level",
        {"count": Quick(500, 100)}, those("embedded", place="level"), (Target(most=10),), unit="ms")
    yield Line(
        "memoize", "a hit of a memoized function: 10 kB of text", "own.memoized",
        {"size": 10_000, "count": Quick(3000, 1000)},
        (*those("embedded-cached vault-cached"), Contender("embedded", "Vault, cache=False"),
         *those("diskcache", place="memoized")), shown("diskcache, NORMAL", of="Vault, embedded"))


def whole() -> Iterator[Line]:
    yield Line(
        "memory", "growth of resident memory in a transfer of 4 GiB (256 MiB in a quick run), each side", "", MUCH,
        (Contender("vault", "upload", operation="upload_file", place="memory-up"),
         Contender("vault", "download", {**OUT, "durable": True}, "download_file", "memory-down")),
        tuple(Target(of=way, figure=f"{side}_memory", most=32)
              for way in ("upload", "download") for side in ("client", "server")),
        unit="s/GB", memory=True, once=True)
    for name, operation, arguments, most in (
        ("tls-download", "download_memory", QUARTER, 1.3),
        ("tls-upload", "upload_file", QUARTER, 1.3),
        ("tls-small", "load", SINGLE, 1.15),
    ):
        yield Line(
            name, f"{operation.replace('_', ' ')} over TLS and over a plain channel: processor time of both sides",
            operation, arguments, (Contender("vault", "TLS", place="tls"), Contender("vault", "plain")),
            (Target("plain", of="TLS", figure="cpu", most=most),), unit="µs" if operation == "load" else "s/GB")
    sizes = tuple(Contender("vault", name, place=name) for name in ("many", "few"))
    beside_few = Target("few", of="many", most=1.2)
    for what, count in (("load", 500), ("upload", 100), ("page", 50), ("name", 500), ("tag", 200)):
        yield Line(
            f"scale-{what}", f"{what}: a store of 1,000,000 objects (20,000 in a quick run) against one of 1,000",
            "own.among", {"what": what, "count": Quick(count, count // 5)}, sizes, (beside_few,))
    yield Line(
        "scale-start", "start of a server on these, from the command to the line that says where it listens",
        "own.serve", {"store": ""}, tuple(Contender("nobody", name, place=name) for name in ("many", "few")),
        (Target(of="many", most=1.0), beside_few), unit="s")
    yield Line(
        "watchers", "500 watchers of 1,000 changes a second: a change delivered to one of them", "own.watchers",
        {"store": "", "watchers": 500, "changes": Quick(2000, 500)}, those("vault", place="watched"),
        (Target(figure="server", most=2.0),))
    yield Line(
        "propagation", "from an acknowledged write in one process until another's loads show it (p50)",
        "own.propagation", {"writes": Quick(400, 40), "writer": ""},
        (Contender("vault", "one server"), Contender("vault", "two workers", place="2-workers"),
         Contender("vault", "a process beside a server", {"writer": "{folder}/few/store"}, place="few"),
         Contender("embedded", "vault.watch, two processes", {"watch": True})),
        (Target(of="one server", figure="p99"),), unit="ms", once=True)
    yield Line(
        "import", "import, and the first load of a new process: whole processes", "own.python", {"program": ""},
        (Contender("nobody", "nothing"), Contender("nobody", "grpc", {"program": "import grpc"}),
         *(Contender("nobody", f"import {name}", {"program": f"from vault import {name}"})
           for name in ("Vault", "RemoteVault")),
         Contender("embedded", "first load, embedded"), Contender("vault", "first load, remote")),
        (Target(of="import Vault", less="nothing", most=60, note="bytecode compiled"),
         Target(of="import RemoteVault", less="grpc", most=60, note="bytecode compiled; without grpc's own"),
         *(Target(of=f"first load, {kind}", less="nothing") for kind in ("embedded", "remote"))), unit="ms")
    yield Line(
        "traffic", "calls, and bytes of messages both ways, of everyday uses", "traffic.measured", {},
        tuple(Contender("nobody", what, {"what": what}) for what in USES),
        tuple(target for what, use in USES.items() for target in (
            Target(of=what, figure="calls", most=use.calls),
            Target(of=what, figure="bytes" if use.most > 8 else "times", most=use.most))), unit="ms", once=True)
# fmt: on


LINES: Final = {line.name: line for group in (large, far, parts, small, batches, embedded, whole) for line in group()}
"""Every line, by name, in the order in which they run."""
