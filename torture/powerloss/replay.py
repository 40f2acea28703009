"""Opens what a power loss may have left, at every point of a recording, and says what is wrong with it."""

import random
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import xxhash
from vault_server.storage import EmbeddedStore, ProblemKind

from tests.storage.objects import delete, read, upload
from torture.powerloss.calls import read_calls, record
from torture.powerloss.changes import KILLS
from torture.powerloss.disk import Disk, Names, Tree
from torture.powerloss.events import History, Reading, Said
from torture.powerloss.scenario import Held, Resumed, Scenario, State

REPOSITORY: Final = Path(__file__).parents[2]
_OWN_UNIT: Final = "afterwards"
_STORE: Final = "store"


@dataclass(slots=True)
class Outcome:
    """What a replay looked at, and what it found. `wasted` counts states with a file that nobody references."""

    points: int = 0
    states: int = 0
    wasted: int = 0
    wrong: list[str] = field(default_factory=list)


def record_scenario(name: str, work: Path, *changes: str) -> History:
    """What processes do to the disk that play a scenario in a new store, each from where the one before ended.

    Args:
        changes: What is wrong with each process (BREAKAGES), or how it ends (KILLS); "" for nothing. None: one
            process, with nothing wrong.
    """
    base = work / "disk"
    base.mkdir()
    reading = Reading(base)
    trace = work / "trace"
    lines = 0
    for change in changes or ("",):
        first = 1 + sum(isinstance(event, Said) and event.line.startswith("ack ") for event in reading.history.events)
        command = [sys.executable, "-m", "torture.powerloss.scenario", str(base / _STORE), name, str(first)]
        code = record(["env", f"PYTHONPATH={REPOSITORY}", *command, *filter(None, [change])], trace)
        assert (code == 0) == (change not in KILLS), code
        reading.take(read_calls(trace, lines))
        with trace.open() as recorded:
            lines += sum(1 for _ in recorded)
    trace.unlink()
    shutil.rmtree(base)
    return reading.history


def replay(
    history: History,
    scenario: Scenario,
    work: Path,
    *,
    seed: int,
    samples: int = 0,
    dice_per_point: int = 1,
    enough: int | None = None,
) -> Outcome:
    """Verifies the states of the disk at every boundary of a recording, and at `samples` more points.

    Args:
        dice_per_point: Random states at each point, for each rule of names.
        enough: Ends after so many findings.
    """
    disk = Disk(history)
    outcome = Outcome()
    dice = random.Random(seed)
    points = set(disk.boundaries())
    others = sorted(set(range(history.before, len(disk.events))) - points)
    points |= set(dice.sample(others, min(samples, len(others))))
    seen: set[int] = set()
    place = work / "state"
    for point in sorted(points):
        outcome.points += 1
        said = [event.line for event in disk.events[:point] if isinstance(event, Said)]
        for kind, tree in _states(disk, point, dice, dice_per_point):
            digest = xxhash.xxh3_64_intdigest(repr((tree.folders, said)).encode())
            for path, data in tree.files:
                digest = xxhash.xxh3_64_intdigest(path.encode() + b"\0" + data, seed=digest)
            if digest in seen:
                continue
            seen.add(digest)
            outcome.states += 1
            tree.make(place)
            for problem in verify(place / _STORE, scenario, said, outcome, killed=kind == "issued"):
                outcome.wrong.append(f"after event {point} ({disk.events[point - 1]!r:.200}), {kind}: {problem}")
            shutil.rmtree(place)
            if enough is not None and len(outcome.wrong) >= enough:
                return outcome
    return outcome


def _states(disk: Disk, point: int, dice: random.Random, dice_per_point: int) -> Iterator[tuple[str, Tree]]:
    yield "issued", disk.issued(point)
    for names in Names:
        yield f"synced, {names.value} names", disk.synced(point, names)
    yield "names without bytes", disk.names_alone(point)
    yield "bytes without names", disk.bytes_alone(point)
    for _ in range(dice_per_point):
        for names in Names:
            yield f"at random, {names.value} names", disk.at_random(point, names, dice)


def verify(directory: Path, scenario: Scenario, said: list[str], outcome: Outcome, *, killed: bool) -> Iterator[str]:
    """What is wrong with a store after a crash, given what was said before it.

    Args:
        killed: Nothing was lost but the process, so that not even a wasted file may be found.
    """
    try:
        with EmbeddedStore(directory) as store:
            yield from _audit(store, outcome, killed=killed)
            yield from _compare(store, scenario, said)
            yield from _go_on(store, scenario)
            data = random.Random(1).randbytes(66_000)
            for data_id, size in ((1, 100), (2, len(data))):
                upload(store, data[:size], unit=_OWN_UNIT, data_id=data_id)
                if read(store, data_id, unit=_OWN_UNIT) != data[:size]:
                    yield "an upload afterwards is read as something else"
            delete(store, 1, unit=_OWN_UNIT)
            yield from _audit(store, None, killed=killed)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
        yield f"{type(error).__name__}: {error}"


def _audit(store: EmbeddedStore, outcome: Outcome | None, *, killed: bool) -> Iterator[str]:
    problems = store.check(deep=True).problems
    wasted = [problem for problem in problems if problem.kind is ProblemKind.UNREFERENCED_FILE]
    if wasted and outcome is not None:
        outcome.wasted += 1
    for problem in problems:
        if killed or problem not in wasted:
            yield f"the audit finds: {problem}"


def _compare(store: EmbeddedStore, scenario: Scenario, said: list[str]) -> Iterator[str]:
    done = [0] * len(scenario.actors)
    revision = 0
    for line in said:
        word, *rest = line.split()
        if word == "opened" and store.capabilities().store_id != rest[0]:
            yield "it is another store"
        elif word == "ack":
            actor, done[int(rest[0])], revision = int(rest[0]), int(rest[1]), max(revision, int(rest[2]))
            assert actor < len(done)
    last, changes = store.changes(0)
    if last < revision:
        yield f"it is at revision {last}, and {revision} was told"
    if [change.revision for change in changes] != list(range(1, last + 1)):
        yield "the feed is not in order"
    found = found_in(store)
    for actor, count in enumerate(done):
        states = scenario.states(actor)
        mine = {key for state in states for key in state}
        here = {key: held for key, held in found.items() if key in mine}
        allowed = [states[count], *states[count + 1 : count + 2]]
        if here not in allowed:
            yield f"actor {actor} had done {count} steps; found {_shown(here)}, not {' or '.join(map(_shown, allowed))}"


def _go_on(store: EmbeddedStore, scenario: Scenario) -> Iterator[str]:
    """Finishes what was interrupted, from wherever the store says that it is."""
    for step in (step for steps in scenario.actors for step in steps if isinstance(step, Resumed)):
        if not store.exists_many(step.unit, [step.data_id])[0]:
            step.perform(store)
            if read(store, step.data_id, unit=step.unit) != step.data():
                yield f"{step} was resumed, and is read as something else"


def found_in(store: EmbeddedStore) -> State:
    """Every object of a store, as its row and its bytes say."""
    found: State = {}
    for unit in store.list_units():
        for info in store.list_page(unit, page_size=1000).objects:
            data = read(store, info.data_id, unit=unit)
            found[unit, info.data_id] = Held(len(data), xxhash.xxh3_64_intdigest(data), info.name)
    return found


def _shown(state: State) -> str:
    return str({f"{unit}/{data_id}": (held.size, held.name) for (unit, data_id), held in sorted(state.items())})
