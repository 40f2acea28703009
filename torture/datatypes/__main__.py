"""Each Datatype under values at random, changed bytes and bombs, for as long as it is let.

python -m torture.datatypes --minutes 5
"""

import argparse
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from torture.datatypes.bombs import outcomes
from torture.datatypes.damage import damaged
from torture.datatypes.fidelity import CASES, tried

LOADS = 1000  # in a process, of changed bytes
EXAMPLES = 100  # of a case, in a round
ALLOWED, SIZE = 512 << 20, 640 << 20


def bombs() -> bool:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        seen = outcomes(SIZE, ALLOWED, Path(folder))
    for name, (stored, grown, outcome) in seen.items():
        print(f"{name:28} {stored:>10,} bytes stored, memory grew by {grown >> 20:>4} MiB: {outcome[:100]}")
    return all(outcome != "loaded" and grown < SIZE // 2 for _, grown, outcome in seen.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/torture/datatypes", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    start = random.randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {start}", flush=True)
    chance = random.Random(start)
    warnings.simplefilter("ignore")  # of pandas' and NumPy's future, and Pillow's of large images
    if not bombs():
        return 1
    end = time.monotonic() + 60 * options.minutes
    kept: dict[str, Counter[str]] = {name: Counter() for name in CASES}
    loads: Counter[str] = Counter()
    peak = 0
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory() as folder:
            counts = damaged(chance.randrange(1 << 32), LOADS, Path(folder))
        peak = max(peak, counts.pop("peak"))
        loads.update(counts)
        for name, case in CASES.items():
            if time.monotonic() > end:
                break
            kept[name] += tried(case, EXAMPLES, chance.randrange(1 << 32))
    for name, counted in kept.items():
        print(f"{name:10} {counted['came back']:>8,} came back, {counted['refused']:>8,} refused, 0 changed")
    refused = sum(count for name, count in loads.items() if name.endswith("refused"))
    loaded = sum(count for name, count in loads.items() if name.endswith("loaded"))
    print(f"changed bytes: {refused:,} refused, {loaded:,} loaded as values; peak {peak >> 20} MiB; no process ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
