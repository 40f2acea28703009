# Generated from _async/remote/split_batches.py by scripts/unasync: DO NOT CHANGE.
"""Batches over messages of limited size: cut into requests that fit, asked again where replies did not."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from vault._grpc.settings import MAX_MESSAGE_SIZE
from vault._runtime.sync_async import Returned
from vault.errors import InvalidArgumentError, UnavailableError, VaultError
from vault.store.columns import Columns, rows_of
from vault.store.limits import BLOCK_SIZE
from vault.store.values import LoadedObject

ItemT = TypeVar("ItemT")

_HEADROOM: Final = 64 << 10  # of a message, for what surrounds its items
_FRAME: Final = 8  # of an item: its tag and its length
_ITEMS: Final = 1000  # in a message, at first


def ask_all(
    ask: Callable[[Any, Sequence[int], float], Returned[Sequence[Any]]],
    number: int,
    take: Callable[[deque[int], int], tuple[Any, Sequence[int]]],
    *,
    timeout: float,
    writes: bool = False,
) -> Sequence[Any]:
    """The answer to each of so many items, in order, in as few messages as carry them. Answers that come in one
    message are returned as they are; of columns that come in several, the rows.

    What is too large for a server with a lower limit, or has too large a reply, is sent again in halves.
    What did not fit its reply is asked for again, in the end alone: a write under its request id is
    answered as it was the first time.

    Args:
        ask: Sends a message with the items at some places, and returns as many answers, within so many seconds.
        take: Takes from the places that wait as many as fit a message, at most so many and one at least; the message,
            and those places.
        timeout: Seconds without an answer to any of them.
        writes: Earlier messages have taken effect when a later one fails, so what they came to is returned,
            and the error stands for the rest. Otherwise it is raised.
    """
    answers: list[Any] = [None] * number
    pending = deque(range(number))
    settled = 0
    most = _ITEMS
    deadline = time.monotonic() + timeout
    while pending:
        request, run = take(pending, most)
        try:
            found = ask(request, run, max(deadline - time.monotonic(), 0.001))
        except VaultError as error:
            if _is_too_large(error) and len(run) > 1:
                most = len(run) // 2
                pending.extendleft(reversed(run))
                continue
            if not (writes and settled):
                raise
            for place in [*run, *pending]:
                answers[place] = error
            break
        some = found.others.values() if isinstance(found, Columns) else found
        if len(run) == number and not any(map(_did_not_fit, some)):
            return found
        for place, answer in zip(run, rows_of(found), strict=True):
            answers[place] = answer
        left = [place for place in run if _did_not_fit(answers[place])]
        if left and len(run) > 1:
            pending.extendleft(reversed(left))
            # About as many as a reply holds: each is looked up again every time it is asked for.
            most = min(2 * (len(run) - len(left)), _ITEMS) or len(run) // 2
        if len(left) < len(run):
            settled += len(run)
            deadline = time.monotonic() + timeout
    return answers


def take_parts(
    items: Sequence[ItemT],
    begin: Callable[[], Any],
    fill: Callable[[Any, ItemT], None],
    field: str,
    pending: deque[int],
    most: int,
) -> tuple[Any, Sequence[int]]:
    """A message that has a part for each item; see `ask_all`.

    Args:
        begin: Makes a message without any.
        fill: Fills an item's part of the message.
        field: That of the message which has these parts.
    """
    request = begin()
    parts = getattr(request, field)
    run: list[int] = []
    size = 0
    while pending and len(run) < most:
        part = parts.add()
        fill(part, items[pending[0]])
        size += part.ByteSize() + _FRAME
        if run and size > MAX_MESSAGE_SIZE - _HEADROOM:
            del parts[-1]
            break
        run.append(pending.popleft())
    return request, run


def take_sized(sizes: Sequence[int], pending: deque[int], most: int) -> Sequence[int]:
    """The places of as many items of these sizes as fit a message; see `ask_all`."""
    run = [pending.popleft()]
    size = sizes[run[0]]
    while pending and len(run) < most:
        size += sizes[pending[0]]
        if size > MAX_MESSAGE_SIZE - _HEADROOM:
            break
        run.append(pending.popleft())
    return run


def _is_too_large(error: VaultError) -> bool:
    return isinstance(error, InvalidArgumentError) and error.reason == "MESSAGE_TOO_LARGE"


def _did_not_fit(answer: object) -> bool:
    """Whether the server left an answer out of a full reply, or an object's bytes though it fits a batch."""
    if isinstance(answer, LoadedObject):
        return answer.data is None and answer.info.size <= BLOCK_SIZE
    return isinstance(answer, UnavailableError) and answer.reason == "OVERLOADED"
