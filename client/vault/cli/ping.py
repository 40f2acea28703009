"""The command ping: whether a vault answers, how fast, and what it is."""

import statistics
import time
from dataclasses import asdict

import click

from vault.cli.location import opened_store
from vault.cli.options import json_option, location_options
from vault.cli.output import write_fields


@click.command()
@click.option("--count", "-c", type=click.IntRange(1, 10_000), default=5, help="Round trips; 5 by default.")
@json_option
@location_options
def ping(count: int, *, as_json: bool) -> None:
    """Ask a vault who it is, several times: the shortest, median and longest round trip, and what it answers.

    Ends with 5 when nothing answers within the timeout. Connecting is not counted.
    """
    with opened_store() as store:
        answer = store.capabilities()
        taken = []
        for _ in range(count):
            began = time.perf_counter()
            answer = store.capabilities()
            taken.append((time.perf_counter() - began) * 1000)
    document = {
        "round_trips": count,
        "min_ms": round(min(taken), 3),
        "median_ms": round(statistics.median(taken), 3),
        "max_ms": round(max(taken), 3),
        **asdict(answer),
    }
    write_fields(document, as_json=as_json)
