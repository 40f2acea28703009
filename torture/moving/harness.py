"""Moves the directory of a store that several processes write to, puts others in its place, and compares."""

import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from vault_server import EmbeddedStore

from tests.server.process import Served
from tests.storage.objects import read
from torture.moving.writer import UNIT, bytes_of, write

ROOT = Path(__file__).parents[2]
PLACES = ("nothing", "another store", "a copy", "an empty folder")


@dataclass
class Figures:
    """What a round came to."""

    moves: int = 0
    acknowledged: int = 0
    refused: int = 0
    places: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """One write, as its writer was told of it."""

    data_id: int
    begun: int
    ended: int
    outcome: str


def content_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def moving(folder: Path, seed: int, seconds: float) -> Figures:
    """One round; raises AssertionError at a violation."""
    chance, figures = random.Random(seed), Figures()
    root = folder / "store"
    EmbeddedStore(root).close()
    server = Served(root, "--listen", "127.0.0.1:0")
    journals = [folder / f"journal{number}" for number in range(3)]
    writers = [
        _start(journal, where, 1_000_000 * (number + 1))
        for number, (journal, where) in enumerate(zip(journals, (root, root, server.address), strict=True))
    ]
    away: list[tuple[int, int]] = []
    try:
        _wait_for(journals)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            time.sleep(chance.uniform(0.02, 0.3))
            place = chance.choice(PLACES)
            away.append(_move(root, folder / "aside", place, chance))
            figures.moves += 1
            figures.places[place] = figures.places.get(place, 0) + 1
        time.sleep(0.2)
        assert all(writer.poll() is None for writer in writers), "a writer has ended"
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
        server.kill()
    told = [each for journal in journals for each in _read(journal)]
    _compare(root, told, away, figures)
    return figures


def _start(journal: Path, where: object, first: int) -> "subprocess.Popen[bytes]":
    with journal.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "torture.moving.writer", str(where), str(first)], stdout=output, cwd=ROOT
        )


def _wait_for(journals: list[Path]) -> None:
    deadline = time.monotonic() + 60
    while not all(b"acknowledged" in journal.read_bytes() for journal in journals):
        assert time.monotonic() < deadline, "a writer does not begin"
        time.sleep(0.02)


def _move(root: Path, aside: Path, place: str, chance: random.Random) -> tuple[int, int]:
    """Moves it away and back; the time in between (ns), in which nothing may be acknowledged."""
    root.rename(aside)
    gone = time.monotonic_ns()
    if place == "another store":
        with EmbeddedStore(root) as other:
            write(other, 1)
    elif place == "a copy":
        time.sleep(0.1)  # what was between its look and its COMMIT ends
        shutil.copytree(aside, root)
    elif place == "an empty folder":
        root.mkdir()
    before = content_of(root)
    time.sleep(chance.uniform(0, 0.3))
    _compare_place(before, content_of(root), place)
    if place == "another store":
        with EmbeddedStore(root) as other:
            assert other.check(deep=True).ok
            assert other.revision == 1
    if root.exists():
        shutil.rmtree(root)
    back = time.monotonic_ns()
    aside.rename(root)
    return gone, back


def _compare_place(before: dict[str, bytes], after: dict[str, bytes], place: str) -> None:
    """Of a copy, writers may remove the copies of what they were staging, as those have the same names."""
    gone = before.keys() - after.keys()
    assert not gone or (place == "a copy" and all(name.startswith(".staging/") for name in gone)), (place, gone)
    assert after == {name: content for name, content in before.items() if name not in gone}, f"{place} was written to"


def _read(journal: Path) -> list[Told]:
    lines = [line.split() for line in journal.read_text().split("\n")[1:-1]]
    return [Told(int(line[0]), int(line[1]), int(line[2]), line[3]) for line in lines]


def _compare(root: Path, told: list[Told], away: list[tuple[int, int]], figures: Figures) -> None:
    moments = [moment for both in away for moment in both]
    for each in told:
        # What is moved between two system calls of one write may be told as a file that is not there.
        caught = any(each.begun < moment < each.ended for moment in moments)
        assert each.outcome in ("acknowledged", "DIRECTORY_CHANGED") or (each.outcome == "STORAGE_FAILED" and caught)
    acknowledged = [each for each in told if each.outcome == "acknowledged"]
    for gone, back in away:
        within = [each for each in acknowledged if gone < each.begun and each.ended < back]
        assert not within, f"acknowledged while the directory was away: {within[0]}"
    with EmbeddedStore(root) as store:
        report = store.check(deep=True)
        assert report.ok, report.problems
        for each in acknowledged:
            assert read(store, each.data_id, unit=UNIT) == bytes_of(each.data_id), each
    figures.acknowledged += len(acknowledged)
    figures.refused += len(told) - len(acknowledged)
