"""What a recorded history must hold to, by the consistency of its clients, and its figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from torture.linearizability.checker import check
from torture.linearizability.record import Recording
from torture.linearizability.sessions import Versions, lags, monotonic_reads, read_your_writes

LEASE: Final = 15.0
"""Seconds after which a stream without a sign of life is not believed any more: no read is later than that."""


@dataclass(slots=True)
class Judgement:
    """What was found in one recording, or in several.

    Attributes:
        violations: None where all is well.
        kinds: How many operations of each kind were checked.
        unknown: How many of them had an unknown outcome.
        late: For each read, by how many seconds.
        propagation: For each acknowledged write, the seconds until a watcher was told of it.
    """

    violations: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    late: list[float] = field(default_factory=list)
    propagation: list[float] = field(default_factory=list)

    def add(self, other: "Judgement") -> None:
        self.violations += other.violations
        self.kinds += other.kinds
        self.unknown += other.unknown
        self.late += other.late
        self.propagation += other.propagation

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        return (
            f"{self.kinds.total()} operations checked ({kinds}; {self.unknown} with unknown outcome), "
            f"reads late by {_spread(self.late)}; a change is told after {_spread(self.propagation)}"
        )


def judge(recording: Recording, consistency: str) -> Judgement:
    """Writes are linearizable always, reads where they are strict; sessions and generations always."""
    operations = recording.operations
    versions = Versions.of(recording.changes)
    linear = [each for each in operations if consistency == "strict" or each.kind != "read"]
    found = [f"not linearizable: {example}" for example in check(linear)]
    found += [f"not what the client wrote: {text}" for text in read_your_writes(operations, versions)]
    found += [f"reads go back: {text}" for text in monotonic_reads(operations, versions)]
    found += _generations(recording)
    late = lags(operations, versions)
    if late and max(late) > (0 if consistency == "strict" else LEASE):
        found.append(f"a read was {max(late):.3f} s late")
    unknown = sum(each.outcome == "unknown" for each in operations)
    return Judgement(found, Counter(each.kind for each in operations), unknown, late, recording.propagation())


def percentile(seconds: Sequence[float], part: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def _generations(recording: Recording) -> list[str]:
    """One generation has one value, whoever writes or reads it."""
    values: dict[tuple[str, int], str | None] = {}
    return [
        f"{each} is not {values[each.key, each.generation]}, as seen before at that generation"
        for each in recording.operations
        if each.generation and values.setdefault((each.key, each.generation), each.value) != each.value
    ]


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "nothing measured"
    p50, p99, most = (1000 * percentile(seconds, part) for part in (0.5, 0.99, 1))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, at most {most:.1f} ms"
