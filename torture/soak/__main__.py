"""Hundreds of clients and watchers for minutes, then a count of what is left of them: `scripts/torture/soak`.

A first round, a tenth as long, settles everything in (pools of threads, the allocator, lazy imports); what
stays after the long one and was not there after the first has leaked. Memory may be a quarter and 32 MiB above
what it was. Every watcher must have been told of every change of its unit, once; every read must show the bytes
that were written; every edit of the counters must count. Exits 1 when not.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from torture.soak.harness import Load, soak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5, help="of the long round")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--watchers", type=int, default=500)
    parser.add_argument("--units", type=int, default=20, help="that they are spread over")
    parser.add_argument("--processes", type=int, default=4, help="of clients; the last has threads, others tasks")
    parser.add_argument("--pause", type=float, default=2.0, help="mean seconds between two calls of a client")
    parser.add_argument("--seed", type=int, default=None, help="a random one by default")
    parser.add_argument("--directory", help="where the files go; a temporary directory by default")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    load = Load(
        arguments.clients,
        arguments.watchers,
        60 * arguments.minutes,
        seed,
        arguments.processes,
        arguments.units,
        arguments.pause,
    )
    print(load, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="vault-soak-", dir=arguments.directory))
    soaked = soak(folder, load)
    print(soaked)
    if soaked.problems:
        print("\n".join(soaked.problems[:50]))
        print(f"FAILED: {len(soaked.problems)} problems with {load}; the store is in {folder}")
        return 1
    shutil.rmtree(folder)
    print("nothing leaked, nothing failed, nothing missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
