"""Which suspended writes go when there are too many of them, or when they hold too much."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

K = TypeVar("K")


def too_many(suspended: Iterable[tuple[K, str, int]], number: int, size: int) -> Iterator[K]:
    """Those to drop, until at most `number` with `size` bytes are left: each time the oldest of the principal who has
    most of what there is too much of, so that nobody's go for the sake of another's.

    Args:
        suspended: Each with its principal and its bytes, the oldest first.
    """
    left: dict[str, deque[tuple[K, int]]] = {}
    held: dict[str, int] = {}
    for key, principal, each in suspended:
        left.setdefault(principal, deque()).append((key, each))
        held[principal] = held.get(principal, 0) + each
    count = sum(map(len, left.values()))
    total = sum(held.values())
    while count > number or total > size:
        heaviest = max(left, key=lambda principal: len(left[principal]) if count > number else held[principal])
        key, each = left[heaviest].popleft()
        held[heaviest] -= each
        count -= 1
        total -= each
        yield key
