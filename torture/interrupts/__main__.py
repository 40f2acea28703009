"""An interrupt at every point of every call, embedded and remote: `scripts/torture/interrupts`.

For each of the calls, a KeyboardInterrupt at each point at which the interpreter could deliver one within Vault's own
code (and the standard library's, called by it), one a run, each on a new vault. Afterwards, while the exception is
still handled: calls of each kind work, a fork's child works (embedded, every tenth), `close` ends, nothing that was
acknowledged is lost, no object is half there, and the cache counts no ticket that nobody has; all within 20 seconds.
Exits 1 at the first that does not hold.
"""

import argparse
import gc
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.vault.places import Place
from torture.interrupts.calls import CALLS
from torture.interrupts.harness import attempt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kind", choices=["embedded", "remote"], action="append", help="may be repeated; both by default"
    )
    parser.add_argument("--call", choices=CALLS, action="append", help="may be repeated; all by default")
    parser.add_argument("--within", choices=["own", "grpc"], default="own", help="whose code is interrupted")
    parser.add_argument("--every", type=int, default=1, help="of the points, one in so many, from a random one on")
    parser.add_argument("--seed", type=int, default=None, help="a random one by default")
    parser.add_argument("--directory", help="where the files go; a temporary directory by default")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    sys.unraisablehook = lambda _: None  # an interrupt that comes in a finalizer is told by Python, and thrown away
    gc.freeze()
    for kind in arguments.kind or ["embedded", "remote"]:
        for call in arguments.call or CALLS:
            begun = time.monotonic()
            folder = Path(tempfile.mkdtemp(prefix=f"vault-interrupts-{kind}-", dir=arguments.directory))
            place = Place(kind, folder)
            whole = attempt(place, call, 0, folder, within=arguments.within)
            first = random.Random(f"{seed} {kind} {call}").randrange(arguments.every) + 1  # to be repeated
            points = range(first, whole.count + 1, arguments.every)
            for point in points:
                fork = kind == "embedded" and point % 10 == 0
                trial = attempt(place, call, point, folder, fork=fork, within=arguments.within)
                if trial.problem:
                    print(f"FAILED: {kind}, {trial}; the store is in {folder}", flush=True)
                    os._exit(1)  # some thread may hang
            print(f"{kind} {call}: {len(points)} of {whole.count} points, {time.monotonic() - begun:.0f} s", flush=True)
            place.close()
            shutil.rmtree(folder)
    print("nothing hung, nothing was lost, nothing was left behind")
    return 0


if __name__ == "__main__":
    sys.exit(main())
