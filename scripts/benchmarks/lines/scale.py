"""A store of a million objects against one of a thousand."""

import statistics
import time
from pathlib import Path

from vault.store.specs import SmallUpload, UploadSpec
from vault.store.values import checksum
from vault_server.storage import EmbeddedStore, StoreOptions

from scripts.benchmarks.harness import Bench, Contender, Series
from scripts.benchmarks.outcome import Outcome, Verdict, line
from scripts.benchmarks.servers import vault_server

FEW, MANY, MANY_QUICKLY = 1000, 1_000_000, 20_000
DATA = b"an object of a few bytes, as there are a million of"
CALLS = {"load": 500, "upload": 100, "page": 50, "name": 500, "tag": 200}


def fill(directory: Path, objects: int) -> None:
    """Ids from 1 on, each with a name, and a tag that ten of them share."""
    summed = checksum(DATA)
    with EmbeddedStore(directory, StoreOptions(durability="relaxed")) as store:
        for first in range(1, objects + 1, 1000):
            store.upload_many(
                "bench",
                [
                    SmallUpload(
                        UploadSpec(data_id, name=f"object-{data_id}", tags={"ten": str((data_id - 1) // 10)}),
                        DATA,
                        summed,
                    )
                    for data_id in range(first, min(first + 1000, objects + 1))
                ],
            )


def start_seconds(bench: Bench, stores: dict[int, Path]) -> dict[int, float]:
    """From the command to the line that says where it listens; in turn."""
    times: dict[int, list[float]] = {objects: [] for objects in stores}
    for number in range(bench.runs + 1):
        for objects, store in stores.items():
            began = time.perf_counter()
            with vault_server(store=store)(bench.folder / f"start-{objects}"):
                if number:
                    times[objects].append(time.perf_counter() - began)
    return {objects: statistics.median(seconds) for objects, seconds in times.items()}


@line("scale", "a store of 1,000,000 objects (20,000 in a quick run) against one of 1,000: what each call takes")
def scale(bench: Bench) -> Outcome:
    many = MANY_QUICKLY if bench.quick else MANY
    stores = {objects: bench.folder / f"store-{objects}" for objects in (FEW, many)}
    for objects, store in stores.items():
        fill(store, objects)
    starts = start_seconds(bench, stores)
    verdicts = [
        Verdict(what=f"start, {many:,} objects", value=starts[many], unit="s", target=1.0, at_most=True),
        Verdict(what="start", value=starts[many] / starts[FEW], target=1.2, at_most=True),
    ]
    for objects, store in stores.items():
        bench.start(f"store of {objects}", vault_server(store=store))
    series: list[Series] = []
    for what, count in CALLS.items():
        few, lot = bench.compare(
            [
                Contender(
                    name=f"{what}, {objects:,} objects",
                    side="ours.among_many",
                    place=f"store of {objects}",
                    arguments={"what": what, "objects": objects, "count": bench.scaled(count)},
                )
                for objects in stores
            ]
        )
        series += [few, lot]
        verdicts.append(Verdict(what=what, value=lot.seconds / few.seconds, target=1.2, at_most=True))
    return Outcome(series=series, verdicts=verdicts)
