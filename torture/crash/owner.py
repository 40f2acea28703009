"""What an owner does next, and what it makes of what came of it: decisions and bookkeeping, no I/O."""

import random
from dataclasses import dataclass
from typing import Final, Literal

from vault import AlreadyExistsError, ConflictError, ObjectInfo, UnavailableError
from vault.store.values import checksum

from torture.crash.ledger import OWN, SHARED, SLOTS, Journal, State, content, stamped

LISTS: Final = (1, 2)
"""The ids of the lists that all owners append to."""

_KEEP: Final = 6  # live objects an owner goes on with
_SLOTS: Final = 3
_SIZES: Final = ((0, 4_000), (70_000, 300_000), (1 << 20, 3 << 20))  # in the register, in a file, in several blocks
_SIZE_WEIGHTS: Final = (6, 3, 2)

Way = Literal["upload", "update", "compare", "edit", "ticket", "rename", "delete", "load", "append"]

_WAYS: Final[dict[Way, int]] = {
    "upload": 4, "update": 4, "compare": 3, "edit": 3, "ticket": 3, "rename": 1, "delete": 2, "load": 6, "append": 3,
}  # fmt: skip


@dataclass(slots=True)
class Step:
    """One call to make. `number` is that of the journal's intent, None for a load."""

    way: Way
    unit: str
    data_id: int
    number: int | None = None
    data: bytes = b""
    name: str | None = None
    generation: int | None = None
    expected: frozenset[State | None] = frozenset()


class Violation(Exception):  # noqa: N818  # it is what was found, not an error of ours
    """The store broke a promise."""


class Owner:
    """One sequential client.

    Args:
        number: Unique; its objects' ids come from it.
        seed: What it does follows from it, as far as the outcomes are the same.

    Attributes:
        loads: Reads that were compared.
        lost: Reads that gave up, since the server was away for too long.
    """

    def __init__(self, number: int, seed: object, journal: Journal) -> None:
        self.journal = journal
        self.loads = 0
        self.lost = 0
        self._name = f"owner{number}"
        self._first_id = number << 32
        self._random = random.Random(f"{seed}:{number}")
        self._made = 0
        self._live: list[tuple[str, int]] = []

    def next(self) -> Step:
        (way,) = self._random.choices(list(_WAYS), list(_WAYS.values()))
        if way == "append":
            data_id = self._random.choice(LISTS)
            stamp = f"{self._name}:{len(self.journal.ledger.writes)}"
            number = self.journal.intend("append", SHARED, data_id, stamp=stamp)
            return Step(way, SHARED, data_id, number, stamp.encode() + b"\n")
        if way == "upload" or not self._live:
            if len(self._live) < _KEEP:
                return self._upload()
            way = "delete"
        unit, data_id = self._random.choice(self._live)
        if way == "load":
            return Step(way, unit, data_id, expected=frozenset(self.journal.ledger.possible(unit, data_id)))
        return self._write(way, unit, data_id)

    def _upload(self) -> Step:
        self._made += 1
        data_id = self._first_id + self._made
        unit, name = OWN, None
        chance = self._random.random()
        if chance < 0.2:
            unit, name = SLOTS, f"slot{self._random.randrange(_SLOTS)}"
        elif chance < 0.6:
            name = f"{self._name}-{self._made}"
        stamp, size = self._bytes()
        number = self.journal.intend("upload", unit, data_id, name=name, **stamped(stamp, size))
        return Step("upload", unit, data_id, number, content(stamp, size), name)

    def _write(self, way: Way, unit: str, data_id: int) -> Step:
        before = self.journal.ledger.possible(unit, data_id)
        step = Step(way, unit, data_id, expected=frozenset(before))
        if way == "rename" and unit == SLOTS:
            way = step.way = "update"
        if way == "rename":
            step.name = f"{self._name}-{data_id}-{len(self.journal.ledger.writes)}"
            step.number = self.journal.intend("rename", unit, data_id, name=step.name)
        elif way == "delete":
            step.number = self.journal.intend("delete", unit, data_id)
        else:
            stamp, size = self._bytes()
            step.data = content(stamp, size)
            if way == "compare":
                writes = self.journal.ledger.objects[unit, data_id]
                step.generation = max((write.generation or 0 for write in writes), default=0) or None
            step.number = self.journal.intend("update", unit, data_id, **stamped(stamp, size))
        return step

    def _bytes(self) -> tuple[str, int]:
        (sizes,) = self._random.choices(_SIZES, _SIZE_WEIGHTS)
        return f"{self._name}:{len(self.journal.ledger.writes)}", self._random.randint(*sizes)

    def read(self, step: Step, data: bytes, info: ObjectInfo) -> None:
        """What a load showed."""
        state = State(len(data), checksum(data), info.name)
        if state not in step.expected:
            raise Violation(
                f"{self._name} read {state} at generation {info.generation} of {step.unit}/{step.data_id}, "
                f"which may be {set(step.expected)}"
            )
        self.loads += 1

    def read_bytes(self, step: Step, data: bytes) -> None:
        """What an edit found."""
        if step.way != "append":  # others write those lists
            found = len(data), checksum(data)
            if not any(state and state[:2] == found for state in step.expected):
                raise Violation(f"{self._name} edits {found} of {step.unit}/{step.data_id}, not {set(step.expected)}")
            self.loads += 1

    def missed(self, step: Step) -> None:
        """A load found nothing, or a delete nothing to delete."""
        if None not in step.expected:
            raise Violation(f"{self._name} found no {step.unit}/{step.data_id}, which may be {set(step.expected)}")

    def done(self, step: Step, generation: int | None) -> None:
        """It was acknowledged."""
        if step.number is None:
            return
        self.journal.acknowledge(step.number, generation)
        key = step.unit, step.data_id
        if step.way == "upload":
            self._live.append(key)
        elif step.way == "delete":
            self._live.remove(key)

    def failed(self, step: Step, error: Exception) -> None:
        """It raised. What must not happen is raised as a Violation."""
        if step.number is None:
            if isinstance(error, UnavailableError):
                self.lost += 1
                return
        elif isinstance(error, UnavailableError):
            self.journal.unknown(step.number, repr(error))
            if (step.unit, step.data_id) in self._live:  # nobody knows what it is: it is left alone
                self._live.remove((step.unit, step.data_id))
            return
        elif (
            (isinstance(error, AlreadyExistsError) and step.unit == SLOTS and error.reason == "NAME_TAKEN")
            or (isinstance(error, ConflictError) and step.way == "append")
        ):  # fmt: skip
            self.journal.refuse(step.number, repr(error))
            return
        raise Violation(f"{self._name} got {error!r} for {step.way} of {step.unit}/{step.data_id}") from error
