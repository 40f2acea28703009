"""What units and principals hold, and how much they may."""

from dataclasses import dataclass
from typing import Literal

from vault._display import ShownAsFields
from vault.store.limits import check_unit_limits


@dataclass(frozen=True, slots=True)
class UnitLimits:
    """How much a unit may hold: current generations, none that are retained or staged.

    Attributes:
        max_objects: None: no limit.
        max_bytes: Likewise.
        when_full: "refuse": what would go over a limit is refused, StorageFullError QUOTA. "evict": what was stored
            longest ago is deleted first; this may delete acknowledged objects.
    """

    max_objects: int | None = None
    max_bytes: int | None = None
    when_full: Literal["refuse", "evict"] = "refuse"

    @property
    def are_set(self) -> bool:
        """Whether there is any."""
        return self.max_objects is not None or self.max_bytes is not None

    def validate(self) -> None:
        check_unit_limits(self.max_objects, self.max_bytes, self.when_full)


@dataclass(frozen=True, slots=True)
class UnitInfo(ShownAsFields):
    """What a unit holds.

    Attributes:
        objects: How many.
        bytes: Of their current generations.
        revision: Of its last change; 0: there was none.
        limits: As they are set; by default there is none.
    """

    unit: str
    objects: int = 0
    bytes: int = 0
    revision: int = 0
    limits: UnitLimits = UnitLimits()


@dataclass(frozen=True, slots=True)
class UnitPage:
    """Some of the units; `next_page_token` is empty on the last page."""

    units: list[UnitInfo]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class PrincipalLimits:
    """How much may be charged to a principal: the current generations that it wrote, in all units together.

    Attributes:
        max_objects: None: no limit.
        max_bytes: Likewise.
    """

    max_objects: int | None = None
    max_bytes: int | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is any."""
        return self.max_objects is not None or self.max_bytes is not None

    def validate(self) -> None:
        check_unit_limits(self.max_objects, self.max_bytes, "refuse")


@dataclass(frozen=True, slots=True)
class PrincipalInfo(ShownAsFields):
    """What is charged to a principal.

    Attributes:
        objects: How many current generations it wrote.
        bytes: Of these.
        limits: As they are set; by default there is none.
    """

    principal: str
    objects: int = 0
    bytes: int = 0
    limits: PrincipalLimits = PrincipalLimits()


@dataclass(frozen=True, slots=True)
class PrincipalPage:
    """Some of the principals; `next_page_token` is empty on the last page."""

    principals: list[PrincipalInfo]
    next_page_token: str
