"""What one client may expect of its own session, and how old a read may be.

Session guarantees: Terry and others, "Session guarantees for weakly consistent replicated data", 1994. The order
of a key's versions is that of the change feed, in which each has its generation.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vault.store.values import Change, ChangeKind

from torture.linearizability.model import Operation


@dataclass(slots=True)
class Versions:
    """The versions of one key, oldest first: their generations, 0 where the object is absent."""

    revisions: list[int] = field(default_factory=lambda: [0])
    generations: list[int] = field(default_factory=lambda: [0])

    @classmethod
    def of(cls, changes: Iterable[Change]) -> "dict[str, Versions]":
        """By key, which is the text of the object's id."""
        found: dict[str, Versions] = defaultdict(cls)
        for change in changes:
            if change.kind is not ChangeKind.METADATA:
                versions = found[str(change.data_id)]
                versions.revisions.append(change.revision)
                versions.generations.append(0 if change.kind is ChangeKind.DELETED else change.generation)
        return found

    def place(self, generation: int, least: int = 0) -> int | None:
        """Where a version is, from place `least` on; the first one of several that are absent."""
        if generation:
            at = bisect_left(self.revisions, generation)
            known = at < len(self.revisions) and self.generations[at] == generation
            return at if known and at >= least else None
        return next((at for at in range(least, len(self.generations)) if not self.generations[at]), None)


def read_your_writes(history: Iterable[Operation], versions: dict[str, Versions]) -> list[str]:
    """The reads that showed less than what the same client had written before, acknowledged."""
    return _stepping_back(history, versions, reads=False)


def monotonic_reads(history: Iterable[Operation], versions: dict[str, Versions]) -> list[str]:
    """The reads that showed less than what the same client had read before."""
    return _stepping_back(history, versions, reads=True)


def _stepping_back(history: Iterable[Operation], versions: dict[str, Versions], *, reads: bool) -> list[str]:
    found = []
    least: dict[tuple[int, str], int] = defaultdict(int)
    for operation in sorted(history, key=lambda each: each.invoked):
        session = operation.client, operation.key
        if operation.outcome != "done" or operation.kind == "expire":
            continue
        if operation.kind == "read":
            generation = operation.generation or 0
            place = versions[operation.key].place(generation, least[session])
            if place is None:
                seen = versions[operation.key].generations[least[session]]
                found.append(f"{operation} is older than generation {seen}, or no version at all")
            elif reads:
                least[session] = place
        elif not reads:
            generation = 0 if operation.kind == "delete" else operation.generation or 0
            place = versions[operation.key].place(generation, least[session])
            if place is None:
                found.append(f"{operation} was acknowledged and is not in the feed after the client's writes before it")
            else:
                least[session] = place
    return found


def lags(history: Sequence[Operation], versions: dict[str, Versions]) -> list[float]:
    """For each read, the seconds by which it was late: how long a newer version had been acknowledged to its
    writer when the read began; 0 where there was none."""
    acknowledged: dict[str, dict[int, float]] = defaultdict(dict)
    for operation in history:
        if operation.outcome == "done" and operation.kind != "read" and operation.generation:
            acknowledged[operation.key][operation.generation] = operation.returned
    # For each place of a key, the first acknowledgement of anything after it.
    firsts: dict[str, list[float]] = {}
    for key, known in versions.items():
        first = float("inf")
        firsts[key] = []
        for generation in reversed(known.generations):
            firsts[key].append(first)
            first = min(first, acknowledged[key].get(generation, first))
        firsts[key].reverse()
    found = []
    for operation in history:
        if operation.kind == "read" and operation.outcome == "done":
            known = versions[operation.key]
            if operation.generation:
                place = known.place(operation.generation)
            else:  # the newest absence that it may have been
                place = max(at for at, generation in enumerate(known.generations) if not generation)
            if place is not None:
                found.append(max(0.0, operation.invoked - firsts[operation.key][place]))
    return found
