"""What a disk may hold after a power loss, given what was asked of it before.

Two rules for names. `Posix`: fsync of a folder makes its names durable, nothing else does; any other creation,
renaming or removal may be there or not, and of a renaming either half. `Journal`: as ext4, XFS and Btrfs do it,
names change in order, and any fsync makes all earlier ones durable.

One rule for bytes: fsync of the file makes those durable that were written before it began. Others may be there
or not, sector by sector, and the file may be as long as if they were.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from torture.powerloss.events import BASE, Event, History, Link, Said, Sync, Truncate, Unlink, Write

SECTORS: Final = (512, 4096)
NEVER: Final = 1 << 60


class Names(Enum):
    """Which names are durable."""

    POSIX = "posix"
    JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Tree:
    """Folders and files, by path."""

    folders: tuple[str, ...]
    files: tuple[tuple[str, bytes], ...]

    def make(self, base: Path) -> None:
        """Writes it out."""
        base.mkdir(parents=True)
        for folder in self.folders:
            (base / folder).mkdir()
        for path, data in self.files:
            (base / path).write_bytes(data)


class Disk:
    """The states that a disk may be in after each event of a history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.events = history.events
        self._durable = {names: _durable_at(history, names) for names in Names}

    def boundaries(self) -> list[int]:
        """The numbers of events after which something became durable or was said, and just before."""
        found = {len(self.events)}
        for number, event in enumerate(self.events):
            if number >= self._history.before and isinstance(event, Sync | Said):
                found |= {number, number + 1}
        return sorted(found)

    def issued(self, end: int) -> Tree:
        """Everything asked for in the first `end` events: what a killed process leaves."""
        return self._tree([(event, None) for event in self.events[:end]])

    def synced(self, end: int, names: Names) -> Tree:
        """Only what was made durable."""
        durable = self._durable[names]
        return self._tree([(event, None) for number, event in enumerate(self.events[:end]) if durable[number] < end])

    def names_alone(self, end: int) -> Tree:
        """Every name, and of the bytes only those that were made durable."""
        durable = self._durable[Names.POSIX]
        return self._tree(
            [
                (event, None)
                for number, event in enumerate(self.events[:end])
                if durable[number] < end or isinstance(event, Link | Unlink)
            ]
        )

    def bytes_alone(self, end: int) -> Tree:
        """All bytes, and of the names only those that were made durable."""
        durable = self._durable[Names.POSIX]
        return self._tree(
            [
                (event, None)
                for number, event in enumerate(self.events[:end])
                if durable[number] < end or isinstance(event, Write | Truncate)
            ]
        )

    def at_random(self, end: int, names: Names, dice: random.Random) -> Tree:
        """What was made durable, and of the rest what the dice say, torn between sectors."""
        durable = self._durable[names]
        share, sector = dice.choice((0.1, 0.5, 0.9)), dice.choice(SECTORS)
        last_name = dice.randrange(self.events[end - 1].call + 1) if end else 0
        kept: list[tuple[Event, list[bool] | None]] = []
        for number, event in enumerate(self.events[:end]):
            if durable[number] < end:
                kept.append((event, None))
            elif isinstance(event, Write):
                sectors = -(-len(event.data) // sector)
                kept.append((event, [dice.random() < share for _ in range(sectors)]))
            elif isinstance(event, Link | Unlink) and names is Names.JOURNAL:
                if event.call <= last_name:
                    kept.append((event, None))
            elif dice.random() < share:
                kept.append((event, None))
        return self._tree(kept, sector, longer=dice.random() < 0.5)

    def _tree(
        self, kept: Sequence[tuple[Event, list[bool] | None]], sector: int = SECTORS[0], *, longer: bool = False
    ) -> Tree:
        names: dict[int, dict[str, int]] = {inode: {} for inode in self._history.folders}
        contents: dict[int, bytearray] = {}
        for event, sectors in kept:
            if isinstance(event, Link):
                names[event.folder][event.name] = event.inode
            elif isinstance(event, Unlink):
                names[event.folder].pop(event.name, None)
            elif isinstance(event, Write):
                _write(contents.setdefault(event.inode, bytearray()), event, sectors, sector, longer=longer)
            elif isinstance(event, Truncate):
                data = contents.setdefault(event.inode, bytearray())
                del data[event.size :]
                data.extend(bytes(event.size - len(data)))
        folders: list[str] = []
        files: list[tuple[str, bytes]] = []
        for path, inode in _walk(names, BASE, ""):
            if inode in names:
                folders.append(path)
            else:
                files.append((path, bytes(contents.get(inode, b""))))
        return Tree(tuple(folders), tuple(files))


def _write(data: bytearray, event: Write, sectors: list[bool] | None, sector: int, *, longer: bool) -> None:
    pieces = [True] if sectors is None else sectors
    step = len(event.data) if sectors is None else sector
    end = event.offset + len(event.data)
    if longer and len(data) < end:
        data.extend(bytes(end - len(data)))
    for number, kept in enumerate(pieces):
        if kept:
            piece = event.data[number * step : (number + 1) * step]
            start = event.offset + number * step
            if len(data) < start:
                data.extend(bytes(start - len(data)))
            data[start : start + len(piece)] = piece


def _walk(names: dict[int, dict[str, int]], folder: int, path: str) -> Iterator[tuple[str, int]]:
    for name, inode in sorted(names[folder].items()):
        yield f"{path}{name}", inode
        if inode in names:
            yield from _walk(names, inode, f"{path}{name}/")


def _durable_at(history: History, names: Names) -> list[int]:
    """For each event the number of the sync that makes it durable."""
    durable = [NEVER] * len(history.events)
    waiting: list[int] = []
    for number, event in enumerate(history.events):
        if number < history.before or isinstance(event, Said):
            durable[number] = -1
        elif isinstance(event, Sync):
            durable[number] = number
            left = []
            for earlier in waiting:
                if _covers(event, history.events[earlier], names):
                    durable[earlier] = number
                else:
                    left.append(earlier)
            waiting = left
        else:
            waiting.append(number)
    return durable


def _covers(sync: Sync, event: Event, names: Names) -> bool:
    if event.ended >= sync.begun:
        return False
    if isinstance(event, Link | Unlink):
        return names is Names.JOURNAL or event.folder == sync.inode
    assert isinstance(event, Write | Truncate)
    return event.inode == sync.inode
