"""A fault at every system call in turn, injected with strace into a real process: `scripts/torture/system_calls`.

EIO, ENOSPC, EMFILE, SIGKILL; some minutes. As root, or where strace may trace. Exits 1 when something acknowledged is
lost, or anything else is wrong.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from torture.system_calls.stage import Stage
from torture.system_calls.sweep import CASES, FAULTS, NEVER, sweep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, default=NEVER, help="calls of each kind to try, at random")
    parser.add_argument("--fault", choices=FAULTS, action="append")
    parser.add_argument("--call", action="append", help="of the system; all by default")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    random.seed(options.seed)
    print(f"seed {options.seed}")
    failed = False
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder, Stage() as stage:
        for fault, call in CASES:
            if fault not in (options.fault or FAULTS) or call not in (options.call or [call]):
                continue
            plays = injected = refused = 0
            for number, played, wrong in sweep(stage, Path(folder), fault, call, options.numbers):
                plays += 1
                injected += played.injected
                refused += len(played.refused)
                for line in wrong:
                    failed = True
                    print(f"    {fault} at {call} {number}: {line}")
            print(f"{fault} at {call}: {plays} plays, {injected} faults, {refused} calls refused", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
