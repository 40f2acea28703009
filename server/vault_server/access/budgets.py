"""What one caller may use of a server: the settings, and the accounts of who uses how much. No I/O."""

from asyncio import Future
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Final, Self

from vault.errors import InvalidArgumentError
from vault.store.limits import MAX_SECONDS
from vault.store.setting import check_settings, seconds, whole

CALLS: Final = 0
TRANSFERS: Final = 1
WATCHES: Final = 2
HEALTH: Final = 3
NAMES: Final = ("calls", "uploads and downloads", "watches", "watches of health")
"""The kinds of calls, which are counted apart."""

NAMED: Final = 8
"""Times a caller's budget that an address has where callers have names: several of them may share it."""

_MOST_HEALTH: Final = 256
"""Watches of health of a caller, and of an address: nobody is asked who he is for them, and each takes 25 KB."""

_MOST: Final = (1 << 63) - 1
_MOST_ACCOUNTS: Final = 8192
_MOST_SUSPENDED: Final = 1000
_LOOK: Final = 1.0
"""Seconds between two looks for accounts that are not needed any more."""

_BURST: Final = 0.1
"""Seconds whose calls may come at once."""

_TOGETHER: Final = 30.0
"""Seconds for which somebody counts as a caller after a call."""

_count = partial(whole, least=0, most=_MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a caller may use: each principal, and each address (of IPv6, each /64; all unix sockets are one). The help
    beside a field is that of its flag of `vault-grpc serve`; 0 is no limit. Each worker has its own.

    The rates hold while more than one caller is there.

    Raises:
        InvalidArgumentError: A value that cannot work.
    """

    calls: int = _count(
        256,
        "Calls of a caller at the same time, without transfers and watches; others wait, for a moment.",
        name="caller_calls",
    )
    calls_per_second: int = _count(
        300, "Calls of a caller a second, while others call, too; more wait, for a moment.", name="caller_rate"
    )
    transfers: int = _count(256, "Uploads and downloads of a caller at the same time.", name="caller_transfers")
    watches: int = _count(2000, "Watches of a caller at the same time.", name="caller_watches")
    staged_bytes: int = _count(
        64 << 30,
        "Bytes of a caller's unfinished uploads, suspended ones included. Over it only one of them goes on.",
        name="caller_staged_bytes",
    )
    work: float = seconds(
        0.25,
        "Time a second that a caller's listings and large batches may take, while others call, too.",
        zero=True,
        most=MAX_SECONDS,
        name="caller_work",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def changed(self, values: Mapping[str, Any]) -> Self:
        """This one with other values, by field.

        Raises:
            InvalidArgumentError: BAD_SETTING, no such field, or no such value.
        """
        known = [field.name for field in fields(self)]
        if unknown := sorted(map(str, values.keys() - set(known))):
            raise InvalidArgumentError(
                f"unknown in a budget: {', '.join(unknown)}; known are {', '.join(known)}", reason="BAD_SETTING"
            )
        return replace(self, **values)

    def times(self, factor: int) -> Self:
        """So many times as much; of server time not more than there is."""
        more = {field.name: min(_MOST, getattr(self, field.name) * factor) for field in fields(self)}
        return replace(self, **{**more, "work": min(more["work"], 1.0)})


DEFAULT_BUDGET: Final = Budget()


class Account:
    """What one caller uses.

    Attributes:
        budget: What it may use.
        limits: Of it, the calls that may run, by kind.
        running: Calls that run, by kind.
        waiting: Those that wait for another one of their kind to end; None: there was never any.
        held: Calls that have begun and do not run yet.
        staged: Bytes of its unfinished uploads.
        writes: Those of them that run, in the order in which they began.
        suspended: Those that do not: bytes, and until when they are there, by request id.
    """

    __slots__ = (
        "_excess", "_excess_since", "_next_call", "_next_work", "budget", "changes", "held", "limits", "running",
        "staged", "suspended", "waiting", "writes",
    )  # fmt: skip

    def __init__(self, budget: Budget) -> None:
        self.changes: Mapping[str, Any] | None = None
        self.running = [0] * len(NAMES)
        self.waiting: list[deque[Future[None]] | None] = [None] * len(NAMES)
        self.held = self.staged = self._excess = 0
        self.writes: dict[object, None] = {}
        self.suspended: dict[bytes, tuple[int, float]] = {}
        self._next_call = self._next_work = self._excess_since = 0.0
        self.set_budget(budget)

    def set_budget(self, budget: Budget) -> None:
        """It may use this from now on."""
        self.budget = budget
        self.limits = (budget.calls, budget.transfers, budget.watches, _MOST_HEALTH)

    def wake(self, kind: int) -> None:
        """Lets the call go on that waits for the longest time."""
        waiting = self.waiting[kind]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def forget_suspended(self, now: float) -> None:
        """Drops those that are not there any more, or that the store drops: the oldest of too many."""
        for request_id, (size, until) in list(self.suspended.items()):
            if until > now and len(self.suspended) <= _MOST_SUSPENDED:
                return
            del self.suspended[request_id]
            self.staged -= size

    def is_idle(self, now: float) -> bool:
        """Whether it is as if it had never called."""
        self.forget_suspended(now)
        return (
            not any(self.running) and not self.held and not self.staged
            and self._next_call <= now and self._next_work <= now
        )  # fmt: skip

    def call_delay(self, now: float) -> float:
        """Seconds that its next call has to wait for its rate; counts the call."""
        rate = self.budget.calls_per_second
        if not rate:
            return 0.0
        due = max(self._next_call, now - _BURST)
        self._next_call = due + 1 / rate
        return max(0.0, due - now)

    def call_undone(self) -> None:
        """The call that was counted last was not made."""
        if rate := self.budget.calls_per_second:
            self._next_call -= 1 / rate

    def work_delay(self, now: float) -> float:
        """Seconds that its next piece of work has to wait."""
        return max(0.0, self._next_work - now) if self.budget.work else 0.0

    def worked(self, began: float, now: float) -> None:
        """It was worked for in this time."""
        if self.budget.work:
            self._next_work = max(self._next_work, began) + (now - began) / self.budget.work

    def exceeds(self, now: float) -> int:
        """Counts a call that came though it was far over its budget; how many did in this second."""
        if now - self._excess_since > 1:
            self._excess_since, self._excess = now, 0
        self._excess += 1
        return self._excess


class Accounts:
    """The accounts of all callers. Belongs to one event loop. Holds a bounded number: who calls from ever new addresses
    shares one with others like him.

    Args:
        budget: Of a caller, and of an address where callers have no names.
        named: Whether they have.
    """

    def __init__(self, budget: Budget, *, named: bool) -> None:
        self._budget = budget
        self._address_budget = budget.times(NAMED) if named else budget
        self._addresses: dict[str, Account] = {}
        self._principals: dict[str, Account] = {}
        self._overflow = Account(budget)
        self._look_at = 0.0
        self._last: Account | None = None
        self._together_until = 0.0

    def __len__(self) -> int:
        return len(self._addresses) + len(self._principals)

    def of_address(self, network: str, now: float) -> Account:
        """The account of an address, as `caller_network` says it."""
        found = self._addresses.get(network)
        if found is None:
            if len(self._addresses) >= _MOST_ACCOUNTS:
                if now >= self._look_at:
                    self._look_at = now + _LOOK
                    self._addresses = {key: each for key, each in self._addresses.items() if not each.is_idle(now)}
                if len(self._addresses) >= _MOST_ACCOUNTS:
                    return self._overflow
            found = self._addresses[network] = Account(self._address_budget)
        return found

    def of_principal(self, name: str, changes: Mapping[str, Any] | None) -> Account:
        """The account of a principal. There are as many as the identity file has had.

        Args:
            changes: Of its budget, as the identity file has them; those that cannot be are the file's to refuse.
        """
        account = self._principals.get(name)
        if account is None:
            account = self._principals[name] = Account(self._budget)
        if changes is not account.changes:
            account.changes = changes
            account.set_budget(self._budget.changed(changes) if changes else self._budget)
        return account

    def called(self, account: Account, now: float) -> None:
        """Notes that a caller called, for `together`."""
        if account is not self._last:
            if self._last is not None:
                self._together_until = now + _TOGETHER
            self._last = account

    def together(self, now: float) -> bool:
        """Whether more than one caller is there."""
        return now < self._together_until
