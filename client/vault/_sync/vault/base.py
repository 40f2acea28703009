# Generated from _async/vault/base.py by scripts/unasync: DO NOT CHANGE.
"""What every part of a Vault stands on: its parts, its life, its memory."""

import os
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar, Unpack

from vault._sync.feed.coherence import check_consistency, make_coherence
from vault._sync.feed.subscription import Subscription
from vault._sync.objects.codec import Codec
from vault._sync.objects.computing import Computations
from vault._sync.objects.editing import Editor
from vault._sync.objects.loader import Loader, Parts, SharedFlight
from vault._sync.objects.ticket import OpenTicket, Ticket
from vault._sync.objects.write_through import WriteThrough
from vault._sync.vault.upkeeping import Upkeeping
from vault._cache.cache import CacheStats, ObjectCache
from vault._cache.memory import MemoryWatermark
from vault._runtime.blocking import Blocking
from vault._runtime.fork import renew_after_fork
from vault._runtime.sync_async import Affinity, other_loop
from vault.datatype import Datatype
from vault.errors import BatchError, ClosedError, InvalidArgumentError, VaultError
from vault.plain import Plain
from vault.store.connection import DEFAULT_CONNECTION, ConnectionOptions, ConnectionSettings, with_options
from vault.store.contract import Store
from vault.store.limits import check_key, shown
from vault.store.registry import Location
from vault.store.values import Key
from vault.unit import UNDECLARED, Structure, UnitLike, UnitSettings

T = TypeVar("T")


class VaultBase:
    """The state of a vault, and what is not about one object or another."""

    def __init__(
        self,
        location: str | os.PathLike[str] | Store,
        structure: Mapping[str, UnitLike] | None = None,
        *,
        max_memory_used: float = 1000,
        cache: bool = True,
        auto_update: bool = True,
        consistency: str = "watch",
        connection: ConnectionSettings = DEFAULT_CONNECTION,
        **options: Unpack[ConnectionOptions],
    ) -> None:
        """Opens a vault. A directory is opened here, which reads from it; a server is called at the first call.

        Args:
            location: A directory, made if it is not there; a URL such as `grpc://host:port`; or a Store,
                which is used as it is, and not closed with the vault.
            structure: From a unit's name to `(Datatype, max_cached)`, max_cached 0 for no limit by count, or to
                `UnitSettings(...)`, which has a limit by bytes too. None: any unit may be used; `unit` declares
                what it holds, and one that was not declared holds bytes.
            max_memory_used: MiB. While the process's resident memory is above it, everything in the cache that
                no ticket is open on may go; checked by `upkeep`, and as objects come in.
            cache: When False nothing is cached: each load decodes afresh, each ticket has an object of its own.
            auto_update: An edited ticket writes back when it closes. When False, the last edited ticket of an
                object does.
            consistency: How a remote vault knows that a cached object is the newest. "watch": it follows the
                server's change feed; a load may show an object as it was before another client's write for as
                long as that takes to arrive; this vault's own writes show at once. "strict": it asks at every
                load, a round trip without bytes; a load shows every write that was acknowledged before it. An
                embedded vault always shows every acknowledged write, of other processes too.
            connection: How a server is reached, who calls, and for how long its answers are waited for.
            options: Fields of `connection`, each in its place: `ca`, `cert`, `key`, `server_name`, `token`, `proxy`,
                `timeout`, `connections`.

        Raises:
            InvalidArgumentError: BAD_LOCATION, UNKNOWN_SCHEME, BAD_ADDRESS, BAD_STRUCTURE, BAD_UNIT, BAD_LIMIT,
                BAD_CONSISTENCY, BAD_PROXY, BAD_SETTING.
            StorageError: The directory cannot be used.
        """
        self._structure = Structure(structure)
        self._memory = MemoryWatermark(max_memory_used)
        check_consistency(consistency)
        self._codecs: dict[str, Codec] = {}
        self._caching = bool(cache)
        self._auto_update = bool(auto_update)
        self._affinity = Affinity("the vault")
        self._closed = self._ended = False
        self._closer = 0  # the thread that closes it
        self._store, self._owns_store = Location.open(location, with_options(connection, options))
        self._cache: ObjectCache[SharedFlight] = self._new_cache()
        self._coherence = make_coherence(consistency, self._store, self._cache)
        for name, unit in self._structure.units.items():
            self._take_in(name, unit)
        self._assemble()
        renew_after_fork(self)

    def get_datatype(self, unit: str) -> type[Datatype]:
        """The class of the unit's objects; BytesWrapper of one that is not declared, in a vault without a structure.

        Raises:
            UnknownUnitError: The unit is not in the structure.

        Example:
            >>> vault.get_datatype("notes")
            <class 'vault.wrappers.TextWrapper'>
        """
        return self._structure.unit(unit).datatype

    def cache_stats(self) -> CacheStats:
        """What the object cache has done and holds, and the process's memory. Does no I/O.

        Example:
            >>> vault.cache_stats().open_tickets
            0
        """
        return self._cache.stats()

    def upkeep(self) -> None:
        """Gives memory back while the process is above `max_memory_used`; does nothing below it.

        Cached objects that no ticket is open on go, the longest unused first, until the process is below or
        nothing is left to put out; then free memory is returned to the system.

        Example:
            >>> vault.upkeep()
        """
        self._require_open()
        Blocking.run(self._memory.relieve, self._cache.shed)

    def spawn_upkeeping_thread(self, seconds: float) -> Upkeeping:
        """Calls `upkeep` every so many seconds in the background, until it is stopped or the vault closes.

        Raises:
            InvalidArgumentError: BAD_INTERVAL, it is not above 0.
            UnavailableError: OVERLOADED, the system has no thread left.

        Example:
            >>> upkeeping = vault.spawn_upkeeping_thread(60)
            >>> upkeeping.is_alive()
            True
            >>> upkeeping.stop()
        """
        self._require_open()
        upkeeping = Upkeeping(self._memory, self._cache, seconds)
        self._upkeepings.append(upkeeping)
        upkeeping.start()
        return upkeeping

    def close(self) -> None:
        """Ends what runs in the background, and closes the store if the vault opened it. Harmless when repeated.

        Open tickets keep their objects and can be closed later; one with an edit then raises ClosedError.

        Raises:
            InvalidArgumentError: OTHER_LOOP, it is asynchronous and belongs to another event loop, which is not closed:
                close it there. Once that loop is closed, any may close it.

        Example:
            >>> vault.close()
            >>> vault.units()
            Traceback (most recent call last):
            vault.errors.ClosedError: the vault is closed
        """
        self._affinity.require_closable()
        self._closed = True
        if self._ended or self._closer == threading.get_ident():  # another task, or a signal's handler, is called in it
            return
        try:
            self._closer = threading.get_ident()
            # All of these may be repeated: after an interrupt the next `close` does the rest.
            for subscription in list(self._subscriptions):
                subscription.close()
            self._writes.close()
            self._coherence.end()
            if self._owns_store:
                self._store.close()
            self._coherence.join()
            self._computations.close()
            for upkeeping in self._upkeepings:
                upkeeping.stop()
            self._cache.clear()
            self._ended = True
        finally:
            self._closer = 0

    def __enter__(self) -> Self:
        self._require_open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        coherence = getattr(self, "_coherence", None)
        if coherence is not None:
            coherence.abandon()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return (
            f"<{type(self).__name__} on {type(self._store).__name__}, units {sorted(self._structure.units)}, {state}>"
        )

    def renew(self) -> None:
        """In a forked child: locks, cache and watcher begin anew. Called for you."""
        self._affinity.renew()
        self._cache = self._new_cache()
        self._coherence.renew(self._cache)
        self._assemble()

    def _new_cache(self) -> ObjectCache[SharedFlight]:
        units = {name: self._structure.unit(name) for name in self._codecs}
        store = self._store  # not by the vault, which ends with the last who has it
        return ObjectCache(units, enabled=self._caching, time=lambda: store.time)

    def _assemble(self) -> None:
        parts = Parts(self._store, self._cache, self._coherence, self._codecs, self._memory, self._affinity)
        self._loader = Loader(parts)
        self._writes = WriteThrough(parts, auto_update=self._auto_update)
        self._computations = Computations(parts, self._writes)
        self._editor = Editor(self._loader, self._writes, self._cache)
        self._upkeepings: list[Upkeeping] = []
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._declaring = threading.Lock()

    def _ticket(self) -> Ticket:
        return OpenTicket(self._writes)

    def _declare(
        self,
        name: str,
        datatype: type[Datatype],
        plain: Plain[Any] | None,
        max_cached: int | None,
        max_bytes: int | None,
    ) -> None:
        """The unit holds this from now on, and did before if it was declared already; else InvalidArgumentError."""
        kind = None if plain is None else plain.kind
        with self._declaring:
            unit = self._structure.declared(name, datatype, kind, max_cached, max_bytes)
            if name not in self._structure.units:
                self._take_in(name, unit)
            if plain is not None:
                self._codecs[name].plain = plain
            self._structure.add(name, unit, kind)  # last: whoever finds it there finds its parts

    def _take_in(self, name: str, unit: UnitSettings) -> None:
        """Has the vault's parts work with the unit, from now on by this."""
        self._coherence.add(name)
        self._cache.declare(name, unit)
        self._codecs[name] = Codec(name, unit.datatype, is_declared=unit is not UNDECLARED)
        self._cache.declare(name, unit)  # again: nothing stays that another codec has decoded up to now

    def _require_unit(self, unit: str) -> None:
        """What every call begins with: the vault is open and the unit known, or it ends before any I/O."""
        self._require_open()
        self._structure.unit(unit)

    def _require_held(self, unit: str) -> None:
        """`_require_unit` for a call that has to know what the unit holds: bytes, for as long as it is not declared."""
        self._require_open()
        if self._structure.unit(unit) is UNDECLARED and unit not in self._codecs:
            with self._declaring:
                if unit not in self._codecs:  # by another thread, meanwhile
                    self._take_in(unit, UNDECLARED)

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("the vault is closed")
        if self._affinity.is_foreign:
            raise other_loop("the vault")


def listed(what: str, items: Iterable[T]) -> list[T]:
    """The items; InvalidArgumentError for one text, whose letters would be taken for names, or what is not several."""
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        kind = "ids or names" if what == "keys" else what
        raise InvalidArgumentError(f"{what} are several {kind}, [{items!r}] for one, not {items!r}", reason="BAD_BATCH")
    return list(items)


def pairs(what: str, items: Mapping[Any, T] | Iterable[tuple[Any, T]]) -> list[tuple[Any, T]]:
    """The pairs of a mapping, or of several pairs; InvalidArgumentError for what is neither."""
    found: list[Any] = list(items.items()) if isinstance(items, Mapping) else listed(what, items)
    for pair in found:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise InvalidArgumentError(
                f"{what} are a mapping, or pairs of what it would map: not {shown(pair)}", reason="BAD_BATCH"
            )
    return found


def require_one_each(what: str, values: object, number: int) -> None:
    """Raises InvalidArgumentError, BAD_BATCH, unless there is one value for each object, or None for all."""
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | None):
        raise InvalidArgumentError(
            f"{what} are one for each object, in a list, not {shown(values)}", reason="BAD_BATCH"
        )
    if values is not None and len(values) != number:
        raise InvalidArgumentError(f"{len(values)} {what} for {number} objects", reason="BAD_BATCH")


def bad_keys(keys: Iterable[Key]) -> dict[int, VaultError]:
    """What is wrong with those that can be none, by their places."""
    errors = {}
    for index, key in enumerate(keys):
        try:
            check_key(key)
        except VaultError as error:
            errors[index] = error
    return errors


def all_or_error(results: list[Any]) -> list[Any]:
    """The results; BatchError when there is an error among them."""
    if any(isinstance(result, VaultError) for result in results):
        raise BatchError(results)
    return results
