"""Tries everything on a server, by everybody, and counts what comes of it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tests.access.calling import Caller, Place, answer
from tests.access.model import EXPECTED, Answer, Who
from tests.access.probes import PROBES
from tests.access.site import Principal, Site, Way
from tests.faults.proxy import Proxy

WATCHES = tuple(use for use in PROBES if use.startswith("VaultService.Watch"))
SOME = ("VaultService.Stat", "VaultService.Load", "VaultService.PutMany", "AdminService.ListPrincipals", "Health.Check")
"""One of each kind: a reply, a stream, a write, the administrators', and what is open to all."""


@dataclass
class Tally:
    """What came of how many calls.

    Attributes:
        let_in: What was done, or changed, and should not have been.
        kept_out: What should have been done, and was not.
        otherwise: What was refused, as it should be, but in another way.
    """

    answers: Counter[str] = field(default_factory=Counter)
    let_in: list[str] = field(default_factory=list)
    kept_out: list[str] = field(default_factory=list)
    otherwise: list[str] = field(default_factory=list)

    def note(self, case: str, expected: Answer, got: Answer) -> None:
        self.answers[got] += 1
        if got != expected:
            wrong = self.let_in if got == "done" else self.kept_out if expected == "done" else self.otherwise
            wrong.append(f"{case}: {got}, expected: {expected}")

    def __str__(self) -> str:
        answers = ", ".join(f"{count:,} {answer}" for answer, count in sorted(self.answers.items()))
        return (
            f"{self.answers.total():,} calls ({answers}): {len(self.let_in)} let in that should not be, "
            f"{len(self.kept_out)} kept out that should not be, {len(self.otherwise)} refused in another way"
        )

    def assert_right(self) -> None:
        print(self)
        assert not self.let_in, self.let_in[:20]
        assert not self.kept_out, self.kept_out[:20]
        assert not self.otherwise, self.otherwise[:20]


def caller_of(way: Way, address: str, principal: Principal) -> Caller:
    shown = () if principal.token is None else (("authorization", f"Bearer {principal.token}"),)
    return Caller(way.channel(address), *shown)


def shown(way: Way, principal: Principal) -> Who:
    """Who he is to the server: a token and a certificate that are known have to be the same principal's."""
    if way.certificate is None:
        return principal
    return way.certificate if principal.token is None else replace(principal, known=False)


def expected(use: str, way: Way, principal: Who, *, allowed: bool = True) -> Answer:
    """What is to come of it, by the model."""
    if not way.reaches:
        return "no connection"
    if not allowed:
        return "address"
    return EXPECTED[use](principal)


async def try_way(
    site: Site, place: Place, way: Way, tally: Tally, *, uses: Sequence[str], principals: Iterable[Principal]
) -> None:
    """Everybody, over one kind of channel, from an address that is allowed and from one that is not."""
    direct = site.addresses[way.server]
    with Proxy(direct, source="127.0.0.2") as elsewhere:
        for allowed, address in ((True, direct), (False, elsewhere.address)):
            async with contextlib.AsyncExitStack() as stack:
                tries = [
                    Try(way, await stack.enter_async_context(caller_of(way, address, principal)), principal, allowed)
                    for principal in principals
                ]
                for each in tries:
                    for use in uses:
                        if use not in WATCHES:
                            await each.run(use, place, tally)
                # Of those that wait for what is not to come.
                await asyncio.gather(
                    *(each.watch(use, place, tally) for each in tries for use in uses if use in WATCHES)
                )


@dataclass(frozen=True)
class Try:
    """Somebody, over a kind of channel, from somewhere."""

    way: Way
    caller: Caller
    principal: Principal
    allowed: bool

    async def run(self, use: str, place: Place, tally: Tally) -> None:
        place.expect_unchanged()
        due = await self.watch(use, place, tally)
        if due != "done" and place.is_changed():
            tally.note(f"{self._case(use)}, and yet something changed", due, "done")

    async def watch(self, use: str, place: Place, tally: Tally) -> Answer:
        way, principal = self.way, self.principal
        due = expected(use, way, shown(way, principal), allowed=self.allowed)
        try:
            async with asyncio.timeout(20):
                got = await answer(PROBES[use], self.caller, place)
        except TimeoutError:
            got = "no answer"
        tally.note(self._case(use), due, got)
        return due

    def _case(self, use: str) -> str:
        return f"{self.way.title}, {'' if self.allowed else 'not '}allowed, {self.principal.title}, {use}"
