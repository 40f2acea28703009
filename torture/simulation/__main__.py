"""Simulated servers over a store in memory, seed by seed: `scripts/torture/simulation`.

Clocks are virtual, and what happens in which order is drawn by the seed: at every await of the protocol something may
be late, be overtaken, be lost, or end with its server. What clients and watchers were told is held against one order
of all writes. With `--computing` they are vaults that compute the same values. Exits 1 at the first violation;
`--seed N --count 1` runs that one again.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

from torture.simulation import clients, computing

_AT_A_TIME = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--computing", action="store_true", help="get_or_compute, rather than a store's calls")
    arguments = parser.parse_args()
    run_some = computing.run_some if arguments.computing else clients.run_some
    end = arguments.seed + arguments.count
    starts = range(arguments.seed, end, _AT_A_TIME)
    began, total = time.monotonic(), Counter[str]()
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for figures in pool.imap_unordered(run_some, ((at, min(at + _AT_A_TIME, end)) for at in starts)):
            if isinstance(figures, str):
                print(f"FAILED: {figures}", flush=True)
                return 1
            total.update(figures)
    figures = ", ".join(f"{number} {what}" for what, number in total.items())
    print(
        f"seeds {arguments.seed} to {end - 1} in {time.monotonic() - began:.0f} s: {figures}; no violation", flush=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
