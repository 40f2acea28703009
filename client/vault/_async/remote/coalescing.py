"""Questions that many callers ask of a server at the same time, asked together.

A request costs far more than a question in it. So while AT_ONCE requests are on their way, whoever comes next waits
for one of them to return, and then all who wait go together in one. Nobody waits where few are ahead, and no timer
says when. A question is never in a request that left before it was asked.
"""

import copy
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

from vault._runtime.fork import renew_after_fork
from vault._runtime.sync_async import AsyncEvent, AsyncFlight, AsyncReturned
from vault.errors import UnavailableError, VaultError

QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")

AT_ONCE: Final = 4
"""Requests on their way before callers are combined: more would be answered one after the other anyway."""

_MOST: Final = 64  # questions in a request
_BYTES: Final = 1 << 20  # of the answers to a request, by what the last ones took: the first of them waits for the last


class _Place:
    """A caller in the queue: waits for his turn to ask, or for the answer to what another asked for him."""

    __slots__ = ("answer", "asked", "deadline", "error", "is_answered", "is_queued", "left", "news", "question")

    def __init__(self, question: Any, deadline: float) -> None:
        self.question = question
        self.deadline = deadline
        self.news = AsyncEvent()  # answered, or it is his turn to ask
        self.asked: AsyncFlight | None = None  # the request that another has him in
        self.answer: Any = None
        self.error: VaultError | None = None
        self.is_answered = False
        self.is_queued = False
        self.left = False  # cancelled: who asked for him may still have his question in hand

    def settle(self, answer: Any, error: VaultError | None = None) -> None:
        self.answer, self.error, self.is_answered = answer, error, True
        self.news.set()


class AsyncCombiner(Generic[QuestionT, AnswerT]):
    """Asks the questions of many callers in few requests."""

    def __init__(
        self,
        ask: Callable[[list[QuestionT], float], AsyncReturned[list[AnswerT]]],
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
        self._waiting: deque[_Place] = deque()

    async def ask(self, question: QuestionT) -> AnswerT:
        """The answer to one question.

        Raises:
            UnavailableError: There was none in time.
            VaultError: The request that it was in was refused as a whole.
        """
        place = _Place(question, time.monotonic() + self._timeout)
        while not place.is_answered:
            flight = AsyncFlight()
            async with flight.lock:
                if self._has_turn(place, flight):
                    return await self._lead(place, flight)
            await self._wait(place)
        if place.error is not None:
            raise place.error
        return cast("AnswerT", place.answer)

    def _has_turn(self, place: _Place, flight: AsyncFlight) -> bool:
        """Whether the caller asks now; otherwise he is in the queue."""
        with self._lock:
            if place.asked is not None and not place.asked.is_over():  # another asks for him
                return False
            if len(self._asking) >= AT_ONCE:
                self._asking = [each for each in self._asking if not each.is_over()]  # whose caller was interrupted
            if len(self._asking) < AT_ONCE:
                self._asking.append(flight)
                return True
            if not place.is_queued or place.asked is not None:  # who asked for him was interrupted
                place.asked = None
                place.is_queued = True
                self._waiting.append(place)
            return False

    async def _wait(self, place: _Place) -> None:
        """Until there are news; or for a while, when it may be that nobody is left to bring them."""
        try:
            await place.news.wait(AsyncEvent.LOOK)
            if not place.is_answered:
                place.news.clear()
        except BaseException:
            self._leave(place)
            raise

    async def _lead(self, place: _Place, flight: AsyncFlight) -> AnswerT:
        """Asks, for whoever waits as well."""
        others: list[_Place] = []
        try:
            self._take_others(place, others, flight)
            time_left = max(place.deadline - time.monotonic(), 0.001)
            answers = await self._ask([place.question, *(each.question for each in others)], time_left)
            for each, answer in zip(others, answers[1:], strict=True):
                each.settle(answer)
        except BaseException as error:
            self._let_down([each for each in others if not each.is_answered], error)
            raise
        finally:
            self._pass_on(flight)
        self._mean_size += 0.2 * (sum(map(self._size_of, answers)) / len(answers) - self._mean_size)
        return answers[0]

    def _take_others(self, place: _Place, others: list[_Place], flight: AsyncFlight) -> None:
        most = min(_MOST, max(1, int(_BYTES / max(self._mean_size, 1.0))))
        with self._lock:
            if place.is_queued and place in self._waiting:
                self._waiting.remove(place)
            while self._waiting and len(others) < most - 1:
                each = self._waiting[0]
                each.asked = flight
                others.append(each)
                self._waiting.popleft()
                each.is_queued = False

    def _let_down(self, others: list[_Place], error: BaseException) -> None:
        """The request failed: those who have time left, or whose request it was not, queue again."""
        again: list[_Place] = []
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

    def _pass_on(self, flight: AsyncFlight) -> None:
        """A request is over: the next who waits has his turn."""
        with self._lock:
            if flight in self._asking:
                self._asking.remove(flight)
            following = self._waiting[0] if self._waiting else None
        if following is not None:
            following.news.set()

    def _leave(self, place: _Place) -> None:
        """He was cancelled. If he had been told that it is his turn, the next one is."""
        with self._lock:
            place.left = True
            told = place.news.is_set()
            if place in self._waiting:
                self._waiting.remove(place)
            following = self._waiting[0] if self._waiting and told else None
        if following is not None:
            following.news.set()
