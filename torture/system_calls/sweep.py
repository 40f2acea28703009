"""One fault at each system call in turn: an error, or SIGKILL. What was acknowledged must be whole after each."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from torture.powerloss.replay import Outcome, verify
from torture.powerloss.scenario import SCENARIOS
from torture.system_calls.stage import GAVE_UP, Played, Stage

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
NEVER: Final = 65535


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
    calls = stage.play(scenario_of(fault), directory, f"{call}:{how.format(NEVER)}").calls
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
