"""What a line comes to: the contenders' figures, and what is held against a target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from scripts.benchmarks.harness import Bench, Series

Unit = Literal["GB", "operation"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A figure and what it should be.

    Attributes:
        what: Such as "Arrow Flight".
        unit: "x": how many times as fast, or as long.
        target: None: it is only shown.
        at_most: The target is a limit, not a goal.
    """

    what: str
    value: float
    unit: str = "x"
    target: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


@dataclass(kw_only=True)
class Outcome:
    series: list[Series] = field(default_factory=list)
    per: Unit = "operation"
    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    name: str
    title: str
    measure: Callable[[Bench], Outcome]


REGISTERED: list[Line] = []


def line(name: str, title: str) -> Callable[[Callable[[Bench], Outcome]], Callable[[Bench], Outcome]]:
    """Makes a function a line of the table."""

    def register(measure: Callable[[Bench], Outcome]) -> Callable[[Bench], Outcome]:
        REGISTERED.append(Line(name, title, measure))
        return measure

    return register


def ratios(series: list[Series], targets: Mapping[str, float | None], *, ours: str = "Vault") -> list[Verdict]:
    """How many times as fast as each peer ours is; peers that were left out are left out here too."""
    by_name = {one.name: one for one in series}
    return [
        Verdict(what=peer, value=by_name[peer].seconds / by_name[ours].seconds, target=target)
        for peer, target in targets.items()
        if peer in by_name
    ]
