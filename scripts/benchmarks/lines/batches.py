"""A thousand small objects in one call, or of one command."""

from scripts.benchmarks.harness import Bench, Contender
from scripts.benchmarks.outcome import Outcome, line, ratios

OBJECTS = {"objects": 1000}


@line("load-many", "load_many of 1,000 objects of 1 KiB, no cache (per object)")
def load_many(bench: Bench) -> Outcome:
    series = bench.compare(
        [
            Contender(name="Vault", side="ours.load_many", place="vault", arguments=OBJECTS),
            Contender(name="redis-py MGET", side="redispy.load_many", place="redis", arguments=OBJECTS),
        ]
    )
    return Outcome(series=series, verdicts=ratios(series, {"redis-py MGET": 1.0}))


@line("upload-many", "upload_many of 1,000 objects of 1 KiB, on disk when it returns (per object)")
def upload_many(bench: Bench) -> Outcome:
    peer = "redis-py pipelined SET, appendfsync always"
    series = bench.compare(
        [
            Contender(name="Vault", side="ours.upload_many", place="vault", arguments=OBJECTS),
            Contender(name=peer, side="redispy.upload_many", place="redis-durable", arguments=OBJECTS),
        ],
        settle=True,
    )
    return Outcome(series=series, verdicts=ratios(series, {peer: 1.0}))


@line("put-folder", "vault-grpc put --recursive of 1,000 files of 4 KiB, beside upload_many of them (per file)")
def put_folder(bench: Bench) -> Outcome:
    files = {"files": 1000}
    beside = "Vault.upload_many of the same files"
    series = bench.compare(
        [
            Contender(name="Vault", side="ours.put_folder", place="vault", arguments=files),
            Contender(name=beside, side="ours.upload_folder", place="vault", arguments=files),
        ],
        settle=True,
    )
    return Outcome(series=series, verdicts=ratios(series, {beside: 0.5}))
