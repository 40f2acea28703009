"""A store's directory moved, replaced and put back under its writers, for minutes: `scripts/torture/moving`.

Two processes with the store embedded and a client of a server write, while the directory is renamed, with nothing,
another store, a copy or an empty folder in its place, and renamed back. Nothing may be acknowledged meanwhile, nothing
written to what is in its place, and in the end all that was acknowledged must be there and whole. Exits 1 at the first
violation, and leaves everything where it says.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from torture.moving.harness import moving


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=None, help="a random one by default")
    parser.add_argument("--seconds", type=float, default=20, help="of a round")
    parser.add_argument("--directory", help="where the files go; a temporary directory by default")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    ends = time.monotonic() + 60 * arguments.minutes
    number = 0
    while time.monotonic() < ends:
        folder = Path(tempfile.mkdtemp(prefix="vault-moving-", dir=arguments.directory))
        try:
            figures = moving(folder, seed + number, arguments.seconds)
        except Exception:  # noqa: BLE001  # a broken promise, or a harness that failed: both are told
            traceback.print_exc()
            print(f"FAILED: seed {seed + number}; everything is in {folder}", flush=True)
            return 1
        print(figures, flush=True)
        shutil.rmtree(folder)
        number += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
