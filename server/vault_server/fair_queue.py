"""A queue that gives callers their turns round robin, so that who asks for much delays others by one turn."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """What is queued of one caller comes in order; callers take turns. Not safe to share between threads."""

    __slots__ = ("_callers", "_size")

    def __init__(self) -> None:
        self._callers: OrderedDict[Hashable, deque[T]] = OrderedDict()  # the one whose turn is next first
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, caller: Hashable, item: T) -> None:
        """Queues something behind what the caller has queued already."""
        queue = self._callers.get(caller)
        if queue is None:
            self._callers[caller] = queue = deque()
        queue.append(item)
        self._size += 1

    def pop(self) -> T:
        """Takes out what is next; IndexError when there is nothing."""
        if not self._callers:
            raise IndexError("nothing is queued")
        caller, queue = self._callers.popitem(last=False)
        item = queue.popleft()
        self._size -= 1
        if queue:
            self._callers[caller] = queue  # behind the others
        return item
