# Generated from _async/objects/batches.py by scripts/unasync: DO NOT CHANGE.
"""Any number of items in batches."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from vault._runtime.sync_async import Returned
from vault.errors import VaultError
from vault.store.limits import MAX_BATCH_ITEMS
from vault.store.outcomes import merged

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


def in_batches(
    items: Sequence[ItemT | VaultError], ask: Callable[[list[ItemT]], Returned[Sequence[AnswerT]]]
) -> list[AnswerT | VaultError]:
    """What is answered about each item, of as many at a time as a batch may have; one that is an error is its own
    outcome."""
    wanted = [item for item in items if not isinstance(item, VaultError)]
    answers: list[AnswerT] = []
    for start in range(0, len(wanted), MAX_BATCH_ITEMS):
        answers += ask(wanted[start : start + MAX_BATCH_ITEMS])
    return merged(items, answers)
