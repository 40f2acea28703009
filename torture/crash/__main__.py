"""Hundreds of crashes: `scripts/torture/crash`.

Prints what each pass looked at, and the seed. With the same seed clients do the same, as far as the machine
lets them; when a kill falls differs by a little each time. Exits 1 at the first promise that was broken, and
leaves the store and the journals where it says, for a look.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from torture.crash.audit import Figures
from torture.crash.harness import Plan, crash_embedded, crash_server

PASSES: Final[dict[str, Callable[[Path, Plan], tuple[Figures, int]]]] = {
    "server": crash_server,
    "embedded": crash_embedded,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=200, help="kills, of each kind")
    parser.add_argument("--seed", type=int, default=None, help="a random one by default")
    parser.add_argument("--clients", type=int, default=6, help="owners that write at the same time")
    parser.add_argument("--minutes", type=float, help="no new cycle after these, of each kind")
    parser.add_argument("--what", choices=PASSES, action="append", help="may be repeated; both by default")
    parser.add_argument("--directory", help="where the files go; a temporary directory by default")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    plan = Plan(arguments.cycles, seed, arguments.clients, arguments.minutes)
    print(f"seed {seed}", flush=True)
    for name in arguments.what or PASSES:
        folder = Path(tempfile.mkdtemp(prefix=f"vault-crash-{name}-", dir=arguments.directory))
        begun = time.monotonic()
        try:
            figures, loads = PASSES[name](folder, plan)
        except Exception:  # noqa: BLE001  # a broken promise, or a harness that failed: both are told
            traceback.print_exc()
            print(f"FAILED: {name}, {plan}; store and journals are in {folder}", flush=True)
            return 1
        print(f"{name}: {figures}, {loads} reads compared, in {time.monotonic() - begun:.0f} s", flush=True)
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
