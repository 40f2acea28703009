"""Is there an order in which a register would have answered like this?

A history is linearizable when every operation can be given one moment between its call and its return, such
that a register which takes them in the order of these moments answers as was seen (Herlihy and Wing,
"Linearizability: a correctness condition for concurrent objects", 1990). The search is that of Wing and Gong
("Testing and verifying concurrent objects", 1993): take any operation that no other one precedes, go on with
the rest, go back when stuck. Lowe's memoisation ("Testing for linearizability", 2017) makes it quick: what
was taken and what the register then held, together, are tried once. The list with operations lifted out and put
back is as in Porcupine (Athalye, https://github.com/anishathalye/porcupine). Keys are independent, so each is
searched by itself (Horn and Kroening, "Faster linearizability checking via P-compositionality", 2015).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from torture.linearizability.model import Impossible, Operation, State, after

LIMIT: Final = 2_000_000
"""Combinations that are tried for a key. The problem is NP-complete: where nothing fits, every unknown outcome
doubles them."""


class Undecided(Exception):  # noqa: N818  # an answer, not an error
    """No order was found among as many combinations as are tried, and there may be more."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Why a key's history is not linearizable.

    Attributes:
        order: The longest order that was found, which a register could have taken.
        stuck: What cannot follow it, and what was running then.
    """

    key: str
    order: list[Operation]
    stuck: list[Operation]

    def __str__(self) -> str:
        last, stuck = "\n  ".join(map(str, self.order[-10:])), "\n  ".join(map(str, self.stuck[:10]))
        return (
            f"{self.key} after {len(self.order)} operations, the last of them\n  {last}\ncannot go on with\n  {stuck}"
        )


def check(history: Iterable[Operation]) -> list[Counterexample]:
    """What is wrong, by key; nothing where the history is linearizable. Every key is absent at first.

    Raises:
        Undecided: LIMIT was reached.
    """
    keys = defaultdict(list)
    for operation in history:
        keys[operation.key].append(operation)
    return [found for key in sorted(keys) if (found := check_key(keys[key])) is not None]


class _Event:
    """A call, or the return that matches it, in a list of all of them by time."""

    __slots__ = ("bit", "following", "operation", "previous", "returning")

    def __init__(self, operation: Operation, bit: int, returning: "_Event | None") -> None:
        self.operation = operation
        self.bit = bit
        self.returning = returning  # None for a return
        self.previous: _Event = self
        self.following: _Event | None = None

    def take_out(self) -> None:
        self.previous.following = self.following
        if self.following is not None:
            self.following.previous = self.previous

    def put_back(self) -> None:
        self.previous.following = self
        if self.following is not None:
            self.following.previous = self


def check_key(history: Sequence[Operation]) -> Counterexample | None:
    """What is wrong with the history of one key."""
    head = _events(history)
    event = head.following
    state = State()
    taken = 0
    known = sum(operation.outcome != "unknown" for operation in history)
    tried = {(taken, state)}
    path: list[tuple[_Event, State]] = []
    longest: list[Operation] = []
    stuck: list[Operation] = []
    while known:  # what nobody was told of may have no effect, when everything else is explained
        if event is None:
            raise AssertionError("a known operation has a return, and the list does not end before it")
        if event.returning is not None:
            try:
                new = after(state, event.operation)
            except Impossible:
                pass
            else:
                if (taken | event.bit, new) not in tried:
                    path.append((event, state))
                    state, taken = new, taken | event.bit
                    tried.add((taken, state))
                    if len(tried) > LIMIT:
                        raise Undecided(f"{history[0].key}: {known} operations of {len(history)} have no place yet")
                    known -= event.operation.outcome != "unknown"
                    event.returning.take_out()
                    event.take_out()
                    event = head.following
                    continue
            event = event.following
            continue
        # It returned, and its call could not be given a place: something before it was taken wrongly.
        if len(path) >= len(longest):
            longest = [taken_event.operation for taken_event, _ in path]
            stuck = _running(head, event)
        if not path:
            return Counterexample(history[0].key, longest, stuck)
        event, state = path.pop()
        taken &= ~event.bit
        known += event.operation.outcome != "unknown"
        event.put_back()
        assert event.returning is not None
        event.returning.put_back()
        event = event.following
    return None


def _events(history: Sequence[Operation]) -> _Event:
    """The list's head, before its first event."""
    timed: list[tuple[float, int, int, _Event]] = []
    for number, operation in enumerate(history):
        returning = _Event(operation, 0, None)
        # At the same time, calls come first: then the two are concurrent, which demands less.
        timed.append((operation.invoked, 0, number, _Event(operation, 1 << number, returning)))
        timed.append((operation.returned, 1, number, returning))
    head = last = _Event(history[0], 0, None)
    for *_, event in sorted(timed, key=lambda each: each[:3]):
        event.previous, last.following = last, event
        last = event
    return head


def _running(head: _Event, until: _Event) -> list[Operation]:
    """The operations that have no place yet and were called before this return."""
    running = []
    event = head.following
    while event is not None and event is not until:
        running.append(event.operation)
        event = event.following
    return [until.operation] + [operation for operation in running if operation is not until.operation]
