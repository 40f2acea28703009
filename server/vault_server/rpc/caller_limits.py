"""What each caller may use of a server: where its calls wait, what they are refused with, and whose connections end."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection
from ipaddress import IPv6Address
from typing import Final, Protocol

from vault.errors import PermissionDeniedError, UnavailableError

from vault_server.access.budgets import NAMES, Account, Accounts, Budget
from vault_server.access.grants import Principal
from vault_server.access.networks import Address, Networks, caller_network, peer_address

_PATIENCE: Final = 0.5
"""Seconds that a call waits here at the most. Then it is refused, and its client waits: it takes a silent server for
one that is gone."""

_MOST_WORK: Final = 5.0
"""Seconds that a large request waits at the most for its caller's share of the time. Its client waits for minutes."""

_MOST_HELD: Final = 2048
"""Calls of a caller that have begun and do not run, of which nothing is held but their streams."""

_FLOOD: Final = 1000
"""Calls a second, at least, of a caller that is over its budget already, from which on its connections end."""

_NOWHERE: Final = IPv6Address(0)
_MOST_PEERS: Final = 8192  # connections whose addresses are known
_GATHERING: Final = 0.02  # seconds in which connections that are to end are gathered: each look at all takes a while


class Call(Protocol):
    """What is looked at of a call, and noted with it."""

    @property
    def peer(self) -> str: ...
    @property
    def principal(self) -> Principal: ...
    @property
    def kind(self) -> int: ...
    @property
    def begun(self) -> float: ...

    accounts: tuple[Account, ...]
    admitted: bool


class CallerLimits:
    """Belongs to one event loop.

    Args:
        budget: Of each caller.
        named: Whether callers have names.
        disconnect: Ends the connections of these peers.
    """

    def __init__(self, budget: Budget, *, named: bool, disconnect: Callable[[Collection[str]], None]) -> None:
        self.accounts = Accounts(budget, named=named)
        self._disconnect = disconnect
        self._allowed: Networks | None = None
        self._networks: dict[str, str] = {}  # of peers that are allowed: whose budget theirs is
        self._ending: set[str] = set()

    def allow(self, networks: Networks | None) -> None:
        """From where one may call from now on; None: from everywhere."""
        self._allowed = networks
        self._networks.clear()

    def not_allowed(self, peer: str) -> PermissionDeniedError | None:
        """What a peer's calls are refused with, and cut, when it may not call."""
        if self._allowed is None or _address(peer) in self._allowed:
            return None
        return PermissionDeniedError("calls from this address are not allowed", reason="ADDRESS_NOT_ALLOWED")

    def begin(self, call: Call) -> Account:
        """Finds the account of a call's address.

        Raises:
            PermissionDeniedError: ADDRESS_NOT_ALLOWED.
        """
        network = self._networks.get(call.peer)
        if network is None:
            if (error := self.not_allowed(call.peer)) is not None:
                raise error
            if len(self._networks) >= _MOST_PEERS:
                self._networks.clear()
            network = self._networks[call.peer] = caller_network(_address(call.peer))
        return self.accounts.of_address(network, call.begun)

    def enter(self, call: Call, address: Account) -> float:
        """Counts a call among its caller's that do not run yet. Returns for how long to `wait` with it; 0: not at all.

        Raises:
            UnavailableError: RATE_LIMITED.
        """
        now = call.begun
        principal = call.principal
        accounts: tuple[Account, ...] = (address,)
        if principal.name:
            own = self.accounts.of_principal(principal.name, principal.budget)
            accounts = (own, address)
        self.accounts.called(accounts[0], now)
        for account in accounts:
            if account.held >= _MOST_HELD:
                raise self._flooding(call, accounts, now, 1.0)
        call.accounts = accounts
        for account in accounts:
            account.held += 1
        if self.accounts.together(now):
            return max([account.call_delay(now) for account in accounts])
        return 0.0

    async def pause(self, call: Call, *, first: bool) -> None:
        """Waits while the call's caller has had more than its share of the server's time.

        Args:
            first: Nothing was done for the call yet.

        Raises:
            UnavailableError: RATE_LIMITED, it would have to wait for long.
        """
        while self.accounts.together(now := time.monotonic()):
            delay = max([account.work_delay(now) for account in call.accounts], default=0.0)
            if not delay:
                return
            if first and delay > _MOST_WORK:
                raise UnavailableError(
                    "this caller's listings and large batches took more than their share of the time: wait",
                    reason="RATE_LIMITED",
                    retry_after=round(min(delay, 10.0), 3),
                )
            await asyncio.sleep(min(delay, _PATIENCE))

    async def refused(self, call: Call, address: Account) -> None:
        """Waits where many calls of an address are refused before anybody knows whose they are."""
        delay = address.call_delay(call.begun)
        if delay and address.held < _MOST_HELD:
            call.accounts = (address,)
            address.held += 1
            await self.wait(call, delay)

    async def wait(self, call: Call, delay: float) -> None:
        """Waits until the call is within its caller's rate.

        Raises:
            UnavailableError: RATE_LIMITED, that takes too long.
        """
        if delay <= _PATIENCE:
            await asyncio.sleep(delay)
            return
        for account in call.accounts:
            account.call_undone()
        error = self._flooding(call, call.accounts, call.begun, delay)
        await asyncio.sleep(_PATIENCE)
        raise error

    def _flooding(self, call: Call, accounts: tuple[Account, ...], now: float, delay: float) -> UnavailableError:
        """The error for a call far over its caller's rate; ends its connection, where there are many of them."""
        rate = accounts[0].budget.calls_per_second
        if max([account.exceeds(now) for account in accounts]) > max(_FLOOD, 2 * rate):
            self._end(call.peer)
        return _over(f"more than {rate} calls a second", rate, min(delay, 10.0))

    def admit(self, call: Call) -> Account | None:
        """Counts a call among those that run, unless there is no room for it: then returns the account that has none,
        with which to `wait_for_room`."""
        kind = call.kind
        accounts = call.accounts
        for account in accounts:
            if account.running[kind] >= account.limits[kind] > 0:
                return account
        for account in accounts:
            account.held -= 1
            account.running[kind] += 1
        call.admitted = True
        return None

    async def wait_for_room(self, call: Call, full: Account | None) -> None:
        """Waits until fewer calls of its kind run than the call's caller may have, and counts it.

        Raises:
            UnavailableError: RATE_LIMITED.
        """
        kind = call.kind
        ends = time.monotonic() + _PATIENCE
        while full is not None:
            limit = full.limits[kind]
            waiting = full.waiting[kind] = full.waiting[kind] or deque()
            left = ends - time.monotonic()
            if left <= 0 or len(waiting) >= limit:  # each has a message, which takes memory
                raise self._too_many(call, NAMES[kind], limit)
            turn = asyncio.get_running_loop().create_future()
            waiting.append(turn)
            try:
                async with asyncio.timeout(left):
                    await turn
            except TimeoutError:
                with contextlib.suppress(ValueError):
                    waiting.remove(turn)
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    full.wake(kind)
                raise
            full = self.admit(call)

    def _too_many(self, call: Call, what: str, limit: int) -> UnavailableError:
        now = time.monotonic()
        if max([account.exceeds(now) for account in call.accounts]) > _FLOOD:
            self._end(call.peer)
        return _over(f"{limit} {what} are running", limit, 0.5)

    def end(self, call: Call) -> None:
        """The call is over."""
        kind = call.kind
        for account in call.accounts:
            if call.admitted:
                account.running[kind] -= 1
                if account.waiting[kind]:
                    account.wake(kind)
            else:
                account.held -= 1
        call.accounts = ()

    def _end(self, peer: str) -> None:
        if not self._ending:
            asyncio.get_running_loop().call_later(_GATHERING, self._end_now)
        self._ending.add(peer)

    def _end_now(self) -> None:
        peers, self._ending = self._ending, set()
        self._disconnect(peers)


def _address(peer: str) -> Address | None:
    try:
        return peer_address(peer)
    except ValueError:  # of a connection that is gone it may be empty
        return _NOWHERE


def _over(what: str, limit: int, retry_after: float) -> UnavailableError:
    return UnavailableError(
        f"{what} of this caller, as many as it may have: wait",
        reason="RATE_LIMITED",
        limit=limit,
        retry_after=round(retry_after, 3),
    )
