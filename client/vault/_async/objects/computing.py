"""Values that are computed where they are not there: one computation of a name at a time, wherever it is asked for."""

import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from vault._async.objects.lease_renewal import LEASE, AsyncLeaseRenewal
from vault._async.objects.loader import AsyncParts
from vault._async.objects.write_through import AsyncWriteThrough
from vault._runtime.backoff import Backoff
from vault._runtime.blocking import AsyncCall
from vault._runtime.fork import fork_count, is_inherited, refuse_inherited
from vault._runtime.lazy import LazyModule
from vault._runtime.sync_async import AsyncClock, AsyncEvent, AsyncFlight, AsyncReturned
from vault.datatype import Datatype
from vault.errors import ClosedError, ConflictError, InvalidArgumentError, NotFoundError, UnavailableError, VaultError
from vault.plain import Plain
from vault.store.contract import AsyncStore
from vault.store.specs import PutSpec
from vault.store.values import ObjectInfo

if TYPE_CHECKING:
    import logging
else:
    logging = LazyModule("logging")

_LOOK: Final = 1.0
"""Seconds at a time to wait for a computation of this process: whoever was to tell may have been interrupted."""

Found = tuple[ObjectInfo, Any]
Answer = tuple[Any]


@dataclass(slots=True, kw_only=True)
class AsyncWanted:
    """A value that somebody wants.

    Attributes:
        look: What is stored under the name, and the value; None: nothing is.
        function: Computes the value, of the unit's Datatype.
        expires_in: Seconds for which a computed value is stored; None: it does not expire.
        refresh_ahead: Seconds before a value's end from which on it is computed anew; math.inf: in any case.
        old: The value that is shown while another one computes.
        timeout: Seconds to wait for another's computation; None: as long as it takes.
    """

    unit: str
    name: str
    look: Callable[[], AsyncReturned[Found | None]]
    function: Callable[[], Any]
    tags: Mapping[str, str]
    expires_in: float | None
    refresh_ahead: float | None
    timeout: float | None
    old: Answer | None = None
    began: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Seconds for which it may be waited for.

        Raises:
            UnavailableError: TIMEOUT, there are none.
        """
        if self.timeout is None:
            return _LOOK
        left = self.began + self.timeout - time.monotonic()
        if left <= 0:
            raise UnavailableError(
                f"{self.name!r} in unit {self.unit!r} was not computed by another within {self.timeout:g} s",
                reason="TIMEOUT",
            )
        return left


def wrapped(function: Callable[[], Any], plain: Plain[Any] | None) -> Callable[[], Any]:
    """The function, such that it returns what is stored of a plain value."""
    if plain is None or not callable(function):
        return function

    async def compute() -> Any:
        return plain.wrap(await AsyncCall.run(function))

    return compute


class AsyncComputation(AsyncFlight):
    """One that is under way in this process."""

    def __init__(self, key: tuple[str, str], store: AsyncStore) -> None:
        super().__init__()
        self.key = key
        self.store = store
        self.over = AsyncEvent()


_under_way: ContextVar[tuple[Any, ...]] = ContextVar("vault_computations", default=())
"""The computations that the code which runs is part of."""


class AsyncComputations:
    """Those of one vault.

    Within the process callers of one name take turns; whoever's turn it is takes a lease on the name at the store, so
    that one computes at a time among all processes, and looks again whether the value is there by then. A lease is
    renewed while the function runs. One that is lost all the same (the process was stopped for longer) lets another
    one compute, and of the two the first to store a value wins: the other's put is refused by its generation.
    """

    def __init__(self, parts: AsyncParts, writes: AsyncWriteThrough) -> None:
        self._store = parts.store
        self._codecs = parts.codecs
        self._writes = writes
        self._forks = fork_count()
        self._guard = threading.Lock()  # never held while anything is waited for
        self._computations: dict[tuple[str, str], AsyncComputation] = {}
        self._renewal = AsyncLeaseRenewal(parts.store)
        self._closed = False

    async def close(self) -> None:
        """Renews no lease any more. What is under way goes on, and is not stored."""
        self._closed = True
        await self._renewal.close()

    def is_due(self, info: ObjectInfo, refresh_ahead: float | None) -> bool:
        """Whether a value is to be computed anew."""
        if refresh_ahead is None or refresh_ahead == math.inf or info.expires_at is None:
            return refresh_ahead == math.inf
        return (info.expires_at - self._store.time).total_seconds() < refresh_ahead

    async def value(self, wanted: AsyncWanted) -> Any:
        """The value: computed here, or by another meanwhile. See `AsyncVault.get_or_compute`."""
        key = wanted.unit, wanted.name
        while True:
            computation = AsyncComputation(key, self._store)
            async with computation.lock:
                other = self._begin(key, computation)
                if other is None:
                    try:
                        answer = await self._alone(wanted, computation)
                    finally:
                        self._end(key, computation)
                    if answer is not None:
                        return answer[0]
            if other is not None:
                if other in _under_way.get():
                    raise _asks_itself(wanted)
                if wanted.old is not None:
                    return wanted.old[0]
                while not other.is_over():
                    await other.over.wait(min(_LOOK, wanted.left()))
            if (answer := await self._stored(wanted)) is not None:
                return answer[0]

    def _begin(self, key: tuple[str, str], computation: AsyncComputation) -> AsyncComputation | None:
        """Makes it the one of this name in this process; returns the one that is."""
        with self._guard:
            other = self._computations.get(key)
            if other is not None and not other.is_over():
                return other
            self._computations[key] = computation
            return None

    def _end(self, key: tuple[str, str], computation: AsyncComputation) -> None:
        if not is_inherited(self._forks):
            with self._guard:
                if self._computations.get(key) is computation:
                    del self._computations[key]
            computation.over.set()

    async def _stored(self, wanted: AsyncWanted) -> Answer | None:
        """The value that is stored, unless it is due."""
        found = await wanted.look()
        return None if found is None or self.is_due(found[0], wanted.refresh_ahead) else (found[1],)

    async def _alone(self, wanted: AsyncWanted, computation: AsyncComputation) -> Answer | None:
        """The value, by the one caller in this process whose turn it is; None: look again."""
        unit, name, holder = wanted.unit, wanted.name, os.urandom(16)
        backoff = Backoff(0.005, 0.2)
        perhaps = True  # it has the lease: also when the answer to that does not reach it
        try:
            while remaining := await self._store.acquire_lease(unit, name, holder, LEASE):
                perhaps = False
                await self._refuse_own(wanted)
                if wanted.old is not None:
                    return wanted.old
                await AsyncClock.sleep(min(backoff.next(), remaining, wanted.left()))
                if (answer := await self._stored(wanted)) is not None:
                    return answer
                perhaps = True
            await self._renewal.add(unit, name, holder)
            (info,) = await self._store.stat_many(unit, [name])  # past the cache
            if info is not None and not self.is_due(info, wanted.refresh_ahead):
                found = await wanted.look()
                return None if found is None else (found[1],)
            return await self._computed(wanted, computation, info)
        finally:
            if perhaps and not is_inherited(self._forks):
                await self._give_back(unit, name, holder)

    async def _refuse_own(self, wanted: AsyncWanted) -> None:
        """Raises when the code that waits is part of what it waits for, by another vault on the same store."""
        for outer in _under_way.get():
            if outer.key == (wanted.unit, wanted.name):
                one, other = await outer.store.capabilities(), await self._store.capabilities()
                if one.store_id == other.store_id:
                    raise _asks_itself(wanted)

    async def _give_back(self, unit: str, name: str, holder: bytes) -> None:
        await self._renewal.remove(holder)
        try:
            await self._store.release_lease(unit, name, holder)
        except VaultError as error:  # it ends by itself
            logging.getLogger(__name__).info("the lease on %r in unit %r could not be released: %s", name, unit, error)

    async def _computed(self, wanted: AsyncWanted, computation: AsyncComputation, before: ObjectInfo | None) -> Answer:
        """Computes the value and stores it in the place of `before`; what is stored then."""
        token = _under_way.set((*_under_way.get(), computation))
        try:
            data = await AsyncCall.run(wanted.function)
        finally:
            _under_way.reset(token)
        refuse_inherited(self._forks, f"the computation of {wanted.name!r}")
        if self._closed:
            raise ClosedError(f"the vault was closed before {wanted.name!r} was computed: it is not stored")
        self._codecs[wanted.unit].check(data)
        try:
            try:
                await self._put(wanted, data, 0 if before is None else before.generation)
            except NotFoundError:
                # It has come to its end meanwhile, and was not deleted for being wrong: then this one would be, too.
                if before is not None and before.expires_at is not None and before.expires_at <= self._store.time:
                    await self._put(wanted, data, 0)
        except ConflictError:
            # Somebody wrote without a lease, or the lease was lost: what is there may be newer than this.
            found = await wanted.look()
            if found is not None:
                return (found[1],)
        return (data,)

    async def _put(self, wanted: AsyncWanted, data: Datatype, generation: int) -> None:
        spec = PutSpec(
            wanted.name,
            tags=wanted.tags,
            datatype=type(data).datatype_tag,
            if_generation=generation,
            expires_in=wanted.expires_in,
        )
        await self._writes.write(wanted.unit, spec, data)


def _asks_itself(wanted: AsyncWanted) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the function that computes {wanted.name!r} in unit {wanted.unit!r} asks for it itself", reason="BAD_FUNCTION"
    )
