"""Objects of 1 KiB in this machine's own directory: by one process, and by eight on one directory."""

from collections.abc import Mapping

from scripts.benchmarks.harness import Bench, Contender
from scripts.benchmarks.outcome import Outcome, Verdict, line, ratios

PROCESSES = 8
DISKCACHE, DURABLE, FSYNCED = "diskcache", "diskcache, durable", "one fsynced file"


def _load(bench: Bench, clients: int) -> Outcome:
    arguments = {"objects": 1000, "count": max(500, bench.scaled(5000) // clients)}
    series = bench.compare(
        [
            Contender(
                name="Vault", side="ours.embedded_load", place=bench.folder / "embedded", arguments=arguments,
                clients=clients,
            ),
            Contender(
                name=DISKCACHE, side="disk.load", place=bench.folder / "diskcache", arguments=arguments, clients=clients
            ),
        ]
    )  # fmt: skip
    return Outcome(series=series, verdicts=ratios(series, {DISKCACHE: 1.0}))


def _write(bench: Bench, what: str, clients: int, targets: Mapping[str, float | None]) -> Outcome:
    arguments = {"count": max(50, bench.scaled(500) // clients)}
    sides = [
        ("Vault", f"ours.embedded_{what}", "embedded", arguments),
        (DISKCACHE, f"disk.{what}", "diskcache", {**arguments, "durable": False}),
        (DURABLE, f"disk.{what}", "diskcache", {**arguments, "durable": True}),
    ]
    if FSYNCED in targets:
        sides.append((FSYNCED, f"disk.{what}_fsynced", "fsynced", arguments))
    series = bench.compare(
        [
            Contender(name=name, side=side, place=bench.folder / place, arguments=given, clients=clients)
            for name, side, place, given in sides
        ],
        settle=True,
    )
    return Outcome(series=series, verdicts=ratios(series, targets))


def _write_alone(bench: Bench, what: str) -> Outcome:
    """What no peer has: for `--against`."""
    ours = Contender(
        name="Vault", side=f"ours.embedded_{what}", place=bench.folder / "embedded",
        arguments={"count": max(50, bench.scaled(500))},
    )  # fmt: skip
    return Outcome(series=bench.compare([ours], settle=True))


@line("embedded-load", "embedded: load from the register, no cache")
def load(bench: Bench) -> Outcome:
    return _load(bench, 1)


@line("embedded-load-8", "the same by eight processes")
def load_8(bench: Bench) -> Outcome:
    return _load(bench, PROCESSES)


@line("embedded-level", "embedded: a level of 50 prefixes over 50,000 names")
def level(bench: Bench) -> Outcome:
    arguments = {"names": 50_000, "prefixes": 50, "count": bench.scaled(500)}
    series = bench.compare(
        [Contender(name="Vault", side="ours.embedded_level", place=bench.folder / "level", arguments=arguments)]
    )
    target = Verdict(what="a level", value=series[0].seconds * 1000, unit="ms", target=10.0, at_most=True)
    return Outcome(series=series, verdicts=[target])


@line("embedded-upload", "embedded: durable upload, one after another")
def upload(bench: Bench) -> Outcome:
    return _write(bench, "upload", 1, {FSYNCED: 3.0, DURABLE: None, DISKCACHE: None})


@line("embedded-upload-8", "the same by eight processes")
def upload_8(bench: Bench) -> Outcome:
    return _write(bench, "upload", PROCESSES, {FSYNCED: 3.0, DURABLE: None, DISKCACHE: None})


@line("embedded-stream", "embedded: durable upload through a writer, one after another")
def stream(bench: Bench) -> Outcome:
    return _write_alone(bench, "stream")


@line("embedded-update", "embedded: durable update, one after another")
def update(bench: Bench) -> Outcome:
    return _write_alone(bench, "update")


@line("embedded-delete", "embedded: delete, one after another (diskcache's own setting is not durable)")
def delete(bench: Bench) -> Outcome:
    return _write(bench, "delete", 1, {DURABLE: 1.0, DISKCACHE: None})


@line("embedded-delete-8", "the same by eight processes")
def delete_8(bench: Bench) -> Outcome:
    return _write(bench, "delete", PROCESSES, {DURABLE: 1.0, DISKCACHE: None})
