"""What an audit looked at, what it found, and what was mended."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum
from typing import Any


class ProblemKind(Enum):
    """What was found wrong."""

    MISSING_FILE = "missing file"
    WRONG_SIZE = "wrong size"
    BAD_BLOCK = "bad block"
    BAD_CHECKSUM = "bad checksum"
    UNREFERENCED_FILE = "unreferenced file"
    REGISTER = "register"
    """The register contradicts itself."""
    DAMAGED_REGISTER = "damaged register"
    """It is missing, torn, or cannot be read; it takes a rebuild."""
    LOST_OBJECT = "lost object"
    """A rebuilt register knows that it was there, and nothing else of it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `data_id` and `block` where it is about one."""

    kind: ProblemKind
    detail: str
    unit: str = ""
    data_id: int | None = None
    block: int | None = None


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was mended, or made as good as it can be."""

    detail: str
    unit: str = ""
    data_id: int | None = None


@dataclass(frozen=True, slots=True)
class ScrubPass:
    """What one pass read and found; the first thousand problems."""

    began_at: datetime
    ended_at: datetime | None = None
    objects: int = 0
    size: int = 0
    problems: tuple[Problem, ...] = ()

    def document(self) -> dict[str, Any]:
        """The pass as JSON."""
        return {
            "began_at": self.began_at.isoformat(),
            "ended_at": self.ended_at and self.ended_at.isoformat(),
            "objects": self.objects,
            "size": self.size,
            "problems": len(self.problems),
        }


@dataclass(frozen=True, slots=True)
class ScrubStatus:
    """How far the scrub is.

    Attributes:
        current: The pass that is under way, or was interrupted; None: none is.
        last: The last whole pass; None: there has been none.
    """

    current: ScrubPass | None = None
    last: ScrubPass | None = None


@dataclass(slots=True)
class CheckReport:
    """What an audit looked at, what it found, and what was mended before.

    Attributes:
        deep: Whether every byte was read.
        objects: Objects in the register.
        files: Those of them that have a file of their own.
        size: Their bytes.
        retired: Replaced and deleted generations that are kept for a while.
        retired_size: Their bytes.
        suspended: Writes that lost their writer and can be resumed.
        problems: What is wrong now.
        repairs: What was wrong and is no longer, or is as good as it can be.
        scrub: The last whole pass of the scrub in the background; None: there has been none.
    """

    deep: bool
    objects: int = 0
    files: int = 0
    size: int = 0
    retired: int = field(default=0, compare=False)
    retired_size: int = field(default=0, compare=False)
    suspended: int = field(default=0, compare=False)
    problems: list[Problem] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    scrub: ScrubPass | None = field(default=None, compare=False)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong now."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """The report as JSON. Ids are text: readers that keep numbers as doubles change those above 2^53."""
        return {
            "ok": self.ok,
            **{each.name: getattr(self, each.name) for each in fields(self)[:7]},
            "problems": [
                {"kind": problem.kind.value, **_about(problem), "block": problem.block} for problem in self.problems
            ],
            "repairs": [_about(repair) for repair in self.repairs],
            "scrub": self.scrub and self.scrub.document(),
        }


def _about(what: Problem | Repair) -> dict[str, Any]:
    return {
        "detail": what.detail,
        "unit": what.unit or None,
        "data_id": None if what.data_id is None else str(what.data_id),
    }
