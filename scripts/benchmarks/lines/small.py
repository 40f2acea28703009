"""Objects of 1 KiB, one after another, cached, from many threads and from many clients."""

from scripts.benchmarks.harness import Bench, Contender
from scripts.benchmarks.outcome import Outcome, Verdict, line, ratios
from scripts.benchmarks.servers import vault_server

OBJECTS = 1000
THREADS = 64
CLIENTS = 16


@line("load-small", "load of a 1 KiB object over the wire, one after another, no cache")
def load_small(bench: Bench) -> Outcome:
    arguments = {"objects": OBJECTS, "count": bench.scaled(2000)}
    series = bench.compare(
        [
            Contender(name="Vault", side="ours.load", place="vault", arguments=arguments),
            Contender(name="Arrow Flight do_action", side="flight.load", place="flight", arguments=arguments),
            Contender(name="raw grpcio unary", side="identity.load", place="identity", arguments=arguments),
            Contender(name="redis-py GET", side="redispy.load", place="redis", arguments=arguments),
        ]
    )
    targets = {"Arrow Flight do_action": 1.0, "raw grpcio unary": 0.9, "redis-py GET": 0.5}
    return Outcome(series=series, verdicts=ratios(series, targets))


@line("load-cached", "load of a cached object, coherent with the server")
def load_cached(bench: Bench) -> Outcome:
    series = bench.compare(
        [
            Contender(name="Vault", side="ours.load_cached", place="vault", arguments={"count": bench.scaled(200_000)}),
            Contender(
                name="redis-py GET",
                side="redispy.load",
                place="redis",
                arguments={"objects": 1, "count": bench.scaled(2000)},
            ),
        ]
    )
    microseconds = series[0].seconds * 1e6
    verdicts = ratios(series, {"redis-py GET": 100.0})
    verdicts.append(Verdict(what="a load", value=microseconds, unit="µs", target=3.0, at_most=True))
    return Outcome(series=series, verdicts=verdicts)


@line("load-threads", f"{THREADS} threads of one client load 1 KiB objects, no cache")
def load_threads(bench: Bench) -> Outcome:
    arguments = {"objects": OBJECTS, "count": bench.scaled(8000), "threads": THREADS}
    series = bench.compare(
        [
            Contender(name="Vault", side="ours.load_threads", place="vault", arguments=arguments),
            Contender(name="raw grpcio", side="identity.load_threads", place="identity", arguments=arguments),
        ]
    )
    tails = []
    for one in series:
        middle, tail = one.percentile("p50"), one.percentile("p99")
        if middle and tail:
            target = 5.0 if one.name == "Vault" else None
            tails.append(
                Verdict(what=f"{one.name}: p99 / p50", value=tail / middle, unit="", target=target, at_most=True)
            )
    return Outcome(series=series, verdicts=[*ratios(series, {"raw grpcio": 0.9}), *tails])


@line("workers", f"`serve --workers 2` against one worker, {CLIENTS} clients that load 1 KiB objects, no cache")
def workers(bench: Bench) -> Outcome:
    names = {1: "1 worker", 2: "2 workers"}
    for number, name in names.items():
        bench.start(name, vault_server("--workers", str(number)))
    arguments = {"objects": 100, "count": bench.scaled(500)}
    series = bench.compare(
        [
            Contender(name=name, side="ours.load", place=name, arguments=arguments, clients=CLIENTS)
            for name in names.values()
        ]
    )
    busy = [
        f"{one.name}: {one.cpu('client') / one.seconds:.2f} cores for the clients, "
        f"{one.cpu('server') / one.seconds:.2f} for the server"
        for one in series
    ]
    return Outcome(series=series, verdicts=ratios(series, {names[1]: 1.6}, ours=names[2]), notes=busy)
