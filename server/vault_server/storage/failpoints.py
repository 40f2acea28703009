"""Named points between the steps of a commit, at which a test may end the process.

Nothing of the product switches them on: no setting, no environment variable, and a test that does so in its
own process names the function to call. Switched off, a point costs the comparison of a global with None.
"""

from collections.abc import Callable
from typing import Final, Literal, get_args

Point = Literal[
    # A write takes its bytes.
    "staged file made",
    "bytes staged",
    "before the fsync of a staged file",
    "staged file durable",
    "link staged",
    # A transaction begins, and removes what earlier ones left.
    "transaction begun",
    "before unlink",
    "unlinked",
    "before trash is forgotten",
    "trash forgotten",
    "before collection",
    "collected",
    # What it does for its callers.
    "before intent",
    "intent noted",
    "unit folder made",
    "unit folder durable",
    "renamed",
    "placed",
    "before retirement",
    "retired",
    "principals charged",
    "tags deleted",
    "object deleted",
    "name given up",
    "object written",
    "contents written",
    "tags written",
    "contents deleted",
    "before the change is recorded",
    "change recorded",
    "purged",
    # Its end.
    "before the fsync of folders",
    "folders durable",
    "revision kept",
    "before COMMIT",
    "committed",
    "revision noted",
    "intents forgotten",
    "before the answer",
    "answered",
]
POINTS: Final[tuple[Point, ...]] = get_args(Point)

_call: Callable[[Point], None] | None = None


def reached(point: Point) -> None:
    """The process has come to this point."""
    if _call is not None:
        _call(point)


def switch_on(call: Callable[[Point], None]) -> None:
    """From now on calls `call` at every point, on the thread that reaches it. For tests, in a process of their own."""
    global _call  # noqa: PLW0603  # one place for the whole process is what it is
    _call = call
