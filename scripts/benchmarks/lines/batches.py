"""A thousand objects of 1 KiB in one call."""

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
