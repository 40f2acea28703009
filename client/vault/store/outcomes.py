"""What becomes of the items of a batch: one outcome for each, in order, of which some are errors. No I/O."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from vault.errors import VaultError


class _Item(Protocol):
    def validate(self) -> None: ...


ItemT = TypeVar("ItemT", bound=_Item)
AnswerT = TypeVar("AnswerT")


def validated(items: Sequence[ItemT]) -> list[ItemT | VaultError]:
    """The items; in the place of one that is not valid, what is wrong with it, which is its outcome."""
    checked: list[ItemT | VaultError] = []
    for item in items:
        try:
            item.validate()
        except VaultError as error:
            checked.append(error)
        else:
            checked.append(item)
    return checked


def merged(items: Sequence[object], answers: Sequence[AnswerT]) -> list[AnswerT | VaultError]:
    """The outcomes of items: the answers, of which there is one for each item that is no error, and those errors."""
    if len(answers) == len(items):
        return list(answers)
    rest = iter(answers)
    return [item if isinstance(item, VaultError) else next(rest) for item in items]


def single(outcomes: Sequence[AnswerT | VaultError]) -> AnswerT:
    """The only outcome; raised when it is an error."""
    (outcome,) = outcomes
    if isinstance(outcome, VaultError):
        raise outcome
    return outcome
