"""The checkers of sessions and of lateness find what is wrong and nothing else: histories made by hand."""

import pytest
from vault.store.values import Change, ChangeKind

from torture.linearizability.model import Kind, Operation, Outcome
from torture.linearizability.sessions import Versions, lags, monotonic_reads, read_your_writes

# Object 1 is created at revision 1, written at 2 and 4, deleted at 5 and made again at 6. Revision 3 is another's.
VERSIONS = Versions.of(
    [
        Change(1, "registers", 1, ChangeKind.UPLOADED, 1),
        Change(2, "registers", 1, ChangeKind.UPDATED, 2),
        Change(3, "registers", 2, ChangeKind.UPLOADED, 3),
        Change(4, "registers", 1, ChangeKind.UPDATED, 4),
        Change(5, "registers", 1, ChangeKind.DELETED, 4),
        Change(6, "registers", 1, ChangeKind.UPLOADED, 6),
    ]
)


def history(*steps: tuple[Kind, int | None] | tuple[Kind, int | None, int]) -> list[Operation]:
    """Of client 0, or of the one that a step names, each a second after the other; generations, None: absent."""
    operations = []
    for at, (kind, generation, *client) in enumerate(steps):
        operations.append(
            Operation(client[0] if client else 0, "1", kind, str(generation), at, at + 0.5, generation=generation)
        )
    return operations


@pytest.mark.parametrize(
    "steps",
    [
        [("read", None), ("read", 1), ("read", 2), ("read", 2), ("read", 4), ("read", None), ("read", 6)],
        [("read", 6, 0), ("read", 1, 1), ("read", 2, 1)],  # each by itself
        [("read", None), ("read", 4), ("read", None)],
    ],
)
def test_reads_that_go_forward_are_monotonic(steps: list[tuple[Kind, int | None]]) -> None:
    assert monotonic_reads(history(*steps), VERSIONS) == []


@pytest.mark.parametrize(
    "steps",
    [
        [("read", 2), ("read", 1)],
        [("read", None), ("read", 4), ("read", None), ("read", 4)],  # what was deleted came back
        [("read", 6), ("read", None)],  # what was made again is gone again
        [("read", 4), ("read", 3)],  # the generation of another object
    ],
)
def test_reads_that_go_back_are_found(steps: list[tuple[Kind, int | None]]) -> None:
    assert len(monotonic_reads(history(*steps), VERSIONS)) == 1


@pytest.mark.parametrize(
    "steps",
    [
        [("create", 1), ("read", 1), ("update", 2), ("read", 2), ("read", 4)],
        [("create", 1), ("delete", None), ("read", None), ("create", 6), ("read", 6)],
        [("update", 4, 1), ("read", 2, 0)],  # another's write is not one's own
        [("read", 4), ("read", 2)],  # not its business
    ],
)
def test_reads_that_show_ones_own_writes_are_well(steps: list[tuple[Kind, int | None]]) -> None:
    assert read_your_writes(history(*steps), VERSIONS) == []


@pytest.mark.parametrize(
    "steps",
    [
        [("update", 2), ("read", 1)],
        [("create", 1), ("update", 4), ("delete", None), ("read", 4)],
        [("create", 6), ("read", None)],
        [("update", 4), ("read", 1), ("update", 4), ("read", 4)],
    ],
)
def test_reads_that_miss_ones_own_writes_are_found(steps: list[tuple[Kind, int | None]]) -> None:
    assert len(read_your_writes(history(*steps), VERSIONS)) == 1


@pytest.mark.parametrize("outcome", ["unknown", "refused"])
def test_what_was_not_acknowledged_is_not_waited_for(outcome: Outcome) -> None:
    steps = [
        Operation(0, "1", "update", "x", 0, 0.5, outcome),
        Operation(0, "1", "read", "1", 1, 1.5, generation=1),
    ]
    assert read_your_writes(steps, VERSIONS) == []


def test_an_acknowledged_write_that_was_not_committed_is_found() -> None:
    assert len(read_your_writes(history(("update", 3)), VERSIONS)) == 1


def test_a_read_is_as_late_as_the_first_acknowledgement_of_anything_newer() -> None:
    """Acknowledged at 1.5 and 2.5, read from 3, 4 and 5 on."""
    steps = history(("read", 1), ("update", 2), ("update", 4), ("read", 1), ("read", 2), ("read", 4))
    assert lags(steps, VERSIONS) == [0, 1.5, 1.5, 0]
