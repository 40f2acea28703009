"""The checker finds what is wrong and nothing else: histories made by hand, and a search of every order."""

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from torture.linearizability.checker import check
from torture.linearizability.model import NEVER, Impossible, Kind, Operation, Outcome, State, Value, after


def op(
    kind: Kind,
    value: Value,
    invoked: float,
    returned: float,
    outcome: Outcome = "done",
    *,
    expected: Value = None,
    key: str = "x",
    client: int = 0,
    expires: bool = False,
) -> Operation:
    returned = NEVER if outcome == "unknown" else returned
    return Operation(client, key, kind, value, invoked, returned, outcome, expected, None, expires)


GOOD: dict[str, list[Operation]] = {
    "nothing there": [op("read", None, 0, 1), op("update", "a", 2, 3, "refused"), op("delete", None, 4, 5, "refused")],
    "one after the other": [
        op("create", "a", 0, 1), op("read", "a", 2, 3), op("update", "b", 4, 5), op("read", "b", 6, 7),
        op("create", "c", 8, 9, "refused"), op("delete", None, 10, 11), op("read", None, 12, 13),
        op("create", "d", 14, 15), op("read", "d", 16, 17),
    ],
    "puts, whatever is there": [
        op("put", "a", 0, 1), op("read", "a", 2, 3), op("put", "b", 4, 5), op("delete", None, 6, 7),
        op("put", "c", 8, 9, "unknown"), op("read", None, 10, 11), op("read", "c", 12, 13),
    ],
    "a read during a write may show either": [
        op("create", "a", 0, 1), op("update", "b", 2, 10), op("read", "a", 3, 4), op("read", "b", 5, 6),
        op("read", "b", 11, 12),
    ],
    "writes at the same time in the order that reads show": [
        op("create", "a", 0, 1), op("update", "b", 2, 10), op("update", "c", 2, 10), op("read", "c", 11, 12),
        op("read", "c", 13, 14),
    ],
    "compare-and-set": [
        op("create", "a", 0, 1), op("compare", "b", 2, 10, expected="a"),
        op("compare", "c", 3, 9, "refused", expected="a"), op("read", "b", 11, 12),
    ],
    "an unknown write that took effect": [
        op("create", "a", 0, 1), op("update", "b", 2, 3, "unknown"), op("read", "b", 4, 5),
    ],
    "an unknown write that took effect late": [
        op("create", "a", 0, 1), op("update", "b", 2, 3, "unknown"), op("read", "a", 4, 5), op("update", "c", 6, 7),
        op("read", "c", 8, 9), op("read", "b", 10, 11),
    ],
    "an unknown write that never took effect": [
        op("create", "a", 0, 1), op("update", "b", 2, 3, "unknown"), op("read", "a", 4, 5), op("read", "a", 6, 7),
    ],
    "an unknown compare-and-set that lost": [
        op("create", "a", 0, 1), op("compare", "b", 2, 3, "unknown", expected="a"), op("update", "c", 4, 5),
        op("read", "c", 6, 7),
    ],
    "an unknown delete between": [
        op("create", "a", 0, 1), op("delete", None, 2, 3, "unknown"), op("read", "a", 4, 5), op("read", None, 6, 7),
        op("create", "b", 8, 9),
    ],
    "what expires at its moment, whatever was written to it since": [
        op("put", "a", 0, 1, expires=True), op("read", "a", 2, 4), op("update", "b", 5, 6), op("read", "b", 8, 9),
        op("expire", "a", 10, 10), op("read", None, 11, 12), op("create", "c", 13, 14), op("read", "c", 15, 16),
    ],
    "a moment that was set anew": [
        op("put", "a", 0, 1, expires=True), op("put", "b", 2, 3), op("expire", "a", 10, 10), op("read", "b", 11, 12),
    ],
    "a read while it expires may show either": [
        op("put", "a", 0, 1, expires=True), op("expire", "a", 10, 10), op("read", "a", 9, 12), op("read", None, 9, 12),
    ],
    "an unknown put whose moment nobody knows": [
        op("put", "a", 0, 1, "unknown", expires=True), op("expire", "a", 5, 5, "unknown"), op("read", "a", 8, 9),
        op("read", None, 10, 11),
    ],
    "keys by themselves": [
        op("create", "a", 0, 1), op("create", "b", 0, 1, key="y"), op("read", "a", 2, 3),
        op("read", "b", 2, 3, key="y"),
    ],
}  # fmt: skip

BAD: dict[str, list[Operation]] = {
    "a stale read": [op("create", "a", 0, 1), op("update", "b", 2, 3), op("read", "a", 4, 5)],
    "a lost update": [
        op("create", "a", 0, 1), op("compare", "b", 2, 5, expected="a"), op("compare", "c", 3, 6, expected="a"),
    ],
    "a put that took effect twice": [
        op("put", "a", 0, 1, "unknown"), op("read", "a", 2, 3), op("put", "b", 4, 5), op("read", "a", 6, 7),
    ],
    "a put that is refused": [op("put", "a", 0, 1, "refused")],
    "a read from the future": [op("create", "a", 0, 1), op("read", "b", 2, 3), op("update", "b", 4, 5)],
    "a read of what nobody wrote": [op("create", "a", 0, 1), op("read", "z", 2, 3)],
    "reads that disagree on the order": [
        op("create", "a", 0, 1), op("update", "b", 2, 10), op("update", "c", 2, 10),
        op("read", "b", 11, 12), op("read", "c", 13, 14),
    ],
    "readers that saw two writes in different orders": [
        op("create", "a", 0, 1), op("update", "b", 2, 20), op("update", "c", 2, 20),
        op("read", "b", 3, 4, client=1), op("read", "c", 5, 6, client=1), op("read", "b", 7, 8, client=2),
    ],
    "a read that goes back while a write runs": [
        op("create", "a", 0, 1), op("update", "b", 2, 10), op("read", "b", 3, 4), op("read", "a", 5, 6),
    ],
    "a write that was lost": [op("create", "a", 0, 1), op("read", None, 2, 3)],
    "a deleted object that comes back": [
        op("create", "a", 0, 1), op("delete", None, 2, 3), op("read", None, 4, 5), op("read", "a", 6, 7),
    ],
    "two creates that both won": [op("create", "a", 0, 5), op("create", "b", 1, 6)],
    "a create that was refused for nothing": [op("create", "a", 0, 1, "refused")],
    "a compare-and-set refused though it matched": [
        op("create", "a", 0, 1), op("compare", "b", 2, 3, "refused", expected="a"), op("read", "a", 4, 5),
    ],
    "an unknown write undone": [
        op("create", "a", 0, 1), op("update", "b", 2, 3, "unknown"), op("read", "b", 4, 5), op("read", "a", 6, 7),
    ],
    "an unknown write applied twice": [
        op("create", "a", 0, 1), op("update", "b", 2, 3, "unknown"), op("read", "b", 4, 5), op("update", "c", 6, 7),
        op("read", "b", 8, 9),
    ],
    "an unknown write before it was called": [
        op("create", "a", 0, 1), op("read", "b", 2, 3), op("update", "b", 4, 5, "unknown"),
    ],
    "shown after its moment": [
        op("put", "a", 0, 1, expires=True), op("expire", "a", 10, 10), op("read", "a", 11, 12),
    ],
    "gone before its moment": [
        op("put", "a", 0, 1, expires=True), op("read", None, 2, 3), op("expire", "a", 10, 10),
    ],
    "back after its moment": [
        op("put", "a", 0, 1, expires=True), op("expire", "a", 10, 10), op("read", None, 11, 12),
        op("read", "a", 13, 14),
    ],
    "updated after its moment": [
        op("put", "a", 0, 1, expires=True), op("expire", "a", 10, 10), op("update", "b", 11, 12),
    ],
    "one key of two": [
        op("create", "a", 0, 1), op("create", "b", 0, 1, key="y"), op("read", "a", 2, 3),
        op("read", "a", 2, 3, key="y"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_linearizable_history_is_found_to_be_one(name: str) -> None:
    assert check(GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_a_history_that_no_register_gives_is_refused(name: str) -> None:
    (found,) = check(BAD[name])
    assert found.stuck
    assert {*found.order, *found.stuck} <= set(BAD[name])
    assert found.key in str(found)


def test_a_long_history_of_many_clients_is_checked_in_one_go() -> None:
    """Without memory of what was tried, this would take longer than there is time."""
    history = [op("create", "0", 0, 1)]
    for step in range(300):
        start = 10.0 * step + 2
        history += [op("update", f"{step}-{each}", start, start + 8) for each in range(6)]
        history += [op("read", f"{step}-5", start + 8.5, start + 9)]
        history += [op("update", f"unknown {step}", start, start, "unknown")] if step % 100 == 0 else []
    assert check(history) == []
    history.append(op("read", "0-5", 1e6, 1e6 + 1))
    assert len(check(history)) == 1


def by_every_order(history: Sequence[Operation]) -> bool:
    """Whether any order of the operations is one of a register: tries them all."""
    unknown = [each for each in history if each.outcome == "unknown"]
    known = [each for each in history if each.outcome != "unknown"]
    for took_effect in range(1 << len(unknown)):
        kept = known + [each for bit, each in enumerate(unknown) if took_effect >> bit & 1]
        if any(_possible(order) for order in permutations(kept)):
            return True
    return False


def _possible(order: Sequence[Operation]) -> bool:
    if any(later.returned < earlier.invoked for at, earlier in enumerate(order) for later in order[at + 1 :]):
        return False
    state = State()
    try:
        for operation in order:
            state = after(state, operation)
    except Impossible:
        return False
    return True


VALUES = st.sampled_from([None, "a", "b", "c"])
KINDS: st.SearchStrategy[Kind] = st.sampled_from(
    ("read", "read", "create", "update", "put", "expire", "compare", "delete")
)
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(("done", "done", "refused", "unknown"))


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """A few operations at random times with random answers; about half of them could be a register's."""
    history = []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(KINDS)
        value = None if kind == "delete" else draw(VALUES if kind == "read" else st.sampled_from(["a", "b", "c"]))
        outcome: Outcome = "done" if kind in ("read", "expire") else draw(OUTCOMES)
        invoked = draw(st.integers(0, 20))
        expected = draw(VALUES) if kind == "compare" else None
        returned = invoked + draw(st.integers(1, 12))
        expires = kind == "put" and draw(st.booleans())
        history.append(op(kind, value, invoked, returned, outcome, expected=expected, expires=expires))
    return history


@settings(max_examples=500)
@given(histories())
@example(BAD["an unknown write applied twice"])
@example(GOOD["an unknown write that took effect late"])
def test_it_agrees_with_a_search_of_every_order(history: list[Operation]) -> None:
    assert (check(history) == []) == by_every_order(history)
