"""Read, modify, write, with retry on conflict."""

import threading
import weakref
from collections.abc import Callable
from typing import Any

from vault._async.objects.codec import AsyncCodec
from vault._async.objects.loader import AsyncLoader, AsyncSharedFlight
from vault._async.objects.write_through import AsyncWriteThrough
from vault._cache.cache import Held, ObjectCache
from vault._cache.entry import Entry
from vault._runtime.backoff import Backoff
from vault._runtime.sync_async import AsyncClock, AsyncLock
from vault.errors import ConflictError, InvalidArgumentError, VaultError, object_not_found
from vault.store.specs import UpdateSpec
from vault.store.values import Key, ObjectInfo


class AsyncEditor:
    """Edits objects of one vault.

    Edits of one object by one vault take turns: they could only make each other fail. What other vaults
    write in between is noticed by the generation.
    """

    def __init__(self, loader: AsyncLoader, writes: AsyncWriteThrough, cache: ObjectCache[AsyncSharedFlight]) -> None:
        self._loader = loader
        self._writes = writes
        self._cache = cache
        self._locks: weakref.WeakValueDictionary[tuple[str, Key], AsyncLock] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    async def edit(
        self, unit: str, key: Key, codec: AsyncCodec, function: Callable[[Any], Any], attempts: int
    ) -> ObjectInfo:
        """See `AsyncVault.edit`."""
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise InvalidArgumentError(f"attempts are a whole number from 1, not {attempts!r}", reason="BAD_ATTEMPTS")
        backoff = Backoff(0.002, 0.2)  # it begins with about what a durable write takes
        with self._lock:
            lock = self._locks.setdefault((unit, key), AsyncLock())
        async with lock:
            while True:
                attempts -= 1
                try:
                    return await self._attempt(unit, key, codec, function)
                except ConflictError:
                    if not attempts:
                        raise
                await AsyncClock.sleep(backoff.next())

    async def _attempt(self, unit: str, key: Key, codec: AsyncCodec, function: Callable[[Any], Any]) -> ObjectInfo:
        held: Held = {}
        left = held.values()
        try:
            entry = (await self._loader.fetch(unit, [key], held))[key]
            if entry is None:
                raise object_not_found(unit, key)
            if isinstance(entry, VaultError):
                raise entry
            try:
                return await self._write(entry, codec, function)
            except ConflictError:
                self._cache.forget(entry)  # whatever the feed says, it is not the newest
                raise
        finally:
            self._cache.dropped += left

    async def _write(self, entry: Entry, codec: AsyncCodec, function: Callable[[Any], Any]) -> ObjectInfo:
        info, data = entry.state
        data = data._clone()  # noqa: SLF001  # the Datatype's contract
        returned = function(data)
        if returned is not None:
            data = returned
        codec.check(data)
        spec = UpdateSpec(info.data_id, info.generation, type(data).datatype_tag)
        return await self._writes.write(info.unit, spec, data)
