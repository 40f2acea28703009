"""What the object cache answers to whoever looks an object up: it is here, ask the store, load it, or wait."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from vault._cache.entry import Entry


class _Flight(Protocol):
    def is_over(self) -> bool: ...


FlightT = TypeVar("FlightT", bound=_Flight)


@dataclass(frozen=True, slots=True)
class Hit:
    """The object is here and current. The caller holds it."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Stale:
    """The object is here, but may be outdated: revalidate it. The caller holds it."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Miss:
    """The object is not here: load it, then `finish`. Others wait for the caller's flight meanwhile."""


@dataclass(frozen=True, slots=True)
class Join(Generic[FlightT]):
    """Somebody is loading it, or writing it back: wait for the flight, then look again."""

    flight: FlightT
