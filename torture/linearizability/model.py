"""Operations on a register per key, as clients saw them, and what a register does with each."""

import math
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["read", "create", "update", "put", "compare", "delete"]
Outcome = Literal["done", "refused", "unknown"]

Value = str | None
"""What a register holds; None: there is no object. No two writes write the same."""

NEVER: Final = math.inf
"""When an operation with an unknown outcome returned."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of one client.

    Attributes:
        value: What a write writes, or what a read found.
        expected: What a compare-and-set found before it.
        outcome: refused: a create found an object, an update or delete found none, a compare-and-set found
            another value. unknown: nobody told, and it may take effect at any time after the call, or never.
        invoked: When the call began, by a clock that all clients share.
        returned: When it ended.
        generation: Of what was read or written, where it is known.
    """

    client: int
    key: str
    kind: Kind
    value: Value
    invoked: float
    returned: float
    outcome: Outcome = "done"
    expected: Value = None
    generation: int | None = None


class Impossible(Exception):  # noqa: N818  # an answer, not an error
    """A register could not have answered so."""


def after(state: Value, operation: Operation) -> Value:
    """The register after the operation; Impossible when it does not answer so in this state."""
    match operation.kind:
        case "read":
            meets, changed = state == operation.value, state
        case "create":
            meets, changed = state is None, operation.value
        case "update":
            meets, changed = state is not None, operation.value
        case "put":
            meets, changed = True, operation.value
        case "compare":
            meets, changed = state == operation.expected, operation.value
        case "delete":
            meets, changed = state is not None, None
    if operation.outcome == "unknown":
        return changed if meets else state
    if meets != (operation.outcome == "done"):
        raise Impossible
    return changed if meets else state
