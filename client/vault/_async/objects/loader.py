"""Getting objects out of the cache, or out of the store into it: one load per object at a time."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

from vault._async.feed.coherence import AsyncCoherence
from vault._async.objects.codec import AsyncCodec
from vault._cache.cache import Held, ObjectCache
from vault._cache.entry import Entry
from vault._cache.lookup import Hit, Join, Miss, Stale
from vault._cache.memory import MemoryWatermark
from vault._runtime.blocking import AsyncBlocking
from vault._runtime.sync_async import AsyncAffinity, AsyncFlight
from vault.datatype import Datatype
from vault.errors import ConflictError, ProtocolError, UnavailableError, VaultError
from vault.store._async.reopening import reopener
from vault.store.columns import LoadedObjects, LoadItems
from vault.store.contract import AsyncStore, LoadResult
from vault.store.limits import MAX_BATCH_ITEMS
from vault.store.specs import LoadItem
from vault.store.values import Key, LoadedObject, NotModified, ObjectInfo

Fetched = Entry | VaultError | None

_MOST_LOADS: Final = 3  # of an object that is written all the time; then what came is handed out, and not kept


class AsyncSharedFlight(AsyncFlight):
    """What others wait for while objects are loaded, or one is written back.

    Attributes:
        failures: Of the objects that could not be asked for since the server is away: those who waited for them get
            the error. One after the other, they would each wait for it again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failures: dict[Key, UnavailableError] = {}


@dataclass(frozen=True, slots=True)
class AsyncParts:
    """What loading and writing work with, of one vault."""

    store: AsyncStore
    cache: ObjectCache[AsyncSharedFlight]
    coherence: AsyncCoherence
    codecs: Mapping[str, AsyncCodec]
    memory: MemoryWatermark
    affinity: AsyncAffinity


class AsyncLoader:
    """Fetches objects of the units of one vault. Decides nothing about tickets."""

    def __init__(self, parts: AsyncParts) -> None:
        self._store = parts.store
        self._cache = parts.cache
        self._coherence = parts.coherence
        self._codecs = parts.codecs
        self._memory = parts.memory

    async def fetch(self, unit: str, keys: Iterable[Key], held: Held, epoch: int | None = None) -> dict[Key, Fetched]:
        """The objects; None where there is none, an error where it could not be had.

        What can be asked in one request is. An object that another caller is loading is waited for.

        Args:
            held: Takes the objects, for the caller to release, also when this raises.
            epoch: That holds now, for a caller who has just asked.
        """
        fetching = _Fetching(unit, held)
        wanted = list(dict.fromkeys(keys))
        while wanted:
            now, fetching.again = wanted[:MAX_BATCH_ITEMS], wanted[MAX_BATCH_ITEMS:]
            if self._cache.enabled:
                await self._pass(fetching, now, epoch)
                epoch = None  # others may hold by now
            else:  # then nobody waits for anybody, and nothing here is outdated
                await self._load(fetching, now, 0)
            wanted = fetching.again
        return fetching.done

    async def load_apart(self, unit: str, key: Key) -> tuple[ObjectInfo, Any] | None:
        """An object for one caller alone, where nothing is kept: nobody waits for it, and it is not outdated by
        anything."""
        loads = 0
        while True:
            (result,) = await self._store.load_many(unit, [LoadItem(key)])
            loads += 1
            try:
                loaded = await self._decode(unit, key, result)
            except ConflictError:  # replaced while its Datatype sought in it, perhaps
                if loads == _MOST_LOADS:
                    raise
                continue
            if loaded is not None:
                await self.took(loaded[0].size)
            return loaded

    async def _pass(self, fetching: "_Fetching", wanted: list[Key], epoch: int | None) -> None:
        """Gets what can be had now."""
        unit, done = fetching.unit, fetching.done
        if epoch is None:
            epoch = await self._coherence.epoch()
        checks: dict[Key, Entry] = {}
        leads: list[Key] = []
        joins: dict[Key, AsyncSharedFlight] = {}
        flight = AsyncSharedFlight()
        # Over before waiting for anybody else: two callers that wait for each other's loads would wait for ever.
        async with flight.lock:
            try:
                for key in wanted:
                    match self._cache.look_up(unit, key, epoch, flight, fetching.held):
                        case Hit(entry):
                            done[key] = entry
                        case Stale(entry):
                            checks[key] = entry
                        case Miss():
                            leads.append(key)
                        case Join(other):
                            joins[key] = other
                await self._check(fetching, checks, epoch)
                await self._load(fetching, leads, epoch)
            except UnavailableError as error:
                flight.failures = dict.fromkeys(leads, error)
                raise
            finally:
                for key in leads:
                    self._cache.finish(unit, key, flight)
                    if isinstance(outcome := done.get(key), UnavailableError):
                        flight.failures[key] = outcome
        for key, other in joins.items():
            await other.wait()
            failure = other.failures.get(key)
            if failure is None:
                fetching.again.append(key)
            else:
                done[key] = copy.copy(failure)  # raised in several threads, each adds its own traceback

    async def _check(self, fetching: "_Fetching", checks: Mapping[Key, Entry], epoch: int) -> None:
        """Revalidates objects that are here, which costs a round trip and no bytes.

        Their ObjectInfo is asked for, not whether the generation is another: it shows a new name or new tags too.
        """
        if not checks:
            return
        unit, done = fetching.unit, fetching.done
        keys = list(checks)
        with self._cache.request(unit) as sent:
            for key, info in zip(keys, await self._store.stat_many(unit, keys), strict=True):
                entry = checks[key]
                if info is not None and self._cache.revalidate(entry, info, epoch, sent=sent):
                    done[key] = entry
                    continue
                if info is None:
                    self._cache.forget(entry)
                    self._cache.absent(unit, key)
                    done[key] = None
                else:
                    fetching.again.append(key)
                self._cache.release(fetching.held, key)

    async def _load(self, fetching: "_Fetching", keys: Sequence[Key], epoch: int) -> None:
        """Loads objects that are not here."""
        if not keys:
            return
        load = self._load_one if len(keys) == 1 else self._load_some
        if self._cache.enabled:
            with self._cache.request(fetching.unit) as sent:
                size = await load(fetching, keys, epoch, sent)
        else:  # and nothing is noted of a request
            size = await load(fetching, keys, epoch, None)
        await self.took(size)

    async def _load_one(self, fetching: "_Fetching", keys: Sequence[Key], epoch: int, sent: int | None) -> int:
        """`_load` of one, and how many bytes came. In columns it would take longer."""
        (key,) = keys
        (result,) = await self._store.load_many(fetching.unit, [LoadItem(key)])
        loaded = await self._taken_in(fetching, key, result)
        if loaded is None:
            return 0
        info, data = loaded
        self._filled(fetching, key, *self._cache.fill(info, data, epoch, fetching.held, key, sent=sent))
        return info.size

    async def _load_some(self, fetching: "_Fetching", keys: Sequence[Key], epoch: int, sent: int | None) -> int:
        """`_load`, and how many bytes came."""
        unit, loads = fetching.unit, fetching.loads
        results: Sequence[Any] = await self._store.load_many(unit, LoadItems((keys, [None] * len(keys))))
        infos: Iterator[Any] = repeat(None, len(results))
        if isinstance(results, LoadedObjects):
            infos = results.infos()
            results = await self._codecs[unit].decode_some(results)
        arrived: list[tuple[Key, ObjectInfo, Any]] = []
        for key, result, info in zip(keys, results, infos, strict=True):
            if info is not None and isinstance(result, Datatype):
                loads[key] = loads.get(key, 0) + 1
                arrived.append((key, info, result))
            elif (loaded := await self._taken_in(fetching, key, result)) is not None:
                arrived.append((key, *loaded))
        entries = self._cache.fill_some(unit, arrived, epoch, fetching.held, sent=sent)
        for (key, _, _), (entry, fresh) in zip(arrived, entries, strict=True):
            self._filled(fetching, key, entry, fresh)
        return sum(info.size for _, info, _ in arrived)

    async def _taken_in(self, fetching: "_Fetching", key: Key, result: LoadResult) -> tuple[ObjectInfo, Any] | None:
        """The object that came; None: none did, which is noted, or it has to be loaded again."""
        loads = fetching.loads[key] = fetching.loads.get(key, 0) + 1
        try:
            loaded = await self._decode(fetching.unit, key, result)
        except VaultError as error:
            # Replaced while its Datatype sought in it, perhaps.
            if isinstance(error, ConflictError) and loads < _MOST_LOADS:
                fetching.again.append(key)
            else:
                fetching.done[key] = error
            return None
        if loaded is None:
            self._cache.absent(fetching.unit, key)
            fetching.done[key] = None
        return loaded

    def _filled(self, fetching: "_Fetching", key: Key, entry: Entry, fresh: bool) -> None:  # noqa: FBT001  # as `fill` says
        """The cache took in what came; what was changed while it was on its way is loaded again."""
        if fresh or fetching.loads[key] == _MOST_LOADS:
            fetching.done[key] = entry
        else:
            self._cache.release(fetching.held, key)
            fetching.again.append(key)

    async def took(self, size: int) -> None:
        """So many bytes came in: looks after the memory, when it is time to."""
        if self._memory.took(size):
            await AsyncBlocking.run(self._memory.relieve, self._cache.shed)

    async def _decode(self, unit: str, key: Key, result: LoadResult) -> tuple[ObjectInfo, Any] | None:
        if type(result) is LoadedObject and result.data is not None:  # most
            return result.info, await self._codecs[unit].decode(result.info, result.data)
        match result:
            case None:
                return None
            case VaultError():
                raise result
            case LoadedObject(_, None):
                reader = await self._store.load(unit, key)
                if reader is None:
                    return None
                if not isinstance(reader, NotModified):
                    reopen = reopener(self._store, reader.info)
                    return reader.info, await self._codecs[unit].load_stream(reader, reopen)
        raise ProtocolError(f"the store answered a load with {type(result).__name__}", unit=unit)


class _Fetching:
    """One call of `fetch`.

    Attributes:
        held: Objects that the caller is to release.
        done: What it came to.
        loads: How often each was loaded.
        again: What has to be looked at again.
    """

    __slots__ = ("again", "done", "held", "loads", "unit")

    def __init__(self, unit: str, held: Held) -> None:
        self.unit = unit
        self.held = held
        self.done: dict[Key, Fetched] = {}
        self.loads: dict[Key, int] = {}
        self.again: list[Key] = []
