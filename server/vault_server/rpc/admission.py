"""Which calls may run, how long each may wait for its peer, and how they end. Knows nothing of gRPC."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NamedTuple

from vault._runtime.blocking import on_thread
from vault.errors import SlowConsumerError, UnavailableError, VaultError

from vault_server.access import budgets
from vault_server.access.budgets import Account
from vault_server.access.grants import ANYBODY, Scope
from vault_server.access.networks import Networks, caller_network, host_address
from vault_server.client_connections import ClientConnections
from vault_server.rpc.caller_limits import CallerLimits
from vault_server.settings import ServerSettings

_VAULT: Final = "/vault.v1.VaultService/"
_REFLECTION: Final = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
_HEALTH_WATCH: Final = "/grpc.health.v1.Health/Watch"

WATCH: Final = f"{_VAULT}Watch"
WRITE_BLOCK: Final = f"{_VAULT}WriteBlock"
CHECK: Final = "/grpc.health.v1.Health/Check"
HOUSEKEEPING: Final = frozenset({_HEALTH_WATCH, _REFLECTION})
"""Streams that last as long as the client likes, and that may go on while transfers finish."""

UPLOADS: Final = frozenset({f"{_VAULT}Upload", f"{_VAULT}Update", f"{_VAULT}Put"})
TRANSFERS: Final = UPLOADS | {f"{_VAULT}Load"}
"""Streams that hold a file each, and as much as flow control lets through."""

_FIRST: Final = 30.0
"""Seconds for the first message of a stream, which follows at once; nothing is lost by ending it."""

_PRESSED: Final = 10.0
"""Seconds without progress after which a call gives way to another one, when as many run as may."""

_STALLED: Final = 1.0
"""Seconds without progress after which one of many calls of a caller gives way to one of a caller who has fewer."""

_ANSWERING: Final = 0.5
"""Seconds in which calls from where one may not connect any more are answered so, before their connections end."""

_MOST_UNSENT: Final = 64
"""Calls that have ended and whose last reply nobody takes. A block of each is held until its connection ends."""


class WaitLimits(NamedTuple):
    """Seconds that a method's calls wait for their peers: for the first message, the next one, and until a reply is
    taken. None: for as long as the connection lasts. And with which others they are counted, of `budgets`."""

    first: float | None
    message: float | None
    reply: float | None
    kind: int = budgets.CALLS


class Call:
    """One running call.

    Attributes:
        reading, writing: Since when it waits for its peer; None: it does not.
        for_message: Seconds that it waits for the next message.
        cut_by: What it was ended with from outside.
        counted: Whether a drain waits for it.
        accounts: Of its caller: of its name, if it has one, and of its address. None before it is let in.
        admitted: Whether it runs, as far as those are concerned.
        request: Its first message, while it runs; None: it is not here yet.
        began: By `time.perf_counter`.
        begun: By `time.monotonic`.
        principal: Who calls, once that was asked.
        uses: What it was let in for: units, and what it does in each.
    """

    __slots__ = (
        "_callers", "accounts", "admitted", "began", "begun", "counted", "cut_by", "for_message", "kind", "limits",
        "method", "peer", "principal", "reading", "request", "task", "uses", "writing",
    )  # fmt: skip

    def __init__(self, method: str, peer: str, limits: WaitLimits, callers: CallerLimits) -> None:
        self._callers = callers
        self.method = method
        self.peer = peer
        self.limits = limits
        self.task = asyncio.current_task()
        self.reading: float | None = None
        self.writing: float | None = None
        self.for_message = limits.first
        self.cut_by: VaultError | None = None
        self.counted = False
        self.accounts: tuple[Account, ...] = ()
        self.admitted = False
        self.request: Any = None
        self.began = time.perf_counter()
        self.begun = time.monotonic()
        self.kind = limits.kind
        self.principal = ANYBODY
        self.uses: set[tuple[str, Scope]] = set()

    @property
    def account(self) -> Account | None:
        """Among whom the server's time is shared: the principal's, or else the address's."""
        return self.accounts[0] if self.accounts else None

    async def pause(self, *, first: bool) -> None:
        """See CallerLimits."""
        await self._callers.pause(self, first=first)

    def worked(self, began: float) -> None:
        """See Account."""
        now = time.monotonic()
        for account in self.accounts:
            account.worked(began, now)

    def cut(self, error: VaultError) -> None:
        if self.cut_by is None and self.task is not None:
            self.cut_by = error
            self.task.cancel()

    def is_sent(self) -> bool:
        """Whether all of it is on its way, once it is over. Of one that was cut while its peer took nothing gRPC
        does not tell: it stands behind what the peer has not taken."""
        stands = self.cut_by is not None and self.writing is not None
        return not stands and (self.task is None or self.task.done())

    def waited(self, now: float) -> float:
        """Seconds without progress by its peer."""
        return now - min(now if self.reading is None else self.reading, now if self.writing is None else self.writing)

    def overdue(self, now: float) -> VaultError | None:
        """What it is to be ended with, when its peer is silent for too long."""
        message, reply = self.for_message, self.limits.reply
        if self.reading is not None and message is not None and now - self.reading > message:
            return UnavailableError(f"no message came for {message:g} s: go on when there is one")
        if self.writing is None or reply is None or now - self.writing <= reply:
            return None
        if self.method == WATCH:
            text = f"the watcher took no event for {reply:g} s: go on from the last revision seen"
            return SlowConsumerError(text, limit=reply)
        return UnavailableError(f"nothing was taken for {reply:g} s: go on from what was")


class Calls:
    """Admits calls, counts them, ends those whose peers are silent, and drains. Belongs to one event loop.

    Calls without an end of their own (watches, health watches, reflection) are not counted: a drain waits for
    the others and cuts these off, since they would hold it for the whole grace. A call of one message is counted
    from that message on.

    Args:
        settings: The server's.
        connections: The server's.
        named: Whether callers have names.

    Attributes:
        callers: What each caller may use.
        most_connections: That each listener takes.
    """

    def __init__(self, settings: ServerSettings, connections: ClientConnections, *, named: bool = False) -> None:
        self.callers = CallerLimits(settings.budget, named=named, disconnect=self._disconnect)
        self._connections = connections
        self._settings = settings
        self.most_connections = settings.connections
        self._most_transfers = settings.transfers
        self._pressed = min(_PRESSED, settings.idle_timeout)
        self._calls: set[Call] = set()
        self._unsent: dict[Call, float] = {}  # and since when
        self._running = 0
        self._transfers = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._full_until = 0.0

    def of(self, methods: Collection[str]) -> list[Call]:
        return [call for call in self._calls if call.method in methods]

    def running(self) -> list[Call]:
        return list(self._calls)

    def cut(self, decide: Callable[[Call], VaultError | None]) -> int:
        """Ends the calls for which this returns an error, with it. Returns how many."""
        count = 0
        for call in list(self._calls):
            if (error := decide(call)) is not None:
                call.cut(error)
                count += 1
        return count

    def limits_of(self, method: str) -> WaitLimits:
        """How long calls of a method wait. Streams of services that are not ours have a pace of their own."""
        idle = self._settings.idle_timeout
        if method in UPLOADS:
            return WaitLimits(min(_FIRST, idle), idle, idle, budgets.TRANSFERS)
        if method == _REFLECTION:
            return WaitLimits(min(_FIRST, idle), idle, idle, budgets.WATCHES)
        if method == WATCH:
            return WaitLimits(idle, None, self._settings.slow_watcher, budgets.WATCHES)
        if method == _HEALTH_WATCH:
            return WaitLimits(idle, None, idle, budgets.HEALTH)
        kind = budgets.TRANSFERS if method in TRANSFERS else budgets.CALLS
        return WaitLimits(idle, None, idle if method.startswith(_VAULT) else None, kind)

    def begin(self, method: str, peer: str, limits: WaitLimits) -> Call:
        call = Call(method, peer, limits, self.callers)
        self._calls.add(call)
        return call

    async def admit(self, call: Call) -> None:
        """Counts the call, once its caller may have one more.

        Raises:
            UnavailableError: UNAVAILABLE, the server is stopping; OVERLOADED, too many calls are running, and none
                of them could give way; RATE_LIMITED, too many of its caller.
        """
        method = call.method
        if method == CHECK:
            return
        if (full := self.callers.admit(call)) is not None:
            await self.callers.wait_for_room(call, full)
        if method in HOUSEKEEPING:
            return
        if self._draining and method != WRITE_BLOCK:  # which belongs to one that runs
            raise _stopping()
        if method == WATCH:
            return
        limit = self._settings.max_concurrent_rpcs
        if limit is not None and self._running >= limit:
            self._make_room(call, self._calls, limit, "calls")
        if method in TRANSFERS:
            if self._transfers >= self._most_transfers:
                self._make_room(call, self.of(TRANSFERS), self._most_transfers, "uploads and downloads")
            self._transfers += 1
        call.counted = True
        self._running += 1
        self._idle.clear()

    def end(self, call: Call) -> None:
        """The call is over, but for what its peer has not taken yet."""
        self._calls.discard(call)
        self._uncount(call)
        self.callers.end(call)
        self._unsent[call] = time.monotonic()

    def allow(self, networks: Networks | None) -> None:
        """From where one may call from now on; None: from everywhere. Cuts the calls from elsewhere."""
        self.callers.allow(networks)
        if networks is None:
            return
        for call in list(self._calls):
            if (error := self.callers.not_allowed(call.peer)) is not None:
                call.cut(error)
        loop = asyncio.get_running_loop()
        # When their calls have been answered.
        loop.call_later(
            _ANSWERING, _in_thread, self._connections.end_from, lambda host: host_address(host) not in networks
        )

    def drain(self) -> None:
        """Ends the watches and refuses new calls from now on, except health's and reflection's."""
        self._draining = True
        self._cut({WATCH})

    def end_housekeeping(self) -> None:
        """Ends what drain left: health watches and reflection."""
        self._cut(HOUSEKEEPING)

    async def idle(self, timeout: float) -> bool:
        """Waits until no counted call runs, at most `timeout` seconds. Returns whether that is so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        return self._idle.is_set()

    async def enforce_limits(self) -> None:
        """Ends the calls that wait for their peers for too long, from time to time, until it is cancelled."""
        settings = self._settings
        pause = min(1.0, settings.idle_timeout / 4, settings.slow_watcher / 4)
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            for call in list(self._calls):
                if (error := call.overdue(now)) is not None:
                    call.cut(error)
            self._end_untaken(now)
            self._end_silent(now)
            self._end_excess()

    def _end_untaken(self, now: float) -> None:
        """Ends the connections that do not take the end of their calls, the oldest first."""
        for call in [call for call in self._unsent if call.is_sent()]:
            del self._unsent[call]
        stuck = [(call, now - since) for call, since in self._unsent.items() if now - since > self._pressed]
        too_many, idle = len(stuck) - _MOST_UNSENT, self._settings.idle_timeout
        peers = {call.peer for number, (call, age) in enumerate(stuck) if number < too_many or age > idle}
        if peers:
            self._disconnect(peers)
            self._unsent = {call: since for call, since in self._unsent.items() if call.peer not in peers}

    def _end_silent(self, now: float) -> None:
        """Where nearly as many connections are in use as may be, ends those all of whose calls wait for their peers
        for long: gRPC closes every new one, and tells nobody."""
        waited: dict[str, float] = {}
        for call in self._calls:
            waited[call.peer] = min(call.waited(now), waited.get(call.peer, now))
        most = self._settings.connections
        if len(waited) > most * 7 // 8:
            silent = [peer for peer, seconds in waited.items() if seconds > self._pressed]
            silent.sort(key=waited.__getitem__, reverse=True)
            if silent:
                self._disconnect(set(silent[: len(waited) - most * 3 // 4]))

    def _make_room(self, asking: Call, calls: Iterable[Call], limit: int, what: str) -> None:
        """Ends the call that has waited for its peer for the longest time, if that is long; or, for a caller who has
        fewer than another one, if that one's call has not moved for a moment."""
        now = time.monotonic()
        if now >= self._full_until:
            candidates = [call for call in calls if call.counted]
            longest = max(candidates, key=lambda call: call.waited(now), default=None)
            if longest is None or longest.waited(now) < self._pressed:
                counts = Counter(call.accounts[:1] for call in candidates)
                most = max(counts, key=counts.__getitem__, default=())
                longest = None
                if counts[most] > counts[asking.accounts[:1]] + 1:
                    of_most = [call for call in candidates if call.accounts[:1] == most]
                    longest = max(of_most, key=lambda call: call.waited(now))
            if longest is not None and (waited := longest.waited(now)) >= min(self._pressed, _STALLED):
                self._uncount(longest)
                longest.cut(UnavailableError(f"others wait, and nothing moved here for {waited:.0f} s: go on later"))
                return
            self._full_until = now + min(0.1, self._pressed / 4)  # not for each of many that ask
        raise UnavailableError(
            f"{limit} {what} are running, as many as this server allows", reason="OVERLOADED", limit=limit
        )

    def _disconnect(self, peers: Collection[str]) -> None:
        _in_thread(self._connections.end, peers)

    def _end_excess(self) -> None:
        """Where nearly as many connections are in use as may be, leaves room for other callers than the one who has
        most of them: gRPC closes every new one, and tells nobody."""
        busy = list(dict.fromkeys(call.peer for call in self._calls))
        _in_thread(self._connections.end_excess, self.most_connections, _caller_of_host, busy)

    def _uncount(self, call: Call) -> None:
        if call.counted:
            call.counted = False
            self._running -= 1
            self._transfers -= call.method in TRANSFERS
            if not self._running:
                self._idle.set()

    def _cut(self, methods: Collection[str]) -> None:
        for call in self.of(methods):
            call.cut(_stopping())


def _in_thread(function: Callable[..., None], *arguments: Any) -> None:
    with contextlib.suppress(UnavailableError):  # no thread left
        on_thread(None, function, *arguments)


def _caller_of_host(host: str) -> str:
    return caller_network(host_address(host))


def _stopping() -> UnavailableError:
    return UnavailableError("the server is stopping")
