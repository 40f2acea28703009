"""What must be made anew in a forked child: locks that a thread of the parent held, caches, threads."""

import os
import weakref
from collections.abc import Iterable
from typing import Any, Protocol


class Renewable(Protocol):
    """Something that does not cross a fork as it is."""

    def renew(self) -> None:
        """Called in a forked child, before anything else runs there."""


_renewables: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_after_fork(renewable: Renewable) -> None:
    """Has `renewable.renew` called in every child forked from now on, for as long as it lives."""
    _renewables.add(renewable)


def _renew_all() -> None:
    everything: Iterable[Renewable] = list(_renewables)
    for renewable in everything:
        renewable.renew()


os.register_at_fork(after_in_child=_renew_all)
