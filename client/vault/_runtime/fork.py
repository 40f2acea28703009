"""What a forked child does with what its parent has open: made anew where it can be, dead where it cannot.

A vault and a store go on working in the child: their locks, caches, threads and connections begin anew (`renew`).
A write, a reader, a ticket or a watch is its parent's: using the child's copy raises ClosedError, and letting it go
does nothing (`is_inherited`, `refuse_inherited`).
"""

import ctypes
import os
import weakref
from collections.abc import Iterable
from typing import Any, Protocol

from vault.errors import ClosedError


class Renewable(Protocol):
    """Something that does not cross a fork as it is."""

    def renew(self) -> None:
        """Called in a forked child, before anything else runs there."""


_renewables: weakref.WeakSet[Any] = weakref.WeakSet()
_forks = 0


def renew_after_fork(renewable: Renewable) -> None:
    """Has `renewable.renew` called in every child forked from now on, for as long as it lives."""
    _renewables.add(renewable)


def fork_count() -> int:
    """Forks between the process that the program began as and this one: kept with what is opened, it tells a child."""
    return _forks


def is_inherited(count: int) -> bool:
    """Whether there was a fork since `fork_count` gave `count`: what was opened then is a parent's."""
    return count != _forks


def refuse_inherited(count: int, what: str) -> None:
    """Raises ClosedError when `what` was opened before a fork."""
    if count != _forks:
        raise inherited(what)


def inherited(what: str) -> ClosedError:
    """The error for the use of `what` in a forked child."""
    return ClosedError(f"{what} was opened before the fork, and stays the parent process's: open another one here")


def never_free(thing: object) -> None:
    """Keeps `thing` until the process is gone, past the end of the interpreter: no finalizer of it ever runs.

    For what gRPC would try to end: in a forked child, where that reaches the parent's connection; at the end of the
    interpreter, where it waits for a lock that a thread held which was stopped there.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _renew_all() -> None:
    global _forks  # noqa: PLW0603  # the process's own
    _forks += 1
    everything: Iterable[Renewable] = list(_renewables)
    for renewable in everything:
        renewable.renew()


os.register_at_fork(after_in_child=_renew_all)
