"""One fault at each system call in turn: an error, or SIGKILL. What was acknowledged must be whole after each.

As a program it tries every call of every kind; `scripts/torture/system_calls` shows how it is called.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.faults.stage import GAVE_UP, Played, Stage
from tests.powerloss.replay import Outcome, verify
from tests.powerloss.scenario import SCENARIOS

WRITING: Final = ("write", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "mkdir", "unlink", "unlinkat")
OPENING: Final = ("openat", "pread64", "flock", "newfstatat", "getdents64")
FAULTS: Final = {
    "EIO": (WRITING + OPENING, "error=EIO:when={}"),
    "ENOSPC": (("write", "pwrite64", "fsync", "rename", "mkdir", "openat"), "error=ENOSPC:when={}"),
    "EMFILE": (("openat",), "error=EMFILE:when={}"),
    "EIO from then on": (("write", "pwrite64", "fsync", "fdatasync", "rename", "openat"), "error=EIO:when={}+"),
    "SIGKILL": (WRITING + OPENING, "signal=SIGKILL:when={}"),
}
CASES: Final = [(fault, call) for fault, (calls, _) in FAULTS.items() for call in calls]
_NEVER: Final = 65535


def scenario_of(fault: str) -> str:
    """Items of a batch fail one by one, so where not all is done in the end there is no batch."""
    return "few" if fault in ("EIO from then on", "SIGKILL") else "reads"


def sweep(stage: Stage, work: Path, fault: str, call: str, numbers: int) -> Iterator[tuple[int, Played, list[str]]]:
    """Plays with the fault at the n-th call of each thread, for some n; what each play said, and what is wrong.

    Args:
        numbers: How many n to try, chosen at random when there are more.
    """
    _, how = FAULTS[fault]
    directory = work / "store"
    calls = stage.play(scenario_of(fault), directory, f"{call}:{how.format(_NEVER)}").calls
    shutil.rmtree(directory)
    for number in sorted(random.sample(range(1, calls + 1), min(numbers, calls))):
        played = stage.play(scenario_of(fault), directory, f"{call}:{how.format(number)}")
        wrong = [*_judge(played, fault), *_look(directory, fault, played)]
        shutil.rmtree(directory, ignore_errors=True)
        yield number, played, wrong


def _judge(played: Played, fault: str) -> Iterator[str]:
    if not played.injected:
        return  # a call that is made only sometimes
    if fault == "SIGKILL":
        allowed = [-9]
    elif fault == "EIO from then on":
        allowed = [0, GAVE_UP]
    else:
        allowed = [0]
    if played.code not in allowed:
        yield f"it ended with {played.code}: {played.said[-3:]}"


def _look(directory: Path, fault: str, played: Played) -> Iterator[str]:
    yield from verify(directory, SCENARIOS[scenario_of(fault)], played.said, Outcome(), killed=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--numbers", type=int, default=_NEVER, help="calls of each kind to try, at random")
    parser.add_argument("--fault", choices=FAULTS, action="append")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    random.seed(options.seed)
    print(f"seed {options.seed}")
    failed = False
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder, Stage() as stage:
        for fault, call in CASES:
            if options.fault and fault not in options.fault:
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
