"""One call, one interrupt, and a look at what is left: in a thread of its own, so that what hangs is told."""

import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vault.places import Place
from torture.interrupts.calls import BOUND, CALLS, Scene, afterwards, new_vault, no_ticket_is_left
from torture.interrupts.delivery import run


@dataclass(frozen=True)
class Trial:
    """What came of one interrupt.

    Attributes:
        point: At which of the call's points it came; 0: at none.
        count: Of the points that were passed.
        where: The interrupt came.
        problem: What did not hold then; "" when nothing.
    """

    call: str
    point: int
    count: int
    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.call}, point {self.point}: {self.where}\n{self.problem}"


def attempt(place: Place, call: str, point: int, folder: Path, *, fork: bool = False, within: str = "own") -> Trial:
    """Makes the call on a new vault of the place, with an interrupt at its `point`th point within Vault, or gRPC."""
    found: dict[str, Any] = {"count": 0, "where": "", "stage": "before the call"}

    def trial() -> None:
        scene = Scene(place, new_vault(place), f"{call}-{within}-{point}", folder)
        function = CALLS[call](scene)
        found["stage"] = "in the call"
        points, _, error = run(function, point, within)
        found["count"], found["where"] = points.count, points.where
        found["stage"] = "after the interrupt"
        if error is not None and not isinstance(error, KeyboardInterrupt):
            raise AssertionError(f"raised {error!r}") from error
        afterwards(scene, fork=fork)
        del function, error
        no_ticket_is_left(scene)
        found["stage"] = ""

    def guarded() -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial()
        except BaseException:  # noqa: BLE001  # told as a problem
            found["problem"] = traceback.format_exc()

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(BOUND)
    problem = found.get("problem", "")
    if thread.is_alive():
        frames = sys._current_frames()
        stacks = [frames.pop(thread.ident or 0), *frames.values()]  # who holds what it waits for is among the others
        problem = "\n".join([f"hangs {found['stage']}:", *("".join(traceback.format_stack(frame)) for frame in stacks)])
    return Trial(call, point, found["count"], found["where"], problem)


def attempts(
    place: Place, call: str, folder: Path, points: "range | list[int] | None" = None, **how: Any
) -> Iterator[Trial]:
    """The call once as it is, and then with an interrupt at each of its points, or at those that are given."""
    whole = attempt(place, call, 0, folder, **how)
    yield whole
    for point in points or range(1, whole.count + 1):
        trial = attempt(place, call, point, folder, **how)
        yield trial
        if not trial.where:
            return
