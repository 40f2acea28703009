"""What one owner wrote, as its journal has it, and what that allows the store to hold.

An owner is one sequential client with objects of its own. Its journal has a line before each write (the
intent) and one after it (acknowledged, refused, or unknown when the server was away). What was acknowledged
must be there, what was refused must not, anything else may be there whole or not at all.
"""

import json
import os
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from vault.store.values import ChangeKind, checksum

OWN: Final = "own"
"""The unit of objects that one owner alone writes."""
SLOTS: Final = "slots"
"""The unit whose few names all owners want."""
SHARED: Final = "shared"
"""The unit of lists that all owners append to."""

WriteKind = Literal["upload", "update", "rename", "delete", "append"]

CHANGES: Final[dict[WriteKind, ChangeKind]] = {
    "upload": ChangeKind.UPLOADED,
    "update": ChangeKind.UPDATED,
    "append": ChangeKind.UPDATED,
    "rename": ChangeKind.METADATA,
    "delete": ChangeKind.DELETED,
}


def content(stamp: str, size: int) -> bytes:
    """The bytes of a write: no two writes have the same, and anybody can make them again."""
    return random.Random(stamp).randbytes(size)


class State(NamedTuple):
    """An object as a reader finds it."""

    size: int
    checksum: int
    name: str | None


@dataclass(slots=True)
class Write:
    """One write of an owner."""

    number: int
    kind: WriteKind
    unit: str
    data_id: int
    stamp: str = ""
    size: int = 0
    checksum: int = 0
    name: str | None = None
    outcome: Literal["pending", "acknowledged", "refused"] = "pending"
    generation: int | None = None

    def applied(self, state: State | None) -> State | None:
        """The object after this write, when it was `state` before."""
        match self.kind:
            case "upload":
                return State(self.size, self.checksum, self.name)
            case "update":
                return state and State(self.size, self.checksum, state.name)
            case "rename":
                return state and state._replace(name=self.name)
            case _:
                return None


@dataclass(slots=True)
class Ledger:
    """Every write of one owner, in order."""

    writes: list[Write] = field(default_factory=list)
    objects: dict[tuple[str, int], list[Write]] = field(default_factory=lambda: defaultdict(list))
    violations: list[str] = field(default_factory=list)

    def read(self, lines: Iterable[str]) -> None:
        """Takes the journal's next lines."""
        for line in lines:
            self.note(json.loads(line))

    def note(self, entry: dict[str, Any]) -> None:
        match entry.pop("event"):
            case "intent":
                write = Write(**entry)
                self.writes.append(write)
                self.objects[write.unit, write.data_id].append(write)
            case "acknowledged":
                write = self.writes[entry["number"]]
                write.outcome, write.generation = "acknowledged", entry["generation"]
            case "refused":
                self.writes[entry["number"]].outcome = "refused"
            case "violation":
                self.violations.append(entry["text"])

    def possible(self, unit: str, data_id: int) -> set[State | None]:
        """What the object may be: the last acknowledged, or any later unacknowledged one; None: absent."""
        states: set[State | None] = {None}
        for write in self.objects.get((unit, data_id), ()):
            if write.outcome == "acknowledged":
                states = {write.applied(state) for state in states}
            elif write.outcome == "pending":
                states |= {write.applied(state) for state in states}
        return states

    @property
    def acknowledged(self) -> int:
        return sum(write.outcome == "acknowledged" for write in self.writes)


class Journal:
    """Appends to a file, line by line; a line is in the file, whole, when `note` returns, also if we are killed."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def intend(self, kind: WriteKind, unit: str, data_id: int, **rest: Any) -> int:
        """The number of the write that is about to begin."""
        number = len(self.ledger.writes)
        self._note(event="intent", number=number, kind=kind, unit=unit, data_id=data_id, **rest)
        return number

    def acknowledge(self, number: int, generation: int | None) -> None:
        self._note(event="acknowledged", number=number, generation=generation)

    def refuse(self, number: int, why: str) -> None:
        self._note(event="refused", number=number, why=why)

    def unknown(self, number: int, why: str) -> None:
        self._note(event="unknown", number=number, why=why)

    def violate(self, text: str) -> None:
        self._note(event="violation", text=text)

    def close(self) -> None:
        os.close(self._descriptor)

    def _note(self, **entry: Any) -> None:
        os.write(self._descriptor, json.dumps(entry).encode() + b"\n")
        self.ledger.note(entry)


class JournalReader:
    """An owner's ledger, read from its journal as that grows."""

    def __init__(self, path: Path) -> None:
        self.owner = path.stem
        self.ledger = Ledger()
        self._path = path
        self._offset = 0

    def catch_up(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        self.ledger.read(whole.decode().splitlines())


def stamped(stamp: str, size: int) -> dict[str, Any]:
    """What a journal says of the bytes of a write."""
    return {"stamp": stamp, "size": size, "checksum": checksum(content(stamp, size))}
