"""A signal to `vault-grpc serve` as process 1, at random moments from its first line on: `scripts/torture/signals`.

Each must end with 0, soon. With the same seed the moments are the same, as far as the machine lets them. Exits 1 at
the first that does not.
"""

import argparse
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from torture.signals.process_one import process_one

COMMAND = Path(sys.executable).with_name("vault-grpc")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", type=int, default=200, help="how many, each to a process of its own")
    parser.add_argument("--seed", type=int, default=None, help="a random one by default")
    parser.add_argument("--within", type=float, default=1.0, metavar="SECONDS", help="moments, after the first line")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has ignored, here and in what is started
    served = 0
    handled, took = [], []
    for number in range(arguments.signals):
        moment, workers = rng.uniform(0, arguments.within), rng.choice((1, 2))
        kind = rng.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        with tempfile.TemporaryDirectory(prefix="vault-signals-") as folder:
            began = time.monotonic()
            with process_one(COMMAND, "serve", folder, "--listen", "127.0.0.1:0", "--workers", str(workers)) as (
                starter,
                pid,
            ):
                handled.append(time.monotonic() - began)
                time.sleep(moment)
                os.kill(pid, kind)
                sent = time.monotonic()
                try:
                    out, errors = starter.communicate(timeout=60)
                except subprocess.TimeoutExpired:
                    out, errors = "", "it goes on"
                took.append(time.monotonic() - sent)
                if starter.returncode != 0 or "Traceback" in errors:
                    print(f"FAILED: signal {number}, {kind.name} after {moment:.3f} s, {workers} workers: {errors}")
                    return 1
                served += bool(out)
    print(
        f"{arguments.signals} signals, {served} to a server that served already; all ended with 0, within "
        f"{max(took):.2f} s; handled {sorted(handled)[len(handled) // 2]:.3f} s after the start (median)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
