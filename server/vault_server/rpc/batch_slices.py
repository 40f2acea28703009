"""Large batches a slice at a time, round robin over the callers, so that small calls get through between them."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from vault_server.fair_queue import FairQueue

T = TypeVar("T")


class Caller(Protocol):
    """Who takes turns: callers first, then the connections of each."""

    @property
    def account(self) -> Hashable: ...
    @property
    def peer(self) -> Hashable: ...

    async def pause(self, *, first: bool) -> None:
        """Waits while the caller has had more than its share of the time.

        Args:
            first: Of a request, which may also be refused.
        """

    def worked(self, began: float) -> None:
        """It was worked for from then on, by `time.monotonic`, until now."""


class BatchSlices:
    """Lets a few slices run at a time, round robin over the callers. Belongs to one event loop.

    Args:
        most: Slices that run at the same time.
        size: Items of a slice.
        small: Items up to which a batch does not wait for a turn.
    """

    def __init__(self, most: int, *, size: int, small: int) -> None:
        self._free = most
        self._size = size
        self._small = small
        self._turns: FairQueue[Hashable] = FairQueue()  # of callers' accounts
        self._waiting: dict[Hashable, FairQueue[asyncio.Future[None]]] = {}  # by account

    def is_small(self, items: Sequence[object]) -> bool:
        """Whether a batch waits for no turn."""
        return len(items) <= self._small

    async def of(self, caller: Caller, items: Sequence[T]) -> AsyncGenerator[Sequence[T], None]:
        """The items in slices, of which a small batch is one; a turn lasts while the caller is at work on one. Close
        it when done."""
        if self.is_small(items):
            yield items
            return
        for begin in range(0, len(items), self._size):
            if begin:
                await asyncio.sleep(0)  # small calls' turn, though nobody else may have a slice
            async with self.turn(caller, first=not begin):
                yield items[begin : begin + self._size]

    @asynccontextmanager
    async def turn(self, caller: Caller, *, first: bool = True) -> AsyncIterator[None]:
        """Waits for the caller's turn, which lasts while the block runs. See Caller.pause."""
        await caller.pause(first=first)
        if self._free:
            self._free -= 1
        else:
            mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            account = caller.account
            self._turns.push(account, account)
            self._waiting.setdefault(account, FairQueue()).push(caller.peer, mine)
            try:
                await mine
            except asyncio.CancelledError:
                if mine.done() and not mine.cancelled():
                    self._pass_on()
                raise
        began = time.monotonic()
        try:
            yield
        finally:
            caller.worked(began)
            # In the loop's next round: a slice that waits for nothing would be followed by the next one in this.
            asyncio.get_running_loop().call_soon(self._pass_on)

    def _pass_on(self) -> None:
        while self._turns:
            account = self._turns.pop()
            waiting = self._waiting[account]
            following = waiting.pop()
            if not waiting:
                del self._waiting[account]
            if not following.done():
                following.set_result(None)
                return
        self._free += 1
