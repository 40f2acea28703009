"""Operations on a register per key, as clients saw them, and what a register does with each."""

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Kind = Literal["read", "create", "update", "put", "compare", "delete", "expire"]
Outcome = Literal["done", "refused", "unknown"]

Value = str | None
"""What a register holds; None: there is no object. No two writes write the same."""


class State(NamedTuple):
    """A register: what it holds, and the value of the put that said when it expires; None: it does not."""

    value: Value = None
    expiry: Value = None


NEVER: Final = math.inf
"""When an operation with an unknown outcome returned."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of one client.

    Attributes:
        value: What a write writes, or what a read found; of an expiry, what the put wrote that said when it would be.
        expected: What a compare-and-set found before it.
        outcome: refused: a create found an object, an update or delete found none, a compare-and-set found
            another value. unknown: nobody told, and it may take effect at any time after the call, or never.
        invoked: When the call began, by a clock that all clients share.
        returned: When it ended.
        generation: Of what was read or written, where it is known.
        expires: It is a put of something that expires, which is an operation of its own: nobody's call, at a moment
            that is known.
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
    expires: bool = False


class Impossible(Exception):  # noqa: N818  # an answer, not an error
    """A register could not have answered so."""


def after(state: State, operation: Operation) -> State:
    """The register after the operation; Impossible when it does not answer so in this state."""
    match operation.kind:
        case "read":
            meets, changed = state.value == operation.value, state
        case "create":
            meets, changed = state.value is None, State(operation.value)
        case "update":
            meets, changed = state.value is not None, state._replace(value=operation.value)
        case "put":
            meets, changed = True, State(operation.value, operation.value if operation.expires else None)
        case "compare":
            meets, changed = state.value == operation.expected, state._replace(value=operation.value)
        case "delete":
            meets, changed = state.value is not None, State()
        case "expire":
            meets, changed = True, State() if state.expiry == operation.value else state
    if operation.outcome == "unknown":
        return changed if meets else state
    if meets != (operation.outcome == "done"):
        raise Impossible
    return changed if meets else state
