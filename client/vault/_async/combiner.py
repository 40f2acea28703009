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
from typing import Any, Final, Generic, TypeVar

from vault.concurrency import AsyncFlight, AsyncReturned
from vault.errors import UnavailableError, VaultError
from vault.forks import renew_after_fork

QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT")

AT_ONCE: Final = 4
"""Requests on their way before callers are combined: more would be answered one after the other anyway."""

_MOST: Final = 64  # questions in a request
_BYTES: Final = 1 << 20  # of the answers to a request, by what the last ones took: the first of them waits for the last


class _Place:
    """A caller in the queue: waits for his turn to ask, or for the answer to what another asked for him."""

    __slots__ = ("answered", "chosen", "deadline", "flight", "left", "question")

    def __init__(self, question: Any, deadline: float) -> None:
        self.question = question
        self.deadline = deadline
        self.flight: AsyncFlight[Any] = AsyncFlight()
        self.answered = False
        self.chosen = False  # his turn has come, whether he knows it yet or not
        self.left = False  # cancelled: who asked for him may still have his question in hand

    def answer(self, answer: Any) -> None:
        self.answered = True
        self.flight.set_result(answer)

    def fail(self, error: VaultError) -> None:
        self.answered = True
        self.flight.set_exception(copy.copy(error))  # raised in several threads, each adds its own traceback

    def give_turn(self) -> None:
        self.flight.set_result(None)


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
        self._asking = 0
        self._waiting: deque[_Place] = deque()

    async def ask(self, question: QuestionT) -> AnswerT:
        """The answer to one question.

        Raises:
            UnavailableError: There was none in time.
            VaultError: The request that it was in was refused as a whole.
        """
        deadline = time.monotonic() + self._timeout
        with self._lock:
            place = None
            if self._asking < AT_ONCE:
                self._asking += 1
            else:
                place = _Place(question, deadline)
                self._waiting.append(place)
        if place is not None:
            answer: AnswerT = await self._wait(place)
            if place.answered:
                return answer
        return await self._lead(question, deadline)

    async def _wait(self, place: _Place) -> Any:
        try:
            return await place.flight.wait()
        except BaseException:
            if not place.answered:  # the caller was cancelled
                self._leave(place)
            raise

    async def _lead(self, question: QuestionT, deadline: float) -> AnswerT:
        """Asks, for whoever waits as well."""
        others: list[_Place] = []
        try:
            others = self._take_others()
            time_left = max(deadline - time.monotonic(), 0.001)
            answers = await self._ask([question, *(each.question for each in others)], time_left)
            for each, answer in zip(others, answers[1:], strict=True):
                each.answer(answer)
        except BaseException as error:
            self._let_down([each for each in others if not each.answered], error)
            raise
        finally:
            self._pass_on()
        self._mean_size += 0.2 * (sum(map(self._size_of, answers)) / len(answers) - self._mean_size)
        return answers[0]

    def _take_others(self) -> list[_Place]:
        most = min(_MOST, max(1, int(_BYTES / max(self._mean_size, 1.0))))
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(most - 1, len(self._waiting)))]

    def _let_down(self, others: list[_Place], error: BaseException) -> None:
        """The request failed: those who have time left, or whose request it was not, queue again."""
        again: list[_Place] = []
        now = time.monotonic()
        for each in others:
            in_time = isinstance(error, UnavailableError) and now < each.deadline
            if in_time or not isinstance(error, VaultError):  # what is no VaultError is that who asked was cancelled
                again.append(each)
            else:
                each.fail(error)
        with self._lock:
            self._waiting.extendleft(each for each in reversed(again) if not each.left)

    def _pass_on(self) -> None:
        """A request is over: the next who waits has his turn."""
        with self._lock:
            if not self._waiting:
                self._asking -= 1
                return
            following = self._waiting.popleft()
            following.chosen = True
        following.give_turn()

    def _leave(self, place: _Place) -> None:
        with self._lock:
            place.left = True
            if place in self._waiting:
                self._waiting.remove(place)
        if place.chosen:
            self._pass_on()
