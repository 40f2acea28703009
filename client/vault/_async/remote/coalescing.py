"""Questions that many callers ask of a server at the same time, asked together.

A request costs far more than a question in it. So while AT_ONCE requests are on their way, whoever comes next waits
for one of them to return, and then all who wait go together in one. Nobody waits where few are ahead, and no timer
says when. A question is never in a request that left before it was asked.

Where requests are of many questions, fewer are on their way at once, and who asks lets those go first who got an answer
at the same moment and are about to ask again: 64 tasks are two requests by turns, one answered while the next is made,
and not four of one question and one of sixty.
"""

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar, cast

from vault._runtime.fork import renew_after_fork
from vault._runtime.sync_async import AsyncClock, AsyncEvent, AsyncFlight, AsyncReturned
from vault.errors import UnavailableError, VaultError

QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")

AT_ONCE: Final = 4
"""Requests on their way before callers are coalesced: more would be answered one after the other anyway."""

_MANY: Final = range(8, 48)  # questions in a request, in the mean: of more, each is nearly full
_OF_MANY_AT_ONCE: Final = 2
_MOST: Final = 64  # questions in a request
_BYTES: Final = 1 << 20  # of the answers to a request, by what the last ones took: the first of them waits for the last


class _Caller:
    """A caller: waits until it may ask, or for the answer to what another asked on its behalf."""

    __slots__ = ("answer", "asked", "deadline", "error", "is_answered", "is_queued", "left", "news", "question")

    def __init__(self, question: Any, deadline: float) -> None:
        self.question = question
        self.deadline = deadline
        self.news = AsyncEvent()  # answered, or it may ask now
        self.asked: AsyncFlight | None = None  # another's request, with this question in it
        self.answer: Any = None
        self.error: VaultError | None = None
        self.is_answered = False
        self.is_queued = False
        self.left = False  # cancelled: another's request may still have the question in it

    def settle(self, answer: Any, error: VaultError | None = None) -> None:
        self.answer, self.error, self.is_answered = answer, error, True
        self.news.set()


class AsyncCoalescing(Generic[QuestionT, AnswerT]):
    """Asks the questions of many callers in few requests."""

    def __init__(
        self,
        ask: Callable[[list[QuestionT], float], AsyncReturned[Sequence[AnswerT]]],
        size_of: Callable[[AnswerT], int],
        timeout: float,
    ) -> None:
        """
        Args:
            ask: Asks some questions together, as many answers, in order. Each message that this takes (one, unless the
                answers are large) may wait for so many seconds.
            size_of: About how many bytes an answer takes.
            timeout: Seconds that each caller waits at most, where one message is enough.
        """
        self._ask = ask
        self._size_of = size_of
        self._timeout = timeout
        self._mean_size = 0.0
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """In a forked child: nobody waits, nothing is on its way."""
        self._lock = threading.Lock()
        self._asking: list[AsyncFlight] = []
        self._at_once = AT_ONCE
        self._mean_number = 0.0
        self._waiting: deque[_Caller] = deque()

    async def ask(self, question: QuestionT) -> AnswerT:
        """The answer to one question.

        Raises:
            UnavailableError: There was none in time.
            VaultError: The request that it was in was refused as a whole.
        """
        deadline = time.monotonic() + self._timeout
        if self._at_once == AT_ONCE and not self._waiting:
            flight = AsyncFlight()
            async with flight.lock:
                if self._is_alone(flight):
                    try:
                        (answer,) = await self._ask([question], self._timeout)
                    finally:
                        self._wake_next(flight)
                    self._took(answer)
                    return answer
        return await self._ask_together(_Caller(question, deadline))

    async def _ask_together(self, caller: _Caller) -> AnswerT:
        while not caller.is_answered:
            if not self._has_to_wait(caller):
                flight = AsyncFlight()
                async with flight.lock:
                    if not self._has_to_wait(caller, flight):
                        return await self._ask_for_all(caller, flight)
            await self._wait(caller)
        if caller.error is not None:
            raise caller.error
        return cast("AnswerT", caller.answer)

    def _is_alone(self, flight: AsyncFlight) -> bool:
        """Whether few requests are on their way, and nobody waits: then the flight is one more of them."""
        with self._lock:
            alone = len(self._asking) < AT_ONCE and not self._waiting
            if alone:
                self._asking.append(flight)
                self._leaves(1)
            return alone

    def _has_to_wait(self, caller: _Caller, flight: AsyncFlight | None = None) -> bool:
        """Whether another asks, or the caller is in the queue now; otherwise it may ask, and the flight is on its
        way."""
        with self._lock:
            if caller.asked is not None and not caller.asked.is_over():
                return True
            if len(self._asking) >= self._at_once:
                self._asking = [each for each in self._asking if not each.is_over()]  # whose caller was interrupted
            if len(self._asking) < self._at_once:
                if flight is not None:
                    self._asking.append(flight)
                return False
            if not caller.is_queued or caller.asked is not None:  # who asked for it was interrupted
                caller.asked = None
                caller.is_queued = True
                self._waiting.append(caller)
            return True

    async def _wait(self, caller: _Caller) -> None:
        """Until there are news; or for a while, when it may be that nobody is left to bring them."""
        try:
            await caller.news.wait(AsyncEvent.LOOK)
            if not caller.is_answered:
                caller.news.clear()
        except BaseException:
            self._leave(caller)
            raise

    async def _ask_for_all(self, caller: _Caller, flight: AsyncFlight) -> AnswerT:
        """Asks, for whoever waits as well."""
        others: list[_Caller] = []
        try:
            if self._at_once < AT_ONCE:
                await AsyncClock.sleep(0)
            self._take_others(caller, others, flight)
            time_left = max(caller.deadline - time.monotonic(), 0.001)
            answers = await self._ask([caller.question, *(each.question for each in others)], time_left)
            for each, answer in zip(others, answers[1:], strict=True):
                each.settle(answer)
        except BaseException as error:
            self._queue_again([each for each in others if not each.is_answered], error)
            raise
        finally:
            self._wake_next(flight)
        self._took(*answers)
        return answers[0]

    def _took(self, *answers: AnswerT) -> None:
        self._mean_size += 0.2 * (sum(map(self._size_of, answers)) / len(answers) - self._mean_size)

    def _take_others(self, caller: _Caller, others: list[_Caller], flight: AsyncFlight) -> None:
        most = min(_MOST, max(1, int(_BYTES / max(self._mean_size, 1.0))))
        with self._lock:
            if caller.is_queued and caller in self._waiting:
                self._waiting.remove(caller)
            while self._waiting and len(others) < most - 1:
                each = self._waiting[0]
                each.asked = flight
                others.append(each)
                self._waiting.popleft()
                each.is_queued = False
            self._leaves(1 + len(others))

    def _leaves(self, number: int) -> None:
        """A request of so many questions, with the lock held."""
        self._mean_number += 0.2 * (number - self._mean_number)
        self._at_once = _OF_MANY_AT_ONCE if int(self._mean_number) in _MANY else AT_ONCE

    def _queue_again(self, others: list[_Caller], error: BaseException) -> None:
        """The request failed: those who have time left, or whose request it was not, queue again."""
        again: list[_Caller] = []
        now = time.monotonic()
        for each in others:
            in_time = isinstance(error, UnavailableError) and now < each.deadline
            if in_time or not isinstance(error, VaultError):  # what is no VaultError is that who asked was cancelled
                again.append(each)
            else:
                each.settle(None, copy.copy(error))  # raised in several threads, each adds its own traceback
        with self._lock:
            for each in again:
                each.asked, each.is_queued = None, True
            self._waiting.extendleft(each for each in reversed(again) if not each.left)

    def _wake_next(self, flight: AsyncFlight) -> None:
        """A request is over: the next who waits may ask."""
        with self._lock:
            if flight in self._asking:
                self._asking.remove(flight)
            following = self._waiting[0] if self._waiting else None
        if following is not None:
            following.news.set()

    def _leave(self, caller: _Caller) -> None:
        """The caller was cancelled. If it had been woken to ask, the next one is."""
        with self._lock:
            caller.left = True
            woken = caller.news.is_set()
            if caller in self._waiting:
                self._waiting.remove(caller)
            following = self._waiting[0] if self._waiting and woken else None
        if following is not None:
            following.news.set()
