"""Power loss at every system call of the commit protocol: `scripts/torture/powerloss`.

Records real processes with strace, opens what a disk may have kept of each beginning of the recording, and audits it.
Some minutes. As root, or where strace may trace. Exits 1 when something is wrong.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

from torture.powerloss.replay import record_scenario, replay
from torture.powerloss.scenario import SCENARIOS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--samples", type=int, default=1 << 30, help="points besides the boundaries, in each scenario")
    parser.add_argument("--dice", type=int, default=4, help="random states at each point, for each rule of names")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    os.umask(0o077)  # a state is as private as a store, which warns of what others can read
    failed = False
    for name in options.scenario or SCENARIOS:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            work = Path(folder)
            history = record_scenario(name, work)
            found = replay(
                history,
                SCENARIOS[name],
                work,
                seed=options.seed,
                samples=options.samples,
                dice_per_point=options.dice,
            )
        print(
            f"{name}: {len(history.events)} events, {found.points} points, {found.states} states, "
            f"{found.wasted} with a wasted file, {len(found.wrong)} wrong"
        )
        for line in found.wrong:
            print(f"    {line}")
        failed = failed or bool(found.wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()
