"""Histories of concurrent clients, for minutes: `scripts/torture/linearizability`.

Rounds of some seconds, each with a server of its own that is killed meanwhile, then checked: writes, and with
"strict" reads too, are linearizable; with "watch" each client reads its own writes and never goes back, and
reads are no later than changes need to be told. With the same seed clients do the same, as far as the machine
lets them. Exits 1 at the first violation, and leaves the store and the history where it says.
"""

import argparse
import dataclasses
import json
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from torture.linearizability.judge import Judgement, judge, percentile
from torture.linearizability.record import Setting, record


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5, help="for each consistency")
    parser.add_argument("--seed", type=int, default=None, help="a random one by default")
    parser.add_argument("--consistency", choices=("strict", "watch"), action="append", help="both by default")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--keys", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of a round")
    parser.add_argument("--kills", type=int, default=3, help="in a round")
    parser.add_argument("--serve", action="append", default=[], metavar="OPTION", help="for serve: --serve=--workers=2")
    parser.add_argument("--directory", help="where the files go; a temporary directory by default")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    for consistency in arguments.consistency or ("strict", "watch"):
        total = Judgement()
        ends = time.monotonic() + 60 * arguments.minutes
        number = 0
        while time.monotonic() < ends:
            setting = Setting(
                arguments.seconds,
                consistency,
                seed + number,
                arguments.clients,
                arguments.keys,
                arguments.kills,
                arguments.serve,
            )
            folder = Path(tempfile.mkdtemp(prefix="vault-history-", dir=arguments.directory))
            recording = record(folder, setting)
            judgement = judge(recording, consistency)
            if judgement.violations:
                lines = (json.dumps(dataclasses.asdict(operation)) for operation in recording.operations)
                (folder / "history.jsonl").write_text("\n".join(lines))
                print("\n".join(judgement.violations))
                print(f"FAILED: {setting}; store and history are in {folder}", flush=True)
                return 1
            total.add(judgement)
            number += 1
            shutil.rmtree(folder)
        print(f"{consistency}: {number} rounds, {number * arguments.kills} kills, {total}", flush=True)
        if consistency == "watch" and percentile(total.late, 0.99) > max(total.propagation):
            print("FAILED: reads are later than changes need to be told")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
